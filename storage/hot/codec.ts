/**
 * Cells to SQLite values and back.
 *
 * | type | in SQLite |
 * |---|---|
 * | bool, u8..u32, i8..i64 | INTEGER |
 * | u64, u128 | INTEGER below 2^63, else a BLOB of 8 or 16 bytes, big endian |
 * | i128 | BLOB of 16 bytes, big endian, sign bit turned over |
 * | f32, f64 | REAL; NaN is stored as NULL |
 * | bytes.. | BLOB |
 * | utf8, json | TEXT |
 *
 * SQLite sorts every INTEGER before every BLOB and BLOBs by their bytes, so unsigned numbers of any size keep exactness and
 * order, and those that fit stay plain numbers for whoever opens the file. (Two's complement would not sort.)
 */
import type { ColumnSpec, ColumnType } from "../../pipeline/datasets/dataset.ts";
import type { Cell, Column } from "../../pipeline/wire/column.ts";

export type SqlValue = number | bigint | string | Uint8Array | null;

const I64_MAX = (1n << 63n) - 1n;
const I128_SIGN = 1n << 127n;
/** Numbers whose high word is below this are safe integers. */
const SAFE_HIGH = 1 << 21;

/** The column type in a STRICT table. */
export function sqlType(type: ColumnType): "INTEGER" | "REAL" | "TEXT" | "BLOB" | "ANY" {
  switch (type) {
    case "u64":
    case "u128":
      return "ANY";
    case "f32":
    case "f64":
      return "REAL";
    case "utf8":
    case "json":
      return "TEXT";
    case "i128":
    case "bytes32":
    case "bytes64":
    case "bytes":
      return "BLOB";
    default:
      return "INTEGER";
  }
}

export function toSql(type: ColumnType, cell: Cell): SqlValue {
  if (typeof cell === "boolean") return cell ? 1 : 0;
  if (typeof cell !== "bigint") return cell;
  switch (type) {
    case "u64":
      return cell <= I64_MAX ? cell : bigEndian(cell, 8);
    case "u128":
      return cell <= I64_MAX ? cell : bigEndian(cell, 16);
    case "i128":
      return bigEndian(cell + I128_SIGN, 16);
    default:
      return cell;
  }
}

/** `value` as read with `safeIntegers`. */
export function fromSql({ type, nullable }: ColumnSpec, value: SqlValue): Cell {
  if (value === null) return nullable !== true && (type === "f64" || type === "f32") ? Number.NaN : null;
  switch (type) {
    case "bool":
      return value !== 0n;
    case "u64":
    case "u128":
      return value instanceof Uint8Array ? unsigned(value) : (value as bigint);
    case "i128":
      return unsigned(value as Uint8Array) - I128_SIGN;
    case "i64":
      return value;
    default:
      return typeof value === "bigint" ? Number(value) : value;
  }
}

/** Reads a column's cells as SQLite values, straight from the column's buffers. */
export function columnToSql(column: Column): (row: number) => SqlValue {
  const read = readerOf(column);
  return column.validity === null ? read : (row) => (column.isNull(row) ? null : read(row));
}

function readerOf(column: Column): (row: number) => SqlValue {
  const type = column.spec.type;
  switch (type) {
    case "u64": {
      const view = new DataView(column.data.buffer, column.data.byteOffset, column.data.byteLength);
      return (row) =>
        view.getUint32(row * 8 + 4, true) < SAFE_HIGH ? column.number(row) : toSql(type, column.bigint(row));
    }
    case "u128":
      return u128Reader(column);
    case "i64":
    case "i128":
      return (row) => toSql(type, column.bigint(row));
    case "bytes32":
    case "bytes64":
    case "bytes":
      return (row) => column.bytes(row);
    case "utf8":
    case "json":
      return textReader(column);
    default:
      return (row) => column.number(row);
  }
}

/** Most are prices above 2^63: those are turned round byte by byte, which costs a tenth of the way through a bigint. */
function u128Reader(column: Column): (row: number) => SqlValue {
  const { data } = column;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return (row) => {
    const at = row * 16;
    const isSmall = view.getUint32(at + 12, true) === 0 && view.getUint32(at + 8, true) === 0;
    if (isSmall && view.getUint32(at + 4, true) < 0x80000000) return column.bigint(row);
    const bytes = new Uint8Array(16);
    for (let i = 0; i < 16; i++) bytes[i] = data[at + 15 - i]!;
    return bytes;
  };
}

/** Texts of neighbouring rows are often equal ("buy_sell", "2.0"): those are not decoded again. */
function textReader(column: Column): (row: number) => string {
  let last: Uint8Array | null = null;
  let text = "";
  return (row) => {
    const bytes = column.bytes(row);
    if (last === null || !sameBytes(last, bytes)) {
      last = bytes;
      text = column.string(row);
    }
    return text;
  };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const scratch = new DataView(new ArrayBuffer(16));
const scratchBytes = new Uint8Array(scratch.buffer);

function bigEndian(value: bigint, width: 8 | 16): Uint8Array {
  scratch.setBigUint64(0, value >> 64n);
  scratch.setBigUint64(8, value);
  return scratchBytes.slice(16 - width);
}

function unsigned(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const low = view.getBigUint64(bytes.length - 8);
  return bytes.length === 16 ? (view.getBigUint64(0) << 64n) | low : low;
}
