/**
 * Counts over the last five minutes and the last hour of block time, in steps of ten seconds. Time is that of the block at
 * hand, so the same blocks give the same counts however fast they come.
 */

const STEP_SECONDS = 10;
export const SHORT_SECONDS = 300;
export const LONG_SECONDS = 3_600;
const SHORT_STEPS = SHORT_SECONDS / STEP_SECONDS;
const LONG_STEPS = LONG_SECONDS / STEP_SECONDS;

export class SlidingCounts {
  /** Sums over the two windows, by field. */
  readonly short: Float64Array;
  readonly long: Float64Array;
  private readonly fields: number;
  private readonly ring: Float64Array;
  private newest = -1;

  constructor(fields: number) {
    this.fields = fields;
    this.short = new Float64Array(fields);
    this.long = new Float64Array(fields);
    this.ring = new Float64Array(LONG_STEPS * fields);
  }

  /** Moves both windows up to `time`, Unix seconds; they never move back. True when they have moved. */
  advance(time: number): boolean {
    const step = Math.floor(time / STEP_SECONDS);
    if (step <= this.newest) return false;
    if (this.newest < 0 || step - this.newest >= LONG_STEPS) {
      for (const counts of [this.ring, this.short, this.long]) counts.fill(0);
      this.newest = step;
      return true;
    }
    while (this.newest < step) {
      this.newest++;
      const leavingShort = this.at(this.newest - SHORT_STEPS);
      const leavingLong = this.at(this.newest);
      for (let f = 0; f < this.fields; f++) {
        this.short[f]! -= this.ring[leavingShort + f]!;
        this.long[f]! -= this.ring[leavingLong + f]!;
        this.ring[leavingLong + f] = 0;
      }
    }
    return true;
  }

  /** Counts `n` at `time`, which may lie back a little: after an undo, block time does. */
  add(time: number, field: number, n: number): void {
    const age = this.newest - Math.floor(time / STEP_SECONDS);
    if (age >= LONG_STEPS || age < 0) return;
    this.ring[this.at(this.newest - age) + field]! += n;
    this.long[field]! += n;
    if (age < SHORT_STEPS) this.short[field]! += n;
  }

  private at(step: number): number {
    return (((step % LONG_STEPS) + LONG_STEPS) % LONG_STEPS) * this.fields;
  }
}
