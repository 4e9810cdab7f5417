/**
 * How a dataset's columns lie in Parquet and DuckDB, and how their values get there. Wide integers are two columns,
 * because Parquet has no exact type for them; addresses and signatures are base58 text, because that is what everybody
 * searches for. `viewColumn` is the way back.
 */
import {
  BIGINT,
  BLOB,
  BOOLEAN,
  DOUBLE,
  DuckDBBlobValue,
  type DuckDBType,
  type DuckDBValue,
  FLOAT,
  INTEGER,
  SMALLINT,
  TINYINT,
  UBIGINT,
  UINTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from "@duckdb/node-api";
import type { ColumnSpec, ColumnType, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import type { Column } from "../../pipeline/wire/table.ts";
import { base58 } from "./base58.ts";
import { TextCache } from "./interner.ts";

/** Reads the value of a row that is not null. */
type Reader = (row: number) => DuckDBValue;

/** One column of a Parquet file. */
export interface LakeColumn {
  readonly name: string;
  readonly type: DuckDBType;
  /** The dataset's column it comes from, by index. */
  readonly source: number;
  bind(column: Column): Reader;
}

const utf8Decoder = new TextDecoder("utf-8", { fatal: true });
const decodeUtf8 = (source: Uint8Array, start: number, end: number) => utf8Decoder.decode(source.subarray(start, end));

/** Shared by all writers of the process: both are pure functions of the bytes. */
const addressTexts = new TextCache((source, start) => base58(source, start, 32));
const utf8Texts = new TextCache(decodeUtf8);

const viewOf = ({ data }: Column) => new DataView(data.buffer, data.byteOffset, data.byteLength);

const readUtf8 = (column: Column): Reader => {
  const offsets = column.offsets!;
  return (row) => utf8Texts.text(column.data, offsets[row]!, offsets[row + 1]!);
};

function fixed(width: number, get: (view: DataView, at: number) => DuckDBValue): (column: Column) => Reader {
  return (column) => {
    const view = viewOf(column);
    return (row) => get(view, row * width);
  };
}

/** 64 bits of a 128-bit column, from byte `at` of each value. */
function readHalf(at: 0 | 8, signed: boolean): (column: Column) => Reader {
  return (column) => {
    const view = viewOf(column);
    return signed ? (row) => view.getBigInt64(row * 16 + at, true) : (row) => view.getBigUint64(row * 16 + at, true);
  };
}

interface Layout {
  readonly suffix: string;
  readonly type: DuckDBType;
  readonly bind: (column: Column) => Reader;
}

const LAYOUT: Record<ColumnType, readonly Layout[]> = {
  bool: [{ suffix: "", type: BOOLEAN, bind: (column) => (row) => column.data[row] === 1 }],
  u8: [{ suffix: "", type: UTINYINT, bind: (column) => (row) => column.data[row]! }],
  u16: [{ suffix: "", type: USMALLINT, bind: fixed(2, (view, at) => view.getUint16(at, true)) }],
  u32: [{ suffix: "", type: UINTEGER, bind: fixed(4, (view, at) => view.getUint32(at, true)) }],
  u64: [{ suffix: "", type: UBIGINT, bind: fixed(8, (view, at) => view.getBigUint64(at, true)) }],
  u128: [
    { suffix: "_hi", type: UBIGINT, bind: readHalf(8, false) },
    { suffix: "_lo", type: UBIGINT, bind: readHalf(0, false) },
  ],
  i8: [{ suffix: "", type: TINYINT, bind: fixed(1, (view, at) => view.getInt8(at)) }],
  i16: [{ suffix: "", type: SMALLINT, bind: fixed(2, (view, at) => view.getInt16(at, true)) }],
  i32: [{ suffix: "", type: INTEGER, bind: fixed(4, (view, at) => view.getInt32(at, true)) }],
  i64: [{ suffix: "", type: BIGINT, bind: fixed(8, (view, at) => view.getBigInt64(at, true)) }],
  i128: [
    { suffix: "_hi", type: BIGINT, bind: readHalf(8, true) },
    { suffix: "_lo", type: UBIGINT, bind: readHalf(0, false) },
  ],
  f32: [{ suffix: "", type: FLOAT, bind: fixed(4, (view, at) => view.getFloat32(at, true)) }],
  f64: [{ suffix: "", type: DOUBLE, bind: fixed(8, (view, at) => view.getFloat64(at, true)) }],
  bytes32: [
    {
      suffix: "",
      type: VARCHAR,
      bind: (column) => (row) => addressTexts.text(column.data, row * 32, row * 32 + 32),
    },
  ],
  bytes64: [{ suffix: "", type: VARCHAR, bind: (column) => (row) => base58(column.data, row * 64, 64) }],
  bytes: [{ suffix: "", type: BLOB, bind: (column) => (row) => new DuckDBBlobValue(column.bytes(row)) }],
  utf8: [{ suffix: "", type: VARCHAR, bind: readUtf8 }],
  json: [{ suffix: "", type: VARCHAR, bind: readUtf8 }],
};

/** The Parquet columns of a dataset, in order. */
export function lakeColumns(spec: DatasetSpec): LakeColumn[] {
  return spec.columns.flatMap((column, source) =>
    LAYOUT[column.type].map(({ suffix, type, bind }) => ({ name: column.name + suffix, type, source, bind })),
  );
}

/** Names of the Parquet columns of one column. */
export function lakeNames(column: ColumnSpec): string[] {
  return LAYOUT[column.type].map(({ suffix }) => column.name + suffix);
}

/** SQL types of the Parquet columns of one column, in the order of `lakeNames`. */
export function lakeTypes(column: ColumnSpec): string[] {
  return LAYOUT[column.type].map(({ type }) => type.toString());
}

/**
 * The column as a reader wants to see it, from its Parquet columns: exact, wide integers joined. The signed form adds two
 * halves, since the product alone would leave the range at the lowest value.
 */
export function viewColumn(column: ColumnSpec): string {
  const name = quoteName(column.name);
  const hi = quoteName(`${column.name}_hi`);
  const lo = quoteName(`${column.name}_lo`);
  switch (column.type) {
    case "u128":
      return `((${hi}::UHUGEINT << 64) + ${lo}::UHUGEINT) AS ${name}`;
    case "i128": {
      const half = `(${hi}::HUGEINT * 9223372036854775808)`;
      return `(${half} + (${half} + ${lo}::HUGEINT)) AS ${name}`;
    }
    default:
      return name;
  }
}

/** A name as an SQL identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as an SQL literal. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
