/**
 * Goal: SQL on this host sees the lake and, above it, the rows of all its lanes once; formats and messages go where they
 * belong. Method: a small lake and two lanes made by their own writers, in temporary folders; a fixed result for the
 * formats.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, loadConfig, sourceConfigs } from "../pipeline/config.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { type Analytics, lakeView, openAnalytics, type QueryResult } from "../storage/analytics/analytics.ts";
import { laneFile } from "../storage/hot/file.ts";
import { STATE_TABLES } from "../storage/hot/layout.ts";
import { HotStore } from "../storage/hot/store.ts";
import { batch, CATALOG, stepOf } from "../storage/hot/store-fixture.ts";
import { Duck } from "../storage/lake/duckdb.ts";
import { LakeFolder, LIVE } from "../storage/lake/lake-fixture.ts";
import { entryKey } from "../storage/lake/manifest.ts";
import { EVERYTHING } from "../storage/lake/rows-fixture.ts";
import { LocalLanes } from "./local-lanes.ts";
import { BufferOutput } from "./output.ts";
import { mustBeWritable, openStores, runSql, type SqlOptions, type StoresOptions } from "./sql.ts";

async function run(options: Pick<SqlOptions, "sql" | "analytics"> & Partial<SqlOptions>) {
  const [stdout, stderr] = [new BufferOutput(), new BufferOutput()];
  await runSql({ format: "json", maxRows: 100, files: false, timing: false, ...options }, { stdout, stderr });
  return { stdout: stdout.text, stderr: stderr.text };
}

describe("the lake and two lanes", () => {
  const hotFolder = mkdtempSync(join(tmpdir(), "sluice-sql-"));
  let lake: LakeFolder;
  let lanes: LocalLanes;
  let analytics: Analytics;

  /** A lane with one trade in each of some blocks. */
  async function fillLane(lane: number, slots: readonly number[], folder = hotFolder, lanes = 4): Promise<void> {
    const store = new HotStore({ file: laneFile(folder, lane), lane: { lane, lanes }, catalog: CATALOG });
    await store.open();
    const blocks = slots.map((slot) => ({ slot, notes: [{ dataset: "trades" as const, mint: lane + 1 }] }));
    await store.commit(stepOf(null, blocks, 0), batch(blocks));
    await store.close();
  }

  beforeAll(async () => {
    lake = await LakeFolder.make();
    await lake.fill([
      [1, 2, 3],
      [4, 5],
    ]);
    await fillLane(0, [4, 5, 6, 8]);
    await fillLane(1, [5, 6, 7]);
    // Lane 2 belongs to another host, or is lost; lane 3 has been made, but holds nothing yet.
    writeFileSync(laneFile(hotFolder, 3), "");
    lanes = new LocalLanes("main", hotFolder, 4);
    analytics = openAnalytics({ ...options(), hot: [lanes] });
  });
  const options = () => ({
    lake: lakeView(lake.store),
    catalog: new Map([...CATALOG, [EVERYTHING.name, EVERYTHING]]),
    state: STATE_TABLES.map(({ spec }) => spec),
    workDir: join(lake.root, "sql"),
  });
  afterAll(async () => {
    lanes.close();
    await lake.dispose();
    rmSync(hotFolder, { recursive: true });
  });

  test("each event counts once: the lake's, and hot ones above it, of every lane", async () => {
    const sql = "select slot::INTEGER as slot, count(*)::INTEGER as n from trades group by slot order by slot";
    const { stdout, stderr } = await run({ sql, analytics });
    expect(JSON.parse(stdout)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((slot) => ({ slot, n: slot === 6 ? 2 : 1 })));
    expect(stderr).toBe(
      "answered from the lake at entry 2 (live main up to slot 5); lane 0 at slot 8; lane 1 at slot 7\n",
    );
  });

  test("a dataset that no lane keeps, and state", async () => {
    expect((await run({ sql: "select count(*) from everything", analytics, format: "csv" })).stdout).toEndWith(
      "\r\n0\r\n",
    );
    const whole = join(hotFolder, "whole");
    await fillLane(0, [4, 5], whole, 1);
    const ofAll = openAnalytics({ ...options(), hot: [new LocalLanes("main", whole, 1)] });
    expect((await run({ sql: "select count(*) as n from candles", analytics: ofAll, format: "csv" })).stdout).toBe(
      "n\r\n0\r\n",
    );
    const ofSome = await run({ sql: "select count(*) as n from candles", analytics }).catch((e: SluiceError) => e);
    expect(ofSome).toMatchObject({ code: "HOT_MISSING", where: laneFile(hotFolder, 2) });
  });

  test("a query at fault is an error, not a result", async () => {
    for (const sql of [
      "selec 1",
      "delete from trades",
      "select 1; select 2",
      "select * from read_text('/etc/passwd')",
    ]) {
      expect(
        await run({ sql, analytics }).then(
          () => "answered",
          (e: SluiceError) => e.code,
        ),
      ).toBe("SQL_ERROR");
    }
  });

  test("--explain-files names what was opened and what was ruled out; --timing the time", async () => {
    const { stderr } = await run({ sql: "select * from trades where slot < 3", analytics, files: true, timing: true });
    const [, counted, opened, ruledOut, took] = stderr.split("\n");
    expect(counted).toBe("trades: 1 of 2 files opened");
    expect(opened).toMatch(/^ {2}\+ dataset=trades\/.*\/1-3-/);
    expect(ruledOut).toMatch(/^ {2}- dataset=trades\/.*\/4-5-/);
    expect(took).toMatch(/^took \d+\.\d{3} s$/);
  });

  test("--parquet replaces no file unasked, and says at once that a folder is missing", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-sql-out-"));
    const there = join(folder, "there.parquet");
    writeFileSync(there, "mine");
    expect(() => mustBeWritable(there, false)).toThrow(
      expect.objectContaining({ code: "FILE_KIND", where: there, hint: expect.stringContaining("--force") }),
    );
    expect(() => mustBeWritable(there, true)).not.toThrow();
    expect(() => mustBeWritable(folder, true)).toThrow(expect.objectContaining({ code: "FILE_KIND" }));
    expect(() => mustBeWritable(join(folder, "new.parquet"), false)).not.toThrow();
    expect(() => mustBeWritable(join(folder, "none", "x.parquet"), true)).toThrow(
      expect.objectContaining({ code: "FILE_MISSING", where: join(folder, "none") }),
    );
    rmSync(folder, { recursive: true });
  });

  test("--parquet writes all of it, whatever --max-rows says, and nothing but the file", async () => {
    const parquet = join(hotFolder, "out", "trades.parquet");
    mkdirSync(join(hotFolder, "out"));
    const sql = "select slot, mint from trades order by slot; ";
    const { stdout } = await run({ sql, analytics, parquet, maxRows: 1 });
    expect(stdout).toBe(`9 rows in ${parquet}\n`);
    expect(readdirSync(join(hotFolder, "out"))).toEqual(["trades.parquet"]);
    const duck = await Duck.open();
    const [row] = await duck.rows(`SELECT count(*), min(slot), max(slot), count(mint) FROM '${parquet}'`);
    duck.close();
    expect(row).toEqual([9n, 1n, 8n, 9n]);
    const failed = run({ sql: "select nothing from trades", analytics, parquet: join(hotFolder, "out", "no.parquet") });
    expect(await failed.catch((e: SluiceError) => e.code)).toBe("SQL_ERROR");
    expect(readdirSync(join(hotFolder, "out"))).toEqual(["trades.parquet"]);
  });

  test("cut off at --max-rows, and said so", async () => {
    const { stdout, stderr } = await run({ sql: "select slot from trades", analytics, maxRows: 3, format: "csv" });
    expect(stdout.split("\r\n").length).toBe(1 + 3 + 1);
    expect(stderr).toContain("cut off after 3 rows");
  });
});

describe("what there is to ask", () => {
  let lake: LakeFolder;
  beforeEach(async () => {
    lake = await LakeFolder.make();
  });
  afterEach(() => lake.dispose());

  /** Settings of a deployment whose data folder is the lake's root. */
  const configs = (settings: Readonly<Record<string, string>> = {}) =>
    sourceConfigs(loadConfig({ flags: { "data.dir": lake.root, ...settings } }).values);

  async function ask(sql: string, sources: readonly Config[], how: StoresOptions = {}): Promise<unknown> {
    const opened = await openStores(sources, how);
    try {
      return (await opened.analytics.query(sql)).rows[0]![0];
    } finally {
      opened.close();
    }
  }

  const failure = (answer: Promise<unknown>) =>
    answer.then(
      () => null,
      (error: SluiceError) => error,
    );

  test("a folder without anything is refused, and nothing is made in it", async () => {
    for (const folder of [lake.root, join(lake.root, "nothing")]) {
      for (const lakeOnly of [false, true]) {
        const refused = await failure(
          ask("select count(*) from trades", configs({ "data.dir": folder }), { lakeOnly }),
        );
        expect(refused).toMatchObject({ code: "STORES_EMPTY", where: folder });
      }
    }
    expect(readdirSync(lake.root)).toEqual([]);
  });

  test("hot stores without a lake, as in the first seconds of a deployment", async () => {
    mkdirSync(join(lake.root, "hot"));
    const own = configs({ lanes: "2" });
    const file = laneFile(join(lake.root, "hot"), 0);
    const store = new HotStore({ file, lane: { lane: 0, lanes: 2 }, catalog: CATALOG });
    await store.open();
    await store.close();
    for (const table of ["trades", "mints", "candles"]) {
      expect(await ask(`select count(*) from ${table}`, own)).toBe(0n);
    }
    expect(await ask("select count(*) from trades", own, { lakeOnly: true })).toBe(0n);
  });

  test("a lake whose hot stores are gone: events of the lake, and no word of what only they held", async () => {
    await lake.fill([[1, 2, 3]]);
    const own = configs();
    expect(await ask("select count(*) from trades", own)).toBe(3n);
    expect(await failure(ask("select count(*) from mints", own))).toMatchObject({
      code: "HOT_MISSING",
      message: expect.stringContaining("main has no hot store here of lane 0"),
      hint: expect.stringContaining("sluice rebuild"),
    });
  });

  test("without the hot stores, state is not told as empty, and what is wrong with them does not matter", async () => {
    await lake.fill([[1, 2, 3]]);
    mkdirSync(join(lake.root, "hot"));
    writeFileSync(laneFile(join(lake.root, "hot"), 0), "no SQLite file at all, of some other program");
    const only = { lakeOnly: true };
    expect(await ask("select count(*) from trades", configs(), only)).toBe(3n);
    for (const table of ["mints", "candles", "orders", "user_events"]) {
      const asked = ask(`select count(*) from ${table}`, configs(), only);
      expect(await failure(asked)).toMatchObject({
        code: "HOT_LEFT_OUT",
        hint: expect.stringContaining("--lake-only"),
      });
    }
  });

  test("of two sources in one lake, the one that is named, or both", async () => {
    await lake.fill([[1, 2, 3]], { lineage: { ...LIVE, source: "trades-of" } });
    await lake.fill([[7, 9]], { lineage: { ...LIVE, source: "swaps" } });
    const sources = configs({ sources: JSON.stringify([{ name: "trades-of" }, { name: "swaps" }]) });
    const sql = "select count(*) || ' to ' || max(slot) from trades";
    for (const lakeOnly of [false, true]) {
      expect(await ask(sql, sources, { lakeOnly })).toBe("5 to 9");
      expect(await ask(sql, [sources[0]!], { lakeOnly, onlyThis: true })).toBe("3 to 3");
      expect(await ask(sql, [sources[1]!], { lakeOnly, onlyThis: true })).toBe("2 to 9");
    }
  });

  test("a lake that lacks an entry is refused", async () => {
    await lake.fill([[1], [2], [3]]);
    await lake.store.delete(entryKey(2));
    const refused = await failure(ask("select count(*) from trades", configs()));
    expect(refused).toMatchObject({ code: "LAKE_ENTRY_MISSING", where: entryKey(2) });
  });
});

describe("formats", () => {
  const result: QueryResult = {
    columns: [
      { name: "name", type: "VARCHAR" },
      { name: "amount", type: "UBIGINT" },
    ],
    rows: [
      ['a,"b"', 18446744073709551615n],
      [null, 1n],
    ],
    truncated: false,
    seen: {
      lake: null,
      lineages: [],
      hot: [{ source: "main", name: "lane 0", position: null, finalSlot: 0 }],
      files: [],
    },
  };
  const analytics = {
    query: async () => result,
    exportParquet: () => Promise.reject(new Error("nobody asked for a file")),
  };

  test("JSON keeps every digit", async () => {
    const { stdout } = await run({ sql: "", analytics });
    expect(JSON.parse(stdout).map(Object.values)).toEqual([
      ['a,"b"', "18446744073709551615"],
      [null, "1"],
    ]);
  });

  test("CSV and table", async () => {
    expect((await run({ sql: "", analytics, format: "csv" })).stdout).toBe(
      'name,amount\r\n"a,""b""",18446744073709551615\r\n,1\r\n',
    );
    const { stdout, stderr } = await run({ sql: "", analytics, format: "table" });
    expect(stdout).toContain("18446744073709551615");
    expect(stderr).toBe("answered from an empty lake; lane 0 at nothing\n");
  });

  test("what it was answered from is one line, however many ranges and archives the lake is made of", async () => {
    const lineage = (kind: string, slot: number, dataset = "all") => ({ source: "main", kind, dataset, slot });
    const lineages = [
      lineage("live", 9),
      lineage("live", 8, "raw_blocks"),
      lineage("backfill", 3),
      lineage("backfill", 5),
    ];
    const seen = { ...result.seen, lake: { number: 9, sha256: "ab" }, lineages };
    const query = async () => ({ ...result, seen });
    expect((await run({ sql: "", analytics: { ...analytics, query }, format: "table" })).stderr).toBe(
      "answered from the lake at entry 9 (live main up to slot 9, backfill main up to slot 5 in 2 ranges); lane 0 at nothing\n",
    );
  });
});
