/**
 * Keeps a process that catches up small. Batches live in native buffers, whose weight the collector feels too late: left
 * to itself, it lets hundreds of megabytes of them pile up between two collections.
 */
import { heapSize } from "bun:jsc";
import { LIMITS } from "./limits.ts";
import type { World } from "./world.ts";

/** Often enough that little is allocated between two looks; a look takes a microsecond. */
const LOOK_EVERY_MS = 50;

/** Collects garbage whenever the heap, buffers included, has grown by `LIMITS.heapGrowthBytes`, until aborted. */
export async function keepMemoryLow(world: World, signal: AbortSignal): Promise<void> {
  let settled = heapSize();
  while (!signal.aborted) {
    if (heapSize() > settled + LIMITS.heapGrowthBytes) {
      Bun.gc(true);
      settled = heapSize();
    }
    // What went by itself is room again.
    settled = Math.min(settled, heapSize());
    await world.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }
}
