/**
 * Compaction and collection. Goal: however files are merged, killed and raced, a reader finds the same rows, the lake stays
 * sound, and a file goes only when nobody can need it any more. Method: small lakes with a clock of our own; what is read
 * before and after is compared row by row.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fenced } from "../../pipeline/errors.ts";
import { collectLake } from "./collection.ts";
import { type CompactionOptions, compactLake } from "./compaction.ts";
import { dropRows } from "./drop-rows.ts";
import {
  killedAfter,
  LakeFolder,
  LIVE,
  MIDNIGHT,
  rollOf,
  rowsIn,
  stepOf,
  testBlock,
  watchedStore,
} from "./lake-fixture.ts";
import { LakeReader } from "./reader.ts";
import { EVERYTHING } from "./rows-fixture.ts";
import { verifyLake } from "./verify.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

const DAY = 86_400;
const options = (changes: Partial<CompactionOptions> = {}): CompactionOptions => ({
  store: lake.store,
  workDir: join(lake.root, "compaction"),
  ...changes,
});

const fill = (...args: Parameters<LakeFolder["fillAt"]>) => lake.fillAt(...args);

/** Three rolls on one day, two on the next, and one after. */
const ROLLS = [
  [
    [10, 100],
    [11, 200],
  ],
  [[12, 300]],
  [[13, 400]],
  [
    [14, DAY - 1],
    [15, DAY + 1],
  ],
  [[16, DAY + 2]],
  [[17, 2 * DAY + 1]],
] as const;

const filesIn = async () => ((await new LakeReader(lake.store).read()).files.get("trades") ?? []).map((f) => f.key);

describe("compaction", () => {
  test("merges the files of days that have ended, and leaves the rows what they were", async () => {
    await fill(ROLLS);
    const before = await rowsIn(lake.store);
    const done = await compactLake(options());
    expect(done.map((r) => [r.dataset, r.slots, r.filesBefore, r.filesAfter])).toEqual([
      ["trades", { first: 10, last: 15 }, 4, 1],
    ]);
    expect(await rowsIn(lake.store)).toEqual(before);
    expect(await filesIn()).toHaveLength(4);
    const report = await verifyLake(lake.store, { deep: true });
    expect(report.findings).toEqual([]);
    expect(report.coverage["trades"]).toEqual([{ first: 10, last: 17 }]);
    // There is nothing left to do.
    expect(await compactLake(options())).toEqual([]);
  });

  test("merges what was written anew by a re-decode or a drop like any other file", async () => {
    await fill(ROLLS);
    await dropRows({
      store: lake.store,
      workDir: join(lake.root, "work"),
      dataset: "trades",
      where: "slot IN (10, 16)",
    });
    const before = await rowsIn(lake.store);
    const done = await compactLake(options());
    expect(done.map((r) => [r.slots, r.filesBefore, r.filesAfter])).toEqual([[{ first: 10, last: 15 }, 4, 1]]);
    expect(await rowsIn(lake.store)).toEqual(before);
    expect((await verifyLake(lake.store, { deep: true })).findings).toEqual([]);
    expect(await compactLake(options())).toEqual([]);
  });

  test("leaves a lineage what it alone covers, whatever another has of the same slots", async () => {
    await fill(ROLLS, { lineage: { ...LIVE, dataset: "trades" }, datasets: [TRADES] });
    const other = await lake.open({ datasets: [EVERYTHING] });
    let prev = null;
    for (const roll of ROLLS) {
      const blocks = roll.map(([slot, seconds]) => testBlock(slot, MIDNIGHT + seconds));
      const [first, last] = [blocks[0]!, blocks.at(-1)!];
      const segments = [{ first, last, blocks: blocks.length, tables: [] }];
      await other.commit(stepOf(prev, last, last.slot, blocks), { segments });
      prev = last;
    }
    const before = await rowsIn(lake.store);
    expect((await compactLake(options())).map((r) => [r.dataset, r.filesBefore])).toEqual([["trades", 4]]);
    expect(await rowsIn(lake.store)).toEqual(before);
  });

  test("never makes a sound file of a damaged one", async () => {
    await fill(ROLLS);
    const [key] = await filesIn();
    const path = (await lake.store.localPath(key!))!;
    const bytes = await Bun.file(path).bytes();
    // In the metadata that says who wrote it: no reader of the rows would notice.
    bytes[bytes.lastIndexOf("D".charCodeAt(0))]! ^= 1;
    await Bun.write(path, bytes);
    const before = await lake.store.list("");
    await expect(compactLake(options())).rejects.toMatchObject({ code: "LAKE_FILE_DAMAGED" });
    expect(await lake.store.list("")).toEqual(before);
  });

  test("goes on where it ended, when more has come", async () => {
    await fill(ROLLS);
    await compactLake(options());
    const before = await rowsIn(lake.store);
    const sink = await lake.open();
    let prev = testBlock(17, MIDNIGHT + 2 * DAY + 1);
    for (const [slot, seconds] of [
      [18, 2 * DAY + 5],
      [19, 3 * DAY + 5],
    ] as const) {
      const block = testBlock(slot, MIDNIGHT + seconds);
      await sink.commit(stepOf(prev, block), rollOf([block]));
      prev = block;
    }
    const done = await compactLake(options());
    expect(done.map((r) => r.slots)).toEqual([{ first: 17, last: 18 }]);
    expect(await rowsIn(lake.store)).toEqual(expect.arrayContaining(before));
    expect((await verifyLake(lake.store, { deep: true })).findings).toEqual([]);
  });

  test("cuts runs by size", async () => {
    await fill(Array.from({ length: 6 }, (_, i) => [[10 + i, i]] as const));
    const [file] = (await new LakeReader(lake.store).read()).files.get("trades")!;
    const done = await compactLake(options({ targetBytes: Math.floor(file!.bytes * 1.5) }));
    expect(done.map((r) => r.filesBefore)).toEqual([2, 2, 2]);
  });

  test("keeps lineages apart", async () => {
    await fill(ROLLS);
    await fill([[[500, 1]], [[501, DAY + 1]], [[502, 2 * DAY]]], {
      lineage: { ...LIVE, kind: "backfill", start: 500, stop: 503 },
    });
    await fill([[[1, 1]], [[2, 2]], [[3, DAY]]], { lineage: { ...LIVE, kind: "backfill", start: 1, stop: 4 } });
    const before = await rowsIn(lake.store);
    await compactLake(options());
    expect(await rowsIn(lake.store)).toEqual(before);
    expect((await verifyLake(lake.store, { deep: true })).findings).toEqual([]);
  });

  test("says what it would do, and does nothing", async () => {
    await fill(ROLLS);
    const before = await lake.store.list("");
    expect(await compactLake(options({ dryRun: true }))).toMatchObject([{ filesBefore: 4, filesAfter: 1 }]);
    expect(await lake.store.list("")).toEqual(before);
  });

  test("of two at once, one is fenced, and nothing is replaced twice", async () => {
    await fill(ROLLS);
    const before = await rowsIn(lake.store);
    let raced = false;
    const store = watchedStore(lake.store, () => undefined);
    store.putIfAbsent = async (key, body, sha256) => {
      if (!raced && key.startsWith("manifest/")) {
        raced = true;
        await compactLake(options({ workDir: join(lake.root, "other") }));
      }
      return lake.store.putIfAbsent(key, body, sha256);
    };
    const outcome = await compactLake(options({ store })).catch((error: unknown) => error);
    // Both wrote the very same entry, or the second was fenced: in either case it is there once.
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(Fenced);
    expect(raced).toBe(true);
    expect(await rowsIn(lake.store)).toEqual(before);
    expect((await verifyLake(lake.store, { deep: true })).findings).toEqual([]);
  });

  test("killed before any of its writes, and run again: the same rows, a sound lake", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 3 }), { maxLength: 3 }), async (kills) => {
        const own = await LakeFolder.make();
        const outer = lake;
        lake = own;
        try {
          await fill(ROLLS);
          const before = await rowsIn(own.store);
          for (const after of kills) {
            await killedAfter(lake.store, after, (store) => compactLake(options({ store })));
            expect(await rowsIn(lake.store)).toEqual(before);
          }
          await compactLake(options());
          expect(await rowsIn(own.store)).toEqual(before);
          expect((await verifyLake(own.store, { deep: true })).findings).toEqual([]);
        } finally {
          lake = outer;
          await own.dispose();
        }
      }),
      { numRuns: 5 },
    );
  }, 300_000);
});

describe("collection", () => {
  const HOUR = 3_600_000;
  const at = (hours: number) => ({ now: () => Date.now() + hours * HOUR });
  const collect = (hours: number, dryRun = false) => collectLake({ store: lake.store, world: at(hours), dryRun });

  test("takes replaced files and orphans, a day later and not before", async () => {
    await fill(ROLLS);
    const replaced = (await filesIn()).slice(0, 4);
    await compactLake(options());
    const orphan = "dataset=trades/date=2023-11-15/12-13-00000000.parquet";
    const stranger = "something/else";
    await Bun.write(join(lake.root, "lake", orphan), "left by a crash");
    await Bun.write(join(lake.root, "lake", stranger), "not ours");
    expect(await collect(23)).toEqual([]);
    const rows = await rowsIn(lake.store);
    const due = await collect(25, true);
    expect(await lake.store.list("dataset=")).toHaveLength(4 + 4 + 1);
    expect(await collect(25)).toEqual(due);
    expect(due.map(({ key, why }) => [why, key]).sort()).toEqual(
      [["orphan", orphan], ...replaced.map((key) => ["replaced", key])].sort(),
    );
    expect(await rowsIn(lake.store)).toEqual(rows);
    expect(await lake.store.list("something/")).toEqual([stranger]);
    expect((await verifyLake(lake.store, { deep: true })).ok).toBe(true);
  });

  test("leaves what no entry covers: its own entry may be lost", async () => {
    await fill(ROLLS);
    const files = await filesIn();
    await lake.store.delete("manifest/0000000006.json");
    expect((await collect(1_000)).map(({ key, why }) => [why, key])).toEqual([["uncovered", files.at(-1)!]]);
    for (const number of [1, 2, 3, 4, 5]) await lake.store.delete(`manifest/000000000${number}.json`);
    expect((await collect(1_000)).map(({ why }) => why)).toEqual(files.map(() => "uncovered"));
    expect(await lake.store.list("dataset=")).toEqual([...files].sort());
  });

  test("takes nothing from a lake whose manifest has a hole or a change", async () => {
    await fill(ROLLS);
    const second = (await lake.store.get("manifest/0000000002.json"))!;
    await lake.store.delete("manifest/0000000002.json");
    await expect(collect(1_000)).rejects.toMatchObject({ code: "LAKE_ENTRY_MISSING" });
    const text = new TextDecoder().decode(second).replace('"blocks":1', '"blocks":1 ');
    await Bun.write(join(lake.root, "lake", "manifest/0000000002.json"), text);
    await expect(collect(1_000)).rejects.toMatchObject({ code: "LAKE_CHAIN" });
    expect(await lake.store.list("dataset=")).toHaveLength(7);
  });
});
