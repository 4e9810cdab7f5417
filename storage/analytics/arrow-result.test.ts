/**
 * Goal: what leaves as Arrow is read as the same values by somebody else's reader. Method: DuckDB's answers to SQL with every
 * kind of value, through our encoder, read by apache-arrow.
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { DuckDBInstance } from "@duckdb/node-api";
import { tableFromIPC } from "apache-arrow";
import { formatArrow } from "./arrow-result.ts";
import { plainValue } from "./values.ts";

let instance: DuckDBInstance;
beforeAll(async () => {
  instance = await DuckDBInstance.create();
});
afterAll(() => instance.closeSync());

async function arrowOf(sql: string) {
  const connection = await instance.connect();
  const result = await connection.runAndReadAll(sql);
  const names = result.columnNames();
  const columns = result.columnTypes().map((type, i) => ({ name: names[i]!, type: type.toString() }));
  const rows = result.getRows().map((row) => row.map(plainValue));
  connection.closeSync();
  const bytes = formatArrow({
    columns,
    rows,
    truncated: false,
    seen: { lake: null, lineages: [], hot: [], files: [] },
  });
  const table = tableFromIPC(bytes);
  const types = Object.fromEntries(table.schema.fields.map((f) => [f.name, String(f.type)]));
  return { table, types, bytes };
}

/** The values of the one column, as apache-arrow gives them. */
async function column(expression: string): Promise<{ type: string; values: unknown[] }> {
  const { table, types } = await arrowOf(`SELECT ${expression} AS v`);
  return { type: types["v"]!, values: [...table.getChildAt(0)!] };
}

test.each<[sql: string, type: string, value: unknown]>([
  ["true", "Bool", true],
  ["(-128)::TINYINT", "Int8", -128],
  ["65535::USMALLINT", "Uint16", 65_535],
  ["(-2147483648)::INTEGER", "Int32", -2_147_483_648],
  ["9223372036854775807::BIGINT", "Int64", 2n ** 63n - 1n],
  ["18446744073709551615::UBIGINT", "Uint64", 2n ** 64n - 1n],
  ["1.5::FLOAT", "Float32", 1.5],
  ["-0.1::DOUBLE", "Float64", -0.1],
  ["'Ünï' || chr(0) || 'cöde 🪙'", "Utf8", "Ünï\u0000cöde 🪙"],
  ["340282366920938463463374607431768211455::UHUGEINT", "Utf8", "340282366920938463463374607431768211455"],
  ["170141183460469231731687303715884105727::HUGEINT", "Utf8", "170141183460469231731687303715884105727"],
  ["[1, NULL, 3]", "Utf8", "[1,null,3]"],
  ["{'a': 1, 'b': 'x'}", "Utf8", '{"a":1,"b":"x"}'],
  ["INTERVAL 1 DAY", "Utf8", "1 day"],
  ["DATE '0044-03-15 (BC)'", "Utf8", "0044-03-15 (BC)"],
  ["'infinity'::TIMESTAMP", "Utf8", "infinity"],
])("%s is %s", async (sql, type, value) => {
  expect(await column(sql)).toEqual({ type, values: [value] });
});

test("decimals and sums keep every digit", async () => {
  const { table, types } = await arrowOf(
    "SELECT (-12345.67)::DECIMAL(18, 2) AS d, 0.05::DECIMAL(5, 3) AS small, -99999999999999999999999999999999999999::HUGEINT AS h",
  );
  expect(types).toEqual({ d: "Decimal[18e+2]", small: "Decimal[5e+3]", h: "Decimal[38e0]" });
  const exact = (i: number) => {
    const words = table.getChildAt(i)!.get(0) as Uint32Array;
    const unsigned = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
    return BigInt.asIntN(128, unsigned);
  };
  expect([exact(0), exact(1), exact(2)]).toEqual([-1_234_567n, 50n, -(10n ** 38n - 1n)]);
});

test("dates and times to the microsecond", async () => {
  const { table, types } = await arrowOf(
    `SELECT DATE '1969-12-31' AS d, TIMESTAMP '2025-10-01 12:00:00.123457' AS t, TIMESTAMPTZ '2025-10-01 12:00:00+02' AS z`,
  );
  expect(types).toEqual({ d: "Date32<DAY>", t: "Timestamp<MICROSECOND>", z: "Timestamp<MICROSECOND, UTC>" });
  const raw = (i: number) => table.getChildAt(i)!.data[0]!.values[0];
  expect([raw(0), raw(1), raw(2)]).toEqual([-1, 1_759_320_000_123_457n, 1_759_312_800_000_000n]);
});

test("bytes, nulls, columns of one name, and more rows than one batch", async () => {
  const { table } = await arrowOf(
    "SELECT i AS n, CASE WHEN i % 3 = 0 THEN NULL ELSE 'r' || i END AS n, '\\x00\\xFF'::BLOB AS b FROM range(10000) t(i)",
  );
  expect(table.schema.fields.map(({ name }) => name)).toEqual(["n", "n_2", "b"]);
  expect([table.numRows, table.batches.length]).toEqual([10_000, 3]);
  const [n, texts, bytes] = [0, 1, 2].map((i) => [...table.getChildAt(i)!]);
  expect(n!.every((value, i) => value === BigInt(i))).toBe(true);
  expect(texts!.every((value, i) => value === (i % 3 === 0 ? null : `r${i}`))).toBe(true);
  expect(Buffer.from(bytes![9_999] as Uint8Array).toString("hex")).toBe("00ff");
});

test("no rows: the columns are told all the same", async () => {
  const { table, types } = await arrowOf("SELECT 1 AS a, 'x' AS b WHERE false");
  expect(table.numRows).toBe(0);
  expect(types).toEqual({ a: "Int32", b: "Utf8" });
});
