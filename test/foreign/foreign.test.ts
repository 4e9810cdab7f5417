/**
 * Goal: SQL from elsewhere gets answers and nothing else: two walls, each of which holds alone. Method: a table of attacks
 * against the gate, and against the real process with the gate taken away; a canary file that must not be read, a file that
 * must not come to be, bombs that must not outlive their limits. The data are a simulated market.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import type { SluiceError } from "../../pipeline/errors.ts";
import { SPINPET } from "../../stages/decode/programs/spinpet.ts";
import { DecodeStage } from "../../stages/decode/stage.ts";
import { lakeView } from "../../storage/analytics/analytics.ts";
import { type ForeignAnswer, type ForeignLimits, ForeignQueries } from "../../storage/analytics/foreign.ts";
import { refusal } from "../../storage/analytics/gate.ts";
import { STATE_TABLES } from "../../storage/hot/layout.ts";
import { quoteText } from "../../storage/lake/columns.ts";
import { Duck } from "../../storage/lake/duckdb.ts";
import { LakeFolder } from "../../storage/lake/lake-fixture.ts";
import { Market, SOURCE } from "../api/market.ts";
import { attacks, BOMBS } from "./attacks.ts";

const SECRET = "the canary sings";
const { catalog } = new DecodeStage({ programs: [SPINPET] });
const folder = mkdtempSync(join(tmpdir(), "sluice-foreign-"));
const canary = join(folder, "canary.csv");
const target = join(folder, "target");

let market: Market;
beforeAll(async () => {
  writeFileSync(canary, `${SECRET}\n`);
  market = await Market.make({ seed: 5, blocks: 60, lanes: 2 });
}, 300_000);
afterAll(async () => {
  await market.dispose();
  rmSync(folder, { recursive: true });
});

const ROOT = join(import.meta.dir, "../..");
const GATED = [process.execPath, join(ROOT, "main.ts"), "answer"];
const UNGATED = [process.execPath, join(import.meta.dir, "ungated.ts")];

function queries(
  command: readonly string[],
  limits: Partial<ForeignLimits> = {},
  { lake = lakeView(market.lake), hot = market.folder } = {},
): ForeignQueries {
  return new ForeignQueries({
    command,
    lake,
    hot: [{ source: SOURCE, folder: hot, lanes: 2 }],
    catalog: [...catalog.values()],
    workDir: join(folder, "work"),
    // A busy machine takes its time to start a process; what is limited here does not depend on it.
    limits: { wallMs: 60_000, ...limits },
  });
}

const textOf = (body: ReadableStream<Uint8Array>) => new Response(body).text();

/** With its whole body as text: what is not read is not shown to be clean. */
async function whole(answer: Promise<ForeignAnswer>) {
  const { body, ...head } = await answer;
  return { ...head, body: await textOf(body) };
}

const outcome = (answer: Promise<ForeignAnswer>) =>
  whole(answer).then(
    (value) => ({ value, code: "answered", message: "" }),
    (error: SluiceError) => ({ value: null, code: error.code, message: error.message }),
  );

describe("an honest question", () => {
  test("is answered from lake and hot stores, as JSON and as CSV", async () => {
    const foreign = queries(GATED);
    const sql = "SELECT count(*) AS n, count(DISTINCT mint) AS tokens FROM trades WHERE slot > 0";
    const { body, rows, truncated, seen } = await foreign.ask({ sql, format: "json", key: "a" });
    const trades = market.truth.lines!["trades"]!;
    const tokens = new Set(trades.map((line) => line.split("|")[6]));
    expect(JSON.parse(await textOf(body))).toEqual([{ n: String(trades.length), tokens: String(tokens.size) }]);
    expect([rows, truncated, seen.hot.length]).toEqual([1, false, 2]);
    const csv = await foreign.ask({
      sql: "SELECT interval, count(*) AS n FROM candles GROUP BY 1 ORDER BY 1",
      format: "csv",
      key: "a",
    });
    expect((await textOf(csv.body)).split("\r\n").slice(0, 2)).toEqual([
      "interval,n",
      expect.stringMatching(/^1,\d+$/),
    ]);
  }, 300_000);

  test("for what a lane holds that is not here is refused, and may be answered later", async () => {
    const lake = await LakeFolder.make();
    await lake.fill([[1, 2]]);
    const hot = join(folder, "elsewhere");
    const foreign = queries(GATED, {}, { lake: lakeView(lake.store), hot });
    const asked = foreign.ask({ sql: "SELECT count(*) FROM mints", format: "json", key: "a" });
    const told = await asked.catch((error: SluiceError) => error);
    expect(told).toMatchObject({ code: "HOT_MISSING", kind: "transient" });
    expect((told as SluiceError).message).not.toContain(hot);
    const sql = "SELECT count(*) AS n FROM trades WHERE slot < 3";
    expect((await whole(foreign.ask({ sql, format: "json", key: "a" }))).body).toContain('"2"');
    await lake.dispose();
  }, 300_000);

  test("comes as Arrow that others read, in pieces; and who has read the end may ask again at once", async () => {
    const foreign = queries(GATED);
    const sql = "SELECT slot, mint, price, final, signature FROM trades ORDER BY slot, signature";
    const { body, rows } = await foreign.ask({ sql, format: "arrow", key: "a" });
    const pieces = await Array.fromAsync(body);
    expect(pieces.length).toBeGreaterThan(1);
    const table = tableFromIPC(Buffer.concat(pieces));
    const json = await foreign.ask({ sql, format: "json", key: "a" });
    const expected = JSON.parse(await textOf(json.body)) as Record<string, unknown>[];
    expect([table.numRows, expected.length]).toEqual([rows, rows]);
    expect(table.schema.fields.map(({ name, type }) => `${name} ${type}`)).toEqual([
      "slot Uint64",
      "mint Utf8",
      "price Utf8",
      "final Bool",
      "signature Utf8",
    ]);
    const columns = table.schema.fields.map((_, i) => [...table.getChildAt(i)!]);
    const plain = (value: unknown) => (typeof value === "bigint" ? String(value) : value);
    const read = Array.from({ length: rows }, (_, row) => columns.map((values) => plain(values[row])));
    expect(read).toEqual(expected.map((row) => Object.values(row)));
  }, 300_000);

  test("whose answer nobody takes keeps no process, and holds up no other question", async () => {
    const foreign = queries(GATED, { atOnce: 1 });
    const sql = "SELECT a.signature FROM trades a, trades b LIMIT 9000";
    const ignored = await foreign.ask({ sql, format: "json", key: "a" });
    const ask = () => foreign.ask({ sql, format: "csv", key: "b" }).catch((error: SluiceError) => error.code);
    let second = await ask();
    for (; second === "SQL_BUSY"; second = await ask()) await Bun.sleep(50);
    if (typeof second === "string") throw new Error(second);
    await second.body.cancel();
    expect((await textOf(ignored.body)).length).toBeGreaterThan(9_000 * 40);
  }, 300_000);

  test("with a mistake is told what is wrong, and no place of this machine", async () => {
    const wrong = await outcome(queries(GATED).ask({ sql: "SELECT nothing FROM trades", format: "json", key: "a" }));
    expect(wrong.code).toBe("SQL_ERROR");
    expect(wrong.message).toContain("nothing");
    expect(wrong.message).not.toContain(folder);
    const misspelt = await outcome(queries(GATED).ask({ sql: "SELECT 1 FROM tradez", format: "json", key: "a" }));
    expect(misspelt.code).toBe("SQL_REFUSED");
    expect(misspelt.message).toMatch(/^there is no table "tradez"; there are buy_sell, candles, .*trades/);
  }, 300_000);

  test("of the same asker waits its turn, of too many as well; its length has an end", async () => {
    const foreign = queries(GATED, { atOnce: 2, sqlBytes: 100 });
    const ask = (key: string) => outcome(foreign.ask({ sql: "SELECT 1 AS one", format: "json", key }));
    const asked = await Promise.all([ask("a"), ask("a"), ask("b"), ask("c")]);
    expect(asked.map((a) => a.code)).toEqual(["answered", "SQL_BUSY", "answered", "SQL_BUSY"]);
    expect((await ask("a")).code).toBe("answered");
    const long = foreign.ask({ sql: `SELECT ${"1 + ".repeat(50)} 1`, format: "json", key: "a" });
    expect((await outcome(long)).code).toBe("SQL_LIMIT");
  }, 300_000);
});

describe("the gate alone", () => {
  const views = [...catalog.keys(), ...STATE_TABLES.map(({ spec }) => spec.name)];

  async function verdict(duck: Duck, sql: string): Promise<string | null> {
    const [row] = await duck.rows(`SELECT json_serialize_sql(${quoteText(sql)})`);
    return refusal(JSON.parse(String(row![0])), views);
  }

  test("refuses every attack", async () => {
    const duck = await Duck.open();
    const passed: string[] = [];
    for (const sql of attacks(canary, target)) if ((await verdict(duck, sql)) === null) passed.push(sql);
    duck.close();
    expect(passed).toEqual([]);
  });

  test("lets the queries of docs/queries through", async () => {
    const duck = await Duck.open();
    const docs = join(ROOT, "docs/queries");
    for (const file of readdirSync(docs).filter((name) => name.endsWith(".sql"))) {
      expect([file, await verdict(duck, await Bun.file(join(docs, file)).text())]).toEqual([file, null]);
    }
    duck.close();
  });

  test("knows no kind of node that it was not told of", () => {
    const select = { type: "SELECT_NODE", cte_map: { map: [] }, from_table: { type: "EMPTY" } };
    const asked = (node: unknown) => refusal({ error: false, statements: [{ node }] }, views);
    expect(asked(select)).toBeNull();
    expect(asked({ ...select, type: "NEW_NODE" })).toBe("NEW_NODE is not answered");
    expect(asked({ ...select, from_table: { type: "NEW_REF" } })).toBe("NEW_REF is not answered");
    expect(asked({ ...select, select_list: [{ class: "NEW", type: "NEW" }] })).toBe("NEW is not answered");
    expect(asked({ ...select, modifiers: [{ type: "NEW_MODIFIER" }] })).toBe("NEW_MODIFIER is not answered");
  });
});

describe("the process alone", () => {
  test("shows no attack the canary, writes nothing, and answers the next question", async () => {
    const foreign = queries(UNGATED, { atOnce: 2 });
    const list = [...attacks(canary, target)];
    const ask = async (key: string) => {
      for (let sql = list.pop(); sql !== undefined; sql = list.pop()) {
        const { value, message } = await outcome(foreign.ask({ sql, format: "json", key }));
        expect([sql, JSON.stringify(value).includes(SECRET), message.includes(SECRET)]).toEqual([sql, false, false]);
        // What is shown of the machine holds no file of it.
        expect([sql, JSON.stringify(value).includes(canary)]).toEqual([sql, false]);
      }
    };
    await Promise.all([ask("a"), ask("b")]);
    expect(existsSync(target)).toBeFalse();
    expect(readdirSync(folder).sort()).toEqual(["canary.csv", "work"]);
    const after = await foreign.ask({ sql: "SELECT 1 AS one", format: "json", key: "a" });
    expect(JSON.parse(await textOf(after.body))).toEqual([{ one: 1 }]);
  }, 300_000);

  test("ends with what it was given of time, processor and memory", async () => {
    const foreign = queries(UNGATED, { wallMs: 4_000, cpuSeconds: 3, rssBytes: 700e6 });
    for (const sql of BOMBS) {
      const { code } = await outcome(foreign.ask({ sql, format: "json", key: "a" }));
      expect([sql, ["SQL_LIMIT", "SQL_MEMORY", "SQL_ERROR"].includes(code)]).toEqual([sql, true]);
    }
  }, 300_000);

  test("has nothing of our environment", async () => {
    process.env["SLUICE_CANARY"] = SECRET;
    try {
      const probe = [
        process.execPath,
        "-e",
        `console.log(JSON.stringify({ answer: process.env })); console.log('{"end":true}')`,
      ];
      const { body, ...told } = await whole(queries(probe).ask({ sql: "SELECT 1", format: "json", key: "a" }));
      expect(body).toBe("");
      expect(JSON.stringify(told)).not.toContain(SECRET);
      expect(
        Object.keys(told).filter(
          (name) => !["BUN_RUNTIME_TRANSPILER_CACHE_PATH", "PWD", "_", "SHLVL", "OLDPWD"].includes(name),
        ),
      ).toEqual([]);
    } finally {
      delete process.env["SLUICE_CANARY"];
    }
  }, 300_000);
});
