/**
 * How often the page may ask. The API says what it allows (`ratelimit-policy`) to callers that it counts: everything that
 * the page keeps up to date is then asked for as much more rarely as it takes to stay below, and after a refusal nothing is
 * asked for until the API says.
 */

/** Something that asks again and again. */
export interface Asking {
  readonly everyMs: number;
}

/** Of what is allowed, for what is asked regularly; the rest is for what somebody clicks on. */
const SHARE = 0.75;
/** After a refusal (another page may share the address), everything is asked for this much more rarely, for so long. */
const STRAIN = 2;
const STRAIN_MS = 120_000;
const POLICY = /\bq=(\d{1,9})\b.*\bw=(\d{1,9})\b/;

export class Pace {
  private readonly asking = new Set<Asking>();
  /** Requests a ms; infinite where nobody counts. */
  private allowed = Infinity;
  private pausedUntil = 0;
  private strainedUntil = 0;
  private readonly now: () => number;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }

  /** Counts something among what is asked; returns how to end it. */
  join(asking: Asking): () => void {
    this.asking.add(asking);
    return () => void this.asking.delete(asking);
  }

  /** Reads what an answer says of the limit. `refusedForMs`: it was a refusal, and this is how long to stay away. */
  learn(policy: string | null, refusedForMs: number | null): void {
    const [, requests, seconds] = POLICY.exec(policy ?? "") ?? [];
    if (requests !== undefined) this.allowed = Number(requests) / (Number(seconds) * 1_000);
    if (refusedForMs === null) return;
    const now = this.now();
    this.pausedUntil = Math.max(this.pausedUntil, now + refusedForMs);
    this.strainedUntil = this.pausedUntil + STRAIN_MS;
  }

  /** Whether the API counts this page's questions. */
  get isCounted(): boolean {
    return this.allowed !== Infinity;
  }

  /** Not to be asked for so long, ms. */
  get waitMs(): number {
    return Math.max(0, this.pausedUntil - this.now());
  }

  /** How many times more rarely than it would like everything is asked for; 1 where there is no need. */
  get stretch(): number {
    let wished = 0;
    for (const { everyMs } of this.asking) wished += 1 / everyMs;
    const strain = this.now() < this.strainedUntil ? STRAIN : 1;
    return Math.max(1, wished / (this.allowed * SHARE)) * strain;
  }
}

/** The page's. */
export const pace = new Pace();
