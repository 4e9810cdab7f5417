/**
 * Goal: the live stream holds each commit of a lane once and in order, whatever happens to its publisher, and applying it
 * gives the lane's state. Method: a real nats-server, a real hot store that works through a script with forks, publishers
 * that lose answers, crash or are two; then the stream is read as a feed and applied naively.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CATALOG } from "../stages/sync/lane-fixture.ts";
import { HotReader } from "../storage/hot/reader.ts";
import { HotStore } from "../storage/hot/store.ts";
import { action, perform } from "../test/lane-script.ts";
import type { Broker } from "./broker.ts";
import { CANDLES } from "./datasets/candles.ts";
import type { DatasetSpec } from "./datasets/dataset.ts";
import { rowKey } from "./datasets/key.ts";
import { MINTS } from "./datasets/mints.ts";
import { Transient } from "./errors.ts";
import { LivePublisher, type LivePublisherOptions } from "./live.ts";
import { LiveFeed } from "./live-feed.ts";
import type { FeedStep } from "./live-merge.ts";
import { liveEncoder } from "./live-message.ts";
import { type NatsFixture, startNats } from "./nats-fixture.ts";
import type { BlockRef } from "./position.ts";
import { systemWorld } from "./world.ts";

/** Soon after the script's blocks. */
const NOW = 1_700_002_600_000;
const SUBJECT = "live.0";
const ACTIONS = 40;

let nats: NatsFixture;
let broker: Broker;
let folder: string;
let stream: string;
let streams = 0;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
});
afterAll(() => nats.dispose());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-live-"));
  stream = `LIVE_${streams++}`;
  await ensure(64 * 1024 * 1024);
});
afterEach(async () => {
  await broker.purge(stream);
  rmSync(folder, { recursive: true, force: true });
});

const subjectHere = () => `${stream}.${SUBJECT}`;
const ensure = (maxBytes: number) =>
  broker.ensureStream({ name: stream, subjects: [`${stream}.live.*`], maxBytes, whenFull: "drop-oldest" });

function newStore(file = "lane.sqlite"): HotStore {
  const encodeLive = liveEncoder(CATALOG, { now: () => NOW });
  return new HotStore({ file: join(folder, file), catalog: CATALOG, encodeLive });
}

function publisher(store: HotStore, through: LivePublisherOptions["broker"] = broker): LivePublisher {
  return new LivePublisher({ broker: through, world: systemWorld, store, stream, subject: subjectHere() });
}

const signal = new AbortController().signal;
async function publishAll(p: LivePublisher): Promise<void> {
  while (await p.publish(signal));
}

/** Everything in the stream: the block that each message leads to, "~" before an undo. */
async function told(): Promise<string[]> {
  const found: string[] = [];
  for (let seq = 1; ; seq++) {
    const next = await broker.firstHeader(stream, subjectHere(), seq);
    if (next === null) return found;
    found.push(`${next.header.kind === "undo" ? "~" : ""}${next.header.next.hash}`);
    seq = next.seq;
  }
}

const script = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => action(from + i)).map((a) => `${a.isUndo ? "~" : ""}${a.to.hash}`);

/** The steps from a block on (null: from the first one), up to the given one. */
async function stepsUntil(last: string, from?: BlockRef | null): Promise<FeedStep[]> {
  const feed = new LiveFeed({ broker, stream, subjects: [subjectHere()], catalog: CATALOG });
  const stop = new AbortController();
  const steps: FeedStep[] = [];
  const start = from === undefined ? { recentAfter: undefined } : { block: from, isIncluded: false };
  for await (const step of feed.read(start, stop.signal)) {
    steps.push(step);
    if (step.kind === "block" && step.block.hash === last) break;
  }
  return steps;
}

test("a publisher that loses answers, crashes and has a rival stores each commit once, in order", async () => {
  let store = newStore();
  await store.open();
  let calls = 0;
  const lossy: LivePublisherOptions["broker"] = {
    header: (...args) => broker.header(...args),
    async publishOnSubject(...args) {
      calls++;
      if (calls % 3 === 0) throw new Transient("NATS_REQUEST", "lost on the way there");
      const seq = await broker.publishOnSubject(...args);
      if (calls % 3 === 1) throw new Transient("NATS_REQUEST", "lost on the way back");
      return seq;
    },
  };
  let ours = publisher(store, lossy);
  let rival = publisher(store);
  for (let n = 0; n < ACTIONS; n++) {
    await perform(store, n);
    if (n % 3 === 0) await ours.publish(signal).catch((error) => expect(error).toBeInstanceOf(Transient));
    if (n % 7 === 0) await rival.publish(signal);
    if (n % 11 === 0) {
      await store.close();
      store = newStore();
      await store.open();
      [ours, rival] = [publisher(store, lossy), publisher(store)];
    }
  }
  await publishAll(rival);
  expect(await told()).toEqual(script(0, ACTIONS));
  expect(calls).toBeGreaterThan(10);
  await store.close();
});

test("a lane that was rebuilt tells what it goes through; its old messages are not taken for its own", async () => {
  const first = newStore();
  await first.open();
  for (let n = 0; n < 5; n++) await perform(first, n);
  await publishAll(publisher(first));
  await first.close();
  const rebuilt = newStore("rebuilt.sqlite");
  await rebuilt.open();
  for (let n = 0; n < 9; n++) {
    await perform(rebuilt, n);
    if (n === 2) await publishAll(publisher(rebuilt));
  }
  await publishAll(publisher(rebuilt));
  const steps = await stepsUntil(action(8).to.hash!);
  expect(steps.map((s) => `${s.kind === "undo" ? "~" : ""}${s.kind === "block" ? s.block.hash : s.to!.hash}`)).toEqual(
    script(0, 9),
  );
  await rebuilt.close();
});

test("applying the feed gives the lane's state, forks undone", async () => {
  const store = newStore();
  await store.open();
  const live = publisher(store);
  for (let n = 0; n < ACTIONS; n++) {
    await perform(store, n);
    if (n % 4 === 0) await publishAll(live);
  }
  await publishAll(live);
  const steps = await stepsUntil(action(ACTIONS - 1).to.hash!);
  expect(steps.some((s) => s.kind === "undo")).toBe(true);
  const reader = new HotReader(store.name);
  for (const spec of [CANDLES, MINTS]) {
    const rows = new Map([...reader.tableRows(spec.name)].flatMap((table) => rowsOf(spec, table)));
    const stated = stateAfter(spec, steps);
    expect(stated.size).toBe(rows.size);
    for (const [key, row] of rows) expect(stated.get(key)).toEqual(row);
  }
  reader.close();
  await store.close();
});

/** The rows of a state dataset as the steps leave them. */
function stateAfter(spec: DatasetSpec, steps: readonly FeedStep[]): Map<string, object> {
  const state = new Map<string, object>();
  for (const step of steps) {
    if (step.kind === "gap") throw new Error("nothing is missing");
    for (const { tables } of step.commits) {
      const gone = tables.get(`removed_${spec.name}`);
      for (let i = 0; i < (gone?.length ?? 0); i++) state.delete(rowKey(spec, gone!.row(i)));
      const at = tables.get(`${spec.name}_at`);
      if (at === undefined) continue;
      for (const [key, { slot, ...row }] of rowsOf(spec, at)) {
        expect(slot).toBe(BigInt(step.kind === "block" ? step.block.slot : step.to.slot));
        state.set(key, row);
      }
    }
  }
  return state;
}

function rowsOf(spec: DatasetSpec, table: { length: number; row(i: number): Record<string, unknown> }) {
  return Array.from({ length: table.length }, (_, i) => {
    const row = table.row(i);
    return [rowKey(spec, row), row] as const;
  });
}

test("from every block that was told, left forks among them, the feed leads to the same end", async () => {
  const store = newStore();
  await store.open();
  for (let n = 0; n < 14; n++) await perform(store, n);
  await publishAll(publisher(store));
  const end = action(13).to.hash!;
  for (let n = 0; n < 13; n++) {
    const { to } = action(n);
    const chain = [to.hash!];
    for (const step of await stepsUntil(end, { slot: to.slot, hash: to.hash! })) {
      if (step.kind === "gap") throw new Error("nothing is missing");
      if (step.kind === "undo") {
        expect(step.from!.hash).toBe(chain.at(-1)!);
        chain.push(step.to.hash);
      } else chain.push(step.block.hash);
    }
    expect(chain.at(-1)).toBe(end);
  }
  await store.close();
});

test("a block that is not held is refused, with the oldest that is", async () => {
  const feed = new LiveFeed({ broker, stream, subjects: [subjectHere()], catalog: CATALOG });
  const first = (from: { slot: number; hash: string }) => feed.read({ block: from, isIncluded: false }, signal).next();
  expect(await feed.oldest()).toBeNull();
  await expect(first({ slot: 100, hash: "100" })).rejects.toMatchObject({ code: "LIVE_POSITION" });
  const store = newStore();
  await store.open();
  for (let n = 0; n < 5; n++) await perform(store, n);
  await publishAll(publisher(store));
  await broker.trim(stream, 3);
  const { slot, hash } = action(1).to;
  expect(await feed.oldest()).toEqual({ slot, hash: hash! });
  for (const from of [
    { slot: 50, hash: "50" },
    { slot: 102, hash: "forged" },
    { slot: 9_999, hash: "9999" },
  ]) {
    await expect(first(from)).rejects.toMatchObject({ code: "LIVE_POSITION" });
  }
  await expect(feed.read({ block: null, isIncluded: false }, signal).next()).rejects.toMatchObject({
    code: "LIVE_POSITION",
  });
  expect((await stepsUntil(action(4).to.hash!, { slot, hash: hash! })).length).toBe(3);
  await store.close();
});

test("from the beginning, the first block comes first, whether it is there already or comes later", async () => {
  const feed = new LiveFeed({ broker, stream, subjects: [subjectHere()], catalog: CATALOG });
  expect(await feed.isEmpty()).toBe(true);
  const end = action(4).to.hash!;
  const waiting = stepsUntil(end, null);
  const store = newStore();
  await store.open();
  for (let n = 0; n < 5; n++) await perform(store, n);
  await publishAll(publisher(store));
  expect(await feed.isEmpty()).toBe(false);
  const blocks = (steps: FeedStep[]) => steps.map((s) => (s.kind === "block" ? s.block.hash : `~${s.to?.hash}`));
  expect(blocks(await waiting)).toEqual(script(0, 5));
  expect(blocks(await stepsUntil(end, null))).toEqual(script(0, 5));
  await store.close();
});
