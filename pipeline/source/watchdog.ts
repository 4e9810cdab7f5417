/** Notices that nothing comes any more. Only waiting counts: a reader that takes its time is no fault of the sender. */
import type { World } from "../world.ts";

export class Watchdog {
  /** Set when it has barked. */
  expired = false;
  private readonly world: World;
  private readonly limitMs: number;
  private readonly onExpired: () => void;
  private readonly stopping = new AbortController();
  private waitingSince: number | null = null;

  /** Calls `onExpired` once, after `limitMs` of waiting on end. */
  constructor(world: World, limitMs: number, onExpired: () => void) {
    this.world = world;
    this.limitMs = limitMs;
    this.onExpired = onExpired;
    void this.watch();
  }

  /** Waits for `promise` under watch. */
  async during<T>(promise: Promise<T>): Promise<T> {
    this.waitingSince = this.world.monotonic();
    try {
      return await promise;
    } finally {
      this.waitingSince = null;
    }
  }

  stop(): void {
    this.stopping.abort();
  }

  /** One sleep at a time, however many messages come meanwhile. */
  private async watch(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const waited = this.waitingSince === null ? 0 : this.world.monotonic() - this.waitingSince;
      if (waited >= this.limitMs) {
        this.expired = true;
        this.onExpired();
        return;
      }
      try {
        await this.world.sleep(this.limitMs - waited, this.stopping.signal);
      } catch (error) {
        if (!this.stopping.signal.aborted) throw error;
      }
    }
  }
}
