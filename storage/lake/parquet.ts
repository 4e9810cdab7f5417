/**
 * Tables to Parquet files and back into question: writes the rows of one date as a sorted, zstd-compressed file, and
 * re-opens it to see that it holds what was to be written. Same rows, same bytes: one thread, one order, no clock.
 *
 * Types: see `columns.ts`. Times are Unix seconds in BIGINT columns, as everywhere in the datasets.
 */
import { stat } from "node:fs/promises";
import { type DatasetSpec, WIDTH } from "../../pipeline/datasets/dataset.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { base58 } from "./base58.ts";
import { copyOptions, type FileLabel, lakeColumns, lakeNames, quoteName, quoteText } from "./columns.ts";
import type { Duck } from "./duckdb.ts";
import { sha256File, syncFile } from "./files.ts";
import { sameBytes } from "./interner.ts";
import { orderRows } from "./order.ts";

export interface Range<Value> {
  readonly min: Value;
  readonly max: Value;
}

/** What a file holds; in the manifest for every file. */
export interface FileFacts {
  readonly rows: number;
  readonly slot: Range<number>;
  /** Unix seconds. */
  readonly blockTime: Range<number>;
  /** Base58; null when no row names a mint, or the dataset has no such column. */
  readonly mint: Range<string> | null;
}

export interface WrittenFile extends FileFacts {
  readonly bytes: number;
  /** Of the file, hex. */
  readonly sha256: string;
}

/** Rows of a row group, DuckDB's own default: unless rows are so wide that a group of them would not fit in memory. */
const ROW_GROUP_ROWS = 122_880;
const ROW_GROUP_BYTES_MAX = 32 * 1024 * 1024;

/** The rows of `table` by the UTC date of their block time, dates ascending. */
export function rowsByDate(table: Table): Map<string, Uint32Array> {
  const time = table.column("block_time");
  const byDay = new Map<number, number[]>();
  for (let row = 0; row < table.length; row++) {
    const day = Math.floor(time.number(row) / 86_400);
    const rows = byDay.get(day);
    if (rows === undefined) byDay.set(day, [row]);
    else rows.push(row);
  }
  const days = [...byDay].sort(([a], [b]) => a - b);
  return new Map(days.map(([day, rows]) => [dateOf(day), Uint32Array.from(rows)]));
}

function dateOf(day: number): string {
  return new Date(day * 86_400_000).toISOString().slice(0, 10);
}

/**
 * Writes `rows` of `table` to `path`, sorted by the dataset's order, makes the file durable, and reads it back. Throws
 * `Fatal` when the file does not hold what was written. `label`: null for a file that does not become part of a lake.
 */
export async function writeParquet(
  duck: Duck,
  table: Table,
  rows: Uint32Array,
  path: string,
  label: FileLabel | null = null,
): Promise<WrittenFile> {
  const { spec } = table;
  const ordered = orderRows(table, rows);
  const expected = factsOf(table, ordered);
  const groupRows = rowGroupRows(table, ordered);
  await duck.feed(
    lakeColumns(spec),
    [{ table, rows: ordered, chunkRows: groupRows }],
    `COPY (FROM fed_rows()) TO ${quoteText(path)} (${copyOptions(spec, label, groupRows)})`,
  );
  await syncFile(path);
  const found = await inspectParquet(duck, spec, path);
  const wrong = found.misplaced > 0 ? `${found.misplaced} rows out of order` : differs(expected, found.facts);
  if (wrong !== null) {
    throw new Fatal("LAKE_FILE_WRONG", `the file just written for ${spec.name} is wrong: ${wrong}`, {
      where: path,
      hint: "Nothing was committed. This is a fault of the disk, the memory or the writer; please report it.",
    });
  }
  return { ...expected, bytes: (await stat(path)).size, sha256: await sha256File(path) };
}

/** The usual number, or else the largest power of two, such that no group of so many rows is wider than the limit. */
function rowGroupRows(table: Table, rows: Uint32Array): number {
  const fixed = table.columns.reduce((sum, column) => sum + (WIDTH[column.spec.type] ?? 0), 0);
  const variable = table.columns.flatMap((column) => (column.offsets === null ? [] : [column.offsets]));
  /** Bytes of the first n rows. */
  const bytes = new Float64Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    let width = fixed;
    for (const offsets of variable) width += offsets[row + 1]! - offsets[row]!;
    bytes[i + 1] = bytes[i]! + width;
  }
  const fits = (groupRows: number) => {
    for (let from = 0; from < rows.length; from += groupRows) {
      const to = Math.min(rows.length, from + groupRows);
      if (bytes[to]! - bytes[from]! > ROW_GROUP_BYTES_MAX) return false;
    }
    return true;
  };
  if (fits(ROW_GROUP_ROWS)) return ROW_GROUP_ROWS;
  let groupRows = 65_536;
  while (groupRows > 1 && !fits(groupRows)) groupRows /= 2;
  return groupRows;
}

function factsOf(table: Table, rows: Uint32Array): FileFacts {
  const slot = table.column("slot");
  const time = table.column("block_time");
  return {
    rows: rows.length,
    slot: numberRange(rows, (row) => slot.number(row)),
    blockTime: numberRange(rows, (row) => time.number(row)),
    mint: mintRange(table, rows),
  };
}

function numberRange(rows: Uint32Array, value: (row: number) => number): Range<number> {
  let min = Infinity;
  let max = -Infinity;
  for (const row of rows) {
    const v = value(row);
    if (v < min) min = v;
    if (v > max) max = v;
  }
  return { min, max };
}

function mintRange(table: Table, rows: Uint32Array): Range<string> | null {
  if (!hasMint(table.spec)) return null;
  const mint = table.column("mint");
  const seen = new Set<string>();
  let before = -1;
  for (const row of rows) {
    if (mint.isNull(row)) continue;
    const start = row * 32;
    // Neighbours often share a mint: text is made only when it changes.
    if (before < 0 || !sameBytes(mint.data, start, before, 32)) seen.add(base58(mint.data, start, 32));
    before = start;
  }
  if (seen.size === 0) return null;
  const sorted = [...seen].sort();
  return { min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

function hasMint(spec: DatasetSpec): boolean {
  return spec.columns.some((c) => c.name === "mint" && c.type === "bytes32");
}

/** What a file holds, read from the file. `misplaced` counts rows that sort before the row above them. */
export async function inspectParquet(
  duck: Duck,
  spec: DatasetSpec,
  path: string,
): Promise<{ facts: FileFacts | null; misplaced: number }> {
  const mint = hasMint(spec) ? "min(mint), max(mint)" : "NULL, NULL";
  const names = spec.order.flatMap((name) => lakeNames(spec.columns.find((c) => c.name === name)!)).map(quoteName);
  const before = names.map((name, i) => `lag(${name}) OVER () AS b${i}`);
  const [row] = await duck.rows(`
    SELECT count(*), min(slot), max(slot), min(block_time), max(block_time), ${mint},
      count(*) FILTER (WHERE has_before AND ${sortsBefore(names)})
    FROM (SELECT *, ${[...before, "lag(true) OVER () IS NOT NULL AS has_before"].join(", ")}
          FROM read_parquet(${quoteText(path)}, hive_partitioning = false))`);
  const [rows, slotMin, slotMax, timeMin, timeMax, mintMin, mintMax, misplaced] = row!;
  if (Number(rows) === 0) return { facts: null, misplaced: 0 };
  const facts: FileFacts = {
    rows: Number(rows),
    slot: { min: Number(slotMin), max: Number(slotMax) },
    blockTime: { min: Number(timeMin), max: Number(timeMax) },
    mint: mintMin === null ? null : { min: String(mintMin), max: String(mintMax) },
  };
  return { facts, misplaced: Number(misplaced) };
}

/** Number of rows in these files whose key another row of them has too, the first of each not counted. */
export async function duplicatesIn(duck: Duck, spec: DatasetSpec, paths: readonly string[]): Promise<number> {
  const key = spec.key.flatMap((name) => lakeNames(spec.columns.find((c) => c.name === name)!)).map(quoteName);
  const [row] = await duck.rows(`
    SELECT coalesce(sum(n - 1), 0)::BIGINT
    FROM (SELECT count(*) AS n FROM read_parquet([${paths.map(quoteText).join(", ")}], hive_partitioning = false)
          GROUP BY ${key.join(", ")} HAVING n > 1)`);
  return Number(row![0]);
}

/** SQL: this row's columns compare before the columns `b0, b1, ..` of the row above, nulls last. */
function sortsBefore(names: readonly string[]): string {
  return names.reduceRight((rest, name, i) => {
    const less = `coalesce(${name} < b${i}, ${name} IS NOT NULL AND b${i} IS NULL)`;
    return `(${less} OR (${name} IS NOT DISTINCT FROM b${i} AND ${rest}))`;
  }, "false");
}

/** How two files differ, for a human; null when they do not. */
export function differs(expected: FileFacts, found: FileFacts | null): string | null {
  if (found === null) return `no rows instead of ${expected.rows}`;
  if (found.rows !== expected.rows) return `${found.rows} rows instead of ${expected.rows}`;
  for (const name of ["slot", "blockTime", "mint"] as const) {
    const [a, b] = [expected[name], found[name]];
    if (a?.min !== b?.min || a?.max !== b?.max) {
      return `${name} from ${b?.min} to ${b?.max} instead of ${a?.min} to ${a?.max}`;
    }
  }
  return null;
}
