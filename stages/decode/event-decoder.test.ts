/**
 * Goal: a payload is decoded by the layout that it has, nothing it holds beyond that is silent, and descriptions that
 * contradict themselves are refused at start. Method: layouts that grow, as programs grow on chain.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { Fatal } from "../../pipeline/errors.ts";
import { concat, keyOf, littleEndian } from "./block-fixture.ts";
import { BAD_VALUE, type BorshField, TOO_SHORT } from "./borsh.ts";
import { EventDecoder } from "./event-decoder.ts";
import type { EventSpec, ProgramSpec } from "./program.ts";
import { ProgramDecoder } from "./program-decoder.ts";
import { DecodeStage } from "./stage.ts";

const n: BorshField = { name: "n", type: "u64" };
const flag: BorshField = { name: "flag", type: "bool" };
const name: BorshField = { name: "name", type: "string" };
const extra: BorshField = { name: "extra", type: { option: "u32" } };

const PROGRAM: ProgramSpec = {
  name: "counter",
  programId: bs58.encode(keyOf(7)),
  events: [{ name: "TickEvent", layouts: [[n]] }],
};

function decoderOf(layouts: EventSpec["layouts"]): EventDecoder {
  return new EventDecoder(PROGRAM, { name: "TickEvent", layouts });
}

/** Number of fields of the layout chosen and the bytes it leaves, or why there is none. */
function choose(layouts: EventSpec["layouts"], body: Uint8Array): readonly [number, number] | number {
  const decoder = decoderOf(layouts);
  const chosen = decoder.choose(body, 0, body.length);
  return typeof chosen === "number" ? chosen : [chosen.layout.leaves.length, decoder.leftOver];
}

const text = (value: string) => concat([littleEndian(BigInt(value.length), 4), new TextEncoder().encode(value)]);
const eight = littleEndian(5n, 8);

describe("layout versions", () => {
  const grown = [[n], [n, flag], [n, flag, n]].map((fields) => fields.map((f, i) => ({ ...f, name: `${f.name}${i}` })));

  test.each([
    [8, [1, 0]],
    [9, [2, 0]],
    [17, [3, 0]],
  ] as const)("a body of %p bytes has the layout of that length", (size, expected) => {
    expect(choose(grown, new Uint8Array(size))).toEqual(expected);
    expect(choose([...grown].reverse(), new Uint8Array(size))).toEqual(expected);
  });

  test("a body between two layouts is read by the longest that fits, and the rest is left over", () => {
    expect(choose(grown, new Uint8Array(12))).toEqual([2, 3]);
    expect(choose([...grown].reverse(), new Uint8Array(12))).toEqual([2, 3]);
    expect(choose(grown, new Uint8Array(30))).toEqual([3, 13]);
  });

  test("too short for all is too short; a wrong value in one that is long enough is a bad value", () => {
    expect(choose(grown, new Uint8Array(7))).toBe(TOO_SHORT);
    expect(choose([[n, flag]], concat([eight, Uint8Array.of(2)]))).toBe(BAD_VALUE);
    const longer = [
      [n, flag],
      [n, flag, name],
    ];
    expect(choose(longer, concat([eight, Uint8Array.of(2)]))).toBe(BAD_VALUE);
  });

  test("a wrong value in one layout leaves the others a chance", () => {
    expect(choose(grown, concat([eight, Uint8Array.of(2)]))).toEqual([1, 1]);
  });

  test("layouts of variable length are told apart by reading them", () => {
    const layouts = [
      [n, name],
      [n, name, extra],
    ];
    expect(choose(layouts, concat([eight, text("abc")]))).toEqual([2, 0]);
    expect(choose(layouts, concat([eight, text("abc"), Uint8Array.of(0)]))).toEqual([3, 0]);
    expect(choose(layouts, concat([eight, text("abc"), Uint8Array.of(1, 9, 0, 0, 0)]))).toEqual([3, 0]);
    expect(choose(layouts, concat([eight, text("abc"), Uint8Array.of(1, 9)]))).toEqual([2, 2]);
    expect(choose(layouts, concat([eight, littleEndian(4n, 4), new Uint8Array(3)]))).toBe(TOO_SHORT);
  });

  test("the dataset is the union; what some layout lacks is nullable", () => {
    const columns = decoderOf([
      [n, name],
      [n, extra],
    ]).dataset.columns.slice(9);
    expect(columns.map((c) => [c.name, c.type, c.nullable === true])).toEqual([
      ["n", "u64", false],
      ["name", "utf8", true],
      ["extra", "u32", true],
    ]);
  });
});

test("discriminators that share their first half are told apart", () => {
  const events = [1, 2].map((last) => ({
    name: `E${last}`,
    discriminator: [9, 9, 9, 9, 0, 0, 0, last],
    layouts: [[n]],
  }));
  const decoder = new ProgramDecoder({ ...PROGRAM, events });
  const nameOf = (last: number) => decoder.find(Uint8Array.of(9, 9, 9, 9, 0, 0, 0, last), 0)?.name;
  expect([nameOf(1), nameOf(2), nameOf(3)]).toEqual(["E1", "E2", undefined]);
});

describe("descriptions that contradict themselves", () => {
  const code = (programs: readonly ProgramSpec[]) => {
    try {
      new DecodeStage({ programs });
    } catch (error) {
      expect(error).toBeInstanceOf(Fatal);
      return (error as Fatal).code;
    }
    return "accepted";
  };
  const OTHER_ID = bs58.encode(keyOf(9));
  const withEvents = (...events: ProgramSpec["events"]): ProgramSpec => ({ ...PROGRAM, events });
  test.each<[string, ProgramSpec[], string]>([
    ["same name twice", [PROGRAM, { ...PROGRAM, programId: OTHER_ID }], "PROGRAM_TWICE"],
    ["same address twice", [PROGRAM, { ...PROGRAM, name: "x" }], "PROGRAM_TWICE"],
    ["not an address", [{ ...PROGRAM, programId: "abc" }], "PROGRAM_ADDRESS"],
    ["not base58", [{ ...PROGRAM, programId: "0OIl" }], "PROGRAM_ADDRESS"],
    [
      "one discriminator, two events",
      [withEvents({ name: "A", layouts: [[n]] }, { name: "A", layouts: [[n]] })],
      "EVENT_DISCRIMINATOR",
    ],
    [
      "seven bytes",
      [withEvents({ name: "A", discriminator: [1, 2, 3, 4, 5, 6, 7], layouts: [[n]] })],
      "EVENT_DISCRIMINATOR",
    ],
    [
      "byte 256",
      [withEvents({ name: "A", discriminator: [256, 0, 0, 0, 0, 0, 0, 0], layouts: [[n]] })],
      "EVENT_DISCRIMINATOR",
    ],
    ["no layout", [withEvents({ name: "A", layouts: [] })], "EVENT_LAYOUT"],
    [
      "two fields, one column",
      [
        withEvents({
          name: "A",
          layouts: [
            [
              { name: "aB", type: "u8" },
              { name: "a_b", type: "u8" },
            ],
          ],
        }),
      ],
      "EVENT_COLUMN",
    ],
    [
      "one column, two types",
      [withEvents({ name: "A", layouts: [[n], [{ name: "n", type: "u32" }]] })],
      "EVENT_COLUMN",
    ],
    ["a name that is not one", [withEvents({ name: "A", layouts: [[{ name: "a b", type: "u8" }]] })], "DATASET_NAME"],
    ["a dataset that exists", [withEvents({ name: "TradesEvent", layouts: [[n]] })], "DATASET_NAME"],
    ["a dataset that is reserved", [withEvents({ name: "Blocks", layouts: [[n]] })], "DATASET_NAME"],
    ["a mint that is no address", [withEvents({ name: "A", layouts: [[n]], mintField: "n" })], "EVENT_MINT"],
    ["a mint that no event has", [{ ...PROGRAM, mintField: "nowhere" }], "EVENT_MINT"],
    ["a mint that the event lacks", [withEvents({ name: "A", layouts: [[n]], mintField: "m" })], "EVENT_MINT"],
    [
      "a trade of nobody",
      [withEvents({ name: "A", layouts: [[n]], trade: { user: "u", price: "n" } })],
      "TRADE_MAPPING",
    ],
  ])("%s", (_, programs, expected) => {
    expect(code(programs)).toBe(expected);
  });
});
