/**
 * The second wall before SQL from elsewhere: a process for each query, thrown away after it. It has no environment, so no
 * credential; it may write next to nothing; it is killed, not asked, when its time, its processor time or its memory is used up.
 * What it reads of the lake are local files that we hand it one by one, never more than its query names.
 *
 * Both sides speak in lines of JSON: the job; then, from the process, `{need}` for each file, answered by `{path}`; at last
 * `{error}`, or `{answer}`, its body as one `{piece}` after the other, and `{end}`.
 */
import { readFileSync } from "node:fs";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal, type SluiceError, Transient } from "../../pipeline/errors.ts";
import type { LakeSnapshot } from "../lake/reader.ts";
import type { LakeView } from "./analytics.ts";
import { linesOf } from "./lines.ts";
import type { BriefSeen } from "./seen.ts";

export const FOREIGN_FORMATS = ["json", "csv", "arrow"] as const;
export type ForeignFormat = (typeof FOREIGN_FORMATS)[number];

/** What the process is told. */
export interface ForeignJob {
  readonly sql: string;
  readonly format: ForeignFormat;
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly memoryMb: number;
  readonly lakeName: string;
  readonly lake: Omit<LakeSnapshot, "files" | "coverage" | "coverageOfSources"> & {
    readonly files: readonly (readonly [string, readonly unknown[]])[];
  };
  /** Hot stores of each source on this host. */
  readonly hot: readonly { readonly source: string; readonly folder: string; readonly lanes: number }[];
  readonly catalog: readonly DatasetSpec[];
  readonly workDir: string;
}

/** What is known before the body. */
export interface AnswerHead {
  readonly rows: number;
  readonly truncated: boolean;
  readonly seen: BriefSeen;
}

export interface ForeignAnswer extends AnswerHead {
  /** In the format asked for, as it comes from the process; fails with SQL_LIMIT when that is killed before the end. */
  readonly body: ReadableStream<Uint8Array>;
}

export type FromProcess =
  | { readonly need: string }
  | { readonly answer: AnswerHead }
  /** Text, or for Arrow base64. */
  | { readonly piece: string }
  | { readonly end: true }
  | {
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly hint?: string;
        readonly cause?: string;
        /** It may be answered later. */
        readonly passes?: boolean;
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
 * too long or too much), LAKE_* when the lake is damaged; with `Transient` SQL_BUSY when too many are being answered,
 * HOT_MISSING when it reads what hot stores alone hold, and they are not all here.
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
    const over = () => {
      const left = this.running.get(query.key)! - 1;
      if (left === 0) this.running.delete(query.key);
      else this.running.set(query.key, left);
    };
    let job: ForeignJob;
    try {
      job = await this.job(query);
    } catch (error) {
      over();
      throw error;
    }
    return this.inProcess(job, over);
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

  /** `over` is called once, when the process has gone: at the end of the body, or when there is none. */
  private async inProcess(job: ForeignJob, over: () => void): Promise<ForeignAnswer> {
    let answering: AnsweringProcess;
    try {
      answering = new AnsweringProcess(this.o.command, this.limits, over);
    } catch (error) {
      over();
      throw error;
    }
    try {
      await answering.say(job);
      for (;;) {
        const said = await answering.next();
        if ("need" in said) await answering.say({ path: await this.o.lake.localPath(said.need) });
        else if ("answer" in said) return { ...said.answer, body: answering.body(job.format) };
        else throw failureOf(said);
      }
    } catch (error) {
      await answering.end();
      throw error;
    }
  }
}

/** The process of one query, watched from its start to its end. */
class AnsweringProcess {
  private readonly child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  private readonly lines: ReturnType<typeof linesOf>;
  private readonly limits: ForeignLimits;
  private readonly over: () => void;
  private readonly timer: Timer;
  private readonly looking: Timer;
  private broken: string | null = null;
  private ending: Promise<void> | null = null;

  constructor(command: readonly string[], limits: ForeignLimits, over: () => void) {
    this.limits = limits;
    this.over = over;
    this.child = Bun.spawn(
      // Limits that a process cannot take back: processor time, and no file larger than SQLite's shared memory beside a hot
      // store, which the first reader of a store at rest has to make (64 blocks of 512 bytes).
      ["/bin/sh", "-c", `ulimit -t ${limits.cpuSeconds} && ulimit -f 64 && exec "$@"`, "sh", ...command],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "ignore",
        // The cache of compiled sources would be a file.
        env: { BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
      },
    );
    // JSON writes some characters as six; and there is room for the positions.
    this.lines = linesOf(this.child.stdout, limits.bytes * 6 + 1024 * 1024);
    this.timer = setTimeout(() => this.kill(`it took longer than ${limits.wallMs / 1000} s`), limits.wallMs);
    this.looking = setInterval(() => {
      if (residentBytes(this.child.pid) > limits.rssBytes) this.kill("it needed too much memory");
    }, LOOK_EVERY_MS);
  }

  async say(message: object): Promise<void> {
    this.child.stdin.write(`${JSON.stringify(message)}\n`);
    await this.child.stdin.flush();
  }

  /** What it says next. Throws SQL_LIMIT when it was killed, or says too much. */
  async next(): Promise<FromProcess> {
    const { value: line } = await this.lines.next();
    if (line === null) this.kill("its answer is larger than allowed");
    if (typeof line === "string") return JSON.parse(line) as FromProcess;
    throw new Fatal("SQL_LIMIT", this.broken ?? "it used up its processor time, or its process ended");
  }

  /**
   * Reads on by itself, whether anybody takes it or not: a slow client keeps no process. What waits is bounded as the
   * answer is.
   */
  body(format: ForeignFormat): ReadableStream<Uint8Array> {
    const encoding = format === "arrow" ? "base64" : "utf8";
    let left = this.limits.bytes * 6 + 1024 * 1024;
    const pump = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      try {
        for (let said = await this.next(); !("end" in said); said = await this.next()) {
          if (!("piece" in said)) throw failureOf(said);
          left -= said.piece.length;
          if (left < 0) throw new Fatal("SQL_LIMIT", "its answer is larger than allowed");
          controller.enqueue(Buffer.from(said.piece, encoding));
        }
        // Whoever has read the end may ask again at once.
        await this.end();
        controller.close();
      } catch (error) {
        await this.end();
        controller.error(error);
      }
    };
    return new ReadableStream({ start: (controller) => void pump(controller), cancel: () => this.end() });
  }

  /** Kills what is left of it. */
  end(): Promise<void> {
    this.ending ??= this.stop();
    return this.ending;
  }

  private async stop(): Promise<void> {
    clearTimeout(this.timer);
    clearInterval(this.looking);
    this.child.kill("SIGKILL");
    await this.child.exited;
    this.over();
  }

  private kill(why: string): void {
    this.broken ??= why;
    this.child.kill("SIGKILL");
  }
}

function failureOf(said: FromProcess): SluiceError {
  if (!("error" in said)) return new Fatal("SQL_FAILED", "the query's process said something out of turn");
  const { code, message, hint, cause, passes } = said.error;
  return new (passes === true ? Transient : Fatal)(code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause: new Error(cause) }),
  });
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
