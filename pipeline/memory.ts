/**
 * Keeps a process that catches up small. Batches live in native buffers, whose weight the collector feels too late: left
 * to itself, it lets hundreds of megabytes of them pile up between two collections.
 */
import { LIMITS } from "./limits.ts";
import type { World } from "./world.ts";

/** Often enough that little is allocated between two looks, seldom enough that collecting costs a few per cent. */
const LOOK_EVERY_MS = 200;

/** Collects garbage whenever resident memory is above `LIMITS.collectAboveRssBytes`, until aborted. */
export async function keepMemoryLow(world: World, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (process.memoryUsage.rss() > LIMITS.collectAboveRssBytes) Bun.gc(true);
    await world.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }
}
