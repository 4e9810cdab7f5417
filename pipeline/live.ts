/**
 * The post-commit feed: what a lane has committed goes from its outbox to the LIVE stream, in order. The outbox is part of
 * the lane's transaction, so nothing that was committed is missing here, and nothing here was not committed.
 *
 * Each message is stored only behind the one that the publisher knows to be the last of its lane, so it is stored once,
 * whoever publishes and whenever: after a lost answer, a crash or a second owner the publisher reads where the lane's
 * part of the stream ends, and goes on behind that.
 */
import type { HotStore } from "../storage/hot/store.ts";
import type { Broker } from "./broker.ts";
import { describe, Fenced } from "./errors.ts";
import { unpackLive } from "./live-message.ts";
import type { UnitContext } from "./unit.ts";
import type { BatchHeader } from "./wire/message.ts";
import type { World } from "./world.ts";

/** Messages taken from the outbox at once. */
const TAKE_MAX = 64;
/** What was committed while the broker was away is looked for now and then; else a commit wakes the publisher. */
const IDLE_MS = 1_000;
const RETRY_MS = 500;

export interface LivePublisherOptions {
  readonly broker: Pick<Broker, "publishOnSubject" | "header">;
  readonly world: Pick<World, "sleep">;
  readonly store: Pick<HotStore, "pendingLive" | "liveSent" | "liveEndsWith">;
  readonly stream: string;
  /** The lane's. */
  readonly subject: string;
}

export class LivePublisher {
  private readonly o: LivePublisherOptions;
  /** Sequence of the lane's last message in the stream, 0 when there is none; null: to be read. */
  private last: number | null = null;

  constructor(options: LivePublisherOptions) {
    this.o = options;
  }

  /** Publishes what is pending, oldest first. Returns whether there may be more. */
  async publish(signal: AbortSignal): Promise<boolean> {
    const { broker, store, stream, subject } = this.o;
    if (this.last === null) await this.findEnd();
    const pending = store.pendingLive(TAKE_MAX);
    for (const { id, body } of pending) {
      if (signal.aborted) return false;
      const expected = this.last ?? 0;
      this.last = null;
      try {
        this.last = await broker.publishOnSubject(stream, { subject, ...unpackLive(body) }, expected);
      } catch (error) {
        // Stored by somebody, or by us with the answer lost, or the stream was emptied: the end of the stream says it.
        if (error instanceof Fenced) return true;
        throw error;
      }
      store.liveSent(id);
    }
    return pending.length === TAKE_MAX;
  }

  private async findEnd(): Promise<void> {
    const { broker, store, stream, subject } = this.o;
    const end = await broker.header(stream, { lastOn: subject });
    if (end !== null) store.liveEndsWith(markOf(end.header));
    this.last = end?.seq ?? 0;
  }
}

function markOf({ kind, input, next }: BatchHeader) {
  return { id: input, kind: kind === "undo" ? kind : ("data" as const), block: next };
}

/** Publishes until told to stop. */
export function runLivePublisher(
  options: LivePublisherOptions,
  c: Pick<UnitContext, "signal" | "log">,
): { wake(): void; stop(): Promise<void> } {
  const { world } = options;
  const publisher = new LivePublisher(options);
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, c.signal]);
  let committed = Promise.withResolvers<void>();
  const publishing = (async () => {
    while (!signal.aborted) {
      try {
        if (await publisher.publish(signal)) continue;
        await Promise.race([committed.promise, world.sleep(IDLE_MS, signal)]);
        committed = Promise.withResolvers<void>();
      } catch (error) {
        if (signal.aborted) return;
        c.log("debug", "the live feed waits", { reason: describe(error) });
        await world.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  })();
  return {
    wake: () => committed.resolve(),
    async stop() {
      stop.abort();
      await publishing;
    },
  };
}
