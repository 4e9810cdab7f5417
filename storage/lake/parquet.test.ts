/**
 * Parquet files. Goal: every value of every type comes back exactly, files are sorted, and the same rows give the same
 * bytes. Method: arbitrary rows are written and read back by DuckDB itself, once raw and once through the view columns.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBBlobValue } from "@duckdb/node-api";
import bs58 from "bs58";
import fc from "fast-check";
import type { ColumnSpec } from "../../pipeline/datasets/dataset.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { lakeNames, lakeTypes, quoteName, quoteText, viewColumn } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import { orderRows } from "./order.ts";
import { differs, inspectParquet, rowsByDate, writeParquet } from "./parquet.ts";
import { allRows, EVERYTHING, everythingRow, tableOf, tradeRow, tradeTable } from "./rows-fixture.ts";

let folder: string;
let duck: Duck;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "parquet-"));
  duck = await Duck.open({ spillDir: folder });
});
afterAll(async () => {
  duck.close();
  await rm(folder, { recursive: true });
});

const newPath = () => join(folder, `${files++}.parquet`);

async function write(table: Table, rows = allRows(table)) {
  const path = newPath();
  return { path, written: await writeParquet(duck, table, rows, path) };
}

/** The cell as DuckDB is to give it back. */
function asRead(type: ColumnSpec["type"], cell: Cell): unknown {
  if (cell === null) return null;
  if (type === "bytes") return new DuckDBBlobValue(cell as Uint8Array).toString();
  if (type === "bytes32" || type === "bytes64") return bs58.encode(cell as Uint8Array);
  return cell;
}

const plain = (value: unknown) => (value instanceof DuckDBBlobValue ? value.toString() : value);

describe("round trip", () => {
  test("every type, extremes, nulls, odd texts: exactly what went in", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(everythingRow, { minLength: 1, maxLength: 30 }), async (rows) => {
        const table = tableOf(EVERYTHING, rows);
        const { path } = await write(table);
        const select = EVERYTHING.columns.map(viewColumn).join(", ");
        const read = await duck.rows(`SELECT ${select} FROM read_parquet(${quoteText(path)})`);
        const expected = [...orderRows(table, allRows(table))].map((row) =>
          table.columns.map((column) => asRead(column.spec.type, column.cell(row))),
        );
        expect(read.map((row) => row.map(plain))).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test("columns have the types that the dataset promises, flat and in order", async () => {
    const { path } = await write(
      tableOf(EVERYTHING, [fc.sample(everythingRow, { numRuns: 1, seed: 7 })[0] as Record<string, Cell>]),
    );
    const described = await duck.rows(`DESCRIBE SELECT * FROM read_parquet(${quoteText(path)})`);
    const expected = EVERYTHING.columns.flatMap((column) =>
      lakeNames(column).map((name, i) => [name, lakeTypes(column)[i]]),
    );
    expect(described.map(([name, type]) => [name, type])).toEqual(expected);
    const types = new Map(described.map(([name, type]) => [name, type]));
    expect(types.get("c_u128_hi")).toBe("UBIGINT");
    expect(types.get("c_i128_hi")).toBe("BIGINT");
    expect(types.get("block_time")).toBe("BIGINT");
    expect(types.get("signature")).toBe("VARCHAR");
    expect(types.get("c_bytes")).toBe("BLOB");
  });

  test("more rows than a chunk and a row group", async () => {
    const rows = Array.from({ length: 5_000 }, (_, i) => tradeRow(i, 1_000 + (i >> 2), 86_400, i & 3));
    const { path, written } = await write(tradeTable(rows));
    expect(written.rows).toBe(5_000);
    const [sums] = await duck.rows(
      `SELECT count(DISTINCT signature), sum(base_amount), count(is_buy) FROM read_parquet(${quoteText(path)})`,
    );
    const buys = rows.filter((r) => r["base_amount"] !== null);
    const total = buys.reduce((sum, r) => sum + (r["base_amount"] as bigint), 0n);
    expect(sums).toEqual([5_000n, total, BigInt(buys.length)]);
  });
});

describe("files", () => {
  test("the same rows give the same bytes, also from another writer", async () => {
    const rows = Array.from({ length: 3_000 }, (_, i) => tradeRow(i, 1_000 + (i >> 2), 86_400, i & 3));
    const first = (await write(tradeTable(rows))).written;
    const other = await Duck.open({ spillDir: folder, memoryMb: 256, threads: 2 });
    const path = newPath();
    const second = await writeParquet(other, tradeTable(rows), allRows(tradeTable(rows)), path);
    other.close();
    expect(second).toEqual(first);
  });

  test("facts are those of the rows", async () => {
    const { written } = await write(tradeTable([3, 1, 2].map((n) => tradeRow(n, 10 + n, 86_400 + n))));
    const mints = [1, 2, 3].map((n) => bs58.encode(tradeRow(n, 0, 0)["mint"] as Uint8Array)).sort();
    expect(written).toMatchObject({
      rows: 3,
      slot: { min: 11, max: 13 },
      blockTime: { min: 86_401, max: 86_403 },
      mint: { min: mints[0], max: mints[2] },
    });
    expect(written.bytes).toBeGreaterThan(100);
    expect(written.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test("a file without mints has no mint range", async () => {
    const { written } = await write(tradeTable([{ ...tradeRow(1, 10, 0), mint: null }]));
    expect(written.mint).toBeNull();
  });

  test("groups of wide rows are smaller, so that memory stays bounded", async () => {
    const small = await Duck.open({ spillDir: folder, memoryMb: 128 });
    const wide = Array.from({ length: 1_500 }, (_, i) => ({ ...tradeRow(i, i, 0), kind: `${i}`.padEnd(100_000, "x") }));
    const narrow = Array.from({ length: 8_500 }, (_, i) => tradeRow(i, 10_000 + i, 0));
    const table = tradeTable([...wide, ...narrow]);
    const path = newPath();
    expect(await writeParquet(small, table, allRows(table), path)).toMatchObject({ rows: 10_000 });
    small.close();
    const [groups] = await duck.rows(`SELECT max(row_group_num_rows) FROM parquet_metadata(${quoteText(path)})`);
    // 335 rows of 100 kB fill 32 MiB, but mints deal the wide rows out among narrow ones.
    expect(Number(groups![0])).toBeLessThan(4_096);
  });

  test("rows are parted by the UTC date of their block time", () => {
    const times = [86_399, 86_400, 172_799, 172_800, -1, 86_401];
    const parts = rowsByDate(tradeTable(times.map((time, n) => tradeRow(n, n, time))));
    expect([...parts].map(([date, rows]) => [date, [...rows]])).toEqual([
      ["1969-12-31", [4]],
      ["1970-01-01", [0]],
      ["1970-01-02", [1, 2, 5]],
      ["1970-01-03", [3]],
    ]);
  });

  test("nothing is spilled or left beside the file", async () => {
    const own = await mkdtemp(join(folder, "own-"));
    const path = join(own, "one.parquet");
    await writeParquet(duck, tradeTable([tradeRow(1, 1, 0)]), Uint32Array.of(0), path);
    expect(await readdir(own)).toEqual(["one.parquet"]);
  });
});

describe("inspection", () => {
  test("rows out of order are counted", async () => {
    const path = newPath();
    const table = tradeTable([5, 3, 4, 1].map((n) => ({ ...tradeRow(7, n, 0), mint: null })));
    const names = TRADES.columns.flatMap(lakeNames).map(quoteName).join(", ");
    const sorted = await write(table);
    await duck.run(
      `COPY (SELECT ${names} FROM read_parquet(${quoteText(sorted.path)}) ORDER BY slot % 3, slot) TO ${quoteText(path)}`,
    );
    // 3, 1, 4, 5: one row sorts before the one above it.
    expect((await inspectParquet(duck, TRADES, path)).misplaced).toBe(1);
    expect((await inspectParquet(duck, TRADES, sorted.path)).misplaced).toBe(0);
  });

  test("a mint after a null is out of order: nulls come last", async () => {
    const path = newPath();
    const sorted = await write(tradeTable([tradeRow(1, 1, 0), { ...tradeRow(2, 2, 0), mint: null }]));
    await duck.run(
      `COPY (FROM read_parquet(${quoteText(sorted.path)}) ORDER BY slot DESC) TO ${quoteText(path)} (FORMAT parquet)`,
    );
    expect((await inspectParquet(duck, TRADES, path)).misplaced).toBe(1);
  });

  test("each difference is named", () => {
    const facts = { rows: 2, slot: { min: 1, max: 2 }, blockTime: { min: 5, max: 6 }, mint: null };
    expect(differs(facts, facts)).toBeNull();
    expect(differs(facts, null)).toContain("no rows");
    expect(differs(facts, { ...facts, rows: 3 })).toContain("3 rows instead of 2");
    expect(differs(facts, { ...facts, slot: { min: 0, max: 2 } })).toContain("slot from 0");
    expect(differs(facts, { ...facts, mint: { min: "a", max: "b" } })).toContain("mint from a");
  });

  test("a file that is no Parquet is an error that says so", async () => {
    const path = newPath();
    await Bun.write(path, "not parquet at all");
    await expect(inspectParquet(duck, TRADES, path)).rejects.toBeInstanceOf(Fatal);
  });
});

test("a statement that needs more memory than allowed fails with a hint, and the next one works", async () => {
  const small = await Duck.open({ memoryMb: 32 });
  const error = await small
    .run("CREATE TABLE big AS SELECT repeat('x', 1000) || range AS text FROM range(1000000)")
    .catch((e: unknown) => e);
  expect(error).toMatchObject({ code: "LAKE_MEMORY" });
  expect(await small.rows("SELECT 1")).toEqual([[1]]);
  small.close();
});

test("a path is never read from memory: the file may have been written anew", async () => {
  const fresh = await Duck.open();
  const [setting] = await fresh.rows("SELECT value FROM duckdb_settings() WHERE name = 'enable_external_file_cache'");
  expect(setting).toEqual(["false"]);
  fresh.close();
});

test("an error while rows are read reaches the caller as it was thrown", async () => {
  const broken = tradeTable([tradeRow(1, 1, 0)]);
  const feeds = (function* () {
    yield { table: broken, rows: allRows(broken) };
    throw new Fatal("TEST", "the source of rows broke");
  })();
  const { lakeColumns } = await import("./columns.ts");
  const feeding = duck.feed(lakeColumns(TRADES), feeds, "SELECT count(*) FROM fed_rows()");
  await expect(feeding).rejects.toMatchObject({ code: "TEST" });
  expect(await duck.rows("SELECT 1")).toEqual([[1]]);
});
