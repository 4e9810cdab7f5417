/**
 * Goal: a file that has lost its entry is never taken for one whose rows are in the lake by other means, only because another
 * source covers the same slots. Method: two sources over the same slots, of which one loses its last entry.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { collectLake } from "./collection.ts";
import { LakeFolder, LIVE } from "./lake-fixture.ts";
import { entryKey } from "./manifest.ts";
import { LakeReader } from "./reader.ts";
import { UnnamedFiles } from "./unnamed.ts";
import { verifyLake } from "./verify.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
  await lake.fill([[10, 11], [12]]);
  await lake.fill([[10, 11, 12]], { lineage: { ...LIVE, source: "other" } });
});
afterEach(() => lake.dispose());

const LATER = { now: () => Date.now() + 1e9 };
const found = async () => {
  const { findings } = await verifyLake(lake.store, { world: LATER });
  const gone = await collectLake({ store: lake.store, world: LATER, dryRun: true });
  // Both say the same.
  expect(gone.map(({ why, key }) => [why as string, key])).toEqual(findings.map(({ kind, where }) => [kind, where]));
  return gone.map(({ why, key }) => [why, key]);
};

test("a source's file is not covered by another's slots", async () => {
  const { files } = await new LakeReader(lake.store).read();
  const lost = files.get("trades")!.find(({ source }) => source === "other")!.key;
  await lake.store.delete(entryKey(3));
  expect(await found()).toEqual([["uncovered", lost]]);
  await collectLake({ store: lake.store, world: LATER });
  expect(await lake.store.head(lost)).not.toBeNull();
});

test("one that its own source covers is left by a crash; so is one that does not say whose it is, where all do", async () => {
  const { files, coverageOfSources } = await new LakeReader(lake.store).read();
  const [own, , others] = files.get("trades")!.map(({ key }) => key) as [string, string, string];
  const copyOf = async (key: string, as: string) => {
    const path = join(lake.root, "lake", as);
    await Bun.write(path, Bun.file((await lake.store.localPath(key))!));
    return as;
  };
  const ours = await copyOf(own, own.replace(/[0-9a-f]{8}\./, "00000001."));
  const theirs = await copyOf(others, others.replace(/[0-9a-f]{8}\./, "00000002."));
  expect(new Set((await found()).map(([why]) => why))).toEqual(new Set(["orphan"]));
  const unlabelled = own.replace(/[0-9a-f]{8}\./, "00000003.");
  await Bun.write(join(lake.root, "lake", unlabelled), "no Parquet");
  const onlyMain = new Map([...coverageOfSources].map(([key, r]) => [key, key.startsWith("other") ? [] : r]));
  const isCovered = async (key: string, coverage: ConstructorParameters<typeof UnnamedFiles>[1]) => {
    const unnamed = new UnnamedFiles(lake.store, coverage);
    try {
      return await unnamed.isCovered(key);
    } finally {
      unnamed.close();
    }
  };
  const of = (coverage: typeof coverageOfSources) =>
    Promise.all([ours, theirs, unlabelled].map((key) => isCovered(key, coverage)));
  expect(await of(coverageOfSources)).toEqual([true, true, true]);
  expect(await of(onlyMain)).toEqual([true, false, false]);
  expect(await of(new Map())).toEqual([false, false, false]);
  expect(await isCovered("something/else", coverageOfSources)).toBe(false);
});
