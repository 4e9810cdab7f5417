/**
 * Copies of a bucket's files. Goal: old ones go, when the bucket has them and nobody uses them; young ones stay. Method: a
 * lake in a folder that stands for the bucket, a cache on a clock of our own.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { LakeCopies } from "./copies.ts";
import { FileCache } from "./file-cache.ts";
import { LakeFolder, MIDNIGHT, rollOf, stepOf, testBlock } from "./lake-fixture.ts";
import { LakeReader } from "./reader.ts";

const DAY = 86_400;
let lake: LakeFolder;
let clock = { now: 0 };
let cache: FileCache;
let keys: string[];
beforeEach(async () => {
  lake = await LakeFolder.make();
  const sink = await lake.open();
  let prev = null;
  for (const day of [0, 1, 40]) {
    const block = testBlock(10 + day, MIDNIGHT + day * DAY);
    await sink.commit(stepOf(prev, block), rollOf([block]));
    prev = block;
  }
  clock = { now: Date.now() };
  cache = new FileCache({ folder: join(lake.root, "cache"), maxBytes: 1e9, world: { now: () => clock.now } });
  keys = ((await new LakeReader(lake.store).read()).files.get("trades") ?? []).map((file) => file.key);
  for (const key of keys) await copyOf(key);
});
afterEach(() => lake.dispose());

async function copyOf(key: string, from = key): Promise<void> {
  const source = (await lake.store.localPath(from))!;
  await cache.path(key, (await lake.store.head(from))!.bytes, (path) => copyFile(source, path));
}

const copies = () => new LakeCopies(lake.store, cache);
const held = async () => (await cache.list()).map(({ key }) => key).sort();

test("old copies go when nobody has used them for a while; a dry run says so", async () => {
  expect(await copies().trim(30 * DAY, false)).toMatchObject({ removed: [], kept: { files: 3 } });
  clock.now += 3_600_000;
  const told = await copies().trim(30 * DAY, true);
  expect(told.removed.map(({ key, why }) => `${why} ${key}`).sort()).toEqual(
    keys.slice(0, 2).map((key) => `old ${key}`),
  );
  expect(await held()).toEqual([...keys].sort());
  expect(await copies().trim(30 * DAY, false)).toEqual({ ...told, kept: told.kept });
  expect(await held()).toEqual(keys.slice(2));
});

test("what the bucket has lost stays here", async () => {
  clock.now += 3_600_000;
  await rm((await lake.store.localPath(keys[0]!))!);
  expect((await copies().trim(30 * DAY, false)).removed.map(({ key }) => key)).toEqual([keys[1]!]);
  expect(await held()).toEqual([keys[0]!, keys[2]!].sort());
});

test("a copy of what is no longer part of the lake goes", async () => {
  await copyOf("dataset=trades/date=2020-01-01/1-2-00000000.parquet", keys[0]!);
  clock.now += 3_600_000;
  expect((await copies().trim(100 * DAY, false)).removed).toMatchObject([{ why: "replaced" }]);
  expect(await held()).toEqual([...keys].sort());
});
