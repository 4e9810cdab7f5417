/**
 * Numbers for repeated byte strings: the same bytes give the same id, ids count from 0. A lake file repeats a few mints,
 * users and kinds over and over; with this each is turned into text once.
 */

/** Hashes differ from process to process, so that nobody can prepare names that all collide. Ids do not depend on it. */
const SEED = crypto.getRandomValues(new Uint32Array(1))[0]!;
const FNV_PRIME = 0x01000193;

export class Interner {
  private slots = new Int32Array(1024).fill(-1);
  private hashes = new Int32Array(512);
  private offsets = new Uint32Array(513);
  private bytes = new Uint8Array(16 * 1024);
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The id of `source[start, end)`; the bytes are copied when they are new. */
  id(source: Uint8Array, start: number, end: number): number {
    const hash = hashOf(source, start, end);
    const slots = this.slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let id = slots[slot]!; id >= 0; id = slots[slot]!) {
      if (this.hashes[id] === hash && this.equals(id, source, start, end)) return id;
      slot = (slot + 1) & mask;
    }
    return this.add(slot, hash, source, start, end);
  }

  /** The bytes with this id; a view, valid until the next `id`. */
  get(id: number): Uint8Array {
    return this.bytes.subarray(this.offsets[id]!, this.offsets[id + 1]!);
  }

  private equals(id: number, source: Uint8Array, start: number, end: number): boolean {
    const bytes = this.bytes;
    const from = this.offsets[id]!;
    if (this.offsets[id + 1]! - from !== end - start) return false;
    for (let i = start, j = from; i < end; i++, j++) if (source[i] !== bytes[j]) return false;
    return true;
  }

  private add(slot: number, hash: number, source: Uint8Array, start: number, end: number): number {
    const id = this.count++;
    if (id + 1 >= this.hashes.length) {
      this.hashes = grown(this.hashes, this.hashes.length * 2);
      this.offsets = grown(this.offsets, this.offsets.length * 2);
    }
    const from = this.offsets[id]!;
    const to = from + end - start;
    if (to > this.bytes.length) this.bytes = grown(this.bytes, Math.max(to, this.bytes.length * 2));
    this.bytes.set(source.subarray(start, end), from);
    this.offsets[id + 1] = to;
    this.hashes[id] = hash;
    this.slots[slot] = id;
    if (this.count * 2 > this.slots.length) this.rehash();
    return id;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let id = 0; id < this.count; id++) {
      let slot = this.hashes[id]! & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.slots = slots;
  }
}

/** FNV-1a from a secret start. */
function hashOf(source: Uint8Array, start: number, end: number): number {
  let hash = SEED | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i]!, FNV_PRIME);
  return hash ^ (hash >>> 15);
}

function grown<A extends Uint8Array | Int32Array | Uint32Array>(array: A, length: number): A {
  const bigger = new (array.constructor as new (length: number) => A)(length);
  bigger.set(array);
  return bigger;
}

/** Texts of byte strings, made once for each distinct one. Starts over when it holds `entriesMax` of them. */
export class TextCache {
  private interner = new Interner();
  private texts: string[] = [];
  private readonly make: (source: Uint8Array, start: number, end: number) => string;
  private readonly entriesMax: number;
  private readonly bytesMax: number;

  /** Values longer than `bytesMax` are made anew each time: they hardly repeat, and would fill the cache. */
  constructor(make: (source: Uint8Array, start: number, end: number) => string, entriesMax = 65_536, bytesMax = 64) {
    this.make = make;
    this.entriesMax = entriesMax;
    this.bytesMax = bytesMax;
  }

  text(source: Uint8Array, start: number, end: number): string {
    if (end - start > this.bytesMax) return this.make(source, start, end);
    if (this.texts.length >= this.entriesMax) {
      this.interner = new Interner();
      this.texts = [];
    }
    const id = this.interner.id(source, start, end);
    return (this.texts[id] ??= this.make(source, start, end));
  }
}
