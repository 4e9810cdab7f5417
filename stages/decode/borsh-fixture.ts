/** A Borsh encoder for tests, written apart from the codecs: values in, bytes and the cell expected for them out. */
import bs58 from "bs58";
import fc from "fast-check";
import { eventDataset } from "../../pipeline/datasets/event.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { TableBuilder } from "../../pipeline/wire/table.ts";
import { concat, littleEndian } from "./block-fixture.ts";
import type { BorshField, BorshScalar, BorshType } from "./borsh.ts";
import { Layout } from "./layout.ts";

/** A value as plain data: bigint for integers, null for none, [variant, body] for enums. */
export type Value = bigint | number | boolean | string | Uint8Array | null | readonly Value[];

const INT: Partial<Record<BorshScalar, readonly [size: number, signed: boolean]>> = {
  u8: [1, false],
  u16: [2, false],
  u32: [4, false],
  u64: [8, false],
  u128: [16, false],
  u256: [32, false],
  i8: [1, true],
  i16: [2, true],
  i32: [4, true],
  i64: [8, true],
  i128: [16, true],
  i256: [32, true],
};

export function encodeBorsh(type: BorshType, value: Value): Uint8Array {
  if (typeof type === "string") return encodeScalar(type, value);
  if ("option" in type)
    return value === null ? Uint8Array.of(0) : concat([Uint8Array.of(1), encodeBorsh(type.option, value)]);
  if ("coption" in type) {
    const room = encodeBorsh(type.coption, value ?? zeroOf(type.coption));
    return concat([littleEndian(value === null ? 0n : 1n, 4), value === null ? room.fill(0) : room]);
  }
  const parts = value as readonly Value[];
  if ("vec" in type) {
    return concat([littleEndian(BigInt(parts.length), 4), ...parts.map((part) => encodeBorsh(type.vec, part))]);
  }
  if ("array" in type) return concat(parts.map((part) => encodeBorsh(type.array[0], part)));
  if ("tuple" in type) return concat(type.tuple.map((part, i) => encodeBorsh(part, parts[i]!)));
  if ("struct" in type) return concat(type.struct.map((field, i) => encodeBorsh(field.type, parts[i]!)));
  const [variant, body] = parts as readonly [number, Value];
  const bodyType = type.enum[variant]!.body;
  return concat([Uint8Array.of(variant), bodyType === undefined ? new Uint8Array(0) : encodeBorsh(bodyType, body)]);
}

function encodeScalar(type: BorshScalar, value: Value): Uint8Array {
  const int = INT[type];
  if (int !== undefined) return littleEndian(value as bigint, int[0]);
  if (type === "bool") return Uint8Array.of(value === true ? 1 : 0);
  if (type === "f32") return new Uint8Array(Float32Array.of(value as number).buffer);
  if (type === "f64") return new Uint8Array(Float64Array.of(value as number).buffer);
  if (type === "pubkey") return value as Uint8Array;
  const bytes = type === "string" ? Buffer.from(value as string, "utf8") : (value as Uint8Array);
  return concat([littleEndian(BigInt(bytes.length), 4), bytes]);
}

/** Some value of a fixed-size type, to know its size. */
function zeroOf(type: BorshType): Value {
  if (type === "pubkey") return new Uint8Array(32);
  if (type === "bool") return false;
  return type === "f32" || type === "f64" ? 0 : 0n;
}

/** What JSON.parse of the canonical text must give. */
export function jsonOf(type: BorshType, value: Value): unknown {
  if (typeof type === "string") {
    if (type === "pubkey") return bs58.encode(value as Uint8Array);
    if (type === "bytes") return Buffer.from(value as Uint8Array).toString("hex");
    const int = INT[type];
    if (int === undefined) return value;
    return int[0] >= 8 ? String(value) : Number(value);
  }
  if ("option" in type) return value === null ? null : jsonOf(type.option, value);
  if ("coption" in type) return value === null ? null : jsonOf(type.coption, value);
  const parts = value as readonly Value[];
  if ("vec" in type) return isBytes(type.vec) ? hexOf(parts) : parts.map((part) => jsonOf(type.vec, part));
  if ("array" in type) return isBytes(type.array[0]) ? hexOf(parts) : parts.map((part) => jsonOf(type.array[0], part));
  if ("tuple" in type) return type.tuple.map((part, i) => jsonOf(part, parts[i]!));
  if ("struct" in type) return Object.fromEntries(type.struct.map((f, i) => [f.name, jsonOf(f.type, parts[i]!)]));
  const [index, body] = parts as readonly [number, Value];
  const variant = type.enum[index]!;
  return variant.body === undefined ? variant.name : { [variant.name]: jsonOf(variant.body, body) };
}

/** The cell that a field of this type must become. A null cell is "no value"; json null is "a value that is none". */
export function cellOf(type: BorshType, value: Value): Cell | { json: unknown } {
  const inner =
    typeof type !== "object"
      ? undefined
      : "option" in type
        ? type.option
        : "coption" in type
          ? type.coption
          : undefined;
  if (inner === undefined) return plainCellOf(type, value);
  if (value === null) return null;
  const isNested = typeof inner === "object" && ("option" in inner || "coption" in inner);
  return isNested ? { json: jsonOf(inner, value) } : plainCellOf(inner, value);
}

/** Decodes a payload that stands somewhere within a buffer; the cells by path, or the failure. */
export function decode(fields: readonly BorshField[], payload: Uint8Array): Record<string, Cell> | number {
  const layout = new Layout(fields);
  const bytes = concat([new Uint8Array(3).fill(0xee), payload, new Uint8Array(5).fill(0xee)]);
  const end = layout.locate(bytes, 3, 3 + payload.length);
  if (end < 0) return end;
  if (end !== 3 + payload.length) throw new Error(`the layout ends at ${end - 3} of ${payload.length}`);
  const columns = layout.leaves.map((leaf) => leaf.column);
  const builder = new TableBuilder({ ...eventDataset({ name: "t", version: 1, doc: "", fields: [] }), columns });
  layout.leaves.forEach((_, i) => {
    layout.append(i, bytes, builder.columns[i]!);
  });
  const table = builder.finish();
  return Object.fromEntries(layout.leaves.map((leaf, i) => [leaf.path, table.columns[i]!.cell(0)]));
}

/** The cells expected: structs and tuples are flattened, the rest is a cell. */
export function cellsOf(type: BorshType, value: Value, path: string): [string, unknown][] {
  if (typeof type === "object" && "struct" in type) {
    return type.struct.flatMap((f, i) => cellsOf(f.type, (value as Value[])[i]!, `${path}.${f.name}`));
  }
  if (typeof type === "object" && "tuple" in type) {
    return type.tuple.flatMap((part, i) => cellsOf(part, (value as Value[])[i]!, `${path}.${i}`));
  }
  return [[path, cellOf(type, value)]];
}

function plainCellOf(type: BorshType, value: Value): Cell | { json: unknown } {
  if (typeof type === "string") {
    const int = INT[type];
    if (int !== undefined && int[0] > 16) return String(value);
    return int === undefined || int[0] >= 8 ? (value as Cell) : Number(value);
  }
  if ("vec" in type && isBytes(type.vec)) return Uint8Array.from(value as bigint[], Number);
  if ("array" in type && isBytes(type.array[0])) return Uint8Array.from(value as bigint[], Number);
  if ("enum" in type && type.enum.every((v) => v.body === undefined)) {
    return type.enum[(value as readonly [number])[0]]!.name;
  }
  return { json: jsonOf(type, value) };
}

function isBytes(type: BorshType): boolean {
  return type === "u8";
}

function hexOf(parts: readonly Value[]): string {
  return Buffer.from(Uint8Array.from(parts as bigint[], Number)).toString("hex");
}

const NAMES = ["alpha", "beta", "gamma", "delta"];

const scalarType: fc.Arbitrary<BorshType> = fc.constantFrom<BorshScalar>(
  ...(["bool", "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64", "i128", "i256"] as const),
  ...(["f32", "f64", "pubkey", "string", "bytes"] as const),
);
const fixedType: fc.Arbitrary<BorshType> = fc.constantFrom<BorshScalar>(
  "bool",
  "u8",
  "i32",
  "u64",
  "u128",
  "f64",
  "pubkey",
);

/** Types of up to three levels. */
export const borshType: fc.Arbitrary<BorshType> = fc.letrec<{ type: BorshType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    scalarType,
    tie("type").map((option) => ({ option })),
    fixedType.map((coption) => ({ coption })),
    tie("type").map((vec) => ({ vec })),
    fc.tuple(tie("type"), fc.integer({ min: 1, max: 4 })).map((array) => ({ array })),
    fc.array(tie("type"), { minLength: 1, maxLength: 3 }).map((tuple) => ({ tuple })),
    fc.array(tie("type"), { minLength: 1, maxLength: 4 }).map((types) => ({
      struct: types.map((type, i) => ({ name: NAMES[i]!, type })),
    })),
    fc.array(fc.option(tie("type"), { nil: undefined }), { minLength: 1, maxLength: 4 }).map((bodies) => ({
      enum: bodies.map((body, i) => ({ name: NAMES[i]!, ...(body === undefined ? {} : { body }) })),
    })),
  ),
})).type;

/** Values of a type, extremes included. */
export function borshValue(type: BorshType): fc.Arbitrary<Value> {
  if (typeof type === "string") return scalarValue(type);
  if ("option" in type) return fc.option(borshValue(type.option), { nil: null });
  if ("coption" in type) return fc.option(borshValue(type.coption), { nil: null });
  if ("vec" in type) return fc.array(borshValue(type.vec), { maxLength: 4 });
  if ("array" in type) {
    return fc.array(borshValue(type.array[0]), { minLength: type.array[1], maxLength: type.array[1] });
  }
  if ("tuple" in type) return fc.tuple(...type.tuple.map(borshValue));
  if ("struct" in type) return fc.tuple(...type.struct.map((field) => borshValue(field.type)));
  return fc.integer({ min: 0, max: type.enum.length - 1 }).chain((variant): fc.Arbitrary<Value> => {
    const body = type.enum[variant]!.body;
    return fc.tuple(fc.constant(variant), body === undefined ? fc.constant(null) : borshValue(body));
  });
}

function scalarValue(type: BorshScalar): fc.Arbitrary<Value> {
  const int = INT[type];
  if (int !== undefined) {
    const [size, signed] = int;
    const span = 1n << BigInt(8 * size);
    const min = signed ? -span / 2n : 0n;
    const max = min + span - 1n;
    return fc.oneof(fc.constantFrom(min, max), fc.bigInt({ min, max }));
  }
  if (type === "bool") return fc.boolean();
  if (type === "f32") return fc.float({ noNaN: true, noDefaultInfinity: true });
  if (type === "f64") return fc.double({ noNaN: true, noDefaultInfinity: true });
  if (type === "pubkey") return fc.uint8Array({ minLength: 32, maxLength: 32 });
  if (type === "bytes") return fc.uint8Array({ maxLength: 8 });
  return fc.string({ unit: "grapheme", maxLength: 8 });
}
