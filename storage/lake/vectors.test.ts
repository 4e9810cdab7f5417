/**
 * Columns into DuckDB's vectors. Goal: what is read back is what was there, across chunks, with texts of all lengths around
 * those that lie in the vector itself, repeated values, nulls, and columns that begin anywhere in memory. Method: tables
 * are fed to a real DuckDB and read back; the single values are the matter of `parquet.test.ts`.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import bs58 from "bs58";
import type { ColumnType, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Column } from "../../pipeline/wire/column.ts";
import { Table } from "../../pipeline/wire/table.ts";
import { lakeColumns } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import { allRows, bytesOf, EVERYTHING, tableOf } from "./rows-fixture.ts";
import { CHUNK_ROWS } from "./vectors.ts";

let duck: Duck;
beforeAll(async () => {
  duck = await Duck.open();
});
afterAll(() => duck.close());

/** A dataset that is one column. */
const only = (type: ColumnType): DatasetSpec => ({
  ...EVERYTHING,
  columns: [{ name: "cell", type, nullable: true, doc: "" }],
});

async function readBack(table: Table, rows = allRows(table)): Promise<unknown[]> {
  await duck.feed(lakeColumns(table.spec), [{ table, rows }], "CREATE OR REPLACE TABLE fed AS FROM fed_rows()");
  return (await duck.rows("FROM fed")).map(([cell]) => cell);
}

test("addresses and signatures over several chunks: repeated, alone, null", async () => {
  const count = 3 * CHUNK_ROWS + 5;
  for (const [type, width] of [
    ["bytes32", 32],
    ["bytes64", 64],
  ] as const) {
    // Runs of one, some that come back later, and some that come once.
    const cells = Array.from({ length: count }, (_, i) =>
      i % 7 === 3 ? null : bytesOf(i % 5 === 0 ? i : Math.floor(i / 40) % 50, width),
    );
    const expected = cells.map((cell) => cell && bs58.encode(cell));
    expect(
      await readBack(
        tableOf(
          only(type),
          cells.map((cell) => ({ cell })),
        ),
      ),
    ).toEqual(expected);
  }
});

test("more addresses than are kept as text", async () => {
  const count = 140_000;
  const data = new Uint8Array(count * 32);
  const numbers = new Uint32Array(data.buffer);
  for (let row = 0; row < count; row++) numbers[row * 8 + 3] = row % 70_000;
  const spec = only("bytes32");
  const table = new Table(spec, count, [new Column(spec.columns[0]!, count, { data, offsets: null, validity: null })]);
  await duck.feed(
    lakeColumns(spec),
    [{ table, rows: allRows(table) }],
    "CREATE OR REPLACE TABLE fed AS SELECT row_number() OVER () - 1 AS n, cell FROM fed_rows()",
  );
  expect(await duck.rows("SELECT count(*), count(DISTINCT cell) FROM fed")).toEqual([[140_000n, 70_000n]]);
  for (const row of [0, 1, 65_535, 65_536, 69_999, 70_000, 139_999]) {
    const [[text]] = (await duck.rows(`SELECT cell FROM fed WHERE n = ${row}`)) as [[string]];
    expect(text).toBe(bs58.encode(data.subarray(row * 32, row * 32 + 32)));
  }
});

test("texts of every length around those that lie in the vector, in any mixture and order", async () => {
  const texts = Array.from({ length: 40 }, (_, length) => String.fromCharCode(97 + (length % 26)).repeat(length));
  texts.push("é".repeat(6), "é".repeat(7), "漢字".repeat(30_000), "", "z".repeat(300_000));
  const cells = [...texts, null, ...texts.toReversed(), ...texts];
  for (const type of ["utf8", "json"] as const) {
    const table = tableOf(
      only(type),
      cells.map((cell) => ({ cell })),
    );
    expect(await readBack(table)).toEqual(cells);
    const shuffled = allRows(table).sort((a, b) => ((a * 37) % 41) - ((b * 37) % 41));
    expect(await readBack(table, shuffled)).toEqual([...shuffled].map((row) => cells[row]));
  }
  const short = ["a", null, "", "twelve bytes"];
  expect(
    await readBack(
      tableOf(
        only("utf8"),
        short.map((cell) => ({ cell })),
      ),
    ),
  ).toEqual(short);
});

test("a column may begin anywhere in memory", async () => {
  for (const type of ["u16", "u32", "i64", "f64"] as const) {
    const table = tableOf(
      only(type),
      [1, 2, 3].map((n) => ({ cell: type === "i64" ? BigInt(n) : n })),
    );
    const [{ data, spec, length, validity }] = table.columns as [Column];
    for (const shift of [1, 2, 4]) {
      const memory = new Uint8Array(data.length + shift);
      memory.set(data, shift);
      const moved = new Column(spec, length, { data: memory.subarray(shift), offsets: null, validity });
      expect((await readBack(new Table(table.spec, length, [moved]))).map(Number)).toEqual([1, 2, 3]);
    }
  }
});

test("bytes that are no text are refused, also where neighbours would make one of them", async () => {
  const spec = only("utf8");
  for (const [bytes, offsets] of [
    [
      [0x61, 0xff],
      [0, 1, 2],
    ],
    [
      [0xc3, 0xa9],
      [0, 1, 2],
    ],
  ] as const) {
    const buffers = { data: Uint8Array.from(bytes), offsets: Int32Array.from(offsets), validity: null };
    const table = new Table(spec, 2, [new Column(spec.columns[0]!, 2, buffers)]);
    await expect(readBack(table)).rejects.toMatchObject({ kind: "fatal", code: "LAKE_TEXT" });
  }
});
