/**
 * The order of rows in a lake file: a dataset's `order` columns, ascending, nulls last, compared as DuckDB compares the
 * Parquet columns (text by its UTF-8 bytes). Sorted here and not in DuckDB, because rows arrive in chain order and only
 * have to be dealt out by mint: no copy of the rows, no spilling.
 */
import type { ColumnType } from "../../pipeline/datasets/dataset.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { base58 } from "./base58.ts";
import { Interner } from "./interner.ts";

/** Values that compare as the column does: the numbers themselves, or ranks counting from 0. */
interface SortKey {
  readonly values: Float64Array;
  /** Number of different ranks; null when the values are no ranks. */
  readonly ranks: number | null;
}

/** `rows` (row numbers of `table`) in the order of the table's dataset; rows that compare equal keep their order. */
export function orderRows(table: Table, rows: Uint32Array): Uint32Array {
  const keys = table.spec.order.map((name) => sortKey(table.column(name), rows));
  if (isSorted(keys, rows.length)) return rows;
  const [first, ...rest] = keys;
  const places =
    isSorted(rest, rows.length) && first!.ranks !== null ? deal(first!, first!.ranks) : sort(keys, rows.length);
  return places.map((place) => rows[place]!);
}

function isSorted(keys: readonly SortKey[], length: number): boolean {
  for (let i = 1; i < length; i++) if (compare(keys, i - 1, i) > 0) return false;
  return true;
}

function compare(keys: readonly SortKey[], a: number, b: number): number {
  for (const { values } of keys) {
    const x = values[a]!;
    const y = values[b]!;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

/** Stable counting sort by rank. */
function deal(key: SortKey, ranks: number): Uint32Array {
  const next = new Uint32Array(ranks + 1);
  for (const rank of key.values) next[rank + 1]!++;
  for (let rank = 0; rank < ranks; rank++) next[rank + 1]! += next[rank]!;
  const places = new Uint32Array(key.values.length);
  for (let i = 0; i < key.values.length; i++) places[next[key.values[i]!]!++] = i;
  return places;
}

function sort(keys: readonly SortKey[], length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, i) => i).sort((a, b) => compare(keys, a, b) || a - b);
}

function sortKey(column: Column, rows: Uint32Array): SortKey {
  switch (column.spec.type) {
    case "f32":
    case "f64":
      throw new Error(`${column.spec.name}: floating point numbers do not order rows`);
    case "u64":
    case "i64":
      return numbers(column, rows) ?? ranksOf(column, rows, bigintIds);
    case "u128":
    case "i128":
      return ranksOf(column, rows, bigintIds);
    case "bytes32":
    case "bytes64":
    case "bytes":
    case "utf8":
    case "json":
      return ranksOf(column, rows, bytesIds);
    default:
      return numbers(column, rows)!;
  }
}

/** The values themselves, nulls as infinity; null when one is too large to be exact. */
function numbers(column: Column, rows: Uint32Array): SortKey | null {
  const values = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const value = column.isNull(rows[i]!) ? Infinity : column.number(rows[i]!);
    if (Number.isFinite(value) && !Number.isSafeInteger(value)) return null;
    values[i] = value;
  }
  return { values, ranks: null };
}

/** Gives distinct values ids, and says which rank each id has in the end. */
interface Ids {
  id(row: number): number;
  ranks(): Float64Array;
}

function ranksOf(column: Column, rows: Uint32Array, makeIds: (column: Column) => Ids): SortKey {
  const ids = makeIds(column);
  const values = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) values[i] = column.isNull(rows[i]!) ? -1 : ids.id(rows[i]!);
  const ranks = ids.ranks();
  for (let i = 0; i < values.length; i++) values[i] = values[i]! < 0 ? ranks.length : ranks[values[i]!]!;
  return { values, ranks: ranks.length + 1 };
}

function bigintIds(column: Column): Ids {
  const known = new Map<bigint, number>();
  return {
    id(row) {
      const value = column.bigint(row);
      const id = known.get(value) ?? known.size;
      if (id === known.size) known.set(value, id);
      return id;
    },
    ranks: () => rankBy([...known.keys()], (a, b) => (a < b ? -1 : a > b ? 1 : 0)),
  };
}

function bytesIds(column: Column): Ids {
  const interner = new Interner();
  const type = column.spec.type;
  return {
    id(row) {
      const bytes = column.bytes(row);
      return interner.id(bytes, 0, bytes.length);
    },
    ranks() {
      const texts = Array.from({ length: interner.size }, (_, id) => sortBytes(type, interner.get(id)));
      return rankBy(texts, Buffer.compare);
    },
  };
}

/** The bytes that Parquet holds, which are what is compared. */
function sortBytes(type: ColumnType, bytes: Uint8Array): Uint8Array {
  if (type === "bytes32") return Buffer.from(base58(bytes, 0, 32), "latin1");
  if (type === "bytes64") return Buffer.from(base58(bytes, 0, 64), "latin1");
  return bytes;
}

/** Rank of each of the values, by index. */
function rankBy<Value>(values: readonly Value[], compareValues: (a: Value, b: Value) => number): Float64Array {
  const sorted = values.map((_, i) => i).sort((a, b) => compareValues(values[a]!, values[b]!));
  const ranks = new Float64Array(values.length);
  for (const [rank, id] of sorted.entries()) ranks[id] = rank;
  return ranks;
}
