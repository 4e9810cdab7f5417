/**
 * What goes wrong, and when. Each decision is a hash of seed, kind, place and how often that place was asked before: no
 * shared generator, so a change in one corner does not reshuffle all others, and a seed stays the same story.
 */

/** Every kind of fault that a simulation knows, with how likely it is at one place where it can happen. */
export const FAULTS = {
  /** The process dies here; what it had in memory is gone. */
  crash: 0.0006,
  /** The process sleeps for longer than its leases last, then goes on as if nothing had happened. */
  pause: 0.0004,
  /** One call takes seconds. */
  slow: 0.002,
  "publish lost": 0.006,
  /** Stored, but the writer does not hear of it. */
  "publish unconfirmed": 0.006,
  /** The writer gives up; the message arrives seconds later. */
  "publish late": 0.004,
  "delivered twice": 0.03,
  "delivered out of order": 0.01,
  "read ends": 0.006,
  "request fails": 0.006,
  "key-value fails": 0.01,
  "commit fails": 0.006,
  "commit unconfirmed": 0.006,
  "source disconnects": 0.01,
  "source fails": 0.004,
  "source repeats": 0.3,
  /** These befall the server, once a virtual second. */
  "stream truncated": 0.008,
  "stream deleted": 0.008,
  "everything lost": 0.004,
  "message corrupted": 0.012,
  "stream full": 0.01,
} as const;

export type FaultKind = keyof typeof FAULTS;
/** Faults that take stored messages away: only after those may a stream be replayed. */
export const LOSING: readonly FaultKind[] = [
  "stream truncated",
  "stream deleted",
  "everything lost",
  "message corrupted",
  "delivered out of order",
];

export class Faults {
  enabled = true;
  readonly happened = new Map<FaultKind, number>();
  private readonly seed: number;
  private readonly rates = new Map<FaultKind, number>();
  private readonly asked = new Map<string, number>();

  /** A seed has its own selection of faults: some appear only where others leave room for them. */
  constructor(seed: number, strength = 1) {
    this.seed = seed;
    const calm = this.pick("calm", "", 8) === 0;
    for (const [kind, rate] of Object.entries(FAULTS) as [FaultKind, number][]) {
      const times = [0, 0, 1, 1, 3][this.pick("strength", kind, 5)]! * strength;
      this.rates.set(kind, calm && LOSING.includes(kind) ? 0 : rate * times);
    }
  }

  /** Whether this fault can happen at all in this seed. */
  has(kind: FaultKind): boolean {
    return this.rates.get(kind)! > 0;
  }

  roll(kind: FaultKind, place: string): boolean {
    if (!this.enabled) return false;
    const rate = this.rates.get(kind)!;
    if (rate === 0 || this.fraction(kind, place) >= rate) return false;
    this.happened.set(kind, (this.happened.get(kind) ?? 0) + 1);
    return true;
  }

  /** An integer in [0, below). */
  pick(kind: string, place: string, below: number): number {
    return Math.floor(this.fraction(kind, place) * below);
  }

  /** Uniform in [0, 1). */
  fraction(kind: string, place: string): number {
    const key = `${kind}|${place}`;
    const nonce = this.asked.get(key) ?? 0;
    this.asked.set(key, nonce + 1);
    return Bun.hash.xxHash32(`${key}|${nonce}`, this.seed) / 2 ** 32;
  }
}
