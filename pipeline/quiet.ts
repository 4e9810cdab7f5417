/**
 * What is better done while nothing else is to be done: once nothing has happened for a moment, and then not again before
 * something has.
 */
import type { World } from "./world.ts";

/** At the head of the chain a block comes every 400 ms and takes a part of that; while catching up there is no such pause. */
const QUIET_MS = 80;

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
  let stirredAt = 0;
  let isWatching = false;
  const watch = async () => {
    for (let left = QUIET_MS; left > 0; left = stirredAt + QUIET_MS - world.monotonic())
      await world.sleep(left, signal);
    act();
  };
  return {
    stir() {
      stirredAt = world.monotonic();
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
