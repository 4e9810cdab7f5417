/**
 * Goal: exactly the rows of one program in the slots that are known anew change, in one entry a stretch, and a lake that is
 * right is left as it is. Method: small lakes of trades of two programs, corrected by whole slots and by keys; compaction, a
 * rehearsal, a second revision and a competitor in between; `verify` has the last word on each.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import bs58 from "bs58";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { readChainRows } from "./chain-rows.ts";
import { compactLake } from "./compaction.ts";
import { type Correction, correctLake } from "./correction.ts";
import { Duck } from "./duckdb.ts";
import { LakeFolder, stepOf, testBlock, watchedStore } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { writeParquet } from "./parquet.ts";
import { historyOf, LakeReader } from "./reader.ts";
import { allRows, bytesOf, EVERYTHING, tradeRow, tradeTable } from "./rows-fixture.ts";
import { verifyLake } from "./verify.ts";

let lake: LakeFolder;
let duck: Duck;
let files = 0;
beforeEach(async () => {
  lake = await LakeFolder.make();
  await mkdir(join(lake.root, "work"), { recursive: true });
  duck = await Duck.open({ spillDir: join(lake.root, "work") });
});
afterEach(async () => {
  duck.close();
  await lake.dispose();
});

const [OURS, OTHERS] = [bytesOf(1, 32), bytesOf(2, 32)];
type Row = Record<string, Cell>;

/** Two trades a slot: one of our program, one of another's. */
const rowsAt = (slot: number, ours: Row = {}): Row[] => [
  { ...tradeRow(slot * 2, slot, testBlock(slot).time, 0), program: OURS, kind: "wrong", ...ours },
  { ...tradeRow(slot * 2 + 1, slot, testBlock(slot).time, 1), program: OTHERS, kind: "other" },
];

async function fill(...rolls: readonly (readonly number[])[]): Promise<void> {
  const sink = await lake.open();
  let prev = null as ReturnType<typeof testBlock> | null;
  for (const slots of rolls) {
    const blocks = slots.map((slot) => testBlock(slot));
    const tables = [tradeTable(slots.flatMap((slot) => rowsAt(slot)))];
    const [first, last] = [blocks[0]!, blocks.at(-1)!];
    await sink.commit(stepOf(prev, last, last.slot, blocks), {
      segments: [{ first, last, blocks: blocks.length, tables }],
    });
    prev = last;
  }
}

async function part(rows: readonly Row[]): Promise<string> {
  const path = join(lake.root, "work", `part-${files++}.parquet`);
  const table = tradeTable(rows);
  await writeParquet(duck, table, allRows(table), path);
  return path;
}

async function correct(correction: Partial<Correction>, range = { first: 0, last: 1_000_000 }, dryRun = false) {
  return correctLake({
    ...{ store: lake.store, source: "main", range, duck, folder: join(lake.root, "work"), dryRun },
    datasets: [TRADES, EVERYTHING],
    correction: { program: bs58.encode(OURS), whole: [], reread: [], parts: new Map(), ...correction },
    onStretch: () => undefined,
  });
}

async function kinds(): Promise<[number, string][]> {
  const history = historyOf(await new LakeReader(lake.store).read(), "main")!;
  const found: [number, string][] = [];
  const options = { store: lake.store, history, datasets: [TRADES], aboveSlot: -1, workDir: join(lake.root, "work") };
  for await (const { tables } of readChainRows(options)) {
    const table = tables.get("trades")!;
    for (let i = 0; i < table.length; i++) found.push([table.column("slot").number(i), table.column("kind").string(i)]);
  }
  return found;
}

const sound = async () => {
  const { ok, findings } = await verifyLake(lake.store, { deep: true, workDir: join(lake.root, "work") });
  expect({ ok, errors: findings.filter(({ severity }) => severity === "error") }).toEqual({ ok: true, errors: [] });
};
const entryCount = async () => (await new LakeReader(lake.store).read()).head!.number;
const right = (slot: number) => rowsAt(slot, { kind: "right" })[0]!;

test("whole slots: our rows are replaced, others stay, slots beyond stay; again changes nothing", async () => {
  await fill([10, 11], [12, 13], [14]);
  const whole = [{ first: 11, last: 13 }];
  const parts = new Map([["trades", [await part([right(11), right(13), right(14)])]]]);
  const rehearsal = await correct({ whole, parts }, { first: 11, last: 13 }, true);
  expect(rehearsal.map(({ rowsGone, rowsCome }) => [rowsGone, rowsCome])).toEqual([
    [1, 1],
    [2, 1],
  ]);
  expect(await entryCount()).toBe(3);
  const done = await correct({ whole, parts }, { first: 11, last: 13 });
  expect(done.map(({ slots }) => slots)).toEqual([
    { first: 10, last: 11 },
    { first: 12, last: 13 },
  ]);
  expect(await kinds()).toEqual([
    [10, "wrong"],
    [10, "other"],
    [11, "right"],
    [11, "other"],
    [12, "other"],
    [13, "right"],
    [13, "other"],
    [14, "wrong"],
    [14, "other"],
  ]);
  await sound();
  expect(await correct({ whole, parts }, { first: 11, last: 13 })).toEqual([]);
  expect(await entryCount()).toBe(5);
});

test("by key: what was read again is void, wherever it is; new rows come in its place", async () => {
  await fill([10, 11], [12]);
  const reread = [await part([right(11), right(12)])];
  const parts = new Map([["trades", [await part([right(11)])]]]);
  await correct({ reread, parts });
  expect((await kinds()).filter(([, kind]) => kind !== "other")).toEqual([
    [10, "wrong"],
    [11, "right"],
  ]);
  await sound();
});

test("a range may be corrected any number of times; each is a revision, and a file without rows is gone", async () => {
  await fill([10]);
  const range = { first: 10, last: 10 };
  for (const kind of ["better", "best"]) {
    const parts = new Map([["trades", [await part([rowsAt(10, { kind })[0]!])]]]);
    await correct({ whole: [range], parts }, range);
  }
  expect((await kinds())[0]).toEqual([10, "best"]);
  const entries = await Array.fromAsync(new Manifest(lake.store).after(null));
  expect(entries.slice(1).map(({ entry }) => entry.lineage)).toMatchObject([
    { kind: "redecode", start: 10, stop: 11, revision: 1 },
    { kind: "redecode", start: 10, stop: 11, revision: 2 },
  ]);
  await sound();
  await correct({ program: bs58.encode(OTHERS), whole: [range] }, range);
  await correct({ whole: [range] }, range);
  expect((await new LakeReader(lake.store).read()).files.get("trades") ?? []).toEqual([]);
  await sound();
});

test("compacted files are corrected whole; what ends in between leaves the lake as it was", async () => {
  await fill([10, 11], [12], [13, 14], [86_410]);
  await compactLake({ store: lake.store, workDir: join(lake.root, "work") });
  const parts = new Map([["trades", [await part([right(12)])]]]);
  const whole = [{ first: 12, last: 12 }];
  await correct({ whole, parts });
  expect((await kinds()).filter(([slot]) => slot === 12)).toEqual([
    [12, "right"],
    [12, "other"],
  ]);
  await sound();
  const again = new Map([["trades", [await part([rowsAt(12, { kind: "again" })[0]!])]]]);
  const racing = correctLake({
    ...{ source: "main", range: { first: 0, last: 99 }, duck, folder: join(lake.root, "work") },
    ...{ dryRun: false, datasets: [TRADES], onStretch: () => undefined },
    store: watchedStore(lake.store, (operation, key) => {
      if (operation === "put" && key.startsWith("dataset=")) throw new Fatal("LAKE_FILE_TAKEN", "in between");
    }),
    correction: { program: bs58.encode(OURS), whole, reread: [], parts: again },
  });
  const before = await entryCount();
  await expect(racing).rejects.toMatchObject({ code: "LAKE_FILE_TAKEN" });
  expect(await entryCount()).toBe(before);
  await sound();
});

test("rows of whose instruction nothing comes are told from those that are replaced", async () => {
  await fill([10, 11, 12, 13]);
  const whole = [
    { first: 10, last: 11 },
    { first: 13, last: 13 },
  ];
  const parts = new Map([["trades", [await part([right(10)])]]]);
  const [change] = await correct({ whole, parts }, undefined, true);
  expect(change).toMatchObject({ rowsGone: 3, rowsCome: 1, rowsRemoved: 2, rowsCompared: 3 });
});

test("rows that are put back as they once were are in the lake, though the file they were in was replaced", async () => {
  await fill([10]);
  const range = { first: 10, last: 10 };
  for (const kind of ["right", "other way", "right", "other way", "right"]) {
    const parts = new Map([["trades", [await part([rowsAt(10, { kind })[0]!])]]]);
    await correct({ whole: [range], parts }, range);
    expect((await kinds())[0]).toEqual([10, kind]);
    expect(await correct({ whole: [range], parts }, range)).toEqual([]);
  }
  await sound();
});
