/**
 * Goal: the lake gives back exactly the rows that were archived, in the order of the chain, a whole slot at a time, and only
 * those of the lanes, slots and source that are asked for. Method: random rows of every type through Parquet and back;
 * small lakes of trades with several sources, compaction, and files of older columns.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { laneOf } from "../../pipeline/shards.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { base58 } from "./base58.ts";
import { type ChainRowsOptions, chainFiles, readChainRows } from "./chain-rows.ts";
import { compactLake } from "./compaction.ts";
import { LakeFolder, LIVE, positionOf, stepOf, testBlock } from "./lake-fixture.ts";
import { historyOf, LakeReader } from "./reader.ts";
import { EVERYTHING, everythingRow, tableOf, tradeRow, tradeTable } from "./rows-fixture.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

/** `between`: done after each piece. */
async function read(
  changes: Partial<ChainRowsOptions> = {},
  source = "main",
  between = (): void => undefined,
): Promise<RowBatch[]> {
  const history = historyOf(await new LakeReader(lake.store).read(), source)!;
  const workDir = join(lake.root, "work");
  const options = { store: lake.store, history, datasets: [TRADES, EVERYTHING], aboveSlot: -1, workDir, ...changes };
  const pieces: RowBatch[] = [];
  for await (const piece of readChainRows(options)) {
    pieces.push(piece);
    between();
  }
  return pieces;
}

type Plain = Record<string, Cell | number[]>;

const rowsOf = (pieces: readonly RowBatch[], dataset: string): Plain[] =>
  pieces.flatMap(({ tables }) => {
    const table = tables.get(dataset);
    return table === undefined ? [] : Array.from({ length: table.length }, (_, i) => plain(table, i));
  });

/** Comparable: NaN and -0 do not occur, floats of 32 bits are rounded already. */
const plain = (table: Table, row: number): Plain =>
  Object.fromEntries(
    Object.entries(table.row(row)).map(([name, cell]) => [name, cell instanceof Uint8Array ? [...cell] : cell]),
  );

const place = (row: Plain) => [row["slot"], row["tx_index"], row["event_index"]].map(Number);

test("every type comes back as it was, in the order of the chain", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(everythingRow, { minLength: 1, maxLength: 30 }), async (rows) => {
      const own = await LakeFolder.make();
      try {
        const distinct = new Map(rows.map((row) => [place(row).join(), row]));
        const ordered = [...distinct.values()].sort((a, b) => {
          const [x, y] = [place(a), place(b)];
          return x[0]! - y[0]! || x[1]! - y[1]! || x[2]! - y[2]!;
        });
        const table = tableOf(EVERYTHING, ordered);
        const sink = await own.open();
        const [first, last] = [testBlock(Number(ordered[0]!["slot"])), testBlock(140)];
        const segment = { first, last, blocks: 1, tables: [table] };
        await sink.commit(stepOf(null, last), { segments: [segment] });
        const history = historyOf(await new LakeReader(own.store).read(), "main")!;
        const workDir = join(own.root, "work");
        const options = { store: own.store, history, datasets: [EVERYTHING], aboveSlot: -1, workDir };
        const pieces = await Array.fromAsync(readChainRows(options));
        expect(rowsOf(pieces, "everything")).toEqual(ordered.map((_, i) => plain(table, i)));
      } finally {
        await own.dispose();
      }
    }),
    { numRuns: 15 },
  );
}, 300_000);

test("says where the lineage stands, and hands out each slot whole and once", async () => {
  await lake.fill([
    [10, 11, 14],
    [15, 20],
  ]);
  const history = historyOf(await new LakeReader(lake.store).read(), "main")!;
  expect(history).toMatchObject({ firstSlot: 10, position: positionOf(testBlock(20)), time: testBlock(20).time });
  expect(history.recent).toEqual([{ slot: 20, hash: "20a" }]);
  const pieces = await read();
  expect(pieces.flatMap(({ blocks }) => blocks.map((b) => [b.slot, b.time, b.finalSlot]))).toEqual(
    [10, 11, 14, 15, 20].map((slot) => [slot, testBlock(slot).time, 20]),
  );
  expect(rowsOf(pieces, "trades").map((row) => row["kind"])).toEqual(["10a", "11a", "14a", "15a", "20a"]);
  expect(rowsOf(await read({ aboveSlot: 14 }), "trades").map((row) => Number(row["slot"]))).toEqual([15, 20]);
  expect(await read({ aboveSlot: 20 })).toEqual([]);
});

test("a slot with more rows than are held ahead comes whole", async () => {
  const rows = [10, 11, 12].flatMap((slot) =>
    Array.from({ length: slot === 11 ? 20_000 : 3_000 }, (_, i) =>
      tradeRow(slot * 100_000 + i, slot, 1_700_000_000, i),
    ),
  );
  const sink = await lake.open();
  const [first, last] = [testBlock(10, 1_700_000_000), testBlock(12, 1_700_000_000)];
  const tables = [tradeTable(rows)];
  await sink.commit(stepOf(null, last), { segments: [{ first, last, blocks: 3, tables }] });
  const pieces = await read({}, "main", () => Bun.gc(true));
  const slots = pieces.map(({ tables }) => new Set(rowsOf([{ blocks: [], tables }], "trades").map((r) => r["slot"])));
  for (const [i, own] of slots.entries())
    for (const other of slots.slice(i + 1)) expect(own.isDisjointFrom(other)).toBe(true);
  const ordered = tradeTable(rows);
  expect(rowsOf(pieces, "trades")).toEqual(rows.map((_, i) => plain(ordered, i)));
}, 300_000);

test("rows of some lanes only, by the rule that deals them out", async () => {
  const slots = Array.from({ length: 60 }, (_, i) => 10 + i);
  await lake.fill([slots]);
  const all = rowsOf(await read(), "trades");
  const laneOfRow = (row: Plain) =>
    row["mint"] === null ? 0 : laneOf(base58(Uint8Array.from(row["mint"] as number[]), 0, 32), 4);
  for (const wanted of [[0], [1, 3], [0, 1, 2, 3]]) {
    const own = rowsOf(await read({ lanes: { count: 4, wanted } }), "trades");
    expect(own).toEqual(all.filter((row) => wanted.includes(laneOfRow(row))));
  }
});

test("only a source's own rows, and none from before its live lineage", async () => {
  await lake.fill([[30, 31]]);
  await lake.fill([[30, 32]], { lineage: { ...LIVE, source: "other" } });
  await lake.fill([[5, 29]], { lineage: { ...LIVE, kind: "backfill", start: 5, stop: 30 } });
  const slots = (pieces: readonly RowBatch[]) => rowsOf(pieces, "trades").map((row) => Number(row["slot"]));
  expect(slots(await read())).toEqual([30, 31]);
  expect(slots(await read({}, "other"))).toEqual([30, 32]);
  expect(historyOf(await new LakeReader(lake.store).read(), "nobody")).toBeNull();
});

test("compacted files say the same", async () => {
  await lake.fill([[10, 11], [12], [13, 14], [86_410]]);
  const before = rowsOf(await read(), "trades");
  const done = await compactLake({ store: lake.store, workDir: join(lake.root, "work") });
  expect(done.length).toBeGreaterThan(0);
  expect(rowsOf(await read(), "trades")).toEqual(before);
});

test("columns that came later are null in older files; other columns are refused", async () => {
  await lake.fill([[10, 11]]);
  const later = {
    ...TRADES,
    columns: [...TRADES.columns, { name: "fee", type: "u64", nullable: true, doc: "" }],
  } as const;
  expect(rowsOf(await read({ datasets: [later] }), "trades").map((row) => row["fee"])).toEqual([null, null]);
  const history = historyOf(await new LakeReader(lake.store).read(), "main")!;
  const changed = [
    { ...TRADES, version: 2 },
    { ...TRADES, columns: TRADES.columns.map((c) => (c.name === "kind" ? { ...c, type: "u8" as const } : c)) },
    { ...TRADES, columns: [...TRADES.columns, { name: "fee", type: "u64" as const, doc: "" }] },
  ];
  for (const spec of changed) {
    const files = () => chainFiles({ history, datasets: [spec], aboveSlot: -1 });
    expect(files).toThrow(expect.objectContaining({ code: "LAKE_COLUMNS" }));
  }
});
