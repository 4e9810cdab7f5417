/**
 * Goal: every Borsh type becomes the right column with the right cell, at its extremes too, and no damaged payload does.
 * Method: random types and values from an encoder written apart, round trips through a layout, then cuts and bad bytes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Fatal } from "../../pipeline/errors.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { concat, keyOf, littleEndian } from "./block-fixture.ts";
import { BAD_VALUE, type BorshField, type BorshType, codecOf, TOO_SHORT } from "./borsh.ts";
import { borshType, borshValue, cellsOf, decode, encodeBorsh } from "./borsh-fixture.ts";
import { Layout } from "./layout.ts";

describe("round trip", () => {
  test("any type, any value", () => {
    const typed = borshType.chain((type) => fc.tuple(fc.constant(type), borshValue(type)));
    fc.assert(
      fc.property(typed, ([type, value]) => {
        const cells = decode([{ name: "f", type }], encodeBorsh(type, value));
        for (const [path, cell] of cellsOf(type, value, "f")) {
          const found = (cells as Record<string, Cell>)[path];
          if (cell !== null && typeof cell === "object" && "json" in cell) {
            expect(JSON.parse(found as string)).toEqual(cell.json as object);
          } else expect(found).toEqual(cell as Cell);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test("any cut is noticed, and more bytes are left over", () => {
    const typed = borshType.chain((type) => fc.tuple(fc.constant(type), borshValue(type), fc.nat()));
    fc.assert(
      fc.property(typed, ([type, value, seed]) => {
        const payload = encodeBorsh(type, value);
        const layout = new Layout([{ name: "f", type }]);
        const cut = seed % payload.length;
        expect(layout.locate(payload.subarray(0, cut), 0, cut)).toBe(TOO_SHORT);
        const longer = concat([payload, Uint8Array.of(1, 2, 3)]);
        expect(layout.locate(longer, 0, longer.length)).toBe(payload.length);
      }),
      { numRuns: 1500 },
    );
  });
});

describe("extremes", () => {
  test.each([
    ["u64", "ffffffffffffffff", 2n ** 64n - 1n],
    ["i64", "0000000000000080", -(2n ** 63n)],
    ["i64", "ffffffffffffff7f", 2n ** 63n - 1n],
    ["u128", "ffffffffffffffffffffffffffffffff", 2n ** 128n - 1n],
    ["i128", "00000000000000000000000000000080", -(2n ** 127n)],
    ["i8", "80", -128],
    ["u16", "0102", 513],
    ["f64", "000000000000f07f", Number.POSITIVE_INFINITY],
  ] as const)("%s %s", (type, hex, value) => {
    expect(decode([{ name: "f", type }], Buffer.from(hex, "hex"))).toEqual({ f: value });
  });

  test("canonical text: what JSON has no word for, and what a double cannot hold", () => {
    const many = (element: BorshType, count: number, bytes: Uint8Array) =>
      decode([{ name: "f", type: { array: [element, count] } }], bytes);
    const floats = new Uint8Array(Float64Array.of(Number.NaN, Number.NEGATIVE_INFINITY, -0, 0.1).buffer);
    expect(many("f64", 4, floats)).toEqual({ f: '["NaN","-Infinity",-0,0.1]' });
    expect(many("u64", 1, littleEndian(2n ** 64n - 1n, 8))).toEqual({ f: '["18446744073709551615"]' });
    expect(many("pubkey", 1, new Uint8Array(32))).toEqual({ f: '["11111111111111111111111111111111"]' });
  });
});

describe("values that their type does not have", () => {
  const text = (bytes: number[]) => concat([littleEndian(BigInt(bytes.length), 4), Uint8Array.from(bytes)]);
  const side: BorshType = { enum: [{ name: "Buy" }, { name: "Sell" }] };

  test.each<[string, BorshType, Uint8Array]>([
    ["bool 2", "bool", Uint8Array.of(2)],
    ["option tag 2", { option: "u8" }, Uint8Array.of(2, 0)],
    ["coption tag 256", { coption: "u8" }, Uint8Array.of(0, 1, 0, 0, 0)],
    ["enum variant 2 of 2", side, Uint8Array.of(2)],
    ["enum variant in a vec", { vec: side }, Uint8Array.of(1, 0, 0, 0, 9)],
    ["bool in an option", { option: "bool" }, Uint8Array.of(1, 7)],
    ["lone continuation byte", "string", text([0x61, 0x80])],
    ["overlong encoding", "string", text([0xc0, 0x80])],
    ["surrogate", "string", text([0xed, 0xa0, 0x80])],
    ["cut character", "string", text([0xe2, 0x82])],
    ["text in a vec", { vec: "string" }, concat([littleEndian(1n, 4), text([0xff])])],
  ])("%s", (_, type, payload) => {
    expect(decode([{ name: "f", type }], payload)).toBe(BAD_VALUE);
    expect(codecOf(type).check(payload, 0, payload.length)).toBe(BAD_VALUE);
  });

  test("a length beyond the payload is too short, however large", () => {
    const huge = Uint8Array.of(255, 255, 255, 255, 0);
    for (const type of [
      "string",
      "bytes",
      { vec: "u8" },
      { vec: { struct: [{ name: "a", type: "string" }] } },
    ] as const) {
      expect(decode([{ name: "f", type }], huge)).toBe(TOO_SHORT);
    }
  });
});

describe("columns", () => {
  const columnsOf = (fields: readonly BorshField[]) =>
    new Layout(fields).leaves.map(({ column: c }) => [c.name, c.type, c.nullable === true, c.field ?? c.name]);

  test("nested structs and tuples are flattened under snake_case names that remember the field", () => {
    const point: BorshType = {
      struct: [
        { name: "x", type: "i32" },
        { name: "maxY", type: { option: "u128" } },
      ],
    };
    expect(
      columnsOf([
        { name: "topLeft", type: point },
        { name: "pair", type: { tuple: ["u8", "string"] } },
      ]),
    ).toEqual([
      ["top_left_x", "i32", false, "topLeft.x"],
      ["top_left_max_y", "u128", true, "topLeft.maxY"],
      ["pair_0", "u8", false, "pair.0"],
      ["pair_1", "utf8", false, "pair.1"],
    ]);
  });

  test("what has a form of its own is a column, the rest is json", () => {
    const unit: BorshType = { enum: [{ name: "A" }, { name: "B" }] };
    const mixed: BorshType = { enum: [{ name: "A" }, { name: "B", body: { tuple: ["u8"] } }] };
    const types: BorshType[] = [
      unit,
      mixed,
      { vec: "u8" },
      { array: ["u8", 4] },
      { vec: "u16" },
      { option: { vec: "u8" } },
    ];
    expect(
      columnsOf(types.map((type, i) => ({ name: `f${i}`, type }))).map(([, type, nullable]) => [type, nullable]),
    ).toEqual([
      ["utf8", false],
      ["json", false],
      ["bytes", false],
      ["bytes", false],
      ["json", false],
      ["bytes", true],
    ]);
  });

  test("an empty C option keeps the room of its value", () => {
    const fields: BorshField[] = [
      { name: "owner", type: { coption: "pubkey" } },
      { name: "after", type: "u8" },
    ];
    const payload = concat([littleEndian(0n, 4), keyOf(9), Uint8Array.of(5)]);
    expect(decode(fields, payload)).toEqual({ owner: null, after: 5 });
  });

  test("types that could not be bounded are refused", () => {
    expect(() => codecOf({ vec: { struct: [] } })).toThrow(Fatal);
    expect(() => codecOf({ coption: "string" })).toThrow(Fatal);
    expect(() => codecOf({ enum: [] })).toThrow(Fatal);
  });
});
