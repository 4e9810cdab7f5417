/**
 * SQL over lake and hot stores. Goal: every row exactly once, exact in every type, from the files that the manifest names
 * and no others; and a query reaches nothing else. Method: a real lake and real hot rows; what SQL says is compared with
 * the rows that were put in.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import bs58 from "bs58";
import fc from "fast-check";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { ColumnType, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { SluiceError } from "../../pipeline/errors.ts";
import type { BlockMeta } from "../../pipeline/position.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { candle, Lane } from "../hot/store-fixture.ts";
import { LakeFolder, LIVE, positionOf, rollOf, segmentOf, stepOf, testBlock } from "../lake/lake-fixture.ts";
import { EVERYTHING, everythingRow, tableOf, tradeRow, tradeTable } from "../lake/rows-fixture.ts";
import { type AnalyticsOptions, type HotSource, lakeView, openAnalytics } from "./analytics.ts";
import { localHotSource } from "./hot-source.ts";
import type { SqlValue } from "./values.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

const CATALOG = new Map([TRADES, EVERYTHING].map((spec) => [spec.name, spec]));

function analytics(changes: Partial<AnalyticsOptions> = {}) {
  const workDir = join(lake.root, "sql");
  return openAnalytics({
    lake: lakeView(lake.store),
    catalog: CATALOG,
    state: [CANDLES],
    workDir,
    threads: 1,
    ...changes,
  });
}

/** Hot stores that hold these rows, and keep to the contract: only rows above the slot asked for. */
function hotSource(
  rows: Readonly<Record<string, Table>>,
  options: { source?: string; finalSlot?: number; asked?: [string, number][] } = {},
): HotSource {
  return {
    source: options.source ?? "main",
    stands: async () => [{ name: "lane 0", position: positionOf(testBlock(99)), finalSlot: options.finalSlot ?? 0 }],
    async *rows(dataset, aboveSlot) {
      options.asked?.push([dataset, aboveSlot]);
      const table = rows[dataset];
      if (table === undefined) return;
      if (!table.spec.columns.some((c) => c.name === "slot")) {
        yield table;
        return;
      }
      const slot = table.column("slot");
      for (let row = 0; row < table.length; row++) if (slot.number(row) > aboveSlot) yield table.take([row]);
    },
  };
}

const tradesAt = (slots: readonly number[]) =>
  tradeTable(slots.map((slot) => tradeRow(slot, slot, testBlock(slot).time)));

async function rows(sql: string, changes: Partial<AnalyticsOptions> = {}): Promise<readonly (readonly SqlValue[])[]> {
  return (await analytics(changes).query(sql)).rows;
}

describe("rows", () => {
  test("come from the lake up to its position, and from the hot stores above it", async () => {
    await lake.fill([[10, 11], [12]]);
    const asked: [string, number][] = [];
    const hot = [hotSource({ trades: tradesAt([11, 12, 13, 14]) }, { finalSlot: 13, asked })];
    expect(await rows("SELECT slot, final FROM trades ORDER BY slot", { hot })).toEqual([
      [10n, true],
      [11n, true],
      [12n, true],
      [13n, true],
      [14n, false],
    ]);
    expect(asked).toEqual([["trades", 12]]);
  });

  test("of several sources meet each at its own position", async () => {
    await lake.fill([[10, 11]], { lineage: { ...LIVE, source: "a" } });
    await lake.fill([[20, 30]], { lineage: { ...LIVE, source: "b" } });
    const hot = [
      hotSource({ trades: tradesAt([11, 12, 25]) }, { source: "a" }),
      hotSource({ trades: tradesAt([30, 31]) }, { source: "b" }),
      hotSource({ trades: tradesAt([1]) }, { source: "new" }),
    ];
    const found = await rows("SELECT slot FROM trades ORDER BY slot", { hot });
    expect(found.map(([slot]) => Number(slot))).toEqual([1, 10, 11, 12, 20, 25, 30, 31]);
  });

  test("of one source are its files' and its hot stores' alone", async () => {
    await lake.fill([[10, 11]], { lineage: { ...LIVE, source: "a" } });
    await lake.fill([[20, 30]], { lineage: { ...LIVE, source: "b" } });
    const hot = [hotSource({ trades: tradesAt([11, 12, 25]) }, { source: "a" })];
    const found = await analytics({ lake: lakeView(lake.store, "a"), hot }).query("SELECT slot FROM trades ORDER BY 1");
    expect(found.rows.map(([slot]) => Number(slot))).toEqual([10, 11, 12, 25]);
    expect(found.seen.lineages).toEqual([{ source: "a", kind: "live", dataset: "all", slot: 11 }]);
    const sql = "SELECT slot FROM trades ORDER BY 1";
    expect(await rows(sql, { lake: lakeView(lake.store, "b") })).toEqual([[20n], [30n]]);
  });

  test("that hot stores alone hold are refused when one is missing and the lake has something of its source", async () => {
    const missing = () => [{ name: "lane 1", file: "/hot/lane-1.sqlite" }];
    const hot = [{ ...hotSource({ candles: tableOf(CANDLES, [{ ...candle(1, 60, 5n) }]) }), missing }];
    const of = (sql: string) => rows(sql, { hot }).catch((error: SluiceError) => [error.code, error.kind, error.where]);
    expect(await of("SELECT count(*) FROM candles")).toEqual([[1n]]);
    await lake.fill([[9]], { lineage: { ...LIVE, source: "another" } });
    expect(await of("SELECT count(*) FROM candles")).toEqual([[1n]]);
    await lake.fill([[10]]);
    const refused = ["HOT_MISSING", "transient", "/hot/lane-1.sqlite"];
    for (const sql of [
      "SELECT count(*) FROM candles",
      "SELECT t.slot FROM trades t, candles c WHERE c.time > t.slot",
    ]) {
      expect(await of(sql)).toEqual(refused);
    }
    // Events are told from the lake, and a name alone reads nothing.
    expect(await of("SELECT count(*) AS candles FROM trades")).toEqual([[2n]]);
    expect(await of("DESCRIBE candles")).toHaveLength(CANDLES.columns.length);
  });

  test("of a backfill do not hide those of the hot stores", async () => {
    await lake.fill([[500]], { lineage: { ...LIVE, kind: "backfill", start: 500, stop: 600 } });
    const hot = [hotSource({ trades: tradesAt([40]) })];
    expect(await rows("SELECT slot FROM trades ORDER BY slot", { hot })).toEqual([[40n], [500n]]);
  });

  test("of files that the manifest does not name are not seen", async () => {
    await lake.fill([[10]]);
    const [file] = await lake.store.list("dataset=trades/");
    const path = (await lake.store.localPath(file!))!;
    await copyFile(path, path.replace("10-10-", "10-11-"));
    expect(await rows("SELECT count(*) FROM trades")).toEqual([[1n]]);
  });

  test("are exact in every type, from the lake and from hot stores alike", async () => {
    const expected = (row: Record<string, Cell>): SqlValue[] =>
      EVERYTHING.columns.map(({ name, type }) => plain(type, row[name]!));
    await fc.assert(
      fc.asyncProperty(fc.array(everythingRow, { minLength: 2, maxLength: 8 }), async (cells) => {
        const folder = await LakeFolder.make();
        const sorted = cells.map((row, i): Record<string, Cell> => ({ ...row, slot: 100 + i, event_index: i }));
        const half = sorted.length >> 1;
        const block = testBlock(100 + half - 1);
        const sink = await folder.open();
        const tables = [tableOf(EVERYTHING, sorted.slice(0, half))];
        const segment = { first: testBlock(100), last: block, blocks: half, tables };
        await sink.commit(stepOf(null, block), { segments: [segment] });
        const hot = [hotSource({ everything: tableOf(EVERYTHING, sorted) })];
        const select = EVERYTHING.columns.map((c) => `"${c.name}"`).join(", ");
        const found = await rows(`SELECT ${select} FROM everything ORDER BY event_index`, {
          lake: lakeView(folder.store),
          hot,
        });
        expect(found).toEqual(sorted.map(expected));
        await folder.dispose();
      }),
      { numRuns: 12 },
    );
  });

  test("of 128 bits add up exactly", async () => {
    await lake.fill([[10, 11, 12]]);
    const prices = [10, 11, 12].map((n) => tradeRow(n, n, 0)["price"] as bigint);
    const [sum, max] = [prices.reduce((a, b) => a + b), prices.at(-1)!];
    const result = await analytics().query("SELECT sum(price::HUGEINT) AS sum, max(price) AS max FROM trades");
    expect(result.rows).toEqual([[sum, max]]);
    expect(result.columns).toEqual([
      { name: "sum", type: "HUGEINT" },
      { name: "max", type: "UHUGEINT" },
    ]);
  });

  test("have a date, which opens only the files of its days", async () => {
    const days = [0, 1, 2].map((day): BlockMeta => testBlock(10 + day, 1_700_006_400 + day * 86_400));
    const sink = await lake.open();
    await sink.commit(stepOf(null, days[2]!), { segments: days.map((block) => segmentOf([block])) });
    const hot = [hotSource({ trades: tradeTable([tradeRow(1, 13, 1_700_006_400 + 86_400)]) })];
    const sql = "SELECT slot, date FROM trades WHERE date = '2023-11-16' ORDER BY slot";
    expect(await rows(sql, { hot })).toEqual([
      [11n, "2023-11-16"],
      [13n, "2023-11-16"],
    ]);
    // The file of another day is damaged, and not missed. (The first one is always opened, for its columns.)
    const [other] = await lake.store.list("dataset=trades/date=2023-11-17/");
    await Bun.write((await lake.store.localPath(other!))!, "damaged");
    expect(await rows(sql, { hot })).toHaveLength(2);
  });
});

function plain(type: ColumnType, cell: Cell): SqlValue {
  if (cell === null || typeof cell === "string" || typeof cell === "boolean") return cell;
  if (cell instanceof Uint8Array) {
    if (type === "bytes32" || type === "bytes64") return bs58.encode(cell);
    return new Uint8Array(cell);
  }
  return type === "u64" || type === "i64" ? BigInt(cell) : cell;
}

describe("datasets", () => {
  test("are there without rows, without files and without hot stores", async () => {
    expect(await rows("SELECT count(*) FROM trades")).toEqual([[0n]]);
    await expect(rows("SELECT count(*) FROM candles")).rejects.toMatchObject({ code: "HOT_LEFT_OUT" });
    expect((await rows("DESCRIBE candles")).length).toBeGreaterThan(5);
    const tables = await rows("SELECT table_name FROM information_schema.tables WHERE table_type = 'VIEW' ORDER BY 1");
    expect(tables).toEqual([["candles"], ["everything"], ["trades"]]);
    const described = await rows("DESCRIBE trades");
    expect(described.map(([name, type]) => [name, type])).toContainEqual(["price", "UHUGEINT"]);
  });

  test("of state are those of the hot stores", async () => {
    const hot = [
      hotSource({ candles: tableOf(CANDLES, [{ ...candle(1, 60, 2n ** 100n) }]) }),
      hotSource({ candles: tableOf(CANDLES, [{ ...candle(2, 60, 5n) }]) }, { source: "other" }),
    ];
    const found = await rows('SELECT mint, "interval", "time", close FROM candles ORDER BY close', { hot });
    expect(found).toEqual([
      [bs58.encode(new Uint8Array(32).fill(2)), 60, 60n, 5n],
      [bs58.encode(new Uint8Array(32).fill(1)), 60, 60n, 2n ** 100n],
    ]);
  });

  test("keep columns that were added or dropped: null where they were not written", async () => {
    await lake.fill([[10]]);
    const grown: DatasetSpec = {
      ...TRADES,
      columns: [
        ...TRADES.columns.filter((c) => c.name !== "kind"),
        { name: "fee", type: "u128", nullable: true, doc: "" },
      ],
    };
    const row = tradeRow(11, 11, testBlock(11).time);
    const hot = [hotSource({ trades: tableOf(grown, [{ ...row, fee: 2n ** 127n }]) })];
    const catalog = new Map([["trades", grown]]);
    expect(await rows("SELECT slot, fee FROM trades ORDER BY slot", { hot, catalog })).toEqual([
      [10n, null],
      [11n, 2n ** 127n],
    ]);
    await expect(rows("SELECT kind FROM trades", { hot, catalog })).rejects.toMatchObject({ code: "SQL_ERROR" });
  });

  test("that are not configured any more can still be read", async () => {
    await lake.fill([[10]]);
    const changes = { catalog: new Map([["everything", EVERYTHING]]) };
    expect(await rows("SELECT slot, is_buy, final FROM trades", changes)).toEqual([[10n, true, true]]);
    expect((await analytics(changes).datasets()).map((d) => d.name)).toEqual(["everything", "trades", "candles"]);
  });

  test("are read from real hot stores, lanes together", async () => {
    await lake.fill([[10]], { lineage: { ...LIVE, source: "hot" } });
    const lanes = [new Lane(), new Lane(), new Lane()];
    const slots = [9, 11, 12];
    for (const [i, lane] of lanes.slice(0, 2).entries()) {
      const store = await lane.opened();
      const blocks = slots.map((slot) => ({ slot, notes: [{ dataset: "trades" as const, mint: i + 1 }] }));
      await lane.commit(store, blocks, 11);
      await store.close();
    }
    const files = new Map(lanes.map((lane, i) => [`lane ${i}`, lane.file]));
    const result = await analytics({ hot: [localHotSource("hot", files)] }).query(
      "SELECT slot, count(*), bool_and(final) FROM trades GROUP BY slot ORDER BY slot",
    );
    expect(result.rows).toEqual([
      [10n, 1n, true],
      [11n, 2n, true],
      [12n, 2n, false],
    ]);
    expect(result.seen.hot.map((s) => [s.name, s.position?.slot ?? null, s.finalSlot])).toEqual([
      ["lane 0", 12, 11],
      ["lane 1", 12, 11],
      ["lane 2", null, 0],
    ]);
    for (const lane of lanes) lane.dispose();
  });
});

describe("a result", () => {
  test("says what it was answered from", async () => {
    await lake.fill([[10], [11]]);
    const { seen } = await analytics({ hot: [hotSource({}, { finalSlot: 5 })] }).query("SELECT 1");
    expect(seen).toEqual({
      lake: { number: 2, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      lineages: [{ source: "main", kind: "live", dataset: "all", slot: 11 }],
      hot: [{ source: "main", name: "lane 0", position: positionOf(testBlock(99)), finalSlot: 5 }],
      files: [],
    });
    expect(
      (await analytics({ lake: lakeView((await LakeFolder.make()).store) }).query("SELECT 1")).seen.lake,
    ).toBeNull();
  });

  test("is cut off at the limits, and says so", async () => {
    const all = await analytics().query("SELECT range FROM range(5000)");
    expect(all.rows).toHaveLength(5_000);
    expect(all.truncated).toBe(false);
    const few = await analytics().query("SELECT range FROM range(5000)", { maxRows: 7 });
    expect([few.rows.length, few.truncated, few.rows[6]]).toEqual([7, true, [6n]]);
    const exact = await analytics().query("SELECT range FROM range(7)", { maxRows: 7 });
    expect([exact.rows.length, exact.truncated]).toEqual([7, false]);
    const wide = await analytics().query("SELECT repeat('x', 1000) FROM range(5000)", { maxBytes: 10_000 });
    expect([wide.rows.length < 10, wide.truncated]).toEqual([true, true]);
  });

  test("sees what was committed since the last query", async () => {
    const sql = analytics();
    const sink = await lake.open();
    await sink.commit(stepOf(null, testBlock(10)), rollOf([testBlock(10)]));
    expect((await sql.query("SELECT count(*) FROM trades")).rows).toEqual([[1n]]);
    await sink.commit(stepOf(testBlock(10), testBlock(11)), rollOf([testBlock(11)]));
    const two = await Promise.all([1, 2, 3].map(() => sql.query("SELECT count(*) FROM trades")));
    expect(two.map((r) => r.rows)).toEqual([[[2n]], [[2n]], [[2n]]]);
  });

  test("of a query that is stopped is an error that says so", async () => {
    const stop = new AbortController();
    const running = analytics().query("SELECT count(*) FROM range(100000000) a, range(100000000) b", {
      signal: stop.signal,
    });
    setTimeout(() => stop.abort(), 100);
    await expect(running).rejects.toMatchObject({ code: "SQL_STOPPED" });
  });

  test("that needs too much memory is an error that says so", async () => {
    const big = analytics({ memoryMb: 48 }).query("SELECT list(repeat('x', 1000) || range) FROM range(1000000)");
    await expect(big).rejects.toMatchObject({ code: "SQL_MEMORY" });
  });
});

describe("a query is refused:", () => {
  const refused: [string, string][] = [
    ["reading a file", "SELECT * FROM read_text('/etc/passwd')"],
    ["reading a file by its name", "SELECT * FROM '/etc/passwd'"],
    ["reading a folder", "SELECT * FROM glob('/etc/*')"],
    ["writing a file", "COPY (SELECT 1) TO '/tmp/sluice-out.csv'"],
    ["writing a file while explaining", "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/sluice-out.csv'"],
    ["attaching a database", "ATTACH '/tmp/sluice-other.db' AS other"],
    ["loading an extension", "INSTALL httpfs"],
    ["changing a setting", "SET enable_external_access = true"],
    ["changing a setting by another name", "PRAGMA threads=4"],
    ["changing a view", "CREATE OR REPLACE VIEW trades AS SELECT 1"],
    ["calling a procedure", "CALL enable_logging()"],
    ["two statements", "SELECT 1; SELECT 2"],
    ["no statement", "  -- nothing"],
    ["no SQL", "what is the price of"],
    ["an unknown table", "SELECT * FROM nothing_of_the_kind"],
    ["the hand that feeds rows", "SELECT * FROM fed_rows()"],
    ["a dataset that is not spelled out", "SELECT * FROM query_table('tra' || 'des')"],
    ["more text than a query has", `SELECT ${"1,".repeat(40_000)} 1`],
  ];
  test.each(refused)("%s", async (_, sql) => {
    await lake.fill([[10]]);
    await expect(analytics().query(sql)).rejects.toMatchObject({ code: "SQL_ERROR" });
    expect(await Bun.file("/tmp/sluice-out.csv").exists()).toBe(false);
  });

  test("reading a file of the lake that the manifest does not name", async () => {
    await lake.fill([[10]]);
    const [file] = await lake.store.list("dataset=trades/");
    const path = (await lake.store.localPath(file!))!;
    const orphan = path.replace("10-10-", "10-11-");
    await copyFile(path, orphan);
    const sql = (from: string) => `SELECT count(*) FROM read_parquet('${from}') WHERE 'trades' = 'trades'`;
    expect(await rows(sql(path))).toEqual([[1n]]);
    await expect(rows(sql(orphan))).rejects.toMatchObject({ code: "SQL_ERROR" });
  });
});

test("a file that is gone is named", async () => {
  await lake.fill([[10]]);
  const [file] = await lake.store.list("dataset=trades/");
  await lake.store.delete(file!);
  const error = await rows("SELECT count(*) FROM trades").catch((e: unknown) => e);
  expect(error).toMatchObject({ code: "LAKE_FILE_MISSING" });
  expect((error as Error).message).toContain(file!);
});

test("no query leaves anything behind", async () => {
  const sql = analytics();
  await sql.query("SELECT 1");
  await sql.query("SELECT nonsense").catch(() => undefined);
  expect([...new Bun.Glob("**/*").scanSync({ cwd: join(lake.root, "sql"), onlyFiles: false })]).toEqual([]);
});
