/**
 * The second wall before SQL from elsewhere: a process for each query, thrown away after it. It has no environment, so no
 * credential; it may write next to nothing; it is killed, not asked, when its time, its processor time or its memory is used up.
 * What it reads of the lake are local files that we hand it one by one, never more than its query names.
 *
 * Both sides speak in lines of JSON: the job; then, from the process, `{need}` for each file, answered by `{path}`; at last
 * `{answer}` or `{error}`.
 */
import { readFileSync } from "node:fs";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal, Transient } from "../../pipeline/errors.ts";
import type { LakeSnapshot } from "../lake/reader.ts";
import type { LakeView, Seen } from "./analytics.ts";
import { linesOf } from "./lines.ts";

export const FOREIGN_FORMATS = ["json", "csv"] as const;
export type ForeignFormat = (typeof FOREIGN_FORMATS)[number];

/** What the process is told. */
export interface ForeignJob {
  readonly sql: string;
  readonly format: ForeignFormat;
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly memoryMb: number;
  readonly lakeName: string;
  readonly lake: Omit<LakeSnapshot, "files" | "coverage"> & {
    readonly files: readonly (readonly [string, readonly unknown[]])[];
  };
  /** Hot stores of each source on this host. */
  readonly hot: readonly { readonly source: string; readonly folder: string; readonly lanes: number }[];
  readonly catalog: readonly DatasetSpec[];
  readonly workDir: string;
}

export interface ForeignAnswer {
  /** In the format asked for. */
  readonly body: string;
  readonly rows: number;
  readonly truncated: boolean;
  readonly seen: Seen;
}

export type FromProcess =
  | { readonly need: string }
  | { readonly answer: ForeignAnswer }
  | {
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly hint?: string;
        readonly cause?: string;
      };
    };

export interface ForeignLimits {
  readonly wallMs: number;
  readonly cpuSeconds: number;
  /** Resident memory of the process, bytes. */
  readonly rssBytes: number;
  /** Queries at a time; more are turned away. */
  readonly atOnce: number;
  /** Of the same token or address. */
  readonly atOncePerKey: number;
  readonly sqlBytes: number;
  readonly rows: number;
  readonly bytes: number;
}

export const FOREIGN_LIMITS: ForeignLimits = {
  wallMs: 10_000,
  cpuSeconds: 15,
  rssBytes: 1024 * 1024 * 1024,
  atOnce: 4,
  atOncePerKey: 1,
  sqlBytes: 16 * 1024,
  rows: 10_000,
  bytes: 10 * 1024 * 1024,
};

/** DuckDB's own memory limit, MB: the rest of the process needs some, too. */
const DUCKDB_MB = 512;
const LOOK_EVERY_MS = 25;

export interface ForeignOptions {
  /** The program and its arguments that become the process (`answerForeign`). */
  readonly command: readonly string[];
  readonly lake: LakeView;
  readonly hot: ForeignJob["hot"];
  readonly catalog: readonly DatasetSpec[];
  readonly workDir: string;
  readonly limits?: Partial<ForeignLimits>;
}

export interface ForeignQuery {
  readonly sql: string;
  readonly format: ForeignFormat;
  /** Who asks: a token's id or an address. */
  readonly key: string;
}

/**
 * Answers queries from elsewhere. Rejects with `Fatal`: SQL_REFUSED, SQL_ERROR (the query is at fault), SQL_LIMIT (it took
 * too long or too much); with `Transient` SQL_BUSY when too many are being answered.
 */
export class ForeignQueries {
  private readonly o: ForeignOptions;
  private readonly limits: ForeignLimits;
  private readonly running = new Map<string, number>();

  constructor(options: ForeignOptions) {
    this.o = options;
    this.limits = { ...FOREIGN_LIMITS, ...options.limits };
  }

  async ask(query: ForeignQuery): Promise<ForeignAnswer> {
    const { sqlBytes, atOnce, atOncePerKey } = this.limits;
    if (Buffer.byteLength(query.sql) > sqlBytes) {
      throw new Fatal("SQL_LIMIT", `the query is longer than ${sqlBytes} bytes`);
    }
    const mine = this.running.get(query.key) ?? 0;
    const all = [...this.running.values()].reduce((sum, n) => sum + n, 0);
    if (mine >= atOncePerKey) throw new Transient("SQL_BUSY", "your last query is still being answered");
    if (all >= atOnce) throw new Transient("SQL_BUSY", `${atOnce} queries are being answered`);
    this.running.set(query.key, mine + 1);
    try {
      return await this.inProcess(await this.job(query));
    } finally {
      const left = this.running.get(query.key)! - 1;
      if (left === 0) this.running.delete(query.key);
      else this.running.set(query.key, left);
    }
  }

  private async job({ sql, format }: ForeignQuery): Promise<ForeignJob> {
    const { head, lineages, files } = await this.o.lake.read();
    const text = sql.toLowerCase();
    const named = [...files].filter(([dataset]) => text.includes(dataset.toLowerCase()));
    return {
      ...{ sql, format, maxRows: this.limits.rows, maxBytes: this.limits.bytes, memoryMb: DUCKDB_MB },
      lakeName: this.o.lake.name,
      lake: { head, lineages, files: named },
      hot: this.o.hot,
      catalog: this.o.catalog,
      workDir: this.o.workDir,
    };
  }

  private async inProcess(job: ForeignJob): Promise<ForeignAnswer> {
    const { cpuSeconds } = this.limits;
    const child = Bun.spawn(
      // Limits that a process cannot take back: processor time, and no file larger than SQLite's shared memory beside a hot
      // store, which the first reader of a store at rest has to make (64 blocks of 512 bytes).
      ["/bin/sh", "-c", `ulimit -t ${cpuSeconds} && ulimit -f 64 && exec "$@"`, "sh", ...this.o.command],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "ignore",
        // The cache of compiled sources would be a file.
        env: { BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
      },
    );
    let broken: string | null = null;
    const kill = (why: string) => {
      broken ??= why;
      child.kill("SIGKILL");
    };
    const timer = setTimeout(() => kill(`it took longer than ${this.limits.wallMs / 1000} s`), this.limits.wallMs);
    const looking = setInterval(() => {
      if (residentBytes(child.pid) > this.limits.rssBytes) kill("it needed too much memory");
    }, LOOK_EVERY_MS);
    try {
      child.stdin.write(`${JSON.stringify(job)}\n`);
      await child.stdin.flush();
      const last = await this.converse(child, kill);
      if (last === null) throw new Fatal("SQL_LIMIT", broken ?? "it used up its processor time, or its process ended");
      if (!("error" in last)) return last.answer;
      const { code, message, hint, cause } = last.error;
      throw new Fatal(code, message, {
        ...(hint === undefined ? {} : { hint }),
        ...(cause === undefined ? {} : { cause: new Error(cause) }),
      });
    } finally {
      clearTimeout(timer);
      clearInterval(looking);
      child.kill("SIGKILL");
      await child.exited;
    }
  }

  /** Hands over files until the process has come to an end; null when it ended without a word. */
  private async converse(
    child: Bun.Subprocess<"pipe", "pipe", "ignore">,
    kill: (why: string) => void,
  ): Promise<Exclude<FromProcess, { need: string }> | null> {
    // JSON writes some characters as six; and there is room for the positions.
    const lines = linesOf(child.stdout, this.limits.bytes * 6 + 1024 * 1024);
    for await (const line of lines) {
      if (line === null) {
        kill("its answer is larger than allowed");
        break;
      }
      const said = JSON.parse(line) as FromProcess;
      if (!("need" in said)) return said;
      const path = await this.o.lake.localPath(said.need);
      child.stdin.write(`${JSON.stringify({ path })}\n`);
      await child.stdin.flush();
    }
    return null;
  }
}

/** 0 where the system does not tell, or the process is gone. */
function residentBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}
