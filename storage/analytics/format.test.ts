/** Results as text. Goal: nothing lost for programs, nothing dangerous for terminals. */
import { expect, test } from "bun:test";
import type { QueryResult } from "./analytics.ts";
import { formatCsv, formatJson, formatTable } from "./format.ts";
import type { SqlValue } from "./values.ts";

const result = (names: readonly string[], rows: readonly (readonly SqlValue[])[], truncated = false): QueryResult => ({
  columns: names.map((name) => ({ name, type: "X" })),
  rows,
  truncated,
  seen: { lake: { number: 3, sha256: "ab" }, lineages: [], hot: [], files: [] },
});

const values: SqlValue[] = [
  2n ** 128n - 1n,
  1.5,
  null,
  true,
  "x",
  new Uint8Array([0, 255]),
  [1n, null],
  { a: 2n },
  NaN,
];

test("JSON keeps every digit, and both columns of one name", () => {
  const names = values.map((_, i) => (i < 2 ? "a" : `c${i}`));
  expect(JSON.parse(formatJson(result(names, [values])))).toEqual([
    {
      a: "340282366920938463463374607431768211455",
      a_2: 1.5,
      c2: null,
      c3: true,
      c4: "x",
      c5: "00ff",
      c6: ["1", null],
      c7: { a: "2" },
      c8: "NaN",
    },
  ]);
});

test("CSV quotes what needs it, and tells null from empty", () => {
  expect(
    formatCsv(
      result(
        ["a", "b,c"],
        [
          ["x", 'say "hi"'],
          [null, ""],
          ["two\nlines", -3n],
        ],
      ),
    ),
  ).toBe('a,"b,c"\r\nx,"say ""hi"""\r\n,""\r\n"two\nlines",-3\r\n');
});

test("a table lines up, numbers to the right", () => {
  expect(
    formatTable(
      result(
        ["name", "n"],
        [
          ["a", 1n],
          ["long", 200n],
          [null, null],
        ],
        true,
      ),
    ),
  ).toBe(["name    n", "----  ---", "a       1", "long  200", "", "(3 rows and more)", ""].join("\n"));
});

test("a table without rows says so", () => {
  expect(formatTable(result(["n"], []))).toBe("n\n-\n(0 rows)\n");
});

test("what strangers wrote cannot steer a terminal", () => {
  const text = formatTable(result(["n"], [["\u001b[31mred\u0007 \u202Ereversed\r\nnext\u0085\u2028"]]));
  expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\u2028]/u);
  expect(text).toContain("\\u{1b}[31mred\\u{7} \\u{202e}reversed\\u{d}\\u{a}next");
  expect(text.split("\n")).toHaveLength(5);
});

test("long values are cut", () => {
  const text = formatTable(result(["n"], [["x".repeat(500)]]), 10);
  expect(text.split("\n")[2]).toBe(`${"x".repeat(9)}…`);
});
