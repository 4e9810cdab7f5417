/**
 * Goal: every query of docs/queries answers, with rows, the same twice, and its page lists it; what can be told from the
 * truth agrees with it. Method: a simulated market with forks in hot stores and lake, asked as `sluice sql` asks.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Glob } from "bun";
import { LocalLanes } from "../cli/local-lanes.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import { DecodeStage } from "../stages/decode/stage.ts";
import { type Analytics, lakeView, openAnalytics, type QueryResult } from "../storage/analytics/analytics.ts";
import { STATE_TABLES } from "../storage/hot/layout.ts";
import { Market, SOURCE } from "./api/market.ts";

const FOLDER = join(import.meta.dir, "../docs/queries");
const NAMES = [...new Glob("*.sql").scanSync(FOLDER)].map((file) => basename(file, ".sql")).sort();
const textOf = (name: string) => readFileSync(join(FOLDER, `${name}.sql`), "utf8");

let market: Market;
let lanes: LocalLanes;
let sql: Analytics;

beforeAll(async () => {
  market = await Market.make({ seed: 5, blocks: 400, lanes: 2 });
  lanes = new LocalLanes(SOURCE, market.folder, 2);
  sql = openAnalytics({
    lake: lakeView(market.lake),
    hot: [lanes],
    catalog: new DecodeStage({ programs: [SPINPET] }).catalog,
    state: STATE_TABLES.map(({ spec }) => spec),
    workDir: join(market.folder, "sql"),
  });
}, 300_000);
afterAll(async () => {
  lanes.close();
  await market.dispose();
});

const ask = (query: string): Promise<QueryResult> => sql.query(query, { maxRows: 1_000_000, maxBytes: 1e9 });
/** A column of an answer, by name. */
const column = ({ columns, rows }: QueryResult, name: string) =>
  rows.map((row) => row[columns.findIndex((c) => c.name === name)]);
const total = (result: QueryResult, name: string) =>
  column(result, name).reduce<number>((sum, value) => sum + Number(value), 0);
const lines = (dataset: string) => market.truth.lines![dataset]!.map((line) => line.split("|"));

test("there are twenty at least", () => {
  expect(NAMES.length).toBeGreaterThanOrEqual(20);
});

for (const name of NAMES) {
  test(`${name} answers, the same twice`, async () => {
    const result = await ask(textOf(name));
    expect(result.rows.length).toBeGreaterThan(0);
    expect(result.truncated).toBeFalse();
    expect((await ask(textOf(name))).rows).toEqual(result.rows);
  });
}

describe("agrees with the truth", () => {
  test("trades by day, and wallets by hour", async () => {
    const byDay = await ask(textOf("volume-by-day"));
    expect(total(byDay, "trades")).toBe(lines("trades").length);
    const byHour = await ask(textOf("unique-traders-by-hour"));
    expect(total(byHour, "first_time")).toBe(new Set(lines("trades").map((fields) => fields[8])).size);
  });

  test("tokens by hour, and positions liquidated", async () => {
    expect(total(await ask(textOf("new-mints-by-hour")), "created")).toBe(lines("token_created").length);
    expect(total(await ask(textOf("liquidations")), "liquidated")).toBe(lines("force_liquidate").length);
    expect(total(await ask(textOf("open-interest")), "positions")).toBe(market.truth.lines!["orders"]!.length);
  });

  test("candles folded from trades are those that the lanes keep", async () => {
    const minutes = textOf("candles-of-any-length")
      .replaceAll("600", "60")
      .replace(/LIMIT \d+;/, ";");
    const folded = `SELECT mint, epoch(start)::BIGINT AS time, open, high, low, close, lamports, trades FROM (${minutes.replace(/;\s*$/, "")})`;
    const kept = `SELECT mint, time, open, high, low, close, volume_quote, trades FROM candles WHERE interval = 60`;
    const whole = await ask(`SELECT * FROM (${folded}) ORDER BY mint, time`);
    expect(whole.rows.length).toBeGreaterThan(100);
    const texts = ({ rows }: QueryResult) => rows.map((row) => row.map((value) => String(value ?? 0)));
    expect(texts(whole)).toEqual(texts(await ask(`${kept} ORDER BY mint, time`)));
  });
});

test("README.md lists each with what it tells", () => {
  const listed = readFileSync(join(FOLDER, "README.md"), "utf8");
  for (const name of NAMES) {
    const comment = textOf(name)
      .match(/^(?:-- .*\n)+/)![0]
      .replaceAll(/^-- /gm, "")
      .replaceAll("\n", " ");
    const sentence = /^(.*?[.:])(?: |$)/.exec(comment)![1]!.replace(/:$/, ".");
    expect(listed).toContain(`| [${name}](${name}.sql) | ${sentence} |`);
  }
});
