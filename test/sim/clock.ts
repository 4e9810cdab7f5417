/**
 * Virtual time. Nothing waits for real: when nobody can go on, time jumps to the next timer. Timers that are due at the
 * same moment fire in the order in which they were set, so one seed gives one order of everything.
 */

interface Timer {
  readonly at: number;
  readonly order: number;
  fire(): void;
}

export class VirtualClock {
  /** ms since the start of the simulation. */
  now = 0;
  private order = 0;
  /** Binary heap, soonest first. */
  private readonly timers: Timer[] = [];

  at(time: number, fire: () => void): void {
    this.push({ at: Math.max(time, this.now), order: this.order++, fire });
  }

  /** Resolves after `ms`, or rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => reject(signal?.reason);
      this.at(this.now + ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Runs until `done` says so or `untilMs` is reached; false in the latter case. */
  async run(untilMs: number, done: () => boolean = () => false): Promise<boolean> {
    for (;;) {
      await settled();
      if (done()) return true;
      const next = this.timers[0];
      if (next === undefined || next.at > untilMs) return false;
      this.pop();
      this.now = next.at;
      next.fire();
    }
  }

  private push(timer: Timer): void {
    const heap = this.timers;
    let i = heap.length;
    heap.push(timer);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(timer, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = timer;
  }

  private pop(): void {
    const heap = this.timers;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Everything that can go on without time passing has gone on: promise jobs run before the event loop turns. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
