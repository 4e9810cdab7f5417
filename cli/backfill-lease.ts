/** One backfill of a source at a time: two would plan the same segments, and both would pay for them. */
import { randomUUID } from "node:crypto";
import type { Deployment } from "../pipeline/deployment.ts";
import { Shutdown, Transient } from "../pipeline/errors.ts";
import { Lease } from "../pipeline/leases.ts";

/** Runs `action` while no other process may; its signal aborts with `signal`, or when the right is lost. Throws `Transient` BACKFILL_BUSY. */
export async function onlyOne<T>(
  d: Pick<Deployment, "world" | "control" | "config" | "source">,
  signal: AbortSignal,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { world, control, config, source } = d;
  const [node, ttlMs] = [randomUUID(), config["lease.ttlMs"]];
  const bucket = control.leases(ttlMs);
  const lease = new Lease(`backfill.${source}`, { bucket, node, ttlMs, world, isFirstInLine: () => true });
  // A process that was killed a moment ago holds it for so long.
  const deadline = world.monotonic() + 2 * ttlMs;
  while (!(await lease.tryAcquire())) {
    if (world.monotonic() < deadline) {
      await world.sleep(200, signal);
      continue;
    }
    throw new Transient("BACKFILL_BUSY", `another backfill of source ${source} is at work`, {
      hint: "Wait for its end, or stop it: the same command goes on where it was.",
    });
  }
  const over = new AbortController();
  const lost = new AbortController();
  const keeping = (async () => {
    while (!over.signal.aborted) {
      await world.sleep(ttlMs / 4, over.signal).catch(() => undefined);
      if (!over.signal.aborted && !(await lease.renew())) lost.abort(new Shutdown());
    }
  })();
  try {
    return await action(AbortSignal.any([signal, lost.signal]));
  } finally {
    over.abort(new Shutdown());
    await keeping;
    await lease.release();
  }
}
