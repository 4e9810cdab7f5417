/**
 * At most so many requests in any window of time, per token or address: a log of the last requests' times, exact at every
 * moment. Bounded: of a limit of n, n times are kept; callers that have been quiet for a window are forgotten.
 */

export interface Verdict {
  readonly allowed: boolean;
  readonly limit: number;
  /** Requests left just now. */
  readonly remaining: number;
  /** ms until one more is allowed; 0 when it is now. */
  readonly waitMs: number;
}

interface Log {
  readonly times: Float64Array;
  /** Where the oldest time stands, and how many there are. */
  start: number;
  count: number;
}

/** Callers remembered at once; beyond, those that have been quiet longest are forgotten. */
const CALLERS_MAX = 20_000;

export class RateLimiter {
  private readonly windowMs: number;
  private readonly logs = new Map<string, Log>();

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  /** Counts a request of `caller` at `now` (ms, monotonic), unless it is one too many. */
  take(caller: string, limit: number, now: number): Verdict {
    const log = this.logOf(caller, limit);
    const { times } = log;
    while (log.count > 0 && times[log.start]! <= now - this.windowMs) {
      log.start = (log.start + 1) % limit;
      log.count--;
    }
    if (log.count >= limit) {
      return { allowed: false, limit, remaining: 0, waitMs: times[log.start]! + this.windowMs - now };
    }
    times[(log.start + log.count) % limit] = now;
    log.count++;
    return { allowed: true, limit, remaining: limit - log.count, waitMs: 0 };
  }

  private logOf(caller: string, limit: number): Log {
    const known = this.logs.get(caller);
    // Most recent last, so that the first of the map is the quietest.
    this.logs.delete(caller);
    const log = known !== undefined && known.times.length === limit ? known : newLog(limit);
    this.logs.set(caller, log);
    if (this.logs.size > CALLERS_MAX) this.logs.delete(this.logs.keys().next().value!);
    return log;
  }
}

function newLog(limit: number): Log {
  return { times: new Float64Array(limit), start: 0, count: 0 };
}
