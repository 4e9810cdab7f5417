/**
 * WHAT a row is. A dataset names its columns with type, unit and meaning; the Arrow schema on the wire, the SQLite DDL,
 * the Parquet schema and the API's field names are all derived from it, so a column is described exactly once.
 */

/**
 * Column types and their fixed-width memory layout (little endian, as Arrow lays them out):
 *
 * | type | bytes | in JS | Parquet |
 * |---|---|---|---|
 * | bool, u8, u16, u32, i8, i16, i32 | 1..4 | number (bool 0/1) | BOOLEAN, UTINYINT.. |
 * | u64, i64 | 8 | bigint | UBIGINT, BIGINT |
 * | u128 | 16 | bigint | two UBIGINT: `<name>_hi`, `<name>_lo` |
 * | i128 | 16 | bigint | BIGINT `<name>_hi` (signed), UBIGINT `<name>_lo` |
 * | f32, f64 | 4, 8 | number | FLOAT, DOUBLE |
 * | bytes32 (address), bytes64 (signature) | 32, 64 | Uint8Array | VARCHAR, base58 |
 * | bytes | variable | Uint8Array | BLOB |
 * | utf8 | variable | string | VARCHAR |
 * | json (nested value, canonical text) | variable | string | VARCHAR |
 */
export type ColumnType =
  | "bool"
  | "u8"
  | "u16"
  | "u32"
  | "u64"
  | "u128"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "i128"
  | "f32"
  | "f64"
  | "bytes32"
  | "bytes64"
  | "bytes"
  | "utf8"
  | "json";

export interface ColumnSpec {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable?: boolean;
  /** Unit of the number, where it has one: "lamports", "seconds", "1e-28 SOL per token". */
  readonly unit?: string;
  /** Name of the field in the source event, where it differs from `name`. The API answers with this name. */
  readonly field?: string;
  readonly doc: string;
}

export interface DatasetSpec {
  /** snake_case; the table, view, folder and section name everywhere. */
  readonly name: string;
  /** Raised when columns change meaning or type; adding a nullable column at the end does not raise it. */
  readonly version: number;
  readonly doc: string;
  readonly columns: readonly ColumnSpec[];
  /** Columns that identify a row for ever, whatever filter delivered it. */
  readonly key: readonly string[];
  /** Columns that order rows in the lake's files. */
  readonly order: readonly string[];
}

/** Bytes per value of fixed-width types; null for variable-width ones. */
export const WIDTH: Record<ColumnType, number | null> = {
  bool: 1,
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  u128: 16,
  i8: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  i128: 16,
  f32: 4,
  f64: 8,
  bytes32: 32,
  bytes64: 64,
  bytes: null,
  utf8: null,
  json: null,
};

/** Places of columns by name: asked for several times for each event. */
const placesOf = new WeakMap<DatasetSpec, ReadonlyMap<string, number>>();

export function columnIndex(spec: DatasetSpec, name: string): number {
  let places = placesOf.get(spec);
  if (places === undefined) placesOf.set(spec, (places = new Map(spec.columns.map((c, i) => [c.name, i]))));
  const index = places.get(name);
  if (index === undefined) throw new Error(`dataset ${spec.name} has no column ${name}`);
  return index;
}
