/** Goal: the live feed is told of each commit and undo once it is durable, and of nothing else. Method: an encoder that notes. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { EncodeLive, HotStore } from "./store.ts";
import { candle, candleKey, Lane, meta, positionOf } from "./store-fixture.ts";

let lane: Lane;
let store: HotStore;
let told: { kind: string; slot: number; changes: unknown[] }[];
let quiet: boolean;

const encodeLive: EncodeLive = (signal, changes) => {
  if (quiet) return null;
  told.push({
    kind: signal.kind,
    slot: signal.next.slot,
    changes: [...changes].map(({ row }) => row && (row as { close?: bigint }).close),
  });
  return new TextEncoder().encode(`${signal.kind} ${signal.prev?.slot} ${signal.next.slot}`);
};

beforeEach(async () => {
  lane = new Lane();
  told = [];
  quiet = false;
  store = await lane.opened({ encodeLive, limits: { outboxRowsMax: 4 } });
});
afterEach(async () => {
  await store.close();
  lane.dispose();
});

const texts = (limit = 99) => store.pendingLive(limit).map(({ body }) => new TextDecoder().decode(body));
const commit = (slot: number, ...closes: [time: number, close: bigint][]) => {
  store.state.atBlock(meta({ slot }), 0);
  for (const [time, close] of closes) store.state.put(CANDLES.name, candleKey(1, time), candle(1, time, close));
  return lane.commit(store, [{ slot, notes: [{}] }]);
};

test("a commit is told with the state it changed, an undo with the state as it is again", async () => {
  await commit(1, [0, 1n]);
  await commit(2, [0, 2n], [60, 3n]);
  await lane.rollback(store, { slot: 1 });
  expect(texts()).toEqual(["data undefined 1", "data 1 2", "undo 2 1"]);
  expect(told.map((t) => [t.kind, t.changes])).toEqual([
    ["data", [1n]],
    ["data", [2n, 3n]],
    ["undo", [1n, null]],
  ]);
  const messages = store.pendingLive(99);
  expect(messages.map((m) => [m.kind, m.block.slot])).toEqual([
    ["data", 1],
    ["data", 2],
    ["undo", 1],
  ]);
});

test("what was sent is not offered again, and is deleted with the next commit", async () => {
  for (const slot of [1, 2, 3]) await commit(slot);
  const [first, second] = store.pendingLive(2);
  expect(second!.id).toBeGreaterThan(first!.id);
  store.liveSent(second!.id);
  expect(texts()).toEqual(["data 2 3"]);
  await commit(4);
  await store.open();
  expect(texts()).toEqual(["data 2 3", "data 3 4"]);
});

test("ids go on growing after an undo and a new open", async () => {
  await commit(1);
  await commit(2);
  const before = store.pendingLive(9).at(-1)!.id;
  await lane.rollback(store, { slot: 1 });
  await store.open();
  await commit(2);
  const ids = store.pendingLive(9).map((m) => m.id);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(ids.at(-1)!).toBeGreaterThan(before + 1);
});

test("a lane far behind tells nothing; a feed that is not drained keeps the newest", async () => {
  quiet = true;
  for (const slot of [1, 2]) await commit(slot);
  expect(texts()).toEqual([]);
  quiet = false;
  for (const slot of [3, 4, 5, 6, 7, 8]) await commit(slot);
  expect(texts()).toEqual(["data 4 5", "data 5 6", "data 6 7", "data 7 8"]);
});

test("an undo to where it stands, and a commit that failed, are not told", async () => {
  await commit(1);
  await lane.rollback(store, { slot: 1 });
  lane.prev = positionOf(meta({ slot: 77 }));
  await expect(commit(2)).rejects.toThrow();
  await store.open();
  expect(texts()).toEqual(["data undefined 1"]);
});
