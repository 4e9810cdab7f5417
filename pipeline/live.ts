/**
 * The post-commit feed: what a lane has committed goes from its outbox to the LIVE stream, in order. The outbox is part of
 * the lane's transaction, so nothing that was committed is missing here, and nothing here was not committed. After a crash
 * the last messages may come twice; their id makes the repeat a no-op within the server's window, and their position lets
 * a reader drop it beyond.
 *
 * A live message is a message of the wire format: the event rows of the commit, and the `mints` and `candles` rows it
 * changed, as they are now. An undo says where the lane stands again.
 */
import { headers } from "@nats-io/transport-node";
import type { EncodeLive, HotStore } from "../storage/hot/store.ts";
import { CANDLES } from "./datasets/candles.ts";
import type { DatasetSpec } from "./datasets/dataset.ts";
import { MINTS } from "./datasets/mints.ts";
import type { Deployment } from "./deployment.ts";
import { describe } from "./errors.ts";
import type { UnitContext } from "./unit.ts";
import type { DatasetCatalog, RowBatch, Signal } from "./wire/batch.ts";
import { type BatchHeader, encodeMessage, rowCodec } from "./wire/message.ts";
import { type Cell, type Table, TableBuilder } from "./wire/table.ts";
import type { World } from "./world.ts";

/** State that the live feed carries. */
export const LIVE_STATE: readonly DatasetSpec[] = [MINTS, CANDLES];
/** History older than this is not news: while catching up nothing is told, ms. */
const NEWS_AGE_MS = 10 * 60_000;
/** Messages taken from the outbox at once. */
const TAKE_MAX = 64;
/** What was committed while the broker was away is looked for now and then; else a commit wakes the publisher. */
const IDLE_MS = 1_000;

/** Header and body in one blob, for the outbox: length of the header (u32, little endian), header JSON, body. */
export function liveEncoder(catalog: DatasetCatalog, world: World): EncodeLive {
  const codec = rowCodec(new Map([...catalog, ...LIVE_STATE.map((spec) => [spec.name, spec] as const)]));
  return (signal, changes) => {
    const time = signal.kind === "data" ? (signal.body.blocks.at(-1)?.time ?? 0) : null;
    if (time !== null && world.now() - time * 1000 > NEWS_AGE_MS) return null;
    const message = encodeMessage(signal.kind === "data" ? withState(signal, changes) : signal, codec, 0);
    const header = Buffer.from(JSON.stringify(message.header));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length);
    return Buffer.concat([length, header, message.body]);
  };
}

export function splitLive(blob: Uint8Array): { header: BatchHeader; headerText: string; body: Uint8Array } {
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(0, true);
  const headerText = Buffer.from(blob.subarray(4, 4 + length)).toString();
  return { header: JSON.parse(headerText) as BatchHeader, headerText, body: blob.subarray(4 + length) };
}

function withState(signal: Signal<RowBatch> & { kind: "data" }, changes: Parameters<EncodeLive>[1]): Signal<RowBatch> {
  const tables = new Map([...signal.body.tables, ...changedRows(changes)]);
  return { ...signal, body: { blocks: signal.body.blocks, tables } };
}

function changedRows(changes: Parameters<EncodeLive>[1]): Map<string, Table> {
  const builders = new Map<string, TableBuilder>();
  for (const { table, row } of changes) {
    const spec = LIVE_STATE.find((s) => s.name === table);
    if (spec === undefined || row === null) continue;
    let builder = builders.get(table);
    if (builder === undefined) builders.set(table, (builder = new TableBuilder(spec)));
    builder.appendCells(row as Readonly<Record<string, Cell>>);
  }
  return new Map([...builders].map(([name, builder]) => [name, builder.finish()]));
}

export function runLivePublisher(
  d: Pick<Deployment, "broker" | "world">,
  store: Pick<HotStore, "pendingLive" | "liveSent">,
  to: { readonly stream: string; readonly subject: string },
  c: Pick<UnitContext, "signal" | "log">,
): { wake(): void; stop(): Promise<void> } {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, c.signal]);
  let committed = Promise.withResolvers<void>();
  const publishing = (async () => {
    while (!signal.aborted) {
      try {
        const pending = store.pendingLive(TAKE_MAX);
        for (const { id, body: blob } of pending) {
          const { headerText, body } = splitLive(blob);
          const hdrs = headers();
          hdrs.set("Sluice-Batch", headerText);
          await d.broker.append(to.stream, to.subject, body, hdrs, `${to.subject}.${id}`);
          store.liveSent(id);
        }
        if (pending.length === TAKE_MAX) continue;
        await Promise.race([committed.promise, d.world.sleep(IDLE_MS, signal)]);
        committed = Promise.withResolvers<void>();
      } catch (error) {
        if (signal.aborted) return;
        c.log("debug", "the live feed waits", { reason: describe(error) });
        await d.world.sleep(500, signal).catch(() => undefined);
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
