/**
 * Files of older lakes that two sources name. Goal: the remedy that `sluice verify` tells works: after a compaction each
 * source has its rows in files of its own, wherever it was killed, and the lake is sound. Method: an entry that names another
 * source's file, as older versions wrote it.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { collectLake } from "./collection.ts";
import { compactLake } from "./compaction.ts";
import { encodeEntry } from "./entry.ts";
import { killedAfter, LakeFolder, LIVE, rowsIn } from "./lake-fixture.ts";
import { entryKey, Manifest } from "./manifest.ts";
import { LakeReader } from "./reader.ts";
import { type ObjectStore, sha256Of } from "./store.ts";
import { verifyLake } from "./verify.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
  await lake.fillAt([[[10, 10]], [[11, 11]], [[12, 12]], [[13, 86_400]]]);
  const entries = await Array.fromAsync(new Manifest(lake.store).after(null));
  let [before, own] = [entries.at(-1)!, null as (typeof entries)[number] | null];
  for (const { entry } of entries.slice(1, 3)) {
    const number = before.entry.number + 1;
    const from = own?.entry.to ?? null;
    const next = {
      ...entry,
      ...{ number, previous: before.sha256, lineage: { ...LIVE, source: "other" } },
      ...{ lineagePrevious: own?.entry.number ?? null, from },
    };
    const bytes = encodeEntry(next);
    await lake.store.putIfAbsent(entryKey(number), bytes, sha256Of(bytes));
    before = own = { entry: next, sha256: sha256Of(bytes) };
  }
});
afterEach(() => lake.dispose());

const compact = (store: ObjectStore = lake.store, dryRun = false) =>
  compactLake({ store, workDir: join(lake.root, "compaction"), dryRun });
const kindsOf = async () => (await verifyLake(lake.store, { deep: true })).findings.map(({ kind }) => kind);

test("each source gets its rows back, and the finding is gone", async () => {
  expect(await kindsOf()).toEqual(["file-shared", "file-shared"]);
  expect(await rowsIn(lake.store, "main")).toHaveLength(2);
  const others = await rowsIn(lake.store, "other");
  const told = await compact(lake.store, true);
  expect(told.slice(0, 2)).toMatchObject([
    { source: "main, other", slots: { first: 11, last: 11 }, filesBefore: 1, filesAfter: 2 },
    { source: "main, other", slots: { first: 12, last: 12 } },
  ]);
  expect(await kindsOf()).toEqual(["file-shared", "file-shared"]);
  await compact();
  expect(await rowsIn(lake.store, "main")).toHaveLength(4);
  expect(await rowsIn(lake.store, "other")).toEqual(others);
  expect(await rowsIn(lake.store, "main")).toEqual(expect.arrayContaining(others));
  // Rows that both have are worth knowing of, and no fault.
  expect(new Set(await kindsOf())).toEqual(new Set(["rows-of-sources"]));
  expect((await verifyLake(lake.store, { deep: true })).ok).toBe(true);
  expect(await compact()).toEqual([]);
  await collectLake({ store: lake.store, world: { now: () => Date.now() + 1e9 } });
  expect((await verifyLake(lake.store, { deep: true })).ok).toBe(true);
});

test("killed before any of its writes: no row of the other is ever gone, and doing it again ends it", async () => {
  const others = await rowsIn(lake.store, "other");
  for (let after = 0; ; after++) {
    const killed = await killedAfter(lake.store, after, compact);
    expect(await rowsIn(lake.store, "other")).toEqual(others);
    if (!killed) break;
  }
  expect(await rowsIn(lake.store, "main")).toHaveLength(4);
  const { files } = await new LakeReader(lake.store).read();
  expect(
    files
      .get("trades")!
      .filter(({ source }) => source === "other")
      .reduce((n, f) => n + f.rows, 0),
  ).toBe(2);
  expect((await verifyLake(lake.store, { deep: true })).ok).toBe(true);
});
