/**
 * The contenders. All are given the same columns and write one zstd file of the same rows, in the lake's order, with
 * addresses as base58 text and wide integers as two columns. Ours sorts, syncs, re-reads and hashes what it wrote; the
 * others get the order for nothing and stop when the bytes are in the file. DuckDB's COPY starts from a table in its own
 * memory that has the texts already: the least that can be done with DuckDB.
 */
import { rmSync, writeFileSync } from "node:fs";
import type { Cell } from "../../pipeline/wire/column.ts";
import { base58 } from "../../storage/lake/base58.ts";
import { lakeColumns, quoteText } from "../../storage/lake/columns.ts";
import { Duck } from "../../storage/lake/duckdb.ts";
import { Interner } from "../../storage/lake/interner.ts";
import { writeParquet } from "../../storage/lake/parquet.ts";
import { allRows, type Input } from "./input.ts";

export type Writer = (path: string) => Promise<void> | void;

/** Row group of all contenders that can be told one. */
const GROUP_ROWS = 122_880;

export const WRITERS = {
  ours,
  "DuckDB COPY (limit)": copy,
  "@subsquid/file-store-parquet 1.1": fileStoreParquet,
  "hyparquet-writer 0.17": hyparquet,
  "parquet-wasm 0.8": parquetWasm,
} satisfies Record<string, (input: Input) => Promise<Writer>>;
export type WriterName = keyof typeof WRITERS;

async function ours({ table }: Input): Promise<Writer> {
  const duck = await Duck.open({ memoryMb: 512 });
  return async (path) => {
    rmSync(path, { force: true });
    await writeParquet(duck, table, allRows(), path);
  };
}

async function copy({ table }: Input): Promise<Writer> {
  const duck = await Duck.open({ memoryMb: 1024 });
  await duck.feed(lakeColumns(table.spec), [{ table, rows: allRows() }], "CREATE TABLE t AS FROM fed_rows()");
  const order = table.spec.order.join(", ");
  const options = `FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${GROUP_ROWS}`;
  return (path) => duck.run(`COPY (FROM t ORDER BY ${order}) TO ${quoteText(path)} (${options})`);
}

/** A column of the file, from a column of the table. */
interface Field {
  readonly name: string;
  readonly kind: "text" | "bool" | "u32" | "u64" | "i64";
  readonly nullable: boolean;
  readonly value: (row: number) => Exclude<Cell, Uint8Array>;
}

/** The values of the file. Texts of addresses come from our own encoder and its cache: what is measured is the writing. */
function fieldsOf({ table }: Input): Field[] {
  const interner = new Interner();
  const texts: string[] = [];
  const address = (source: Uint8Array, at: number) =>
    (texts[interner.id(source, at, at + 32)] ??= base58(source, at, 32));
  return table.columns.flatMap((column): Field[] => {
    const { name, type, nullable = false } = column.spec;
    const field = (kind: Field["kind"], value: Field["value"], suffix = ""): Field => ({
      name: name + suffix,
      kind,
      nullable,
      value: (row) => (column.isNull(row) ? null : value(row)),
    });
    switch (type) {
      case "bytes32":
        return [field("text", (row) => address(column.data, row * 32))];
      case "bytes64":
        return [field("text", (row) => base58(column.data, row * 64, 64))];
      case "utf8":
        return [field("text", (row) => column.string(row))];
      case "bool":
        return [field("bool", (row) => column.number(row) === 1)];
      case "u32":
        return [field("u32", (row) => column.number(row))];
      case "i64":
        return [field("i64", (row) => column.bigint(row))];
      case "u64":
        return [field("u64", (row) => column.bigint(row))];
      case "u128":
        return [
          field("u64", (row) => column.bigint(row) >> 64n, "_hi"),
          field("u64", (row) => column.bigint(row) & (2n ** 64n - 1n), "_lo"),
        ];
      default:
        throw new Error(`no contender knows ${type}`);
    }
  });
}

async function fileStoreParquet(input: Input): Promise<Writer> {
  const { Column, Table, Types } = await import("@subsquid/file-store-parquet");
  const types = { text: Types.String, bool: Types.Boolean, u32: Types.Uint32, u64: Types.Uint64, i64: Types.Int64 };
  const fields = fieldsOf(input);
  const columns = fields.map(
    ({ name, kind, nullable }) => [name, Column(types[kind]() as never, { nullable })] as const,
  );
  const schema = Object.fromEntries(columns);
  return (path) => {
    // Its types leave out zstd, which it can.
    const options = { compression: "ZSTD" as string as "GZIP" };
    const writer = new Table("trades.parquet", schema, options).createWriter();
    for (const row of input.ordered) {
      const record = Object.fromEntries(fields.map((field) => [field.name, field.value(row)]));
      writer.write(record as never);
    }
    writeFileSync(path, writer.flush());
  };
}

async function hyparquet(input: Input): Promise<Writer> {
  const { parquetWriteBuffer } = await import("hyparquet-writer");
  const fields = fieldsOf(input);
  const physical = {
    text: { type: "BYTE_ARRAY", converted_type: "UTF8" },
    bool: { type: "BOOLEAN" },
    u32: { type: "INT32", converted_type: "UINT_32" },
    u64: { type: "INT64", converted_type: "UINT_64" },
    i64: { type: "INT64" },
  } as const;
  const schema = [
    { name: "root", num_children: fields.length },
    ...fields.map(({ name, kind, nullable }) => ({
      name,
      ...physical[kind],
      repetition_type: nullable ? ("OPTIONAL" as const) : ("REQUIRED" as const),
    })),
  ];
  return (path) => {
    const columnData = fields.map(({ name, value }) => ({ name, data: Array.from(input.ordered, value) }));
    const compressors = { ZSTD: (bytes: Uint8Array) => Bun.zstdCompressSync(bytes, { level: 3 }) };
    const options = { columnData, schema, codec: "ZSTD", compressors, rowGroupSize: GROUP_ROWS } as const;
    writeFileSync(path, new Uint8Array(parquetWriteBuffer(options)));
  };
}

async function parquetWasm(input: Input): Promise<Writer> {
  const [arrow, wasm] = await Promise.all([import("apache-arrow"), import("parquet-wasm/node")]);
  const types = {
    text: new arrow.Utf8(),
    bool: new arrow.Bool(),
    u32: new arrow.Uint32(),
    u64: new arrow.Uint64(),
    i64: new arrow.Int64(),
  };
  const fields = fieldsOf(input);
  return (path) => {
    const vectors = fields.map(({ name, kind, value }) => {
      return [name, arrow.vectorFromArray(Array.from(input.ordered, value) as never[], types[kind] as never)] as const;
    });
    const table = wasm.Table.fromIPCStream(arrow.tableToIPC(new arrow.Table(Object.fromEntries(vectors)), "stream"));
    const properties = new wasm.WriterPropertiesBuilder()
      .setCompression(wasm.Compression.ZSTD)
      .setMaxRowGroupSize(GROUP_ROWS)
      .build();
    writeFileSync(path, wasm.writeParquet(table, properties));
  };
}
