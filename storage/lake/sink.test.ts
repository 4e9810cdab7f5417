/**
 * The lake as a sink. Goal: it keeps the contract of all sinks, and what it writes is what the manifest says. Method: the
 * conformance suite on a real folder, then what is special to it; a reader looks at the files with DuckDB.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal, Fenced } from "../../pipeline/errors.ts";
import type { BlockMeta, BlockRef, Position } from "../../pipeline/position.ts";
import type { Roll, Segment } from "../../pipeline/wire/roll.ts";
import { sinkConformance } from "../sink.conformance.ts";
import type { Step } from "../sink.ts";
import { quoteText } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import type { Lineage } from "./entry.ts";
import { FolderStore } from "./folder-store.ts";
import { Manifest } from "./manifest.ts";
import { EVERYTHING, tradeRow, tradeTable } from "./rows-fixture.ts";
import { LakeSink, type LakeSinkOptions } from "./sink.ts";

const LIVE: Lineage = { kind: "live", source: "main", dataset: "all", start: null, stop: null };

const block = (slot: number, time = 1_700_000_000 + slot): BlockMeta => ({
  slot,
  hash: `${slot}a`,
  cursor: `cursor-${slot}a`,
  time,
  finalSlot: slot,
});

/** One trade a block; its number is the slot, so every block leaves a trace. */
function segmentOf(blocks: readonly BlockMeta[]): Segment {
  const rows = blocks.map((b) => ({ ...tradeRow(b.slot, b.slot, b.time), kind: b.hash }));
  return {
    first: blocks[0]!,
    last: blocks.at(-1)!,
    blocks: blocks.length,
    tables: new Map([["trades", tradeTable(rows)]]),
  };
}

const rollOf = (blocks: readonly BlockMeta[]): Roll => ({ segments: [segmentOf(blocks)] });

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
    const root = await mkdtemp(join(tmpdir(), "lake-sink-"));
    const store = new FolderStore(join(root, "lake"));
    return {
      writer: () => new LakeSink(options(store, root)),
      out: rollOf,
      content: () => tradesIn(store),
      // A process that is gone neither closes nor tidies up.
      crash: async () => undefined,
      dispose: () => rm(root, { recursive: true, force: true }),
    };
  },
  { finalOnly: true, fences: "commit" },
);

function options(store: FolderStore, root: string): LakeSinkOptions {
  const datasets = [TRADES, EVERYTHING];
  return { store, workDir: join(root, "work"), lineage: LIVE, datasets, package: "test-v0.1.0 map_events" };
}

let root: string;
let store: FolderStore;
let sinks: LakeSink[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "lake-sink-"));
  store = new FolderStore(join(root, "lake"));
  sinks = [];
});
afterEach(async () => {
  for (const sink of sinks) await sink.close();
  await rm(root, { recursive: true, force: true });
});

async function opened(changes: Partial<LakeSinkOptions> = {}): Promise<LakeSink> {
  const sink = new LakeSink({ ...options(store, root), ...changes });
  sinks.push(sink);
  await sink.open();
  return sink;
}

const at = ({ slot, hash, cursor }: BlockMeta): Position => ({ slot, hash, cursor, moduleHash: "ab" });

function step(prev: BlockMeta | null, next: BlockMeta, finalSlot = next.slot): Step {
  return { prev: prev && at(prev), next: at(next), finalSlot, blocks: [], inputSeq: 1 };
}

describe("a commit", () => {
  test("stands at the last block of its roll, not of the input", async () => {
    const sink = await opened();
    expect(await sink.commit(step(null, block(20), 15), rollOf([block(10), block(12)]))).toEqual(at(block(12)));
    await expect(sink.commit(step(block(20), block(30)), rollOf([block(21)]))).rejects.toBeInstanceOf(Fenced);
    expect(await sink.commit(step(block(12), block(30)), rollOf([block(13)]))).toEqual(at(block(13)));
  });

  test("of several segments is one entry, with a file for each segment and date", async () => {
    const midnight = 1_700_006_400;
    const late = [block(10, midnight - 1), block(11, midnight), block(12, midnight + 86_400)];
    const sink = await opened();
    await sink.commit(step(null, block(20)), {
      segments: [segmentOf(late), segmentOf([block(13, midnight + 86_400)])],
    });
    const { entry } = (await new Manifest(store).read(1))!;
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
      to: at(block(13)),
      first: { slot: 10, hash: "10a", time: midnight - 1 },
      last: { slot: 13, hash: "13a" },
      blocks: 4,
      package: "test-v0.1.0 map_events",
    });
    expect(entry.datasets.map((d) => d.name)).toEqual(["trades", "everything"]);
    expect(entry.datasets[0]!.columns["mint"]).toBe("bytes32?");
  });

  test("without rows is coverage", async () => {
    const sink = await opened();
    const [first, last] = [block(5), block(9)];
    await sink.commit(step(null, last), { segments: [{ first, last, blocks: 3, tables: new Map() }] });
    const { entry } = (await new Manifest(store).read(1))!;
    expect(entry).toMatchObject({ files: [], blocks: 3, first: { slot: 5 }, last: { slot: 9 } });
  });

  test("of blocks that are not final is refused", async () => {
    const sink = await opened();
    const refused = sink.commit(step(null, block(11), 10), rollOf([block(10), block(11)]));
    await expect(refused).rejects.toMatchObject({ code: "LAKE_NOT_FINAL" });
    expect(await store.list("")).toEqual([]);
  });

  test("of rows of an unknown dataset, or another version of one, is refused", async () => {
    const sink = await opened({ datasets: [{ ...TRADES, version: 9 }] });
    await expect(sink.commit(step(null, block(10)), rollOf([block(10)]))).rejects.toMatchObject({
      code: "LAKE_DATASET",
    });
  });

  test("of blocks that the lake holds already is refused", async () => {
    const sink = await opened();
    await sink.commit(step(null, block(10)), rollOf([block(10)]));
    const again = sink.commit(step(block(10), block(11)), rollOf([block(10), block(11)]));
    await expect(again).rejects.toMatchObject({ code: "LAKE_ORDER" });
  });

  test("leaves nothing in the work folder", async () => {
    const sink = await opened();
    await sink.commit(step(null, block(10)), rollOf([block(10)]));
    const [folder] = await readdir(join(root, "work"));
    expect(await readdir(join(root, "work", folder!))).toEqual([]);
    await sink.close();
    expect(await readdir(join(root, "work"))).toEqual([]);
  });
});

test("a damaged file under the name of one to be written is not taken for it", async () => {
  const sink = await opened();
  await sink.commit(step(null, block(10)), rollOf([block(10)]));
  const { entry } = (await new Manifest(store).read(1))!;
  await store.delete("manifest/0000000001.json");
  await Bun.write((await store.localPath(entry.files[0]!.key))!, "rot");
  const next = await opened();
  await expect(next.commit(step(null, block(10)), rollOf([block(10)]))).rejects.toMatchObject({
    code: "LAKE_FILE_TAKEN",
  });
});

test("lineages take turns; each goes on from its own position", async () => {
  const live = await opened();
  const backfill = await opened({ lineage: { ...LIVE, kind: "backfill", start: 0, stop: 100 } });
  await live.commit(step(null, block(200)), rollOf([block(200)]));
  await backfill.commit(step(null, block(10)), rollOf([block(10)]));
  await backfill.commit(step(block(10), block(11)), rollOf([block(11)]));
  await live.commit(step(block(200), block(201)), rollOf([block(201)]));
  const entries = await Array.fromAsync(new Manifest(store).after(null));
  expect(entries.map(({ entry }) => [entry.lineage.kind, entry.lineagePrevious, entry.from?.slot])).toEqual([
    ["live", null, undefined],
    ["backfill", null, undefined],
    ["backfill", 2, 10],
    ["live", 1, 200],
  ]);
  expect((await tradesIn(store)).map((b) => b.slot)).toEqual([10, 11, 200, 201]);
});

test("an undo above the position is nothing to the lake; below it, it is fatal", async () => {
  const sink = await opened();
  await sink.rollback(step(null, block(5)));
  await sink.commit(step(null, block(10)), rollOf([block(10)]));
  await sink.rollback(step(block(10), block(12)));
  await expect(sink.rollback(step(block(10), { ...block(10), hash: "fork" }))).rejects.toBeInstanceOf(Fatal);
  await expect(sink.rollback(step(block(10), block(9)))).rejects.toMatchObject({ code: "UNDO_BELOW_FINAL" });
});

test("it tells what it wrote", async () => {
  const sink = await opened();
  expect(sink.stats()).toEqual({ entries: 0, files: 0, rows: 0, bytes: 0, manifestNumber: 0, slot: -1 });
  await sink.commit(step(null, block(11)), rollOf([block(10), block(11)]));
  const { entry } = (await new Manifest(store).read(1))!;
  const bytes = entry.files[0]!.bytes;
  expect(sink.stats()).toEqual({ entries: 1, files: 1, rows: 2, bytes, manifestNumber: 1, slot: 11 });
});
