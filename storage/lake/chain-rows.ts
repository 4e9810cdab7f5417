/**
 * A source's rows as the lake holds them, in the order of the chain: the way back from sorted files to what a lane was
 * given. Files lie by token; DuckDB sorts them again, a stretch of the chain at a time, and only the rows of the lanes that
 * are asked for come out of it. Memory is bounded by the stretch, not by the lake.
 */
import { rm } from "node:fs/promises";
import type { DuckDBDataChunk, DuckDBResult, DuckDBVector } from "@duckdb/node-api";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { BlockMeta } from "../../pipeline/position.ts";
import { SHARDS } from "../../pipeline/shards.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { cellOf, lakeNames, quoteName, quoteText } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import { specOf } from "./entry.ts";
import { soundPath } from "./files.ts";
import type { LakeFile, LakeHistory } from "./reader.ts";
import type { ObjectStore } from "./store.ts";
import { makeWorkFolder } from "./work-folder.ts";

export interface ChainRowsOptions {
  readonly store: ObjectStore;
  readonly history: LakeHistory;
  /** The datasets that are wanted, as the reader of the rows knows them. */
  readonly datasets: readonly DatasetSpec[];
  /** Rows of later slots only. */
  readonly aboveSlot: number;
  /** Rows of these lanes only, of so many; rows without a token belong to lane 0. Absent: all. */
  readonly lanes?: { readonly count: number; readonly wanted: readonly number[] };
  /** Where DuckDB may spill. */
  readonly workDir: string;
  /** DuckDB's memory, MB; what exceeds it is spilled. Default 256. */
  readonly memoryMb?: number;
}

/** The files that are to be read. Throws `Fatal` LAKE_COLUMNS when one was written with other columns than are wanted. */
export function chainFiles(options: Pick<ChainRowsOptions, "history" | "datasets" | "aboveSlot">): LakeFile[] {
  const { history, datasets, aboveSlot } = options;
  return datasets.flatMap((spec) => {
    const files = (history.files.get(spec.name) ?? []).filter((file) => file.slot.max > aboveSlot);
    for (const file of files) mustFit(spec, file);
    return files;
  });
}

/** Rows of a stretch are sorted at once. */
const STRETCH_ROWS = 500_000;
/** Rows of a dataset held ahead, decoded only when they are handed out. */
const AHEAD_ROWS = 4_096;

/**
 * The rows in pieces, each with all rows of its slots. Of the blocks only slot and time are known: their hash and cursor are
 * empty, and blocks without rows are left out. Throws `Fatal` LAKE_COLUMNS, LAKE_FILE_MISSING, LAKE_FILE_DAMAGED, and what the store throws.
 */
export async function* readChainRows(options: ChainRowsOptions): AsyncGenerator<RowBatch> {
  const { store, datasets, workDir, memoryMb = 256 } = options;
  const stretches = stretchesOf(chainFiles(options));
  if (stretches.length === 0) return;
  const folder = await makeWorkFolder(workDir);
  const duck = await Duck.open({ memoryMb, threads: 2, spillDir: folder });
  try {
    for (const files of stretches) {
      yield* readStretch(duck, datasets, files, options);
      for (const { key } of files) store.release(key);
    }
  } finally {
    duck.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Files in the order of their slots, in parts that share no slot and are large enough to be worth a query. */
function stretchesOf(files: readonly LakeFile[]): LakeFile[][] {
  const stretches: LakeFile[][] = [];
  let rows = 0;
  let end = -1;
  for (const file of files.toSorted((a, b) => a.slot.min - b.slot.min)) {
    if (stretches.length > 0 && (file.slot.min <= end || rows + file.rows <= STRETCH_ROWS)) {
      stretches.at(-1)!.push(file);
    } else {
      stretches.push([file]);
      rows = 0;
    }
    rows += file.rows;
    end = Math.max(end, file.slot.max);
  }
  return stretches;
}

async function* readStretch(
  duck: Duck,
  datasets: readonly DatasetSpec[],
  files: readonly LakeFile[],
  options: ChainRowsOptions,
): AsyncGenerator<RowBatch> {
  const streams: OrderedRows[] = [];
  try {
    for (const spec of datasets) {
      const own = files.filter((file) => file.dataset === spec.name);
      if (own.length > 0) streams.push(await openRows(duck, spec, own, options));
    }
    for (;;) {
      for (const stream of streams) await stream.fetch(AHEAD_ROWS);
      const next = Math.min(...streams.map((stream) => stream.firstSlot));
      if (next === Infinity) return;
      // A slot with more rows of a dataset than are held ahead: those, too.
      for (const stream of streams) while (stream.completeTo < next) await stream.fetchMore();
      yield pieceOf(streams, Math.min(...streams.map((stream) => stream.completeTo)), options.history.position.slot);
    }
  } finally {
    for (const stream of streams) stream.close();
  }
}

async function openRows(
  duck: Duck,
  spec: DatasetSpec,
  files: readonly LakeFile[],
  { store, history, aboveSlot, lanes }: ChainRowsOptions,
): Promise<OrderedRows> {
  const paths: string[] = [];
  for (const file of files) paths.push(await soundPath(store, file));
  const present = new Set(files.flatMap((file) => Object.keys(file.schema.columns)));
  const columns = spec.columns.flatMap((column) =>
    lakeNames(column).map((name) => (present.has(column.name) ? quoteName(name) : `NULL AS ${quoteName(name)}`)),
  );
  const where = [`slot BETWEEN ${Math.max(aboveSlot + 1, history.firstSlot)} AND ${history.position.slot}`];
  if (lanes !== undefined && lanes.wanted.length < lanes.count) where.push(`${LANE(lanes.count)} IN (${lanes.wanted})`);
  const rows = await duck.stream(
    `SELECT ${columns.join(", ")}
     FROM read_parquet([${paths.map(quoteText).join(", ")}], hive_partitioning = false, union_by_name = true)
     WHERE ${where.join(" AND ")} ORDER BY ${chainOrder(spec)}`,
  );
  return new OrderedRows(spec, rows);
}

/** Blocks have a slot, events a place in it. */
function chainOrder({ columns }: DatasetSpec): string {
  const has = (name: string) => columns.some((column) => column.name === name);
  return ["slot", "tx_index", "event_index"].filter(has).join(", ");
}

/** `laneOf` in SQL. */
const LANE = (count: number) => `coalesce((('0x' || substr(sha256(mint), 1, 8))::UINTEGER % ${SHARDS}) % ${count}, 0)`;

/** Everything that the streams hold up to a slot. */
function pieceOf(streams: readonly OrderedRows[], upTo: number, finalSlot: number): RowBatch {
  const tables = streams.map((stream) => stream.take(upTo)).filter((table) => table !== null);
  const times = new Map<number, number>();
  for (const table of tables) {
    const [slot, time] = [table.column("slot"), table.column("block_time")];
    for (let row = 0; row < table.length; row++) times.set(slot.number(row), time.number(row));
  }
  const blocks = [...times].sort(([a], [b]) => a - b);
  return {
    blocks: blocks.map(([slot, time]): BlockMeta => ({ slot, hash: "", cursor: "", time, finalSlot })),
    tables: new Map(tables.map((table) => [table.spec.name, table])),
  };
}

interface HeldChunk {
  /** Owns the memory that the columns are views of. */
  readonly chunk: DuckDBDataChunk;
  readonly columns: readonly DuckDBVector[];
  readonly slots: Float64Array;
  at: number;
}

/** Rows of one dataset in the order of the chain, fetched ahead. */
class OrderedRows {
  private readonly spec: DatasetSpec;
  private readonly rows: Awaited<ReturnType<Duck["stream"]>>;
  private readonly slotAt: number;
  private chunks: HeldChunk[] = [];
  private held = 0;
  private ended = false;

  constructor(spec: DatasetSpec, rows: { result: DuckDBResult; close(): void }) {
    this.spec = spec;
    this.rows = rows;
    this.slotAt = spec.columns.flatMap(lakeNames).indexOf("slot");
  }

  /** Infinity when nothing is left. */
  get firstSlot(): number {
    const [first] = this.chunks;
    return first === undefined ? Infinity : first.slots[first.at]!;
  }

  /** All rows up to this slot are held. */
  get completeTo(): number {
    return this.ended ? Infinity : (this.chunks.at(-1)?.slots.at(-1) ?? 0) - 1;
  }

  async fetch(rows: number): Promise<void> {
    while (!this.ended && this.held < rows) await this.fetchMore();
  }

  async fetchMore(): Promise<void> {
    const chunk: DuckDBDataChunk | null = await this.rows.result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) {
      this.ended = true;
      return;
    }
    const columns = Array.from({ length: chunk.columnCount }, (_, i) => chunk.getColumnVector(i));
    const slots = Float64Array.from({ length: chunk.rowCount }, (_, row) => Number(columns[this.slotAt]!.getItem(row)));
    this.chunks.push({ chunk, columns, slots, at: 0 });
    this.held += chunk.rowCount;
  }

  /** Hands out the rows up to a slot; null when there are none. */
  take(upTo: number): Table | null {
    if (this.firstSlot > upTo) return null;
    const builder = new TableBuilder(this.spec);
    for (const chunk of this.chunks) {
      const from = chunk.at;
      while (chunk.at < chunk.slots.length && chunk.slots[chunk.at]! <= upTo) chunk.at++;
      if (chunk.at === from) break;
      this.held -= chunk.at - from;
      append(builder, chunk.columns, from, chunk.at);
    }
    this.chunks = this.chunks.filter((chunk) => chunk.at < chunk.slots.length);
    return builder.finish();
  }

  close(): void {
    this.rows.close();
  }
}

function append(builder: TableBuilder, columns: readonly DuckDBVector[], from: number, to: number): void {
  let at = 0;
  for (const column of builder.columns) {
    const { type } = column.spec;
    const wide = lakeNames(column.spec).length === 2;
    const first = columns[at++]!;
    const second = wide ? columns[at++]! : null;
    for (let row = from; row < to; row++) column.cell(cellOf(type, first.getItem(row), second?.getItem(row)));
  }
}

export function mustFit(spec: DatasetSpec, { schema, key }: LakeFile): void {
  const written = new Map(specOf(schema).columns.map((column) => [column.name, column]));
  const wrong = spec.columns.find(({ name, type, nullable }) => {
    const known = written.get(name);
    return known === undefined ? nullable !== true : known.type !== type || (known.nullable === true && !nullable);
  });
  if (schema.version === spec.version && wrong === undefined) return;
  const what = wrong === undefined ? `version ${schema.version}` : `another column ${wrong.name}`;
  throw new Fatal("LAKE_COLUMNS", `${spec.name} was archived with ${what}: it is wanted in version ${spec.version}`, {
    where: key,
    hint: "Configure the programs as they were when it was archived, or decode these slots anew.",
  });
}
