/**
 * Seeded randomness for the simulator. The generator is part of the recording format: one seed must give the same bytes
 * for ever, so it lives here and uses integer arithmetic and division by powers of two only.
 */

/** Independent streams of one seed. Numbers are part of the golden recordings: append, never renumber. */
export const STREAM = {
  chain: 1,
  market: 2,
  shape: 3,
  signature: 4,
  blockhash: 5,
  cursor: 6,
  noise: 7,
  token: 8,
  trader: 9,
  order: 10,
  tokenAccount: 11,
  program: 12,
} as const;

export type StreamName = keyof typeof STREAM;

/**
 * sfc32 (Chris Doty-Humphrey's PractRand family): 128 bits of state. (seed, stream, index) maps one to one onto the
 * starting state, so no two streams of a seed ever share their keys or signatures by a 32-bit collision.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(seed: number, stream: StreamName, index = 0) {
    this.#a = seed >>> 0;
    this.#b = (Math.floor(seed / 2 ** 32) | (STREAM[stream] << 21)) >>> 0;
    this.#c = index >>> 0;
    this.#counter = Math.floor(index / 2 ** 32) >>> 0;
    for (let i = 0; i < 15; i++) this.u32();
  }

  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  float(): number {
    return this.u32() / 4294967296;
  }

  /** Uniform integer in [0, n). */
  int(n: number): number {
    return Math.floor(this.float() * n);
  }

  /** Uniform integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.int(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)]!;
  }

  /** Index in [0, n), the low ones far more often: the long-tailed popularity of tokens and traders. */
  skewed(n: number): number {
    const u = this.float();
    return Math.floor(u * u * u * n);
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.u32();
      out[i] = word;
      out[i + 1] = word >>> 8;
      out[i + 2] = word >>> 16;
      out[i + 3] = word >>> 24;
    }
    return out;
  }
}
