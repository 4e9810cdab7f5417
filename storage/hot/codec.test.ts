/**
 * Goal: what is stored comes back exactly, and unsigned numbers of any size sort as numbers. Method: properties through a
 * real SQLite table, over the whole range of each type.
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ColumnSpec, ColumnType } from "../../pipeline/datasets/dataset.ts";
import { type Cell, ColumnBuilder } from "../../pipeline/wire/column.ts";
import { columnToSql, fromSql, type SqlValue, sqlType, toSql } from "./codec.ts";

const I63 = 1n << 63n;
const unsigned = (bits: bigint) =>
  fc.oneof(
    fc.bigInt({ min: 0n, max: (1n << bits) - 1n }),
    fc.constantFrom(0n, 1n, I63 - 1n, I63, I63 + 1n, (1n << bits) - 1n),
  );
const signed = (bits: bigint) =>
  fc.oneof(
    fc.bigInt({ min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n }),
    fc.constantFrom(-(1n << (bits - 1n)), -1n, 0n, 1n, (1n << (bits - 1n)) - 1n),
  );
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });
const integer = (min: number, max: number) => fc.integer({ min, max });

const VALUES: Record<ColumnType, fc.Arbitrary<Cell>> = {
  bool: fc.boolean(),
  u8: integer(0, 0xff),
  u16: integer(0, 0xffff),
  u32: integer(0, 0xffffffff),
  u64: unsigned(64n),
  u128: unsigned(128n),
  i8: integer(-128, 127),
  i16: integer(-32_768, 32_767),
  i32: integer(-2_147_483_648, 2_147_483_647),
  i64: signed(64n),
  i128: signed(128n),
  f32: fc.float({ noDefaultInfinity: false }).map((x) => x + 0),
  f64: fc.double().map((x) => x + 0),
  bytes32: bytes(32),
  bytes64: bytes(64),
  bytes: fc.uint8Array({ maxLength: 40 }),
  utf8: fc.string({ unit: "binary", maxLength: 20 }),
  json: fc.json(),
};

function spec(type: ColumnType, nullable = false): ColumnSpec {
  return { name: "c", type, nullable, doc: "" };
}

/** Stores the values in a table as the hot store makes it and reads them back in the column's order. */
function throughSqlite(type: ColumnType, values: readonly SqlValue[]): SqlValue[] {
  const db = new Database(":memory:", { safeIntegers: true, strict: true });
  db.run(`CREATE TABLE t (c ${sqlType(type)}) STRICT`);
  for (const value of values) db.query("INSERT INTO t VALUES (?)").run(value);
  const stored = db
    .query("SELECT c FROM t ORDER BY c")
    .values()
    .map(([c]) => c as SqlValue);
  db.close(true);
  return stored;
}

const compare = (a: bigint, b: bigint) => (a < b ? -1 : Number(a > b));

describe("cells in SQLite", () => {
  for (const type of Object.keys(VALUES) as ColumnType[]) {
    test(`${type} comes back as it was, from a cell and from a column`, () => {
      fc.assert(
        fc.property(VALUES[type], fc.boolean(), (value, isNull) => {
          const column = spec(type, true);
          const cell = isNull ? null : value;
          const builder = new ColumnBuilder(column, 2);
          builder.cell(value);
          builder.cell(cell);
          const read = columnToSql(builder.finish());
          const expected = typeof cell === "number" && Number.isNaN(cell) ? null : cell;
          for (const stored of [toSql(type, cell), read(1)]) {
            expect(fromSql(column, throughSqlite(type, [stored])[0]!)).toEqual(expected);
          }
        }),
        { numRuns: 60 },
      );
    });
  }

  for (const type of ["u64", "i64", "u128", "i128"] as const) {
    test(`${type} sorts as a number`, () => {
      fc.assert(
        fc.property(fc.array(VALUES[type] as fc.Arbitrary<bigint>, { minLength: 2, maxLength: 12 }), (values) => {
          const sorted = throughSqlite(
            type,
            values.map((v) => toSql(type, v)),
          ).map((v) => fromSql(spec(type), v));
          expect(sorted).toEqual(values.toSorted(compare));
        }),
        { numRuns: 60 },
      );
    });
  }

  test("NaN in a column that is never null comes back as NaN", () => {
    expect(fromSql(spec("f64"), throughSqlite("f64", [toSql("f64", Number.NaN)])[0]!)).toBeNaN();
  });

  test("numbers that fit stay plain numbers for whoever opens the file", () => {
    expect(toSql("u64", I63 - 1n)).toBe(I63 - 1n);
    expect(toSql("u128", 5n)).toBe(5n);
    expect(toSql("u64", I63)).toBeInstanceOf(Uint8Array);
  });
});
