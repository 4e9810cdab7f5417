/**
 * The order of a lake file. Goal: exactly the order that DuckDB's own ORDER BY gives over the same values, on every path
 * through the sort. Method: DuckDB sorts what was written unsorted and must find it equal to what was sorted here.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { lakeColumns, lakeNames } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import { orderRows } from "./order.ts";
import { allRows, cellOf, EVERYTHING, everythingRow, tableOf, tradeRow, tradeTable } from "./rows-fixture.ts";

let duck: Duck;
beforeAll(async () => {
  duck = await Duck.open();
});
afterAll(() => duck.close());

/** Numbers of the rows in the order DuckDB sorts them in; rows that compare equal keep theirs. */
async function sortedByDuckDb(table: Table): Promise<number[]> {
  await duck.run("CREATE OR REPLACE SEQUENCE row_numbers MINVALUE 0 START 0");
  await duck.feed(
    lakeColumns(table.spec),
    [{ table, rows: allRows(table) }],
    "CREATE OR REPLACE TABLE unsorted AS SELECT *, nextval('row_numbers') AS n FROM fed_rows()",
  );
  const names = table.spec.order.flatMap((name) => lakeNames(table.column(name).spec));
  const rows = await duck.rows(`SELECT n FROM unsorted ORDER BY ${[...names, "n"].join(", ")}`);
  return rows.map(([n]) => Number(n));
}

test("event rows, in any order of arrival", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(everythingRow, { minLength: 1, maxLength: 60 }), async (rows) => {
      const table = tableOf(EVERYTHING, rows);
      expect([...orderRows(table, allRows(table))]).toEqual(await sortedByDuckDb(table));
    }),
    { numRuns: 40 },
  );
});

test("rows in chain order are dealt out by mint", async () => {
  const rows = Array.from({ length: 500 }, (_, i) => tradeRow(i * 17, 1_000 + (i >> 3), 0, i & 7, 0));
  const table = tradeTable(rows);
  expect([...orderRows(table, allRows(table))]).toEqual(await sortedByDuckDb(table));
});

test("rows in order already are left as they are", () => {
  const table = tradeTable([1, 2, 3].map((n) => tradeRow(7, 100 + n, 0)));
  const rows = allRows(table);
  expect(orderRows(table, rows)).toBe(rows);
});

test("only the rows asked for are returned", () => {
  const table = tradeTable([4, 1, 3, 2].map((n) => tradeRow(7, 100 + n, 0)));
  expect([...orderRows(table, Uint32Array.of(0, 2, 3))]).toEqual([3, 2, 0]);
});

for (const type of ["u64", "i64", "u128", "i128", "utf8", "bytes", "bytes32", "bytes64", "bool", "i8"] as const) {
  test(`by a column of type ${type}`, async () => {
    const spec: DatasetSpec = {
      ...EVERYTHING,
      columns: [{ name: "key", type, nullable: true, doc: "" }],
      order: ["key"],
    };
    const keys = fc.array(fc.option(cellOf(type), { nil: null }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(keys, async (cells: Cell[]) => {
        const table = tableOf(
          spec,
          cells.map((key) => ({ key })),
        );
        expect([...orderRows(table, allRows(table))]).toEqual(await sortedByDuckDb(table));
      }),
      { numRuns: 25 },
    );
  });
}
