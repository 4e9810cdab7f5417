/**
 * The post-commit feed: what a lane has committed goes from its outbox to the LIVE stream, in order. The outbox is part of
 * the lane's transaction, so nothing that was committed is missing here, and nothing here was not committed. After a crash
 * the last messages may come twice; their id makes the repeat a no-op within the server's window, and their position lets
 * a reader drop it beyond.
 */
import { headers } from "@nats-io/transport-node";
import type { HotStore } from "../storage/hot/store.ts";
import type { Deployment } from "./deployment.ts";
import { describe } from "./errors.ts";
import type { UnitContext } from "./supervisor.ts";

/** Messages taken from the outbox at once. */
const TAKE_MAX = 64;
const IDLE_MS = 20;

export function runLivePublisher(
  d: Deployment,
  store: Pick<HotStore, "pendingLive" | "liveSent">,
  to: { readonly stream: string; readonly subject: string },
  c: UnitContext,
): { stop(): Promise<void> } {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, c.signal]);
  const publishing = (async () => {
    while (!signal.aborted) {
      try {
        const pending = store.pendingLive(TAKE_MAX);
        for (const { id, header, body } of pending) {
          const hdrs = headers();
          hdrs.set("Sluice-Batch", header);
          await d.broker.append(to.stream, to.subject, body, hdrs, `${to.subject}.${id}`);
        }
        const last = pending.at(-1);
        if (last !== undefined) store.liveSent(last.id);
        if (pending.length < TAKE_MAX) await d.world.sleep(IDLE_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        c.log("warning", "the live feed waits", { reason: describe(error) });
        await d.world.sleep(1_000, signal).catch(() => undefined);
      }
    }
  })();
  return {
    async stop() {
      stop.abort();
      await publishing;
    },
  };
}
