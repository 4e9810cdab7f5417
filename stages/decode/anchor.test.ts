/**
 * Goal: what Anchor itself writes is read to the same values. Method: random types as an IDL with its named types, random values
 * encoded by @coral-xyz/anchor's coder, decoded by what the IDL compiles to; then Anchor's generics and 256 bits at their extremes.
 */
import { describe, expect, test } from "bun:test";
import { BN, BorshCoder, type Idl, web3 } from "@coral-xyz/anchor";
import fc from "fast-check";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { BorshType } from "./borsh.ts";
import { borshType, borshValue, cellsOf, decode, encodeBorsh, type Value } from "./borsh-fixture.ts";
import { programFromIdl } from "./idl.ts";
import { SPINPET } from "./programs/spinpet.ts";

/** The type as an IDL writes it; what it must name goes to `types`. */
function idlTypeOf(type: BorshType, types: object[]): unknown {
  if (typeof type === "string") return type;
  if ("option" in type) return { option: idlTypeOf(type.option, types) };
  if ("coption" in type) throw new Error("Anchor's coder has no coption");
  if ("vec" in type) return { vec: idlTypeOf(type.vec, types) };
  if ("array" in type) return { array: [idlTypeOf(type.array[0], types), type.array[1]] };
  const name = `T${types.length}`;
  const definition = { name, type: {} };
  types.push(definition);
  definition.type =
    "enum" in type
      ? {
          kind: "enum",
          variants: type.enum.map(({ name, body }) =>
            body === undefined ? { name } : { name, fields: fieldsOf(body, types) },
          ),
        }
      : { kind: "struct", fields: fieldsOf(type, types) };
  return { defined: { name } };
}

/** Fields of a struct or a tuple; another body of a variant is a tuple of one. */
function fieldsOf(type: BorshType, types: object[]): unknown[] {
  if (typeof type === "object" && "struct" in type) {
    return type.struct.map((field) => ({ name: field.name, type: idlTypeOf(field.type, types) }));
  }
  const parts = typeof type === "object" && "tuple" in type ? type.tuple : [type];
  return parts.map((part) => idlTypeOf(part, types));
}

/** The value as Anchor's coder takes it. */
function anchorValue(type: BorshType, value: Value): unknown {
  if (typeof type === "string") {
    if (type === "pubkey") return new web3.PublicKey(value as Uint8Array);
    if (type === "bytes") return Buffer.from(value as Uint8Array);
    if (typeof value !== "bigint") return value;
    return /64|128|256/.test(type) ? new BN(String(value)) : Number(value);
  }
  if ("option" in type) return value === null ? null : anchorValue(type.option, value);
  if ("coption" in type) throw new Error("Anchor's coder has no coption");
  const parts = value as readonly Value[];
  if ("vec" in type) return parts.map((part) => anchorValue(type.vec, part));
  if ("array" in type) return parts.map((part) => anchorValue(type.array[0], part));
  if ("enum" in type) {
    const [index, body] = parts as readonly [number, Value];
    const variant = type.enum[index]!;
    return { [variant.name]: variant.body === undefined ? {} : bodyValue(variant.body, body) };
  }
  return bodyValue(type, value);
}

function bodyValue(type: BorshType, value: Value): unknown {
  const parts = value as readonly Value[];
  if (typeof type === "object" && "struct" in type) {
    return Object.fromEntries(type.struct.map((f, i) => [f.name, anchorValue(f.type, parts[i]!)]));
  }
  if (typeof type === "object" && "tuple" in type) {
    return Object.fromEntries(type.tuple.map((part, i) => [i, anchorValue(part, parts[i]!)]));
  }
  return { 0: anchorValue(type, value) };
}

/** Types that Anchor's coder can encode at all: it has no coption, and an option of an option is beyond it. */
function isForAnchor(type: BorshType): boolean {
  if (typeof type === "string") return true;
  if ("coption" in type) return false;
  if ("option" in type)
    return !(typeof type.option === "object" && "option" in type.option) && isForAnchor(type.option);
  if ("vec" in type) return isForAnchor(type.vec);
  if ("array" in type) return isForAnchor(type.array[0]);
  if ("tuple" in type) return type.tuple.every(isForAnchor);
  if ("struct" in type) return type.struct.every((field) => isForAnchor(field.type));
  return type.enum.every(({ body }) => body === undefined || isForAnchor(body));
}

/** A variant of one bare type has a tuple for its body, as IDLs write it. */
function withTuples(type: BorshType): BorshType {
  if (typeof type === "string") return type;
  if ("option" in type) return { option: withTuples(type.option) };
  if ("coption" in type) return type;
  if ("vec" in type) return { vec: withTuples(type.vec) };
  if ("array" in type) return { array: [withTuples(type.array[0]), type.array[1]] };
  if ("tuple" in type) return { tuple: type.tuple.map(withTuples) };
  if ("struct" in type) return { struct: type.struct.map((f) => ({ ...f, type: withTuples(f.type) })) };
  return {
    enum: type.enum.map(({ name, body }) => {
      if (body === undefined) return { name };
      const isBody = typeof body === "object" && ("struct" in body || "tuple" in body);
      return { name, body: isBody ? withTuples(body) : { tuple: [withTuples(body)] } };
    }),
  };
}

const ROOM = 1_000;

function idlOf(field: unknown, types: readonly object[]) {
  const event = { name: "E", type: { kind: "struct", fields: [{ name: "f", type: field }] } };
  const events = [{ name: "E", discriminator: [1, 2, 3, 4, 5, 6, 7, 8] }];
  return { address: SPINPET.programId, metadata: { name: "demo" }, instructions: [], events, types: [event, ...types] };
}

/** The cells of the event's field, from what Anchor makes of `value`; `payload`: the bytes that they must be. */
function throughAnchor(
  idl: ReturnType<typeof idlOf>,
  value: unknown,
): { payload: Buffer; cells: Record<string, Cell> } {
  const payload = new BorshCoder(idl as unknown as Idl).types.encode("E", { f: value });
  const [event] = programFromIdl(idl).events;
  const cells = decode(event!.layouts[0]!, payload);
  if (typeof cells === "number") throw new Error(`not decoded: ${cells}`);
  return { payload, cells };
}

function expectCells(cells: Record<string, Cell>, wanted: readonly (readonly [string, unknown])[]): void {
  for (const [path, cell] of wanted) {
    const found = cells[path];
    if (cell !== null && typeof cell === "object" && "json" in cell) {
      expect(JSON.parse(found as string)).toEqual(cell.json as object);
    } else expect(found).toEqual(cell as Cell);
  }
}

describe("Anchor's bytes", () => {
  test("any type, any value", () => {
    const typed = borshType
      .filter(isForAnchor)
      .map(withTuples)
      .chain((type) => fc.tuple(fc.constant(type), borshValue(type)));
    let compared = 0;
    fc.assert(
      fc.property(typed, ([type, value]) => {
        const bytes = encodeBorsh(type, value);
        fc.pre(bytes.length <= ROOM);
        const types: object[] = [];
        const { payload, cells } = throughAnchor(idlOf(idlTypeOf(type, types), types), anchorValue(type, value));
        expect(payload.toString("hex")).toBe(Buffer.from(bytes).toString("hex"));
        expectCells(cells, cellsOf(type, value, "f"));
        compared++;
      }),
      { numRuns: 500 },
    );
    expect(compared).toBe(500);
  });

  test.each([
    ["u256", 0n],
    ["u256", 2n ** 256n - 1n],
    ["u256", 2n ** 255n],
    ["i256", -1n],
    ["i256", -(2n ** 255n)],
    ["i256", 2n ** 255n - 1n],
  ] as const)("%s %p, in decimal digits", (type, value) => {
    const number = new BN(String(value));
    expect(throughAnchor(idlOf(type, []), number).cells).toEqual({ f: String(value) });
    expect(throughAnchor(idlOf({ option: type }, []), number).cells).toEqual({ f: String(value) });
    expect(throughAnchor(idlOf({ vec: type }, []), [number]).cells).toEqual({ f: `["${value}"]` });
  });

  test("what is not a number stays so", () => {
    for (const type of ["f32", "f64"]) {
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]) {
        expect(throughAnchor(idlOf(type, []), value).cells).toEqual({ f: value });
      }
    }
  });

  test("a generic type", () => {
    const pair = {
      name: "Many",
      generics: [
        { kind: "type", name: "T" },
        { kind: "const", name: "N", type: "usize" },
      ],
      type: { kind: "struct", fields: [{ name: "items", type: { array: [{ generic: "T" }, { generic: "N" }] } }] },
    };
    const generics = [
      { kind: "type", type: "u16" },
      { kind: "const", value: "3" },
    ];
    const cells = decode(
      programFromIdl(idlOf({ defined: { name: "Many", generics } }, [pair])).events[0]!.layouts[0]!,
      Buffer.from("010002000300", "hex"),
    );
    expect(cells).toEqual({ "f.items": "[1,2,3]" });
  });
});
