/** DuckDB's values as plain JS ones: exact where JS can be (integers of any width are bigint or number), text elsewhere. */
import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  type DuckDBValue,
} from "@duckdb/node-api";

/**
 * - integers up to 32 bits, DOUBLE, FLOAT: number; wider integers: bigint
 * - BLOB: Uint8Array; lists: arrays; structs: objects; maps: arrays of [key, value]
 * - DECIMAL, dates and times, intervals, UUID and all others: the text that SQL would give
 */
export type SqlValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly SqlValue[]
  | { readonly [field: string]: SqlValue };

export function plainValue(value: DuckDBValue): SqlValue {
  if (value === null || typeof value !== "object") return value;
  if (value instanceof DuckDBBlobValue) return value.bytes;
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) return value.items.map(plainValue);
  if (value instanceof DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([name, field]) => [name, plainValue(field)]));
  }
  if (value instanceof DuckDBMapValue)
    return value.entries.map(({ key, value }) => [plainValue(key), plainValue(value)]);
  return value.toString();
}

/** Bytes that a value takes in a result, roughly: what the limit on results counts. */
export function sizeOf(value: SqlValue): number {
  if (typeof value === "string") return value.length;
  if (value instanceof Uint8Array) return value.length * 2;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + sizeOf(item), 8);
  if (value !== null && typeof value === "object") {
    return Object.entries(value).reduce((sum, [name, field]) => sum + name.length + sizeOf(field), 8);
  }
  return 8;
}
