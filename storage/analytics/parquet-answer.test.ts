/**
 * Answers as Parquet. Goal: every integer arrives as it was, however large. Method: what is written is read back as text and
 * compared with the query's own text.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quoteText } from "../lake/columns.ts";
import { Duck } from "../lake/duckdb.ts";
import { writeParquetAnswer } from "./parquet-answer.ts";

let duck: Duck;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "answer-"));
  duck = await Duck.open();
});
afterAll(async () => {
  duck.close();
  await rm(folder, { recursive: true, force: true });
});

/** Writes the answer, and returns the types and the texts of what the file holds. */
async function written(sql: string): Promise<{ rows: number; types: string[]; texts: unknown[][] }> {
  const path = join(folder, "answer.parquet");
  const { rows } = await writeParquetAnswer(duck.connection, sql, path);
  const file = `read_parquet(${quoteText(path)})`;
  const types = (await duck.rows(`DESCRIBE SELECT * FROM ${file}`)).map((row) => String(row[1]));
  return { rows, types, texts: (await duck.rows(`SELECT COLUMNS(*)::VARCHAR FROM ${file}`)) as unknown[][] };
}

test("sums and wide integers are exact", async () => {
  const { rows, types, texts } = await written(`
    SELECT sum(n) AS total, -sum(n) AS below, max(u) AS price, n + 0 AS total, [sum(n)] AS list
    FROM (VALUES (18446744073709551615::UBIGINT, 340282366920938463463374607431768211455::UHUGEINT)) AS t(n, u)
    GROUP BY n;`);
  expect({ rows, types }).toEqual({
    rows: 1,
    types: ["DECIMAL(38,0)", "DECIMAL(38,0)", "VARCHAR", "UBIGINT", "DECIMAL(38,0)[]"],
  });
  const n = "18446744073709551615";
  expect(texts).toEqual([[n, `-${n}`, "340282366920938463463374607431768211455", n, `[${n}]`]]);
});

test("a number of more than 38 digits makes its column text", async () => {
  const most = "170141183460469231731687303715884105727";
  const { types, texts } = await written(`SELECT ${most}::HUGEINT AS most, 1::HUGEINT AS one`);
  expect([types, texts]).toEqual([["VARCHAR", "VARCHAR"], [[most, "1"]]]);
});

test("rows stay in their order; what needs no other type stays as it is", async () => {
  const { texts } = await written("SELECT i::HUGEINT AS i FROM range(5000) AS r(i) ORDER BY i DESC");
  expect(texts.map(([i]) => Number(i))).toEqual(Array.from({ length: 5_000 }, (_, i) => 4_999 - i));
  expect((await written("SELECT 1::DOUBLE AS d, 'x' AS t, DATE '2025-01-02' AS day")).types).toEqual([
    "DOUBLE",
    "VARCHAR",
    "DATE",
  ]);
});

test("what describes a table is written like any answer; names that occur twice are told apart", async () => {
  await duck.run("CREATE TABLE described (a INTEGER, b HUGEINT)");
  expect((await written("DESCRIBE described")).rows).toBe(2);
  expect((await written("SELECT 1 AS a; -- one; and done")).texts).toEqual([["1"]]);
  expect((await written("SELECT 1 AS a, 2 AS a, 'x;--y' AS t")).texts).toEqual([["1", "2", "x;--y"]]);
});

test("an error is the query's own", async () => {
  const path = join(folder, "none.parquet");
  const asked = writeParquetAnswer(duck.connection, "SELECT 'x'::DECIMAL(38,0)", path);
  await expect(asked).rejects.toMatchObject({
    code: "SQL_ERROR",
    message: expect.stringContaining("Conversion Error"),
  });
  const two = writeParquetAnswer(duck.connection, "SELECT 1; SELECT 2", path);
  await expect(two).rejects.toMatchObject({ code: "SQL_ERROR" });
});
