/**
 * Length-delimited messages: each is preceded by its length in bytes as a protobuf varint, the way of protobuf's own
 * `writeDelimitedTo`. Used by recordings.
 */

/** Bytes of `value` as a varint. `value` is a non-negative safe integer. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes `value` at `at` and returns the position after it. The caller leaves `varintSize(value)` bytes of room. */
export function writeVarint(value: number, out: Uint8Array, at: number): number {
  let rest = value;
  while (rest > 0x7f) {
    out[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[at++] = rest;
  return at;
}

export interface Varint {
  readonly value: number;
  /** Position after it. */
  readonly end: number;
}

/**
 * Reads the varint at `at`; null when the bytes end inside it. Throws `RangeError` when it does not fit a safe integer,
 * which no length or field tag does not.
 */
export function readVarint(bytes: Uint8Array, at: number): Varint | null {
  let value = 0;
  let scale = 1;
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]!;
    value += (byte & 0x7f) * scale;
    if (value > Number.MAX_SAFE_INTEGER || i - at > 9) throw new RangeError("varint beyond 2^53");
    if (byte < 0x80) return { value, end: i + 1 };
    scale *= 128;
  }
  return null;
}

/**
 * Cuts a stream of bytes into its messages. Holds at most one unfinished message, whose length is checked before room is
 * made for it. A message that lies within one chunk is given out as a view of it.
 */
export class DelimitedReader {
  readonly #messageBytesMax: number;
  /** The length being read, and what its next seven bits are worth. */
  #length = 0;
  #scale = 1;
  /** The message under way when it did not end in the chunk where it began. */
  #body: Uint8Array | null = null;
  #filled = 0;
  #count = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Whole messages given out so far. */
  get count(): number {
    return this.#count;
  }

  /** True while a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#body !== null || this.#scale > 1;
  }

  /** Throws `RangeError` for a length that is malformed or beyond the limit. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === null) {
        const start = this.#readLength(chunk, at);
        if (start === null) return;
        at = start;
        if (chunk.length - at < this.#length) {
          this.#body = new Uint8Array(this.#length);
          this.#filled = 0;
        } else {
          const message = chunk.subarray(at, at + this.#length);
          at += this.#length;
          yield this.#emit(message);
          continue;
        }
      }
      const take = Math.min(this.#body.length - this.#filled, chunk.length - at);
      this.#body.set(chunk.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled === this.#body.length) yield this.#emit(this.#body);
    }
  }

  #emit(message: Uint8Array): Uint8Array {
    this.#body = null;
    this.#length = 0;
    this.#scale = 1;
    this.#count++;
    return message;
  }

  /** Position after the length, or null when the chunk ends inside it. */
  #readLength(chunk: Uint8Array, from: number): number | null {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!;
      this.#length += (byte & 0x7f) * this.#scale;
      this.#scale *= 128;
      if (this.#length > this.#messageBytesMax) throw new RangeError(`length is over ${this.#messageBytesMax} bytes`);
      if (byte < 0x80) return at + 1;
      if (this.#scale > 2 ** 63) throw new RangeError("length is not a varint");
    }
    return null;
  }
}
