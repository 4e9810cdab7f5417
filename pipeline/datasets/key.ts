/**
 * The key of a state row as one string: the bytes of its key columns, big endian, one character a byte (latin1). So
 * equal keys are equal strings, strings sort as the rows do, and a store gets the key columns back from the string.
 */
import type { ColumnType, DatasetSpec } from "./dataset.ts";

export type KeyCell = number | bigint | Uint8Array;

const { latin1Slice } = Buffer.prototype;

/** Key columns are of these types only: their width is fixed, so parts need no separator. */
const KEY_WIDTH: Partial<Record<ColumnType, number>> = { bytes32: 32, u8: 1, u16: 2, u32: 4, u64: 8, i64: 8 };

/** One key column's part of the key. */
export function keyPart(type: ColumnType, cell: KeyCell): string {
  if (cell instanceof Uint8Array) {
    if (type !== "bytes32" || cell.length !== 32)
      throw new RangeError(`${cell.length} bytes are no key of type ${type}`);
    return latin1(cell);
  }
  const width = KEY_WIDTH[type];
  if (width === undefined || type === "bytes32") throw new TypeError(`a column of type ${type} cannot be in a key`);
  const value = BigInt(cell);
  if (width < 8) return word(Number(value)).slice(4 - width);
  // With the sign bit turned over, the big-endian bytes of signed numbers sort as the numbers do.
  const high = Number(BigInt.asUintN(32, value >> 32n)) ^ (type === "i64" ? 0x80000000 : 0);
  return word(high) + word(Number(BigInt.asUintN(32, value)));
}

/** The four bytes of a u32, big endian. */
function word(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** The key of a row that is given by column name. */
export function rowKey(spec: DatasetSpec, row: object): string {
  let key = "";
  for (const name of spec.key) key += keyPart(typeOf(spec, name), (row as Record<string, KeyCell>)[name]!);
  return key;
}

/** The key columns' values, in the order of `spec.key`: the inverse of `rowKey`. u64 and i64 come as bigint. */
export function keyCells(spec: DatasetSpec, key: string): KeyCell[] {
  const cells: KeyCell[] = [];
  let at = 0;
  for (const name of spec.key) {
    const type = typeOf(spec, name);
    const part = key.slice(at, (at += KEY_WIDTH[type] ?? 0));
    cells.push(type === "bytes32" ? fromLatin1(part) : integerOf(type, part));
  }
  return cells;
}

export function latin1(bytes: Uint8Array): string {
  // Not by way of `bytes.buffer`: asked for it, the engine moves a small array out of its own memory, which takes ten times as long.
  return latin1Slice.call(bytes, 0, bytes.length);
}

export function fromLatin1(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

function integerOf(type: ColumnType, part: string): number | bigint {
  if (part.length < 8) return numberOf(part);
  const high = BigInt(numberOf(part.slice(0, 4)));
  const value = (high << 32n) | BigInt(numberOf(part.slice(4)));
  return type === "i64" ? BigInt.asIntN(64, value ^ (1n << 63n)) : value;
}

function numberOf(part: string): number {
  let value = 0;
  for (let i = 0; i < part.length; i++) value = value * 256 + part.charCodeAt(i);
  return value;
}

function typeOf(spec: DatasetSpec, name: string): ColumnType {
  const column = spec.columns.find((c) => c.name === name);
  if (column === undefined) throw new TypeError(`dataset ${spec.name} has no column ${name}`);
  return column.type;
}
