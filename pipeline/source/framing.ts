/**
 * Messages in a stream of bytes, each behind a prefix that says how long it is: a varint in recordings (the way of
 * protobuf's own `writeDelimitedTo`), five bytes in gRPC.
 */

/** Bytes that `value`, a non-negative safe integer, takes as a varint. */
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

/** The bytes before a message, taken one at a time. Ready for the next prefix as soon as one is complete. */
export interface Prefix {
  /** The message's length with the last byte of the prefix, null before. Throws `SyntaxError` when it is malformed. */
  take(byte: number): number | null;
}

export class VarintPrefix implements Prefix {
  #length = 0;
  #scale = 1;

  take(byte: number): number | null {
    const length = this.#length + (byte & 0x7f) * this.#scale;
    if (length > Number.MAX_SAFE_INTEGER || this.#scale >= 2 ** 63) throw new SyntaxError("a length is not a varint");
    this.#length = byte < 0x80 ? 0 : length;
    this.#scale = byte < 0x80 ? 1 : this.#scale * 128;
    return byte < 0x80 ? length : null;
  }
}

/** gRPC over HTTP/2, "Length-Prefixed-Message": one byte of flags, four of length, big-endian. */
export class GrpcPrefix implements Prefix {
  /** Whether the message whose length was read last is compressed. */
  compressed = false;
  #taken = 0;
  #length = 0;

  take(byte: number): number | null {
    if (this.#taken++ === 0) {
      if (byte > 1) throw new SyntaxError(`the flags of a message are ${byte}`);
      this.compressed = byte === 1;
      return null;
    }
    this.#length = this.#length * 256 + byte;
    if (this.#taken < 5) return null;
    const length = this.#length;
    this.#taken = 0;
    this.#length = 0;
    return length;
  }
}

/** A message whose announced length is over the limit. */
export class MessageTooLarge extends RangeError {}

/**
 * Cuts a stream of bytes into its messages. Holds at most one unfinished message, whose length is checked before room is
 * made for it. A message that lies within one chunk is given out as a view of it.
 */
export class MessageReader {
  readonly #prefix: Prefix;
  readonly #bytesMax: number;
  /** Inside a prefix. */
  #started = false;
  /** The message under way when it did not end in the chunk where it began. */
  #body: Uint8Array | null = null;
  #filled = 0;
  #count = 0;
  #lent = false;

  constructor(prefix: Prefix, messageBytesMax: number) {
    this.#prefix = prefix;
    this.#bytesMax = messageBytesMax;
  }

  /** Whole messages given out so far. */
  get count(): number {
    return this.#count;
  }

  /** True when a view of the last chunk was given out; otherwise nobody needs that chunk any more. */
  get lent(): boolean {
    return this.#lent;
  }

  /** True while a message has begun and not ended. */
  get unfinished(): boolean {
    return this.#body !== null || this.#started;
  }

  /** Throws `MessageTooLarge`, or `SyntaxError` for a malformed prefix. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    this.#lent = false;
    let at = 0;
    while (at < chunk.length) {
      if (this.#body !== null) {
        const take = Math.min(this.#body.length - this.#filled, chunk.length - at);
        this.#body.set(chunk.subarray(at, at + take), this.#filled);
        this.#filled += take;
        at += take;
        if (this.#filled === this.#body.length) yield this.#finish(this.#body);
        continue;
      }
      const length = this.#prefix.take(chunk[at++]!);
      this.#started = length === null;
      if (length === null) continue;
      if (length > this.#bytesMax) throw new MessageTooLarge(`a message of ${length} bytes is over the limit`);
      if (length <= chunk.length - at) {
        const start = at;
        at += length;
        this.#lent = true;
        yield this.#finish(chunk.subarray(start, at));
      } else {
        this.#body = new Uint8Array(length);
        this.#filled = 0;
      }
    }
  }

  #finish(message: Uint8Array): Uint8Array {
    this.#body = null;
    this.#count++;
    return message;
  }
}
