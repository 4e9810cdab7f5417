/**
 * A lease in NATS as the lake's write lock, for buckets that ignore conditional writes. Weaker than they are: a process
 * that stops between looking and writing, for longer than the lease, may overwrite an entry when it wakes up.
 */
import { randomUUID } from "node:crypto";
import type { Config } from "../pipeline/config.ts";
import type { Control } from "../pipeline/control.ts";
import { Transient } from "../pipeline/errors.ts";
import { Lease } from "../pipeline/leases.ts";
import type { World } from "../pipeline/world.ts";
import type { WriteLock } from "../storage/lake/s3/store.ts";
import { lakeId } from "./lake.ts";

const LOOK_AGAIN_MS = 100;
const WAIT_MS = 30_000;

export function leaseLock(config: Config, control: Pick<Control, "leases">, world: World): WriteLock {
  const node = randomUUID();
  const ttlMs = config["lease.ttlMs"];
  const name = `lake-${lakeId(config)}`;
  const bucket = control.leases(ttlMs);
  const newLease = () => new Lease(name, { bucket, node, ttlMs, world, isFirstInLine: () => true });
  let last: Promise<unknown> = Promise.resolve();
  return {
    /** Within this process one after the other: a lease does not tell two holders of one name apart. */
    hold(action) {
      const next = last.then(() => whileHeld(newLease(), ttlMs, world, action));
      last = next.catch(() => undefined);
      return next;
    },
  };
}

async function whileHeld<T>(lease: Lease, ttlMs: number, world: World, action: () => Promise<T>): Promise<T> {
  const deadline = world.monotonic() + WAIT_MS;
  while (!(await lease.tryAcquire())) {
    if (world.monotonic() > deadline) {
      throw new Transient("LAKE_LOCKED", "the lake's lease is not to be had", {
        where: lease.unit,
        hint: "Another process writes to the lake, or the NATS server does not answer.",
      });
    }
    await world.sleep(LOOK_AGAIN_MS);
  }
  const renewing = setInterval(() => void lease.renew(), ttlMs / 4);
  try {
    const result = await action();
    if (lease.held) return result;
    throw new Transient("LAKE_LOCK_LOST", "the lake's lease ran out while it was written to", { where: lease.unit });
  } finally {
    clearInterval(renewing);
    await lease.release();
  }
}
