/**
 * The outside world as the runner and the sources see it: clock, randomness and timers. Injected, so that one seed
 * reproduces one run. Stages never see it: they are functions of their input.
 */
export interface World {
  /** Wall clock, ms since the Unix epoch. For logs, leases and freshness; never for what is stored. */
  now(): number;
  /** Monotonic clock, ms. For durations. */
  monotonic(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Resolves after `ms`, or rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemWorld: World = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/** Full-jitter exponential back-off: uniform in [0, min(cap, base * 2^attempt)], at least `floorMs`. */
export function backoffMs(
  world: World,
  attempt: number,
  limits: { baseMs: number; capMs: number; floorMs?: number },
): number {
  const ceiling = Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(attempt, 30));
  return Math.max(limits.floorMs ?? 0, world.random() * ceiling);
}

/** mulberry32: a small seeded generator for simulations and tests. Not for secrets. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
