/**
 * A column of a batch: read by row number, or grown by appending. The memory layout is Arrow's (little endian, validity
 * bitmaps, int32 offsets), so encoding to and from Arrow IPC moves buffers and converts nothing. Borsh is little endian too: a
 * fixed-width field is appended to its column by copying its bytes.
 */
import { type ColumnSpec, WIDTH } from "../datasets/dataset.ts";

/** What a single cell reads as; see the table in `datasets/dataset.ts`. */
export type Cell = number | bigint | string | boolean | Uint8Array | null;

// A byte order mark at the start of a text is a part of it: a name may begin with one.
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

export interface ColumnBuffers {
  /** Fixed-width: `length * WIDTH` bytes. Variable-width: the concatenated bytes. */
  readonly data: Uint8Array;
  /** Variable-width only: `length + 1` offsets into `data`. */
  readonly offsets: Int32Array | null;
  /** Bit i set = row i is not null; null = no nulls at all. */
  readonly validity: Uint8Array | null;
}

/** One column, read by row number. Views are into the batch: copy what must outlive it. */
export class Column {
  readonly spec: ColumnSpec;
  readonly length: number;
  readonly data: Uint8Array;
  readonly offsets: Int32Array | null;
  readonly validity: Uint8Array | null;
  private readonly view: DataView;
  private readonly width: number;

  constructor(spec: ColumnSpec, length: number, buffers: ColumnBuffers) {
    this.spec = spec;
    this.length = length;
    this.data = buffers.data;
    this.offsets = buffers.offsets;
    this.validity = buffers.validity;
    this.view = new DataView(buffers.data.buffer, buffers.data.byteOffset, buffers.data.byteLength);
    this.width = WIDTH[spec.type] ?? 0;
  }

  isNull(row: number): boolean {
    return this.validity !== null && ((this.validity[row >> 3]! >> (row & 7)) & 1) === 0;
  }

  /** bool, u8..u32, i8..i32, f32, f64 as a number; u64 and i64 too, where the caller knows that they are safe integers. */
  number(row: number): number {
    const at = row * this.width;
    switch (this.spec.type) {
      case "bool":
      case "u8":
        return this.data[at]!;
      case "u16":
        return this.view.getUint16(at, true);
      case "u32":
        return this.view.getUint32(at, true);
      case "i8":
        return this.view.getInt8(at);
      case "i16":
        return this.view.getInt16(at, true);
      case "i32":
        return this.view.getInt32(at, true);
      case "f32":
        return this.view.getFloat32(at, true);
      case "f64":
        return this.view.getFloat64(at, true);
      case "u64":
        return this.view.getUint32(at + 4, true) * 4294967296 + this.view.getUint32(at, true);
      case "i64":
        return this.view.getInt32(at + 4, true) * 4294967296 + this.view.getUint32(at, true);
      default:
        throw new TypeError(`${this.spec.name} is ${this.spec.type}, not a number`);
    }
  }

  bigint(row: number): bigint {
    const at = row * this.width;
    switch (this.spec.type) {
      case "u64":
        return this.view.getBigUint64(at, true);
      case "i64":
        return this.view.getBigInt64(at, true);
      case "u128":
        return (this.view.getBigUint64(at + 8, true) << 64n) | this.view.getBigUint64(at, true);
      case "i128":
        return (this.view.getBigInt64(at + 8, true) << 64n) | this.view.getBigUint64(at, true);
      default:
        return BigInt(this.number(row));
    }
  }

  /** The raw bytes of the cell: bytes32, bytes64, bytes, utf8 and json as stored; numbers little endian. */
  bytes(row: number): Uint8Array {
    if (this.offsets === null) return this.data.subarray(row * this.width, (row + 1) * this.width);
    return this.data.subarray(this.offsets[row]!, this.offsets[row + 1]!);
  }

  string(row: number): string {
    return utf8Decoder.decode(this.bytes(row));
  }

  cell(row: number): Cell {
    if (this.isNull(row)) return null;
    switch (this.spec.type) {
      case "bool":
        return this.data[row] === 1;
      case "u64":
      case "i64":
      case "u128":
      case "i128":
        return this.bigint(row);
      case "bytes32":
      case "bytes64":
      case "bytes":
        return this.bytes(row);
      case "utf8":
      case "json":
        return this.string(row);
      default:
        return this.number(row);
    }
  }
}

/** Of what was copied from last: most values come from the same bytes as the one before. */
let viewed: Uint8Array = new Uint8Array(0);
let view = new DataView(viewed.buffer);

function viewOf(source: Uint8Array): DataView {
  if (source !== viewed) {
    viewed = source;
    view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  }
  return view;
}

/** Grows one column. Exactly one append per row: the caller keeps columns in step, `TableBuilder.finish` checks it. */
export class ColumnBuilder {
  readonly spec: ColumnSpec;
  length = 0;
  /** Every value has the same size, that of its type. */
  readonly fixed: boolean;
  private readonly width: number;
  private data: Uint8Array;
  private view: DataView;
  private used = 0;
  private offsets: Int32Array | null;
  private validity: Uint8Array | null = null;

  constructor(spec: ColumnSpec, capacity: number) {
    this.spec = spec;
    const width = WIDTH[spec.type];
    this.width = width ?? 0;
    this.fixed = width !== null;
    this.data = new Uint8Array(Math.max(16, capacity * (width ?? 16)));
    this.view = new DataView(this.data.buffer);
    this.offsets = width === null ? new Int32Array(capacity + 1) : null;
  }

  /** Makes room for so many bytes of values at once, where the caller knows how many will come. */
  reserveBytes(bytes: number): void {
    if (this.used + bytes > this.data.length) this.grow(this.used + bytes);
  }

  /** Appends a number (bool as 0 or 1). For u64 and i64 it must be a safe integer. */
  number(value: number): void {
    const at = this.reserve(this.width);
    switch (this.spec.type) {
      case "bool":
      case "u8":
        this.data[at] = value;
        break;
      case "u16":
        this.view.setUint16(at, value, true);
        break;
      case "u32":
        this.view.setUint32(at, value, true);
        break;
      case "i8":
        this.view.setInt8(at, value);
        break;
      case "i16":
        this.view.setInt16(at, value, true);
        break;
      case "i32":
        this.view.setInt32(at, value, true);
        break;
      case "f32":
        this.view.setFloat32(at, value, true);
        break;
      case "f64":
        this.view.setFloat64(at, value, true);
        break;
      case "u64":
      case "i64":
        this.view.setUint32(at, value >>> 0, true);
        this.view.setInt32(at + 4, Math.floor(value / 4294967296), true);
        break;
      default:
        throw new TypeError(`${this.spec.name} is ${this.spec.type}, not a number`);
    }
    this.advance();
  }

  bigint(value: bigint): void {
    const at = this.reserve(this.width);
    switch (this.spec.type) {
      case "u64":
      case "i64":
        this.view.setBigUint64(at, BigInt.asUintN(64, value), true);
        break;
      case "u128":
      case "i128":
        this.view.setBigUint64(at, BigInt.asUintN(64, value), true);
        this.view.setBigUint64(at + 8, BigInt.asUintN(64, value >> 64n), true);
        break;
      default:
        throw new TypeError(`${this.spec.name} is ${this.spec.type}, not a 64 or 128 bit integer`);
    }
    this.advance();
  }

  /**
   * Appends `source[start, end)` as it is: the bytes of a variable-width value, or exactly one little-endian value of a
   * fixed-width type. Text is not checked here; whoever appends foreign text checks it first.
   */
  bytes(source: Uint8Array, start = 0, end = source.length): void {
    const size = end - start;
    if (this.offsets === null && size !== this.width) {
      throw new RangeError(`${this.spec.name} (${this.spec.type}) takes ${this.width} bytes, not ${size}`);
    }
    const at = this.reserve(size);
    if (size <= 64) for (let i = 0; i < size; i++) this.data[at + i] = source[start + i]!;
    else this.data.set(source.subarray(start, end), at);
    this.advance();
  }

  /** Appends the one little-endian value of a fixed-width type that begins at `start`. */
  copy(source: Uint8Array, start: number): void {
    const { width } = this;
    const at = this.used;
    if (at + width > this.data.length) this.grow(Math.max(this.data.length * 2, at + width));
    if (width < 4) for (let i = 0; i < width; i++) this.data[at + i] = source[start + i]!;
    else {
      const from = viewOf(source);
      const { view } = this;
      for (let i = 0; i < width; i += 4) view.setUint32(at + i, from.getUint32(start + i, true), true);
    }
    this.used = at + width;
    this.length++;
    if (this.validity !== null) this.growValidity(this.length);
  }

  string(value: string): void {
    const at = this.reserve(value.length * 3);
    this.used = at + utf8Encoder.encodeInto(value, this.data.subarray(at)).written;
    this.advance();
  }

  null(): void {
    if (this.spec.nullable !== true) throw new TypeError(`${this.spec.name} is not nullable`);
    if (this.offsets === null) {
      const at = this.reserve(this.width);
      this.data.fill(0, at, at + this.width);
    }
    if (this.validity === null) {
      this.validity = new Uint8Array(Math.max(8, (this.capacityRows() + 7) >> 3));
      this.validity.fill(0xff);
    }
    this.growValidity(this.length);
    this.validity[this.length >> 3]! &= ~(1 << (this.length & 7));
    this.advance();
  }

  /** Appends a cell as `Column.cell` reads it. Convenient, not fast. */
  cell(value: Cell): void {
    if (value === null) this.null();
    else if (typeof value === "boolean") this.number(value ? 1 : 0);
    else if (typeof value === "number") this.number(value);
    else if (typeof value === "bigint") this.bigint(value);
    else if (typeof value === "string") this.string(value);
    else this.bytes(value);
  }

  appendFrom(column: Column, row: number): void {
    const offsets = column.offsets;
    if (column.isNull(row)) this.null();
    else if (offsets === null) this.bytes(column.data, row * this.width, (row + 1) * this.width);
    else this.bytes(column.data, offsets[row]!, offsets[row + 1]!);
  }

  finish(): Column {
    const validity = this.validity === null ? null : this.validity.slice(0, (this.length + 7) >> 3);
    if (validity !== null && (this.length & 7) !== 0) validity[validity.length - 1]! &= (1 << (this.length & 7)) - 1;
    return new Column(this.spec, this.length, {
      data: this.data.subarray(0, this.used),
      offsets: this.offsets === null ? null : this.offsets.subarray(0, this.length + 1),
      validity,
    });
  }

  private capacityRows(): number {
    return this.offsets === null ? this.data.length / this.width : this.offsets.length - 1;
  }

  /** Makes room for `size` more bytes and says where they go. */
  private reserve(size: number): number {
    const at = this.used;
    if (at + size > this.data.length) this.grow(Math.max(this.data.length * 2, at + size));
    this.used = at + size;
    return at;
  }

  private grow(capacity: number): void {
    const bigger = new Uint8Array(capacity);
    bigger.set(this.data.subarray(0, this.used));
    this.data = bigger;
    this.view = new DataView(bigger.buffer);
  }

  private advance(): void {
    this.length++;
    if (this.offsets !== null) {
      if (this.length >= this.offsets.length) {
        const bigger = new Int32Array(this.offsets.length * 2 + 1);
        bigger.set(this.offsets);
        this.offsets = bigger;
      }
      this.offsets[this.length] = this.used;
    }
    if (this.validity !== null) this.growValidity(this.length);
  }

  private growValidity(row: number): void {
    const validity = this.validity;
    if (validity === null || row >> 3 < validity.length) return;
    const bigger = new Uint8Array(validity.length * 2);
    bigger.fill(0xff);
    bigger.set(validity);
    this.validity = bigger;
  }
}
