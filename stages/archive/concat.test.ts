/** Joining parts of tables. Goal: the same rows as taking them one by one, for every type, nulls and empty parts included. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { ColumnType, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { concat } from "./concat.ts";

const TYPES: readonly ColumnType[] = ["bool", "u8", "u32", "u64", "u128", "bytes32", "bytes", "utf8"];
const SPEC: DatasetSpec = {
  name: "rows",
  version: 1,
  doc: "",
  columns: TYPES.flatMap((type) => [
    { name: type, type, doc: "" },
    { name: `${type}_or_null`, type, nullable: true, doc: "" },
  ]),
  key: [],
  order: [],
};

const CELL: Partial<Record<ColumnType, fc.Arbitrary<Cell>>> = {
  bool: fc.boolean(),
  u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  u128: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
  bytes32: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  bytes: fc.uint8Array({ maxLength: 20 }),
  utf8: fc.string({ maxLength: 10 }),
};

const rowOf = fc.tuple(
  ...SPEC.columns.map((c) => {
    const cell = CELL[c.type] ?? fc.nat({ max: 255 });
    return c.nullable === true ? fc.option(cell, { nil: null }) : cell;
  }),
);

function tableOf(rows: readonly Cell[][]): Table {
  const builder = new TableBuilder(SPEC, Math.max(1, rows.length));
  for (const row of rows) for (const [i, cell] of row.entries()) builder.columns[i]!.cell(cell);
  return builder.finish();
}

/** A table and a part of it. */
const partOf = fc.tuple(fc.array(rowOf, { maxLength: 20 }), fc.nat(), fc.nat()).map(([rows, a, b]) => {
  const [start, end] = [a % (rows.length + 1), b % (rows.length + 1)].sort((x, y) => x - y) as [number, number];
  return { table: tableOf(rows), start, end };
});

test("rows of all parts, in order", () => {
  fc.assert(
    fc.property(fc.array(partOf, { minLength: 1, maxLength: 5 }), (parts) => {
      const joined = concat(parts);
      const expected = parts.flatMap(({ table, start, end }) =>
        Array.from({ length: end - start }, (_, i) => table.row(start + i)),
      );
      expect(Array.from({ length: joined.length }, (_, i) => joined.row(i))).toEqual(expected);
    }),
  );
});

test("a part of a larger batch does not keep that batch alive", () => {
  const table = tableOf([
    [true, null, 1, 2, 3, 4, 5n, 6n, 7n, 8n, new Uint8Array(32), null, new Uint8Array(9), null, "x", "y"],
  ]);
  const joined = concat([{ table, start: 0, end: 1 }]);
  for (const [i, column] of joined.columns.entries()) {
    expect(column.data.buffer).not.toBe(table.columns[i]!.data.buffer);
  }
});
