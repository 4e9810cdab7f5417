/**
 * SQL over all that is known: the lake up to a manifest entry, and above it the rows of the hot stores. Each query gets a
 * DuckDB of its own, which sees the files it needs and nothing else of this machine, and says which positions it saw.
 *
 * A query is one SELECT. Foreign ones also have to pass `gate.ts`, and belong into a process of their own (`foreign.ts`).
 */
import { rename, rm } from "node:fs/promises";
import type { DuckDBConnection, DuckDBPreparedStatement } from "@duckdb/node-api";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal, type SluiceError, Transient } from "../../pipeline/errors.ts";
import type { Position } from "../../pipeline/position.ts";
import type { DatasetCatalog } from "../../pipeline/wire/batch.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { lakeColumns, quoteName, quoteText } from "../lake/columns.ts";
import { Duck } from "../lake/duckdb.ts";
import { specOf } from "../lake/entry.ts";
import { LakeReader, type LakeSnapshot, ofSource } from "../lake/reader.ts";
import type { ObjectStore } from "../lake/store.ts";
import { makeWorkFolder } from "../lake/work-folder.ts";
import { refusal } from "./gate.ts";
import { writeParquetAnswer } from "./parquet-answer.ts";
import { fileFilter, tablesRead } from "./prune.ts";
import { type AnswerColumn, interruptible, sqlError, withSelect } from "./statement.ts";
import { plainValue, type SqlValue, sizeOf } from "./values.ts";
import { createEventView, createHotTable, createStandIn, createStateView, type FileGroup, hotTable } from "./views.ts";

/** Where a hot store stands. */
export interface HotStand {
  /** For example "lane 3". */
  readonly name: string;
  readonly position: Position | null;
  readonly finalSlot: number;
}

/** A lane that has not begun, whose store is lost, or that another host runs. */
export interface MissingLane {
  readonly name: string;
  /** The file that is not there. */
  readonly file: string;
}

/** The hot stores of one source, wherever they are. */
export interface HotSource {
  /** The source exactly as the lake's live lineage names it: by it the rows that the lake has already are left out. */
  readonly source: string;
  stands(): Promise<readonly HotStand[]>;
  /** Lanes of the source that have no hot store here, now; without it, none. */
  missing?(): readonly MissingLane[];
  /** Rows of a dataset: events above a slot, state whole. Nothing for a dataset that is not kept. */
  rows(dataset: string, aboveSlot: number): Iterable<Table> | AsyncIterable<Table>;
}

/** The lake as queries need it. */
export interface LakeView {
  readonly name: string;
  /** As of the last entry of its manifest. */
  read(): Promise<LakeSnapshot>;
  /** Path of a local file with an object's bytes; null when there is none. */
  localPath(key: string): Promise<string | null>;
}

/** `source`: the only one whose rows are seen; without it, those of all. */
export function lakeView(store: ObjectStore, source?: string): LakeView {
  const reader = new LakeReader(store);
  const read = async () => {
    const lake = await reader.read();
    return source === undefined ? lake : ofSource(lake, source);
  };
  return { name: store.name, read, localPath: (key) => store.localPath(key) };
}

export interface AnalyticsOptions {
  readonly lake: LakeView;
  /** Without it, SQL sees the lake alone. */
  readonly hot?: readonly HotSource[];
  /** Event datasets of the deployment; those that only the lake knows are added. */
  readonly catalog: DatasetCatalog;
  /** Datasets of state in the hot stores, for example `candles`. */
  readonly state?: readonly DatasetSpec[];
  /** Where DuckDB may spill. Each query has a folder of its own in it. */
  readonly workDir: string;
  /** false: what does not fit into memory fails. */
  readonly spill?: boolean;
  /** For each query. Defaults 512 MB and 2. */
  readonly memoryMb?: number;
  readonly threads?: number;
}

export interface QueryOptions {
  /** A result is cut off after so many rows, or so many bytes. Defaults 10,000 and 10 MiB. */
  readonly maxRows?: number;
  readonly maxBytes?: number;
  /** Stops the query. */
  readonly signal?: AbortSignal;
  /** From somebody who is not to be trusted: refused with SQL_REFUSED unless all that stands in it is on a list. */
  readonly foreign?: boolean;
}

export interface QueryResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly SqlValue[])[];
  /** There were more rows than the limits allow. */
  readonly truncated: boolean;
  readonly seen: Seen;
}

export interface SeenLineage {
  readonly source: string;
  readonly kind: string;
  /** "all", or the one dataset that it is of. */
  readonly dataset: string;
  readonly slot: number;
}

/** What a query was answered from. */
export interface Seen {
  /** The manifest entry up to which the lake was read; null for an empty lake. */
  readonly lake: { readonly number: number; readonly sha256: string } | null;
  readonly lineages: readonly SeenLineage[];
  readonly hot: readonly (HotStand & { readonly source: string })[];
  /** Of each dataset that the query names: the lake's files, by key. */
  readonly files: readonly { readonly dataset: string; readonly opened: string[]; readonly ruledOut: string[] }[];
}

const DEFAULTS = { maxRows: 10_000, maxBytes: 10 * 1024 * 1024, memoryMb: 512, threads: 2 } as const;
/** A query of more text than this is refused, bytes. */
const SQL_LENGTH_MAX = 64 * 1024;

export interface Analytics {
  /**
   * Answers one SELECT. Throws `Fatal`: SQL_ERROR when the query is at fault, SQL_MEMORY, SQL_STOPPED, LAKE_* when the lake
   * is damaged; HOT_LEFT_OUT, or `Transient` HOT_MISSING, when it reads what hot stores alone hold, and they are not all here.
   */
  query(sql: string, options?: QueryOptions): Promise<QueryResult>;
  /**
   * Writes the whole answer to a Parquet file (zstd), which appears under its name when it is complete; bigger than memory
   * it may be. Throws what `query` throws.
   */
  exportParquet(
    sql: string,
    path: string,
    signal?: AbortSignal,
  ): Promise<{ readonly rows: number; readonly seen: Seen }>;
  /** The datasets that can be asked for, with their columns. */
  datasets(): Promise<readonly DatasetSpec[]>;
}

export function openAnalytics(options: AnalyticsOptions): Analytics {
  /** Runs `action` on a database made for this one query. `writable`: files that it may write. */
  const withSession = async <T>(
    sql: string,
    { writable = [], foreign = false }: { writable?: readonly string[]; foreign?: boolean },
    action: (connection: DuckDBConnection) => Promise<T>,
  ): Promise<T & { readonly seen: Seen }> => {
    if (sql.length > SQL_LENGTH_MAX) throw sqlError(`the query is longer than ${SQL_LENGTH_MAX} bytes`);
    const lake = await options.lake.read();
    const folder = await makeWorkFolder(options.workDir);
    const { memoryMb = DEFAULTS.memoryMb, threads = DEFAULTS.threads, spill = true } = options;
    const duck = await Duck.open({ memoryMb, threads, ...(spill ? { spillDir: folder } : {}) });
    try {
      const session = new Session(options, lake, duck, sql);
      if (foreign) await session.mustBeAllowed();
      const hot = await session.prepare(writable);
      const seen = { ...seenBy(lake), hot, files: session.files };
      return { ...(await action(duck.connection)), seen };
    } finally {
      duck.close();
      await rm(folder, { recursive: true, force: true });
    }
  };
  return {
    query: (sql, queryOptions = {}) =>
      withSession(sql, { foreign: queryOptions.foreign === true }, (connection) =>
        answer(connection, sql, queryOptions),
      ),
    async exportParquet(sql, path, signal) {
      const part = `${path}.part`;
      try {
        const written = await withSession(sql, { writable: [part] }, (connection) =>
          writeParquetAnswer(connection, sql, part, signal),
        );
        await rename(part, path);
        return written;
      } finally {
        await rm(part, { force: true });
      }
    },
    async datasets() {
      return [...eventDatasets(options, await options.lake.read()), ...(options.state ?? [])];
    },
  };
}

/** Event datasets that are configured, and those that are not any more but have files. */
function eventDatasets({ catalog }: AnalyticsOptions, lake: LakeSnapshot): DatasetSpec[] {
  const old = [...lake.files].filter(([name]) => !catalog.has(name));
  return [...catalog.values(), ...old.map(([, files]) => specOf(files.at(-1)!.schema))];
}

/** Puts a database together for one query. */
class Session {
  private readonly options: AnalyticsOptions;
  private readonly lake: LakeSnapshot;
  private readonly duck: Duck;
  private readonly sql: string;
  private readonly text: string;
  private readonly paths: string[] = [];
  /** Why state cannot be read; null when it can. */
  private stateless: SluiceError | null;
  /** Filled while preparing. */
  readonly files: Seen["files"][number][] = [];

  constructor(options: AnalyticsOptions, lake: LakeSnapshot, duck: Duck, sql: string) {
    this.options = options;
    this.lake = lake;
    this.duck = duck;
    this.sql = sql;
    this.text = sql.toLowerCase();
    this.stateless = options.hot === undefined || options.hot.length === 0 ? leftOut(options) : null;
  }

  async mustBeAllowed(): Promise<void> {
    const views = [...eventDatasets(this.options, this.lake), ...(this.options.state ?? [])];
    const reason = refusal(
      await this.parsed(),
      views.map((spec) => spec.name),
    );
    if (reason === null) return;
    throw new Fatal("SQL_REFUSED", reason, {
      hint: "One SELECT over the datasets, with the usual functions, is answered.",
    });
  }

  /**
   * Makes the views; returns where the hot stores stood. Then nothing but the lake's files, and those named, can be reached
   * any more.
   */
  async prepare(others: readonly string[]): Promise<Seen["hot"]> {
    const events = eventDatasets(this.options, this.lake);
    const state = this.options.state ?? [];
    const named = [...events, ...state].filter((spec) => this.isNamed(spec));
    for (const spec of named) await this.duck.run(createHotTable(spec));
    const stands: (HotStand & { source: string })[] = [];
    for (const hot of this.options.hot ?? []) stands.push(...(await this.loadHot(hot, named)));
    const parsed = await this.parsed();
    const read = tablesRead(parsed);
    if (this.stateless !== null && state.some(({ name }) => read.has(name.toLowerCase()))) throw this.stateless;
    const needed = fileFilter(parsed);
    for (const spec of events) {
      const view = this.isNamed(spec)
        ? createEventView(spec, await this.fileGroups(spec.name, needed), true)
        : createStandIn(spec, false);
      await this.duck.run(view);
    }
    for (const spec of state) {
      const isReadable = this.isNamed(spec) && this.stateless === null;
      const view = isReadable ? createStateView(spec) : createStandIn(spec, true, this.stateless?.message);
      await this.duck.run(view);
    }
    await this.lock([...this.paths, ...others]);
    return stands;
  }

  /** A dataset that a query reads is spelled out in it. */
  private isNamed({ name }: DatasetSpec): boolean {
    return this.text.includes(name.toLowerCase());
  }

  private async loadHot(hot: HotSource, specs: readonly DatasetSpec[]): Promise<(HotStand & { source: string })[]> {
    const stands = await hot.stands();
    this.stateless ??= this.hotMissing(hot);
    const finalSlot = Math.min(Infinity, ...stands.map((s) => (s.position === null ? Infinity : s.finalSlot)));
    const state = new Set((this.options.state ?? []).map((s) => s.name));
    for (const spec of specs) {
      const isState = state.has(spec.name);
      const final = isState ? "NULL" : `slot <= ${Number.isFinite(finalSlot) ? finalSlot : -1}`;
      const above = isState ? -1 : this.lakeSlot(hot.source, spec.name);
      for await (const table of hot.rows(spec.name, above)) {
        const insert = `INSERT INTO ${quoteName(hotTable(spec.name))} BY NAME SELECT *, ${final} AS " final" FROM fed_rows()`;
        const rows = Uint32Array.from({ length: table.length }, (_, i) => i);
        await this.duck.feed(lakeColumns(table.spec), [{ table, rows }], insert);
      }
    }
    return stands.map((stand) => ({ ...stand, source: hot.source }));
  }

  /** Before the lake has anything of a source, its lanes may be about to begin: then there is nothing to miss. */
  private hotMissing(hot: HotSource): Transient | null {
    const missing = hot.missing?.() ?? [];
    if (missing.length === 0 || !this.lake.lineages.some((own) => own.lineage.source === hot.source)) return null;
    const [names, state] = [missing.map((lane) => lane.name), (this.options.state ?? []).map((spec) => spec.name)];
    const text = `${hot.source} has no hot store here of ${names.join(", ")}; ${state.join(", ")} are kept in hot stores alone`;
    return new Transient("HOT_MISSING", text, {
      where: missing[0]!.file,
      hint: "Bring the folder back, make the lanes anew from the lake (`sluice rebuild`), or ask on the host that runs them.",
    });
  }

  /** Up to where the lake has a source's rows of a dataset: hot rows count only above it. -1: it has none. */
  private lakeSlot(source: string, dataset: string): number {
    const own = this.lake.lineages
      .filter(({ lineage: l }) => l.kind === "live" && l.source === source)
      .filter(({ lineage: l }) => l.dataset === "all" || l.dataset === dataset);
    return Math.max(-1, ...own.map((l) => l.position.slot));
  }

  /** The query as DuckDB reads it; what is no SELECT has no such form, and is refused later. */
  private async parsed(): Promise<unknown> {
    const [row] = await this.duck.rows(`SELECT json_serialize_sql(${quoteText(this.sql)})`);
    return JSON.parse(String(row![0]));
  }

  private async fileGroups(dataset: string, needed: ReturnType<typeof fileFilter>): Promise<FileGroup[]> {
    const groups = new Map<string, { schema: FileGroup["schema"]; paths: string[] }>();
    const files = { dataset, opened: [] as string[], ruledOut: [] as string[] };
    this.files.push(files);
    for (const file of this.lake.files.get(dataset) ?? []) {
      const isNeeded = needed(dataset, file);
      (isNeeded ? files.opened : files.ruledOut).push(file.key);
      if (!isNeeded) continue;
      const path = await this.options.lake.localPath(file.key);
      if (path === null) {
        throw new Fatal("LAKE_FILE_MISSING", `${file.key} is in the manifest, but not in the lake`, {
          where: this.options.lake.name,
          hint: "`sluice verify` tells what else is missing.",
        });
      }
      const id = JSON.stringify(file.schema.columns);
      const group = groups.get(id) ?? { schema: file.schema, paths: [] };
      group.paths.push(path);
      groups.set(id, group);
      this.paths.push(path);
    }
    return [...groups.values()];
  }

  private async lock(allowed: readonly string[]): Promise<void> {
    if (allowed.length > 0) await this.duck.run(`SET allowed_paths = [${allowed.map(quoteText).join(", ")}]`);
    await this.duck.run("SET enable_external_access = false");
    await this.duck.run("SET lock_configuration = true");
  }
}

async function answer(
  connection: DuckDBConnection,
  sql: string,
  { maxRows = DEFAULTS.maxRows, maxBytes = DEFAULTS.maxBytes, signal }: QueryOptions,
): Promise<Omit<QueryResult, "seen">> {
  const read = async (select: DuckDBPreparedStatement, columns: readonly AnswerColumn[]) => {
    const result = await select.stream();
    const rows: SqlValue[][] = [];
    let bytes = 0;
    for (let truncated = false; ; ) {
      const chunk = truncated ? null : await result.fetchChunk();
      signal?.throwIfAborted();
      if (chunk === null || chunk.rowCount === 0) return { columns, rows, truncated };
      for (const values of chunk.getRows()) {
        const row = values.map(plainValue);
        bytes += sizeOf(row);
        truncated = rows.length >= maxRows || bytes > maxBytes;
        if (truncated) break;
        rows.push(row);
      }
    }
  };
  return interruptible(connection, signal, () => withSelect(connection, sql, read));
}

/** Without hot stores, state is not empty: it is not known. */
function leftOut({ state = [] }: AnalyticsOptions): Fatal {
  const names = state.map((spec) => spec.name).join(", ");
  return new Fatal("HOT_LEFT_OUT", `the hot stores are left out, and ${names} are kept there alone`, {
    hint: "Ask without --lake-only, or for what the lake has: docs/queries/candles-of-any-length.sql makes candles of its trades.",
  });
}

function seenBy(lake: LakeSnapshot): Pick<Seen, "lake" | "lineages"> {
  const lineages = lake.lineages.map(({ lineage, position }) => ({
    source: lineage.source,
    kind: lineage.kind,
    dataset: lineage.dataset,
    slot: position.slot,
  }));
  return { lake: lake.head, lineages };
}
