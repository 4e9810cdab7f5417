/**
 * What is better done while nothing else is to be done. At the head of the chain a block comes every 400 ms and takes a part
 * of that; while catching up there is no pause, and nothing waits for one.
 */
import type { World } from "./world.ts";

/** Nothing has happened for so long: a pause. */
const PAUSE_MS = 80;
/** Without a pause for so long, none is to be expected. */
const BUSY_MS = 2_000;

/** Knows when something happened last. */
export class Quiet {
  private readonly world: Pick<World, "sleep" | "monotonic">;
  private stirredAt = Number.NEGATIVE_INFINITY;
  /** When the last pause ended. */
  private pausedAt = Number.NEGATIVE_INFINITY;

  constructor(world: Pick<World, "sleep" | "monotonic">) {
    this.world = world;
  }

  /** Something has happened. */
  stir(): void {
    const now = this.world.monotonic();
    if (now - this.stirredAt >= PAUSE_MS) this.pausedAt = now;
    this.stirredAt = now;
  }

  /** How long nothing more must happen until it is a pause, ms; 0 or less in one. */
  left(): number {
    return this.stirredAt + PAUSE_MS - this.world.monotonic();
  }

  /**
   * Resolves in the next pause; without one for `patienceMs`, none is to be expected, and it resolves at once. Rejects when
   * the signal aborts.
   */
  async pause(signal?: AbortSignal, patienceMs = BUSY_MS): Promise<void> {
    for (let left = this.left(); left > 0; left = this.left()) {
      if (this.world.monotonic() - this.pausedAt > patienceMs) return;
      await this.world.sleep(left, signal);
    }
  }
}

export interface WhenQuiet {
  /** Something has happened. */
  stir(): void;
}

export interface QuietOptions {
  readonly world: Pick<World, "sleep" | "monotonic">;
  /** Called after each pause. What fails is left for the next one. */
  readonly act: () => void;
  readonly onFailure: (error: unknown) => void;
  readonly signal: AbortSignal;
}

export function whenQuiet({ world, act, onFailure, signal }: QuietOptions): WhenQuiet {
  const quiet = new Quiet(world);
  let isWatching = false;
  const watch = async () => {
    await quiet.pause(signal, Number.POSITIVE_INFINITY);
    act();
  };
  return {
    stir() {
      quiet.stir();
      if (isWatching || signal.aborted) return;
      isWatching = true;
      watch()
        .catch((error) => {
          if (!signal.aborted) onFailure(error);
        })
        .finally(() => {
          isWatching = false;
        });
    },
  };
}
