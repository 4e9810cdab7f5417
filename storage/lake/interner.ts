/**
 * Numbers for repeated byte strings: the same bytes give the same id, ids count from 0. A lake file repeats a few mints,
 * users and programs over and over; with this each is turned into text once.
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

/** Whether `length` bytes of `source` are the same from `a` and from `b` on. */
export function sameBytes(source: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (source[a + i] !== source[b + i]) return false;
  return true;
}

/** FNV-1a from a secret start, four bytes at a step. */
function hashOf(source: Uint8Array, start: number, end: number): number {
  let hash = SEED | 0;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const word = source[i]! | (source[i + 1]! << 8) | (source[i + 2]! << 16) | (source[i + 3]! << 24);
    hash = Math.imul(hash ^ word, FNV_PRIME);
    // What multiplication moves up only has to reach the low bits too.
    hash ^= hash >>> 15;
  }
  for (; i < end; i++) hash = Math.imul(hash ^ source[i]!, FNV_PRIME);
  return hash ^ (hash >>> 15);
}

function grown<A extends Uint8Array | Int32Array | Uint32Array>(array: A, length: number): A {
  const bigger = new (array.constructor as new (length: number) => A)(length);
  bigger.set(array);
  return bigger;
}
