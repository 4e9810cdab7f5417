/**
 * Goal: whatever is given for an IDL, `sluice idl check` ends soon, with a report or with an error that says where. Method: IDLs
 * that are made to hurt, by hand; and a good one with any part of it replaced by any JSON.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { classify } from "../pipeline/errors.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import { checkIdl, type IdlReport } from "./idl-report.ts";

const example: unknown = JSON.parse(readFileSync(join(import.meta.dir, "../docs/examples/market-idl.json"), "utf8"));

const struct = (name: string, fields: readonly unknown[]) => ({ name, type: { kind: "struct", fields } });
const idlOf = (types: readonly object[], more: object = {}) => ({
  ...{ address: SPINPET.programId, metadata: { name: "demo" }, events: [{ name: "E" }], types },
  ...more,
});

/** The report, or the code of the error. */
function check(idl: unknown): IdlReport | string {
  try {
    return checkIdl(idl, "idl.json", { instructions: true });
  } catch (error) {
    return classify(error).code;
  }
}
const reasons = (idl: unknown): string => {
  const report = check(idl);
  return typeof report === "string" ? report : report.broken.map(({ reason }) => reason).join("; ");
};

/** Each type names the one before it twice: 2^30 parts. */
const doubling = Array.from({ length: 31 }, (_, i) => {
  const before = i === 0 ? "u8" : { defined: `T${i - 1}` };
  return struct(`T${i}`, [
    { name: "a", type: before },
    { name: "b", type: before },
  ]);
});
const nested = (depth: number) =>
  Array.from({ length: depth }).reduce<object>((inner) => ({ name: "g", accounts: [inner] }), { name: "z" });

describe("made to hurt", () => {
  test.each<[string, unknown, string]>([
    ["a type of 2^30 parts", idlOf([...doubling, struct("E", [{ name: "f", type: { defined: "T30" } }])]), "parts"],
    [
      "more columns than a table has",
      idlOf([
        struct(
          "E",
          Array.from({ length: 3_000 }, (_, i) => ({ name: `f${i}`, type: "u8" })),
        ),
      ]),
      "3000 columns",
    ],
    ["a name of 100,000 letters", idlOf([struct("E", [{ name: "f".repeat(100_000), type: "u8" }])]), "256 characters"],
    [
      "SQL for a name",
      idlOf([struct('E"; drop table x', [])], { events: [{ name: 'E"; drop table x' }] }),
      "the name of",
    ],
    [
      "accounts in 10,000 groups",
      idlOf([], { instructions: [{ name: "i", accounts: [nested(10_000)], args: [] }] }),
      "IDL_INVALID",
    ],
    [
      "a discriminator that is none",
      idlOf([struct("E", [])], { events: [{ name: "E", discriminator: [1, "x"] }] }),
      "eight bytes",
    ],
    ["an address that is none", { ...idlOf([struct("E", [])]), address: "nope" }, "PROGRAM_ADDRESS"],
    ["null everywhere", { address: null, metadata: null, events: null, types: null }, "IDL_INVALID"],
    ["a list", [], "IDL_INVALID"],
    ["a number", 7, "IDL_INVALID"],
  ])("%s", (_, idl, what) => {
    expect(reasons(idl)).toContain(what);
  });

  test("names that objects have by themselves are names like others", () => {
    const fields = ["constructor", "toString", "hasOwnProperty", "valueOf"];
    const events = fields.map((name) => ({ name }));
    const types = fields.map((name) => struct(name, [{ name, type: "u8" }]));
    const report = check(idlOf(types, { events }));
    if (typeof report === "string") throw new Error(report);
    expect(report.datasets.map(({ dataset }) => dataset)).toEqual([
      "constructor",
      "to_string",
      "has_own_property",
      "value_of",
    ]);
  });
});

describe("what names the token", () => {
  const fields = [
    { name: "tokenMint", type: "pubkey" },
    { name: "owner", type: "pubkey" },
    { name: "amount", type: "u64" },
  ];
  const idl = idlOf([struct("E", fields)]);
  const checked = (mint: string) => {
    try {
      return checkIdl(idl, "idl.json", { mint }).datasets.map((dataset) => [dataset.mint, dataset.columns.length]);
    } catch (error) {
      const { code, hint } = classify(error);
      return [code, hint];
    }
  };

  test("by the IDL's name for it or by the column's", () => {
    expect(checked("tokenMint")).toEqual([["tokenMint", 2]]);
    expect(checked("token_mint")).toEqual([["token_mint", 2]]);
    expect(checked("accounts.mint")).toEqual([["accounts.mint", 3]]);
  });

  test("is proposed where nobody says: fields called so first, then accounts called so", () => {
    const proposed = (events: readonly object[], instructions: readonly object[] = []) =>
      checkIdl(idlOf([struct("E", events)], { instructions }), "idl.json", {}).yaml.match(/# mint: (\S+)/)?.[1];
    const owner = { name: "owner", type: "pubkey" };
    const buy = { name: "buy", args: [], accounts: [{ name: "authority" }, { name: "baseMint" }] };
    expect(proposed([owner, { name: "tokenMint", type: "pubkey" }], [buy])).toBe("tokenMint");
    expect(proposed([owner], [buy])).toBe("accounts.base_mint");
    expect(proposed([owner])).toBe("owner");
    expect(proposed([{ name: "amount", type: "u64" }])).toBeUndefined();
  });

  test("what no event has is said, with what there is", () => {
    const hint = expect.stringContaining("Fields with addresses: tokenMint, owner");
    expect(checked("token_mnt")).toEqual(["EVENT_MINT", hint]);
    expect(checked("amount")).toEqual(["EVENT_MINT", hint]);
  });
});

describe("what published IDLs have", () => {
  test("integers of 256 bits: what their column holds is said", () => {
    const report = check(idlOf([struct("E", [{ name: "growth", type: "u256" }])])) as IdlReport;
    expect(report.datasets[0]!.columns).toEqual([
      { name: "growth", type: "utf8", doc: "An integer of 256 bits, in decimal digits." },
    ]);
  });

  test("an address that is empty is none", () => {
    const report = check(idlOf([struct("E", [{ name: "a", type: "u8" }])], { address: "" })) as IdlReport;
    expect(report.programId).toBeNull();
    expect(report.yaml).toContain("id: ADDRESS");
  });

  test("columns by paths longer than the names of tables", () => {
    const deep = [
      struct("Inner", [{ name: "cliff_duration_from_migration_time", type: "u64" }]),
      struct("E", [{ name: "config_parameters_locked_vesting", type: { defined: { name: "Inner" } } }]),
    ];
    const report = check(idlOf(deep)) as IdlReport;
    expect(report.broken).toEqual([]);
    expect(report.datasets[0]!.columns.map(({ name }) => name)).toEqual([
      "config_parameters_locked_vesting_cliff_duration_from_migration_time",
    ]);
  });

  test("a discriminant of bytes", () => {
    const swap = { name: "Swap", accounts: [], args: [], discriminant: { value: [2, 0, 0, 0, 3, 0, 0, 0] } };
    const report = check(idlOf([], { events: [], instructions: [swap] })) as IdlReport;
    expect(report.datasets.map(({ discriminator }) => discriminator)).toEqual(["0200000003000000"]);
  });
});

test("a program without Anchor, described by shank: its instructions begin with a number", () => {
  const swap = {
    name: "Swap",
    accounts: [],
    args: [{ name: "amount", type: "u64" }],
    discriminant: { type: "u8", value: 9 },
  };
  const idl = {
    version: "0.1.0",
    name: "amm",
    instructions: [swap],
    metadata: { origin: "shank", address: SPINPET.programId },
  };
  expect(checkIdl(idl, "idl.json", { instructions: true }).datasets).toMatchObject([
    { dataset: "ix_swap", discriminator: "09", columns: [{ name: "amount" }, { name: "remaining_accounts" }] },
  ]);
  expect(reasons({ ...idl, instructions: [{ ...swap, discriminant: { type: "u16", value: 300 } }] })).toContain(
    "one byte or more",
  );
});

/** Every place in a JSON value, as a path. */
function placesOf(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => placesOf(inner, [...path, key]))];
}

function replaced(value: unknown, path: readonly (string | number)[], by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  const copy = Array.isArray(value) ? [...value] : { ...(value as Record<string, unknown>) };
  const inside = copy as Record<string | number, unknown>;
  inside[key] = replaced(inside[key], rest, by);
  return copy;
}

test("a good IDL with any part replaced by anything: a report, or an error that is no accident", () => {
  const part = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom<unknown>(
      "u8",
      { vec: "u8" },
      { array: ["u8", 65_536] },
      { defined: "Order" },
      { option: { generic: "T" } },
    ),
  );
  fc.assert(
    fc.property(fc.constantFrom(...placesOf(example)), part, (path, by) => {
      const told = check(replaced(example, path, by));
      if (typeof told === "string") expect(told).not.toBe("UNEXPECTED");
    }),
    {
      numRuns: 1_000,
      examples: [
        // Conversions to text run what the value holds.
        [["types", 0, "docs"], [{ toString: [] }]],
        [["events", 0, "discriminator"], [{ toString: [] }]],
        [["types", 0, "type", "fields", 0, "type"], { generic: { toString: [] } }],
        [["types", 0, "type", "fields", 0, "type"], { array: ["u8", { generic: { toString: [] } }] }],
      ],
    },
  );
});
