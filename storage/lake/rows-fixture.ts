/** Rows for the lake's tests: a dataset with a column of every type, arbitrary values for it, and plain trades. */
import fc from "fast-check";
import { type ColumnType, type DatasetSpec, WIDTH } from "../../pipeline/datasets/dataset.ts";
import { eventDataset } from "../../pipeline/datasets/event.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";

const ALL_TYPES = Object.keys(WIDTH) as ColumnType[];

export const EVERYTHING: DatasetSpec = eventDataset({
  name: "everything",
  version: 3,
  doc: "One column of each type, nullable and not.",
  fields: ALL_TYPES.flatMap((type) => [
    { name: `c_${type}`, type, doc: "" },
    { name: `c_${type}_or_null`, type, nullable: true, doc: "" },
  ]),
});

/** The lowest and highest values of each type, empty and odd texts among them. */
const EXTREMES: Record<ColumnType, readonly Cell[]> = {
  bool: [true, false],
  u8: [0, 255],
  u16: [0, 65_535],
  u32: [0, 4_294_967_295],
  u64: [0n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n + 1n],
  u128: [0n, 2n ** 128n - 1n, 2n ** 127n, 2n ** 64n, 2n ** 64n - 1n],
  i8: [-128, 127],
  i16: [-32_768, 32_767],
  i32: [-2_147_483_648, 2_147_483_647],
  i64: [-(2n ** 63n), 2n ** 63n - 1n, -1n],
  i128: [-(2n ** 127n), 2n ** 127n - 1n, -1n, -(2n ** 64n), 0n],
  f32: [0, Math.fround(1.1), -3.4028234663852886e38],
  f64: [0, 1.1, Number.MAX_VALUE, Number.MIN_VALUE],
  bytes32: [new Uint8Array(32), new Uint8Array(32).fill(255)],
  bytes64: [new Uint8Array(64), new Uint8Array(64).fill(255)],
  bytes: [new Uint8Array(0), new Uint8Array([0]), new Uint8Array(5_000).fill(0xfe)],
  utf8: ["", "\0", "a\0b", "é", "漢字", "😀 and ' and \" and ;", "x".repeat(3_000)],
  json: ["", "null", '{"a":[1,"2"]}'],
};

export function cellOf(type: ColumnType): fc.Arbitrary<Cell> {
  const extreme = fc.constantFrom(...EXTREMES[type]);
  switch (type) {
    case "bytes32":
      return fc.oneof(extreme, fc.uint8Array({ minLength: 32, maxLength: 32 }));
    case "bytes64":
      return fc.oneof(extreme, fc.uint8Array({ minLength: 64, maxLength: 64 }));
    case "bytes":
      return fc.oneof(extreme, fc.uint8Array({ maxLength: 40 }));
    case "u128":
      return fc.oneof(extreme, fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }));
    case "i128":
      return fc.oneof(extreme, fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n - 1n }));
    case "utf8":
      return fc.oneof(
        extreme,
        fc.string({ unit: "binary", maxLength: 20 }).map((s) => s.toWellFormed()),
      );
    default:
      return extreme;
  }
}

const DAY = 86_400;

/** Cells of a row of `EVERYTHING`: a few slots, mints and days, so that rows meet in order and in files. */
export const everythingRow: fc.Arbitrary<Record<string, Cell>> = fc
  .record({
    slot: fc.integer({ min: 100, max: 140 }),
    tx_index: fc.nat({ max: 3 }),
    event_index: fc.nat({ max: 3 }),
    mint: fc.option(
      fc.nat({ max: 4 }).map((n) => new Uint8Array(32).fill(n * 60)),
      { nil: null },
    ),
    cells: fc.tuple(
      ...EVERYTHING.columns.map((c) =>
        c.nullable === true ? fc.option(cellOf(c.type), { nil: null }) : cellOf(c.type),
      ),
    ),
  })
  .map(({ cells, ...common }) => ({
    ...Object.fromEntries(EVERYTHING.columns.map((c, i) => [c.name, cells[i]!])),
    ...common,
    block_time: 20_000 * DAY + (common.slot - 100) * 7_000,
  }));

export function tableOf(spec: DatasetSpec, rows: readonly Record<string, Cell>[]): Table {
  const builder = new TableBuilder(spec, Math.max(1, rows.length));
  for (const row of rows) builder.appendCells(row);
  return builder.finish();
}

export function allRows(table: Table): Uint32Array {
  return Uint32Array.from({ length: table.length }, (_, i) => i);
}

/** `bytes` bytes that depend on `n` alone. */
export function bytesOf(n: number, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0, state = n + 1; i < bytes; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    out[i] = state >>> 16;
  }
  return out;
}

/** A trade row; `n` tells it from all others. */
export function tradeRow(n: number, slot: number, time: number, txIndex = 0, eventIndex = 0): Record<string, Cell> {
  return {
    slot,
    block_time: time,
    tx_index: txIndex,
    event_index: eventIndex,
    signature: bytesOf(n, 64),
    instruction_path: `${n % 4}.${n % 3}`,
    ordinal: 0,
    program: bytesOf(1, 32),
    mint: n % 11 === 0 ? null : bytesOf(n % 7, 32),
    kind: n % 3 === 0 ? "long_short" : "buy_sell",
    user: bytesOf(1_000 + (n % 5), 32),
    is_buy: n % 3 === 0 ? null : n % 2 === 0,
    base_amount: n % 3 === 0 ? null : BigInt(n) * 1_000_003n,
    quote_amount: n % 3 === 0 ? null : 2n ** 64n - 1n - BigInt(n),
    price: (BigInt(n) << 70n) + 7n,
  };
}

export const tradeTable = (rows: readonly Record<string, Cell>[]) => tableOf(TRADES, rows);
