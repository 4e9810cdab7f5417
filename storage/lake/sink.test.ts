/**
 * The lake as a sink. Goal: it keeps the contract of all sinks, and what it writes is what the manifest says. Method: the
 * conformance suite on a real folder, then what is special to it; a reader looks at the files with DuckDB.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal, Fenced } from "../../pipeline/errors.ts";
import type { BlockMeta, BlockRef } from "../../pipeline/position.ts";
import type { Roll } from "../../pipeline/wire/roll.ts";
import { sinkConformance } from "../sink.conformance.ts";
import { quoteText } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import type { FolderStore } from "./folder-store.ts";
import { LakeFolder, LIVE, MIDNIGHT, positionOf, rollOf, segmentOf, stepOf, testBlock } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { LakeReader } from "./reader.ts";
import { LakeSink } from "./sink.ts";

/** Slot and hash of every trade that the manifest's files hold, by slot. */
async function tradesIn(store: FolderStore): Promise<BlockRef[]> {
  const duck = await Duck.open();
  const found: BlockRef[] = [];
  for await (const { entry } of new Manifest(store).after(null)) {
    for (const { key } of entry.files) {
      const path = (await store.localPath(key))!;
      const rows = await duck.rows(`SELECT slot, kind FROM read_parquet(${quoteText(path)})`);
      found.push(...rows.map(([slot, kind]) => ({ slot: Number(slot), hash: String(kind) })));
    }
  }
  duck.close();
  return found.sort((a, b) => a.slot - b.slot);
}

sinkConformance<Roll>(
  "lake",
  async () => {
    const lake = await LakeFolder.make();
    return {
      writer: () => new LakeSink(lake.options()),
      out: rollOf,
      content: () => tradesIn(lake.store),
      // A process that is gone neither closes nor tidies up.
      crash: async () => undefined,
      dispose: () => lake.dispose(),
    };
  },
  { finalOnly: true, fences: "commit" },
);

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

describe("a commit", () => {
  test("stands at the last block of its roll, not of the input", async () => {
    const sink = await lake.open();
    const [b10, b12, b13, b20, b30] = [10, 12, 13, 20, 30].map((slot) => testBlock(slot)) as [
      BlockMeta,
      BlockMeta,
      BlockMeta,
      BlockMeta,
      BlockMeta,
    ];
    const step = stepOf(null, b20, 15, [b10, b12, b13, b20]);
    expect(await sink.commit(step, rollOf([b10, b12]))).toEqual(positionOf(b12));
    await expect(sink.commit(stepOf(b20, b30), rollOf([b30]))).rejects.toBeInstanceOf(Fenced);
    expect(await sink.commit(stepOf(b12, b30, 30, [b13, b20, b30]), rollOf([b13]))).toEqual(positionOf(b13));
    expect((await (await lake.open()).open())!.recent).toEqual([{ slot: 13, hash: "13a" }]);
  });

  test("whose roll ends at a block that is not being committed is refused", async () => {
    const sink = await lake.open();
    const refused = sink.commit(stepOf(null, testBlock(20), 20, [testBlock(9)]), rollOf([testBlock(10)]));
    await expect(refused).rejects.toMatchObject({ code: "LAKE_ORDER" });
    expect(await lake.store.list("")).toEqual([]);
  });

  test("remembers the last blocks, without a hole", async () => {
    const sink = await lake.open();
    const blocks = Array.from({ length: 40 }, (_, i) => testBlock(10 + i));
    await sink.commit(stepOf(null, blocks[39]!, 49, blocks), rollOf(blocks));
    const { recent } = (await sink.open())!;
    expect(recent.map((b) => b.slot)).toEqual(Array.from({ length: 16 }, (_, i) => 34 + i));
  });

  test("of several segments is one entry, with a file for each segment and date", async () => {
    const late = [testBlock(10, MIDNIGHT - 1), testBlock(11, MIDNIGHT), testBlock(12, MIDNIGHT + 86_400)];
    const sink = await lake.open();
    await sink.commit(stepOf(null, testBlock(13)), {
      segments: [segmentOf(late), segmentOf([testBlock(13, MIDNIGHT + 86_400)])],
    });
    const { entry } = (await new Manifest(lake.store).read(1))!;
    expect(entry.files.map((f) => [f.date, f.slot.min, f.slot.max, f.rows])).toEqual([
      ["2023-11-14", 10, 10, 1],
      ["2023-11-15", 11, 11, 1],
      ["2023-11-16", 12, 12, 1],
      ["2023-11-16", 13, 13, 1],
    ]);
    for (const file of entry.files) {
      const name = `${file.slot.min}-${file.slot.max}-${file.sha256.slice(0, 8)}.parquet`;
      expect(file.key).toBe(`dataset=trades/date=${file.date}/${name}`);
    }
    expect(entry).toMatchObject({
      number: 1,
      from: null,
      to: positionOf(testBlock(13)),
      first: { slot: 10, hash: "10a", time: MIDNIGHT - 1 },
      last: { slot: 13, hash: "13a" },
      blocks: 4,
      package: "test-v0.1.0 map_events",
    });
    expect(entry.datasets.map((d) => d.name)).toEqual(["trades", "everything"]);
    expect(entry.datasets[0]!.columns["mint"]).toBe("bytes32?");
  });

  test("of rows that another source has too is a file of its own: neither takes the other's away", async () => {
    const blocks = [testBlock(5), testBlock(9)];
    for (const source of ["main", "other"]) {
      const sink = await lake.open({ lineage: { ...LIVE, source } });
      await sink.commit(stepOf(null, blocks[1]!, 9, blocks), rollOf(blocks));
    }
    const read = await new LakeReader(lake.store).read();
    expect(read.files.get("trades")!.map(({ source, rows }) => [source, rows])).toEqual([
      ["main", 2],
      ["other", 2],
    ]);
  });

  test("without rows is coverage", async () => {
    const sink = await lake.open();
    const [first, last] = [testBlock(5), testBlock(9)];
    await sink.commit(stepOf(null, last), { segments: [{ first, last, blocks: 3, tables: [] }] });
    const { entry } = (await new Manifest(lake.store).read(1))!;
    expect(entry).toMatchObject({ files: [], blocks: 3, first: { slot: 5 }, last: { slot: 9 } });
  });

  test("of blocks that are not final is refused", async () => {
    const sink = await lake.open();
    const refused = sink.commit(stepOf(null, testBlock(11), 10), rollOf([testBlock(10), testBlock(11)]));
    await expect(refused).rejects.toMatchObject({ code: "LAKE_NOT_FINAL" });
    expect(await lake.store.list("")).toEqual([]);
  });

  test("of rows of an unknown dataset, or another version of one, is refused", async () => {
    const sink = await lake.open({ datasets: [{ ...TRADES, version: 9 }] });
    await expect(sink.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]))).rejects.toMatchObject({
      code: "LAKE_DATASET",
    });
  });

  test("of blocks that the lake holds already is refused", async () => {
    const sink = await lake.open();
    await sink.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]));
    const again = sink.commit(stepOf(testBlock(10), testBlock(11)), rollOf([testBlock(10), testBlock(11)]));
    await expect(again).rejects.toMatchObject({ code: "LAKE_ORDER" });
  });

  test("leaves nothing in the work folder", async () => {
    const sink = await lake.open();
    await sink.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]));
    const [folder] = await readdir(join(lake.root, "work"));
    expect(await readdir(join(lake.root, "work", folder!))).toEqual([]);
    await sink.close();
    expect(await readdir(join(lake.root, "work"))).toEqual([]);
  });
});

test("a damaged file under the name of one to be written is not taken for it", async () => {
  const sink = await lake.open();
  await sink.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]));
  const { entry } = (await new Manifest(lake.store).read(1))!;
  await lake.store.delete("manifest/0000000001.json");
  await Bun.write((await lake.store.localPath(entry.files[0]!.key))!, "rot");
  const next = await lake.open();
  await expect(next.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]))).rejects.toMatchObject({
    code: "LAKE_FILE_TAKEN",
  });
});

test("lineages take turns; each goes on from its own position", async () => {
  const live = await lake.open();
  const backfill = await lake.open({ lineage: { ...LIVE, kind: "backfill", start: 0, stop: 100 } });
  await live.commit(stepOf(null, testBlock(200)), rollOf([testBlock(200)]));
  await backfill.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]));
  await backfill.commit(stepOf(testBlock(10), testBlock(11)), rollOf([testBlock(11)]));
  await live.commit(stepOf(testBlock(200), testBlock(201)), rollOf([testBlock(201)]));
  const entries = await Array.fromAsync(new Manifest(lake.store).after(null));
  expect(entries.map(({ entry }) => [entry.lineage.kind, entry.lineagePrevious, entry.from?.slot])).toEqual([
    ["live", null, undefined],
    ["backfill", null, undefined],
    ["backfill", 2, 10],
    ["live", 1, 200],
  ]);
  expect((await tradesIn(lake.store)).map((b) => b.slot)).toEqual([10, 11, 200, 201]);
});

test("an undo above the position is nothing to the lake; below it, it is fatal", async () => {
  const sink = await lake.open();
  await sink.rollback(stepOf(null, testBlock(5)));
  await sink.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]));
  await sink.rollback(stepOf(testBlock(10), testBlock(12)));
  await expect(sink.rollback(stepOf(testBlock(10), { ...testBlock(10), hash: "fork" }))).rejects.toBeInstanceOf(Fatal);
  await expect(sink.rollback(stepOf(testBlock(10), testBlock(9)))).rejects.toMatchObject({ code: "UNDO_BELOW_FINAL" });
});

test("it tells what it wrote", async () => {
  const sink = await lake.open();
  expect(sink.stats()).toEqual({ entries: 0, files: 0, rows: 0, bytes: 0, journalNumber: 0, slot: -1 });
  await sink.commit(stepOf(null, testBlock(11)), rollOf([testBlock(10), testBlock(11)]));
  const { entry } = (await new Manifest(lake.store).read(1))!;
  const bytes = entry.files[0]!.bytes;
  expect(sink.stats()).toEqual({ entries: 1, files: 1, rows: 2, bytes, journalNumber: 1, slot: 11 });
});
