/**
 * Goal: no file is left out that holds a row of the answer, whatever the query; and the plain questions open few files.
 * Method: random queries, each also with its WHERE disguised as an OR, which rules out nothing: both must give the same
 * rows. Then golden cases of what is opened, and of what must not be taken for a condition.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import bs58 from "bs58";
import fc from "fast-check";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { LakeFolder, MIDNIGHT } from "../lake/lake-fixture.ts";
import { bytesOf } from "../lake/rows-fixture.ts";
import { type Analytics, lakeView, openAnalytics } from "./analytics.ts";

/** Slots of each file; the last one has rows of no mint only (slots that are multiples of 11). */
const FILES = [[10, 12, 13], [14, 15, 16], [20], [21, 23], [90_000, 90_001], [99_990, 100_001]] as const;
const SLOTS = FILES.flat();
const MINTS = [...new Set(SLOTS.map((slot) => slot % 7))].map((n) => bs58.encode(bytesOf(n, 32)));

let lake: LakeFolder;
let sql: Analytics;

beforeAll(async () => {
  lake = await LakeFolder.make();
  await lake.fill(FILES);
  const workDir = join(lake.root, "sql");
  sql = openAnalytics({ lake: lakeView(lake.store), catalog: new Map([[TRADES.name, TRADES]]), workDir, threads: 1 });
});
afterAll(() => lake.dispose());

/** Numbers of the files that a query opens. */
async function opened(query: string): Promise<number[]> {
  const { seen } = await sql.query(query);
  const first = (key: string) => Number(/\/(\d+)-\d+-[^/]*$/.exec(key)![1]);
  const [files] = seen.files;
  expect(files!.opened.length + files!.ruledOut.length).toBe(FILES.length);
  return files!.opened.map((key) => FILES.findIndex(([slot]) => slot === first(key))).sort();
}

const ALL = FILES.map((_, i) => i);
const where = (condition: string) => opened(`SELECT * FROM trades WHERE ${condition}`);

describe("opens only", () => {
  test("the files of the slots asked for", async () => {
    expect(await where("slot = 15")).toEqual([1]);
    expect(await where("slot > 16 AND slot <= 21")).toEqual([1, 2, 3]);
    expect(await where("15 >= slot")).toEqual([0, 1]);
    expect(await where("slot BETWEEN 17 AND 20 AND kind <> 'x'")).toEqual([2]);
    expect(await where("slot IN (10, 90001)")).toEqual([0, 4]);
    expect(await where("slot = 17")).toEqual([]);
  });

  test("those of the time or the day", async () => {
    expect(await where(`block_time < ${MIDNIGHT + 14}`)).toEqual([0, 1]);
    const day = new Date((MIDNIGHT + 90_000) * 1000).toISOString().slice(0, 10);
    for (const text of [`'${day}'`, `DATE '${day}'`]) expect(await where(`date = ${text}`)).toEqual([4, 5]);
  });

  test("those that may hold the mint, and none of rows without one", async () => {
    const holding = await where(`mint = '${bs58.encode(bytesOf(20 % 7, 32))}'`);
    expect(holding).toContain(2);
    expect(holding).not.toContain(5);
    expect(holding.length).toBeLessThan(FILES.length);
  });

  test("those that one of several uses needs", async () => {
    expect(await opened("SELECT * FROM trades WHERE slot = 10 UNION ALL SELECT * FROM Trades WHERE slot = 20")).toEqual(
      [0, 2],
    );
    const joined = "SELECT * FROM trades a JOIN trades b USING (mint) WHERE a.slot = 10 AND b.slot = 20";
    expect(await opened(joined)).toEqual([0, 2]);
    expect(
      await opened("WITH early AS (SELECT * FROM trades WHERE slot < 13) SELECT * FROM early WHERE slot > 5"),
    ).toEqual([0]);
  });
});

describe("takes for no condition", () => {
  for (const [what, query] of [
    ["one side of an OR", "SELECT * FROM trades WHERE slot = 10 OR kind = 'x'"],
    ["a negation", "SELECT * FROM trades WHERE NOT slot = 10"],
    [
      "a decimal, of which the query holds the digits only",
      "SELECT * FROM trades WHERE slot < 1.4 * 10 AND slot < 2.1",
    ],
    ["a text where numbers are compared", "SELECT * FROM trades WHERE slot = '20'"],
    ["an expression", "SELECT * FROM trades WHERE slot + 10 = 20"],
    ["a column that was given another name", "SELECT * FROM trades AS t(block_time, slot) WHERE slot = 5"],
    ["a column of either table", "SELECT * FROM trades, range(30) r(slot2) WHERE slot2 = 10"],
    ["what another use says", "SELECT * FROM (SELECT * FROM trades) x WHERE slot = 10"],
    ["what a sample was drawn before", "SELECT * FROM trades TABLESAMPLE 100% WHERE slot = 10"],
    [
      "what an ASOF join looks for",
      "SELECT * FROM (SELECT 50 AS at) a ASOF JOIN trades t ON a.at >= t.slot WHERE t.slot = 10",
    ],
  ] as const) {
    test(what, async () => {
      expect(await opened(query)).toEqual(ALL);
    });
  }
});

const slotOf = fc.oneof(fc.constantFrom(...SLOTS), fc.nat({ max: 30 }), fc.integer({ min: 89_990, max: 100_010 }));
const comparison = fc.constantFrom("=", "<", "<=", ">", ">=", "<>");
const numberTerm = (alias: string) =>
  fc
    .record({ op: comparison, slot: slotOf, time: fc.boolean(), mirrored: fc.boolean() })
    .map(({ op, slot, time, mirrored }) => {
      const column = `${alias}${time ? "block_time" : "slot"}`;
      const value = time ? MIDNIGHT + slot : slot;
      return mirrored ? `${value} ${op} ${column}` : `${column} ${op} ${value}`;
    });
const mintTerm = (alias: string) =>
  fc.record({ op: comparison, mint: fc.constantFrom(...MINTS) }).map(({ op, mint }) => `${alias}mint ${op} '${mint}'`);
const listTerm = (alias: string) =>
  fc.array(slotOf, { minLength: 1, maxLength: 3 }).map((slots) => `${alias}slot IN (${slots.join(", ")})`);
const term = (alias: string) => fc.oneof(numberTerm(alias), mintTerm(alias), listTerm(alias));
const terms = (alias: string) => fc.array(term(alias), { minLength: 1, maxLength: 3 });

const query = fc.oneof(
  terms("").map((conditions) => ["SELECT slot FROM trades", conditions] as const),
  fc
    .tuple(fc.constantFrom("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"), terms("a."), terms("b."))
    .map(
      ([join, a, b]) =>
        [`SELECT a.slot, b.slot FROM trades a ${join} trades b ON a.slot = b.slot - 1`, [...a, ...b]] as const,
    ),
  terms("t.").map((conditions) => ["SELECT count(*), max(slot) FROM trades t", conditions] as const),
);

test("the answer is that of all files, whatever is asked", async () => {
  let ruledOut = 0;
  await fc.assert(
    fc.asyncProperty(query, async ([select, conditions]) => {
      const condition = conditions.join(" AND ");
      const pruned = await sql.query(`${select} WHERE ${condition} ORDER BY ALL`);
      const whole = await sql.query(`${select} WHERE (${condition}) OR 1 = 0 ORDER BY ALL`);
      expect(whole.seen.files[0]!.ruledOut).toEqual([]);
      expect(pruned.rows).toEqual(whole.rows);
      ruledOut += pruned.seen.files[0]!.ruledOut.length;
    }),
    { numRuns: 60 },
  );
  // Otherwise it compared the same with the same.
  expect(ruledOut).toBeGreaterThan(60);
}, 300_000);
