/** Start and stop as desired state in NATS KV: set by anyone, obeyed wherever ingest runs, kept over restarts. */
import type { Control } from "./control.ts";
import { Shutdown } from "./errors.ts";
import type { UnitContext } from "./unit.ts";
import type { World } from "./world.ts";

const POLL_MS = 500;

interface Wanting {
  readonly control: Control;
  readonly world: World;
  readonly source: string;
}

/** Runs `action` while the source is wanted, again whenever it is wanted anew. A source nobody has stopped is wanted. */
export async function whileWanted(
  d: Wanting,
  c: UnitContext,
  action: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  while (!c.signal.aborted) {
    if (!(await isWanted(d))) {
      c.setPaused(true);
      await d.world.sleep(POLL_MS, c.signal).catch(() => undefined);
      continue;
    }
    c.setPaused(false);
    const pause = new AbortController();
    const watching = abortWhenUnwanted(d, pause, c.signal);
    try {
      await action(AbortSignal.any([c.signal, pause.signal]));
    } finally {
      pause.abort(new Shutdown());
      await watching;
    }
  }
}

async function isWanted(d: Wanting): Promise<boolean> {
  return (await d.control.desired(d.source))?.running ?? true;
}

async function abortWhenUnwanted(d: Wanting, pause: AbortController, signal: AbortSignal): Promise<void> {
  const either = AbortSignal.any([pause.signal, signal]);
  while (!either.aborted) {
    await d.world.sleep(POLL_MS, either).catch(() => undefined);
    // A server that does not answer changes nothing: the last word stands.
    const wanted = either.aborted || (await isWanted(d).catch(() => true));
    if (!wanted) pause.abort(new Shutdown("stopped by request"));
  }
}
