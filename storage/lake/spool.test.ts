/**
 * Commits on their way to a bucket. Goal: to the archive the spool is a lake like any other, while the bucket may come and
 * go; whatever is killed and whatever answer is lost, the bucket ends up with every commit once, in order; and a writer
 * that was replaced adds nothing. Method: the conformance suite of sinks; folders as buckets that fail, hang or change
 * hands when told; then real HTTP through a proxy of faults, with a clock that costs no time.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { Fenced, Transient } from "../../pipeline/errors.ts";
import { silentLog } from "../../pipeline/log.ts";
import type { BlockMeta, BlockRef } from "../../pipeline/position.ts";
import type { Roll } from "../../pipeline/wire/roll.ts";
import { systemWorld, type World } from "../../pipeline/world.ts";
import { sinkConformance } from "../sink.conformance.ts";
import { quoteText } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import { LakeFolder, LIVE, rollOf, stepOf, testBlock, watchedStore } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { LakeSink } from "./sink.ts";
import { Spool, type SpoolOptions } from "./spool.ts";
import type { ObjectStore } from "./store.ts";
import { verifyLake } from "./verify.ts";

const HASTY: World = { ...systemWorld, sleep: (_, signal) => systemWorld.sleep(1, signal) };

let lake: LakeFolder;
let stop: AbortController;
beforeEach(async () => {
  lake = await LakeFolder.make();
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await lake.dispose();
});

function spoolOf(from: LakeFolder, changes: Partial<SpoolOptions> = {}): Spool {
  const folder = join(from.root, "spool");
  const fixed = { lineage: LIVE, maxBytes: 1e9, world: HASTY, log: silentLog };
  return new Spool({ folder, bucket: from.store, ...fixed, ...changes });
}

function sinkOf(from: LakeFolder, spool: Spool): LakeSink {
  return new LakeSink(from.options({ store: spool.store, journal: spool }));
}

/** An archive process: its sink is open, and it ships. */
async function start(
  changes: Partial<SpoolOptions> = {},
): Promise<{ spool: Spool; sink: LakeSink; shipping: Promise<void> }> {
  const spool = spoolOf(lake, changes);
  const sink = sinkOf(lake, spool);
  await sink.open();
  const shipping = spool.ship(stop.signal);
  shipping.catch(() => undefined);
  return { spool, sink, shipping };
}

/** Slots of the trades that the manifest's files hold. */
async function tradesIn(store: ObjectStore): Promise<BlockRef[]> {
  const duck = await Duck.open();
  const found: BlockRef[] = [];
  for await (const { entry } of new Manifest(store).after(null)) {
    for (const { key } of entry.files) {
      const rows = await duck.rows(
        `SELECT slot, kind FROM read_parquet(${quoteText((await store.localPath(key))!)}, hive_partitioning = false)`,
      );
      found.push(...rows.map(([slot, kind]) => ({ slot: Number(slot), hash: String(kind) })));
    }
  }
  duck.close();
  return found.sort((a, b) => a.slot - b.slot);
}

const slotsIn = async (store: ObjectStore) => (await tradesIn(store)).map(({ slot }) => slot);

/** Commits one roll for each slot, leading on from `after`. */
async function commit(sink: LakeSink, slots: readonly number[], after: number | null = null): Promise<void> {
  let prev: BlockMeta | null = after === null ? null : testBlock(after);
  for (const slot of slots) {
    const block = testBlock(slot);
    await sink.commit(stepOf(prev, block), rollOf([block]));
    prev = block;
  }
}

sinkConformance<Roll>(
  "lake in a bucket",
  async () => {
    const own = await LakeFolder.make();
    return {
      writer: () => sinkOf(own, spoolOf(own)),
      out: rollOf,
      async content() {
        const spool = spoolOf(own);
        await spool.open();
        const done = new AbortController();
        const shipping = spool.ship(done.signal);
        await spool.settled();
        done.abort();
        await shipping;
        return tradesIn(own.store);
      },
      crash: async () => undefined,
      dispose: () => own.dispose(),
    };
  },
  { finalOnly: true, fences: "commit" },
);

describe("while the bucket is away", () => {
  /** A bucket that can be switched off. */
  function flaky() {
    const state = { away: false };
    const bucket = watchedStore(lake.store, () => undefined);
    const guarded = new Proxy(bucket, {
      get(target, name: keyof ObjectStore) {
        const found = target[name];
        if (typeof found !== "function") return found;
        return async (...args: unknown[]) => {
          if (state.away) throw new Transient("AWAY", "the bucket is away");
          return (found as (...all: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    return { state, bucket: guarded };
  }

  test("commits go on, are said to wait, and get there when it is back", async () => {
    const { state, bucket } = flaky();
    const { spool, sink } = await start({ bucket });
    state.away = true;
    await commit(sink, [10, 11, 12]);
    expect(sink.stats().slot).toBe(12);
    while (spool.status().failure === null) await Bun.sleep(1);
    expect(spool.status()).toMatchObject({ waiting: 3, failure: { code: "AWAY" }, bucketSlot: -1 });
    expect(await lake.store.list("")).toEqual([]);
    state.away = false;
    await sink.end();
    expect(spool.status()).toMatchObject({ waiting: 0, waitingBytes: 0, failure: null, bucketSlot: 12 });
    expect(await slotsIn(lake.store)).toEqual([10, 11, 12]);
    expect((await verifyLake(lake.store, { deep: true })).findings).toEqual([]);
  });

  test("a process that starts goes on from what this host has", async () => {
    const { state, bucket } = flaky();
    const first = await start({ bucket });
    await commit(first.sink, [10]);
    await first.sink.end();
    state.away = true;
    await commit(first.sink, [11, 12], 10);
    // Its shipping ends with it: two that ship one folder would each find files gone that the other has shipped.
    stop.abort();
    await first.shipping;
    stop = new AbortController();
    const again = await start({ bucket });
    expect(await again.sink.open()).toMatchObject({ position: { slot: 12 } });
    await commit(again.sink, [13], 12);
    state.away = false;
    await again.sink.end();
    expect(await slotsIn(lake.store)).toEqual([10, 11, 12, 13]);
  });

  test("a host that knows nothing waits for it", async () => {
    const { state, bucket } = flaky();
    state.away = true;
    await expect(sinkOf(lake, spoolOf(lake, { bucket })).open()).rejects.toMatchObject({ kind: "transient" });
  });

  test("no more than the room allows is kept", async () => {
    const { state, bucket } = flaky();
    const { sink } = await start({ bucket, maxBytes: 1 });
    state.away = true;
    await commit(sink, [10]);
    await expect(commit(sink, [11], 10)).rejects.toMatchObject({ kind: "transient", code: "LAKE_SPOOL_FULL" });
    state.away = false;
    await sink.end();
    await commit(sink, [11], 10);
    await sink.end();
    expect(await slotsIn(lake.store)).toEqual([10, 11]);
  });
});

describe("another writer of the lineage", () => {
  test("that has gone on in the bucket makes this host's commits worthless, and it starts from there", async () => {
    // Commits that have not been shipped when the process ends.
    const lonely = spoolOf(lake);
    const sink = sinkOf(lake, lonely);
    await sink.open();
    await commit(sink, [10, 11]);
    await lake.fill([[10], [11, 12]]);
    const fenced = lonely.ship(stop.signal);
    await expect(fenced).rejects.toBeInstanceOf(Fenced);
    const again = await start();
    expect(await again.sink.open()).toMatchObject({ position: { slot: 12 } });
    await commit(again.sink, [13], 12);
    await again.sink.end();
    expect(await slotsIn(lake.store)).toEqual([10, 11, 12, 13]);
  });

  test("on this host is fenced by the number of its commit", async () => {
    const [one, two] = [sinkOf(lake, spoolOf(lake)), sinkOf(lake, spoolOf(lake))];
    await one.open();
    await two.open();
    await commit(one, [10]);
    await expect(commit(two, [11])).rejects.toBeInstanceOf(Fenced);
  });

  test("of another lineage only moves the numbers", async () => {
    const { sink } = await start();
    await commit(sink, [10]);
    await sink.end();
    await lake.fill([[500]], { lineage: { ...LIVE, kind: "backfill", start: 500, stop: 501 } });
    await commit(sink, [11], 10);
    await sink.end();
    const entries = await Array.fromAsync(new Manifest(lake.store).after(null));
    expect(entries.map(({ entry }) => entry.to.slot)).toEqual([10, 500, 11]);
    expect((await verifyLake(lake.store)).ok).toBe(true);
  });
});

describe("damage on this host", () => {
  test("before a file is in the bucket is noticed, and the commit is made again", async () => {
    const spool = spoolOf(lake);
    const sink = sinkOf(lake, spool);
    await sink.open();
    await commit(sink, [10]);
    const [key] = await spool.store.list("dataset=");
    await Bun.write(join(lake.root, "spool", key!), "rotten");
    await expect(spool.ship(stop.signal)).rejects.toMatchObject({ code: "LAKE_SPOOL_DAMAGED" });
    const again = await start();
    expect(await again.sink.open()).toBeNull();
    await commit(again.sink, [10]);
    await again.sink.end();
    expect(await slotsIn(lake.store)).toEqual([10]);
  });

  test("to the whole folder loses nothing that is in the bucket", async () => {
    const { sink } = await start();
    await commit(sink, [10, 11]);
    await sink.end();
    await rm(join(lake.root, "spool"), { recursive: true });
    const again = await start();
    expect(await again.sink.open()).toMatchObject({ position: { slot: 11 } });
  });
});

/** One process: commits two more rolls, and ships until all is there or it is killed after so many writes to the bucket. */
async function live(own: LakeFolder, committed: number, writes: number, lost: readonly boolean[]): Promise<number> {
  const killed = Promise.withResolvers<void>();
  let left = writes;
  let answers = 0;
  const inner = watchedStore(own.store, (what) => {
    // An answer may be lost after the object was stored.
    if (what === "stored" && lost[answers++] === true) throw new Transient("LOST", "the answer is lost");
  });
  const bucket: ObjectStore = {
    ...inner,
    putIfAbsent(...args) {
      if (left-- > 0) return inner.putIfAbsent(...args);
      killed.resolve();
      return new Promise(() => undefined);
    },
  };
  const spool = spoolOf(own, { bucket, checkpointEvery: 2 });
  const sink = sinkOf(own, spool);
  const done = new AbortController();
  const opened = await Promise.race([sink.open().then((head) => ({ head })), killed.promise]);
  if (opened === undefined) return committed;
  // What was said to be committed still is.
  expect(opened.head?.position.slot ?? 9).toBe(committed);
  const shipping = spool.ship(done.signal);
  const slots = [committed + 1, committed + 2];
  await commit(sink, slots, committed === 9 ? null : committed);
  await Promise.race([sink.end(), killed.promise]);
  done.abort();
  await shipping;
  await sink.close();
  return committed + 2;
}

test("wherever the process is killed and whichever answers are lost: every commit once, in order", async () => {
  let kills = 0;
  const runs = fc.array(fc.tuple(fc.nat({ max: 8 }), fc.array(fc.boolean(), { maxLength: 8 })), {
    minLength: 2,
    maxLength: 5,
  });
  await fc.assert(
    fc.asyncProperty(runs, async (all) => {
      const own = await LakeFolder.make();
      try {
        let committed = 9;
        for (const [writes, lost] of all) {
          committed = await live(own, committed, writes, lost);
          kills++;
        }
        committed = await live(own, committed, Number.POSITIVE_INFINITY, []);
        expect(await slotsIn(own.store)).toEqual(Array.from({ length: committed - 9 }, (_, i) => 10 + i));
        expect((await verifyLake(own.store, { deep: true })).findings).toEqual([]);
      } finally {
        await own.dispose();
      }
    }),
    { numRuns: 8 },
  );
  expect(kills).toBeGreaterThan(8);
}, 300_000);
