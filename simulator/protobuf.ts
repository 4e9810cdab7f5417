/**
 * A protobuf writer for bulk: one growing buffer, written forwards, nothing allocated per field. A nested message is
 * written between `begin` and `end`; its length is put in afterwards, in the room that was left for it.
 */

const LENGTH_ROOM = 2;
const BASE64 = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const encoder = new TextEncoder();
const double = new DataView(new ArrayBuffer(8));

export class ProtoWriter {
  #buffer: Uint8Array;
  #length = 0;

  constructor(capacity = 64 * 1024) {
    this.#buffer = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** What was written, valid until the next write. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + bytes));
    grown.set(this.view());
    this.#buffer = grown;
  }

  /** Unsigned integer up to 2^53. */
  varint(value: number): void {
    this.#room(10);
    let rest = value;
    while (rest > 0x7fffffff) {
      this.#buffer[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  /** Number field; zero, proto3's default, is left out. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.presentUint(field, value);
  }

  /** Number field with explicit presence: zero is written. */
  presentUint(field: number, value: number): void {
    this.varint(field << 3);
    this.varint(value);
  }

  double(field: number, value: number): void {
    if (value === 0) return;
    double.setFloat64(0, value, true);
    this.varint((field << 3) | 1);
    this.#room(8);
    for (let i = 0; i < 8; i++) this.#buffer[this.#length++] = double.getUint8(i);
  }

  bytes(field: number, value: Uint8Array): void {
    this.varint((field << 3) | 2);
    this.varint(value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.#room(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  byte(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  text(field: number, value: string): void {
    const mark = this.begin(field);
    this.#room(value.length * 3);
    this.#length += encoder.encodeInto(value, this.#buffer.subarray(this.#length)).written;
    this.end(mark);
  }

  /** Characters below 128, inside a string that is open. */
  ascii(value: string): void {
    this.#room(value.length);
    for (let i = 0; i < value.length; i++) this.#buffer[this.#length++] = value.charCodeAt(i);
  }

  /** Base64 with padding, inside a string that is open. */
  base64(value: Uint8Array): void {
    this.#room(Math.ceil(value.length / 3) * 4);
    const out = this.#buffer;
    let at = this.#length;
    let i = 0;
    for (; i + 2 < value.length; i += 3) {
      const word = (value[i]! << 16) | (value[i + 1]! << 8) | value[i + 2]!;
      out[at++] = BASE64[word >>> 18]!;
      out[at++] = BASE64[(word >>> 12) & 63]!;
      out[at++] = BASE64[(word >>> 6) & 63]!;
      out[at++] = BASE64[word & 63]!;
    }
    if (i < value.length) {
      const two = i + 1 < value.length;
      const word = (value[i]! << 16) | (two ? value[i + 1]! << 8 : 0);
      out[at++] = BASE64[word >>> 18]!;
      out[at++] = BASE64[(word >>> 12) & 63]!;
      out[at++] = two ? BASE64[(word >>> 6) & 63]! : 61;
      out[at++] = 61;
    }
    this.#length = at;
  }

  /** Opens a nested message, string or packed list. */
  begin(field: number): number {
    this.varint((field << 3) | 2);
    this.#room(LENGTH_ROOM);
    this.#length += LENGTH_ROOM;
    return this.#length;
  }

  /** Closes what `begin` opened: shifts the content when its length needs more or less room than was left. */
  end(mark: number): void {
    const size = this.#length - mark;
    let width = 1;
    for (let rest = size; rest > 0x7f; rest = Math.floor(rest / 128)) width++;
    if (width !== LENGTH_ROOM) {
      this.#room(width);
      this.#buffer.copyWithin(mark + width - LENGTH_ROOM, mark, this.#length);
    }
    this.#length = mark - LENGTH_ROOM;
    this.varint(size);
    this.#length += size;
  }
}
