/**
 * Keeps a process that catches up small. Batches live in native buffers, whose weight the collector feels too late: left
 * to itself, it lets hundreds of megabytes of them pile up between two collections.
 *
 * A collection stops everything for some 40 ms, which a block on its way to the live feed would feel. So at the head of the
 * chain it is done when a pause between two blocks begins, and long before it would have to be.
 */
import { gcAndSweep, heapSize } from "bun:jsc";
import { LIMITS } from "./limits.ts";
import type { Quiet } from "./quiet.ts";
import type { World } from "./world.ts";

/** Often enough that little is allocated between two looks; a look takes up to half a millisecond. */
const LOOK_EVERY_MS = 50;
/** A process that has worked for less than this since the last look has nothing to do, ms of processor time. */
const IDLE_BELOW_MS = 5;
/** Later than this in a pause, the next block may come before the collection is over. */
const PAUSE_BEGINS_MS = 100;
/** After a pause of so long, no block is waited for. */
const PAUSE_LONG_MS = 1_000;

/** Collects garbage whenever the heap, buffers included, has grown by as much as `LIMITS` says, until aborted. */
export async function keepMemoryLow(world: World, quiet: Quiet, signal: AbortSignal): Promise<void> {
  let settled = heapSize();
  let worked = workedMs();
  while (!signal.aborted) {
    const isIdle = workedMs() - worked < IDLE_BELOW_MS && isTimely(-quiet.left());
    let size = heapSize();
    if (size > settled + (isIdle ? LIMITS.heapGrowthIdleBytes : LIMITS.heapGrowthBytes)) {
      // Not `Bun.gc(true)`: that also throws code away, which has to be compiled again.
      gcAndSweep();
      size = settled = heapSize();
    }
    // What went by itself is room again.
    settled = Math.min(settled, size);
    worked = workedMs();
    await world.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }
}

function isTimely(pauseMs: number): boolean {
  return pauseMs > PAUSE_LONG_MS || (pauseMs >= 0 && pauseMs < PAUSE_BEGINS_MS);
}

/** Processor time of this process so far. */
function workedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
