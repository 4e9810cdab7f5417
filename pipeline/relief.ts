/**
 * Above half full, EVENTS is emptied early: finality arrives with later blocks, which a full stream would keep out. The
 * archive gathers for an hour, and a stream that holds what it has gathered cannot be trimmed.
 */
import type { Broker } from "./broker.ts";
import type { UnitMetrics } from "./metrics.ts";
import type { World } from "./world.ts";

const EVERY_MS = 2_000;

/** Calls `relieve` now and then while the stream is above half full of what `unit` has not committed. Until aborted. */
export async function relievePressure(
  d: { readonly broker: Pick<Broker, "streamState">; readonly world: Pick<World, "sleep"> },
  stream: string,
  unit: Pick<UnitMetrics, "inputSeq">,
  relieve: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const state = await d.broker.streamState(stream).catch(() => null);
    if (state !== null && state.bytes > state.maxBytes / 2) {
      // What others have yet to read stays however early we are: it would only make a file of every few blocks.
      const ours = state.lastSeq - unit.inputSeq;
      if (ours > state.messages / 2) relieve();
    }
    await d.world.sleep(EVERY_MS, signal).catch(() => undefined);
  }
}
