/**
 * Goal: `DatabaseChanges` become rows of a table with typed columns, and a text that is no value of its column is set aside. Method:
 * the message in both forms that its fields have had, and texts of every column type.
 */
import { describe, expect, test } from "bun:test";
import {
  type FieldInfo,
  type Message,
  type MessageType,
  type PartialMessage,
  proto3,
  ScalarType,
} from "@bufbuild/protobuf";
import bs58 from "bs58";
import type { ColumnType } from "../../../pipeline/datasets/dataset.ts";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { DecodeStage } from "../stage.ts";
import { batchOf, rowsOf } from "../stage-fixture.ts";
import { DATABASE_CHANGES, parseText, UnreadableText } from "./database-changes.ts";
import type { MapDataset } from "./map-spec.ts";

type Loose = MessageType<Message> & { new (data?: object): Message };
const text = (no: number, name: string) => ({ no, name, kind: "scalar", T: ScalarType.STRING }) as unknown as FieldInfo;

/** `value`: what the third field of older versions, the second of newer ones, is called. */
function typeOf(value: string): Loose {
  const Field = proto3.makeMessageType("sf.substreams.sink.database.v1.Field", () => [
    text(1, "name"),
    text(2, value),
    text(3, "old_value"),
  ]);
  const Operation = proto3.makeEnumType("sf.substreams.sink.database.v1.TableChange.Operation", [
    { no: 0, name: "OPERATION_UNSPECIFIED" },
    { no: 1, name: "OPERATION_CREATE" },
    { no: 3, name: "OPERATION_DELETE" },
  ]);
  const Change = proto3.makeMessageType("sf.substreams.sink.database.v1.TableChange", () => [
    text(1, "table"),
    { ...text(2, "pk"), oneof: "primary_key" } as unknown as FieldInfo,
    { no: 4, name: "ordinal", kind: "scalar", T: ScalarType.UINT64 } as unknown as FieldInfo,
    { no: 5, name: "operation", kind: "enum", T: Operation } as unknown as FieldInfo,
    { no: 6, name: "fields", kind: "message", T: Field, repeated: true } as unknown as FieldInfo,
  ]);
  return proto3.makeMessageType(DATABASE_CHANGES, () => [
    { no: 1, name: "table_changes", kind: "message", T: Change, repeated: true } as unknown as FieldInfo,
  ]) as unknown as Loose;
}

const MINT = new Uint8Array(32).fill(9);
const SWAPS: MapDataset = {
  dataset: "db_swaps",
  rows: "table_changes",
  table: { name: "swaps", columns: { mint: "bytes32", amount: "u64", isBuy: "bool" } },
  mint: "mint",
};

describe.each(["new_value", "value"])("the value of a field called %s", (value) => {
  const type = typeOf(value);
  const local = value === "value" ? "value" : "newValue";
  const change = (table: string, operation: number, fields: Record<string, string>) => ({
    table,
    operation,
    primaryKey: { case: "pk", value: "1" },
    ordinal: 7n,
    fields: Object.entries(fields).map(([name, v]) => ({ name, [local]: v })),
  });
  const decode = (dataset: MapDataset, ...changes: object[]) => {
    const stage = new DecodeStage({ programs: [], maps: [{ type, datasets: [dataset] }] });
    const output = new type({ tableChanges: changes } as PartialMessage<Message>).toBinary();
    return {
      rows: rowsOf(stage.apply(batchOf([output], DATABASE_CHANGES))),
      health: stage.health().programs[DATABASE_CHANGES]!,
    };
  };

  test("a table's changes with typed columns; other tables go by", () => {
    const { rows } = decode(
      SWAPS,
      change("swaps", 1, { mint: bs58.encode(MINT), amount: "18446744073709551615", isBuy: "true" }),
      change("pools", 1, { mint: "x" }),
      change("swaps", 3, { amount: "" }),
    );
    expect(rows["db_swaps"]).toHaveLength(2);
    expect(rows["db_swaps"]![0]).toMatchObject({
      operation: "create",
      mint: MINT,
      row_mint: MINT,
      amount: 2n ** 64n - 1n,
      is_buy: true,
    });
    expect(rows["db_swaps"]![1]).toMatchObject({
      operation: "delete",
      mint: null,
      row_mint: null,
      amount: null,
      is_buy: null,
    });
    expect(rows["db_swaps"]!.map((row) => [row["instruction_path"], row["ordinal"]])).toEqual([
      ["~0", 0],
      ["~2", 0],
    ]);
  });

  test("a text that is no value of its column is set aside with the row; the next row is decoded", () => {
    const { rows, health } = decode(SWAPS, change("swaps", 1, { amount: "-1" }), change("swaps", 1, { amount: "1" }));
    expect(rows["quarantine"]![0]).toMatchObject({ reason: "bad_value", detail: 'db_swaps: "-1" is no u64' });
    expect(rows["db_swaps"]).toHaveLength(1);
    expect(health).toMatchObject({ seen: 2, decoded: 1, badValue: 1 });
  });

  test("without a table, every change is a row as it came", () => {
    const { rows } = decode({ dataset: "changes", rows: "table_changes" }, change("pools", 1, { a: "b" }));
    expect(rows["changes"]![0]).toMatchObject({
      table: "pools",
      operation: "OPERATION_CREATE",
      primary_key: "pk",
      pk: "1",
      ordinal: 0,
      row_ordinal: 7n,
    });
    expect(JSON.parse(String(rows["changes"]![0]!["fields"]))[0]).toMatchObject({ name: "a", [value]: "b" });
  });
});

test.each<[string, ColumnType, Cell | "unreadable"]>([
  ["255", "u8", 255],
  ["256", "u8", "unreadable"],
  ["-128", "i8", -128],
  ["1e3", "u32", "unreadable"],
  ["340282366920938463463374607431768211455", "u128", 2n ** 128n - 1n],
  ["-9223372036854775808", "i64", -(2n ** 63n)],
  ["-9223372036854775809", "i64", "unreadable"],
  ["1.5", "f64", 1.5],
  ["x", "f64", "unreadable"],
  ["False", "bool", false],
  ["yes", "bool", "unreadable"],
  ["0x0aff", "bytes", Buffer.from([10, 255])],
  ["zz", "bytes", "unreadable"],
  ["", "u64", null],
  ["", "utf8", ""],
  ["11111111111111111111111111111111", "bytes32", new Uint8Array(32)],
  ["111", "bytes32", "unreadable"],
])("%j as %s", (value, type, expected) => {
  if (expected === "unreadable") expect(() => parseText(value, type)).toThrow(UnreadableText);
  else expect(parseText(value, type)).toEqual(expected as never);
});
