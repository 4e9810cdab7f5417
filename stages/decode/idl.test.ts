/** Goal: an Anchor IDL becomes the program it describes, or an error that says where it fails. Method: small IDLs. */
import { describe, expect, test } from "bun:test";
import { Fatal } from "../../pipeline/errors.ts";
import type { BorshType } from "./borsh.ts";
import { datasetCatalog } from "./catalog.ts";
import { type IdlOptions, programFromIdl } from "./idl.ts";
import { SPINPET } from "./programs/spinpet.ts";

const ADDRESS = SPINPET.programId;

/** An IDL with one event of one field `f`. */
function idlOf(type: unknown, types: readonly object[] = [], more: object = {}) {
  const event = { name: "E", type: { kind: "struct", fields: [{ name: "f", type }] } };
  return { address: ADDRESS, metadata: { name: "demo" }, events: [{ name: "E" }], types: [event, ...types], ...more };
}

function typeOf(type: unknown, types: readonly object[] = []): BorshType {
  return programFromIdl(idlOf(type, types)).events[0]!.layouts[0]![0]!.type;
}

const struct = (name: string, fields: readonly unknown[], more: object = {}) => ({
  name,
  type: { kind: "struct", fields },
  ...more,
});

describe("types", () => {
  test.each<[unknown, BorshType]>([
    ["u128", "u128"],
    ["publicKey", "pubkey"],
    [{ option: "u8" }, { option: "u8" }],
    [{ coption: "pubkey" }, { coption: "pubkey" }],
    [{ vec: { option: "string" } }, { vec: { option: "string" } }],
    [{ array: ["u8", 32] }, { array: ["u8", 32] }],
    ["u256", "u256"],
    [{ option: "i256" }, { option: "i256" }],
    [{ tuple: ["u8", "bool"] }, { tuple: ["u8", "bool"] }],
    [{ hashSet: "pubkey" }, { vec: "pubkey" }],
    [{ bTreeSet: "u8" }, { vec: "u8" }],
    [
      { hashMap: ["string", "u64"] },
      {
        vec: {
          struct: [
            { name: "key", type: "string" },
            { name: "value", type: "u64" },
          ],
        },
      },
    ],
    [
      { bTreeMap: ["u8", { vec: "bool" }] },
      {
        vec: {
          struct: [
            { name: "key", type: "u8" },
            { name: "value", type: { vec: "bool" } },
          ],
        },
      },
    ],
  ])("%j", (type, expected) => {
    expect(typeOf(type)).toEqual(expected);
  });

  test("names of either form are replaced by what they name", () => {
    const types = [struct("P", [{ name: "x", type: "i32" }])];
    const expected: BorshType = { struct: [{ name: "x", type: "i32" }] };
    expect(typeOf({ defined: { name: "P" } }, types)).toEqual(expected);
    expect(typeOf({ defined: "P" }, types)).toEqual(expected);
    expect(
      typeOf({ defined: "A" }, [...types, { name: "A", type: { kind: "type", alias: { vec: { defined: "P" } } } }]),
    ).toEqual({
      vec: expected,
    });
  });

  test("structs of bare types are tuples, variants keep their bodies", () => {
    const variants = [
      { name: "Unit" },
      { name: "Pair", fields: ["u8", "bool"] },
      { name: "Named", fields: [{ name: "a", type: "u8" }] },
    ];
    expect(typeOf({ defined: { name: "T" } }, [struct("T", ["u8", "string"])])).toEqual({ tuple: ["u8", "string"] });
    expect(typeOf({ defined: { name: "V" } }, [{ name: "V", type: { kind: "enum", variants } }])).toEqual({
      enum: [
        { name: "Unit" },
        { name: "Pair", body: { tuple: ["u8", "bool"] } },
        { name: "Named", body: { struct: [{ name: "a", type: "u8" }] } },
      ],
    });
  });

  test("generics by type and by number", () => {
    const many = struct("Many", [{ name: "items", type: { array: [{ generic: "T" }, { generic: "N" }] } }], {
      generics: [
        { kind: "type", name: "T" },
        { kind: "const", name: "N", type: "usize" },
      ],
    });
    const reference = (type: unknown, n: string) => ({
      defined: {
        name: "Many",
        generics: [
          { kind: "type", type },
          { kind: "const", value: n },
        ],
      },
    });
    expect(typeOf(reference("u16", "3"), [many])).toEqual({ struct: [{ name: "items", type: { array: ["u16", 3] } }] });
    const nested = typeOf(reference(reference("bool", "1"), "2"), [many]);
    expect(nested).toMatchObject({
      struct: [{ type: { array: [{ struct: [{ type: { array: ["bool", 1] } }] }, 2] } }],
    });
  });

  test("a parameter may be passed on, be it a type or a number", () => {
    const inner = struct("Inner", [{ name: "items", type: { array: [{ generic: "A" }, { generic: "L" }] } }], {
      generics: [
        { kind: "type", name: "A" },
        { kind: "const", name: "L", type: "usize" },
      ],
    });
    const passed = (length: object) =>
      struct(
        "Outer",
        [
          {
            name: "inner",
            type: { defined: { name: "Inner", generics: [{ kind: "type", type: { generic: "T" } }, length] } },
          },
        ],
        {
          generics: [
            { kind: "type", name: "T" },
            { kind: "const", name: "N", type: "usize" },
          ],
        },
      );
    const outer = (n: string) => ({
      defined: {
        name: "Outer",
        generics: [
          { kind: "type", type: "i32" },
          { kind: "const", value: n },
        ],
      },
    });
    const expected: BorshType = {
      struct: [{ name: "inner", type: { struct: [{ name: "items", type: { array: ["i32", 1000] } }] } }],
    };
    expect(typeOf(outer("1_000usize"), [inner, passed({ kind: "type", type: { generic: "N" } })])).toEqual(expected);
    expect(typeOf(outer("1000"), [inner, passed({ kind: "const", value: "N" })])).toEqual(expected);
  });

  test("generics as Anchor 0.29 wrote them", () => {
    const many = struct("Many", [{ name: "items", type: { genericLenArray: [{ generic: "T" }, "N"] } }], {
      generics: ["T", "N"],
    });
    const reference = { definedWithTypeArgs: { name: "Many", args: [{ type: "u64" }, { value: "4" }] } };
    expect(typeOf(reference, [many])).toEqual({ struct: [{ name: "items", type: { array: ["u64", 4] } }] });
  });

  test("what lies as in memory is decoded where that is Borsh: without padding, and of a fixed size", () => {
    const fields = [
      { name: "a", type: "u8" },
      { name: "b", type: { array: ["u64", 2] } },
    ];
    const expected: BorshType = {
      struct: [
        { name: "a", type: "u8" },
        { name: "b", type: { array: ["u64", 2] } },
      ],
    };
    const bytemuck = struct("Z", fields, { serialization: "bytemuck", repr: { kind: "c" } });
    const packed = struct("Z", fields, { serialization: "bytemuckunsafe", repr: { kind: "rust", packed: true } });
    expect(typeOf({ defined: "Z" }, [bytemuck])).toEqual(expected);
    expect(typeOf({ defined: "Z" }, [packed])).toEqual(expected);
  });

  test.each<[string, unknown, readonly object[], string]>([
    ["unknown scalar", "u7", [], "types[0].type.fields[0].type"],
    ["unknown name", { defined: { name: "Gone" } }, [], "types[0].type.fields[0].type"],
    ["no type", undefined, [], "types[0].type.fields[0].type"],
    [
      "a type that contains itself",
      { defined: "R" },
      [struct("R", [{ name: "r", type: { option: { defined: "R" } } }])],
      "types[1]",
    ],
    [
      "type in memory with padding",
      { defined: "Z" },
      [struct("Z", [{ name: "a", type: "u8" }], { serialization: "bytemuckunsafe", repr: { kind: "c" } })],
      "types[0].type.fields[0].type",
    ],
    [
      "type in memory with a text",
      { defined: "Z" },
      [struct("Z", [{ name: "a", type: "string" }], { serialization: "bytemuck" })],
      "types[0].type.fields[0].type",
    ],
    [
      "serialization of its own",
      { defined: "Z" },
      [struct("Z", [{ name: "a", type: "u8" }], { serialization: { custom: "mine" } })],
      "types[0].type.fields[0].type",
    ],
    ["map without a value", { hashMap: ["u8"] }, [], "types[0].type.fields[0].type.value"],
    ["array that is too long", { array: ["u8", 1_000_000] }, [], "array"],
    [
      "missing generic argument",
      { defined: { name: "G" } },
      [struct("G", [], { generics: [{ kind: "type", name: "T" }] })],
      "types[0]",
    ],
  ])("refuses %s and says where", (_, type, types, where) => {
    try {
      typeOf(type, types);
    } catch (error) {
      expect(error).toBeInstanceOf(Fatal);
      expect((error as Fatal).where).toContain(where);
      return;
    }
    throw new Error("accepted");
  });
});

describe("programs", () => {
  test("name, address, docs and discriminator come from the IDL", () => {
    const idl = idlOf("u8", [], {
      events: [{ name: "E", discriminator: [1, 2, 3, 4, 5, 6, 7, 8], docs: ["One", "two."] }],
    });
    expect(programFromIdl(idl)).toEqual({
      name: "demo",
      programId: ADDRESS,
      events: [
        {
          name: "E",
          dataset: "e",
          discriminator: [1, 2, 3, 4, 5, 6, 7, 8],
          doc: "One two.",
          layouts: [[{ name: "f", type: "u8" }]],
        },
      ],
      instructions: [],
      unwanted: [],
    });
  });

  test("older IDLs write fields with the event and no address", () => {
    const old = {
      name: "oldDemo",
      version: "0.1.0",
      events: [{ name: "SwapEvent", fields: [{ name: "userKey", type: "publicKey", index: false }] }],
    };
    expect(() => programFromIdl(old)).toThrow(Fatal);
    const spec = programFromIdl(old, { programId: ADDRESS, prefix: "old_", mintField: "userKey" });
    expect(spec).toMatchObject({
      name: "old_demo",
      events: [{ dataset: "old_swap", layouts: [[{ name: "userKey", type: "pubkey" }]] }],
    });
    expect(datasetCatalog([spec]).get("old_swap")?.columns[8]).toMatchObject({ name: "mint", field: "userKey" });
  });

  test("earlier versions add their layouts and their events", () => {
    const earlier = [idlOf("u8"), { ...idlOf("u8"), events: [{ name: "E" }, { name: "Gone", fields: [] }] }];
    const spec = programFromIdl(idlOf("u64", [], { events: [{ name: "E" }] }), { earlier });
    expect(spec.events.map((e) => [e.name, e.layouts.map((l) => l.map((f) => f.type))])).toEqual([
      ["E", [["u64"], ["u8"]]],
      ["Gone", [[]]],
    ]);
  });

  test("events that are not wanted are known by name only, even if they could not be decoded", () => {
    const idl = idlOf("u8", [struct("F", [{ name: "f", type: "u512" }])], { events: [{ name: "E" }, { name: "F" }] });
    const spec = programFromIdl(idl, { events: ["E"] });
    expect([spec.events.map((e) => e.name), spec.unwanted]).toEqual([["E"], [{ name: "F" }]]);
    expect(() => programFromIdl(idl)).toThrow(Fatal);
  });

  test.each<[string, unknown, IdlOptions]>([
    ["not an object", [], {}],
    ["events that are no list", { ...idlOf("u8"), events: {} }, {}],
    ["event without a name", { ...idlOf("u8"), events: [{}] }, {}],
    ["event without a type", { ...idlOf("u8"), events: [{ name: "X" }] }, {}],
    ["wanted event that is not there", idlOf("u8"), { events: ["X"] }],
    ["trade of an event that is not there", idlOf("u8"), { trades: { X: { user: "f", price: "f" } } }],
  ])("refuses %s", (_, idl, options) => {
    expect(() => programFromIdl(idl, options)).toThrow(Fatal);
  });

  test("two programs with events of one name need a prefix", () => {
    const other = { ...idlOf("u16"), address: "11111111111111111111111111111111" };
    expect(() => datasetCatalog([programFromIdl(idlOf("u8")), programFromIdl(other, { name: "b" })])).toThrow("taken");
    expect(
      datasetCatalog([programFromIdl(idlOf("u8")), programFromIdl(other, { name: "b", prefix: "b_" })]).has("b_e"),
    ).toBe(true);
  });
});
