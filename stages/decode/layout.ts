/**
 * An event's fields compiled to columns. Locating comes first: one pass over the payload checks every value and notes where
 * it lies. Only a payload that passed is appended, so a row is never half written.
 */
import type { ColumnSpec, ColumnType } from "../../pipeline/datasets/dataset.ts";
import type { ColumnBuilder } from "../../pipeline/wire/column.ts";
import {
  BAD_VALUE,
  type BorshField,
  type BorshScalar,
  type BorshType,
  type Codec,
  Cursor,
  codecOf,
  isByteVec,
  readLength,
  TOO_SHORT,
} from "./borsh.ts";
import { columnNameOf, snakeCase } from "./names.ts";

/** How a located value becomes a cell. */
type Form =
  | { readonly kind: "copy"; readonly size: number }
  | { readonly kind: "prefixed" }
  | { readonly kind: "variant"; readonly names: readonly string[] }
  /** Integers wider than any column: their decimal digits. */
  | { readonly kind: "digits"; readonly codec: Codec }
  | { readonly kind: "json"; readonly codec: Codec };

/** A value of the event that has a column of its own. */
export interface Leaf {
  /** Path of the field as the event's author names it: "order.price". */
  readonly path: string;
  /** Proposed column; common columns may claim its name, see `program.ts`. */
  readonly column: ColumnSpec;
  /** Size of the tag before an optional value, 0 where the value is always there. */
  readonly tag: 0 | 1 | 4;
  readonly codec: Codec;
  readonly form: Form;
}

const SCALAR_COLUMN: Readonly<Record<BorshScalar, ColumnType>> = {
  bool: "bool",
  u8: "u8",
  u16: "u16",
  u32: "u32",
  u64: "u64",
  u128: "u128",
  u256: "utf8",
  i8: "i8",
  i16: "i16",
  i32: "i32",
  i64: "i64",
  i128: "i128",
  i256: "utf8",
  f32: "f32",
  f64: "f64",
  pubkey: "bytes32",
  string: "utf8",
  bytes: "bytes",
};

/** Position of a value that is absent: the empty case of an option. */
export const ABSENT = -1;

export class Layout {
  readonly leaves: readonly Leaf[];
  /** Offset of each leaf in the payload located last, or ABSENT. */
  readonly at: Int32Array;
  private readonly fixed: number | null;
  private readonly offsets: Int32Array;
  /** 1 for a leaf whose bytes are its cell; its column has a fixed size unless it is an array of bytes. */
  private readonly copied: Uint8Array;
  /** Leaves of a fixed layout whose bytes can be wrong. */
  private readonly strict: readonly number[];

  constructor(fields: readonly BorshField[]) {
    this.leaves = leavesOf(fields, "", "");
    this.at = new Int32Array(this.leaves.length).fill(ABSENT);
    this.offsets = new Int32Array(this.leaves.length);
    this.copied = Uint8Array.from(this.leaves, ({ form }) => (form.kind === "copy" ? 1 : 0));
    let offset: number | null = 0;
    for (let i = 0; i < this.leaves.length; i++) {
      const { tag, codec }: Leaf = this.leaves[i]!;
      this.offsets[i] = offset ?? 0;
      offset = tag !== 0 || codec.fixed === null || offset === null ? null : offset + codec.fixed;
    }
    this.fixed = offset;
    this.strict = this.leaves.flatMap((leaf, i) => (leaf.codec.plain ? [] : [i]));
  }

  /** Bytes of every payload; null where that depends on its values. */
  get size(): number | null {
    return this.fixed;
  }

  /** Index of the leaf at `path`, or -1. Also by its name in snake_case, which is the one that people see as a column. */
  indexOf(path: string): number {
    const exact = this.leaves.findIndex((leaf) => leaf.path === path);
    if (exact >= 0) return exact;
    const named = snakeCase(path);
    return this.leaves.findIndex((leaf) => snakeCase(leaf.path) === named);
  }

  /** Finds every leaf of the payload at `bytes[start, end)` and returns where the event ends, or TOO_SHORT, or BAD_VALUE. */
  locate(bytes: Uint8Array, start: number, end: number): number {
    if (this.fixed !== null) return this.locateFixed(bytes, start, end, this.fixed);
    let pos = start;
    for (let i = 0; i < this.leaves.length; i++) {
      pos = this.locateLeaf(i, bytes, pos, end);
      if (pos < 0) return pos;
    }
    return pos;
  }

  private locateFixed(bytes: Uint8Array, start: number, end: number, size: number): number {
    if (end - start < size) return TOO_SHORT;
    const at = this.at;
    for (let i = 0; i < at.length; i++) at[i] = start + this.offsets[i]!;
    for (const i of this.strict) {
      if (this.leaves[i]!.codec.check(bytes, at[i]!, end) < 0) return BAD_VALUE;
    }
    return start + size;
  }

  private locateLeaf(index: number, bytes: Uint8Array, pos: number, end: number): number {
    const { tag, codec } = this.leaves[index]!;
    this.at[index] = pos + tag;
    if (tag === 0) return codec.check(bytes, pos, end);
    if (end - pos < tag) return TOO_SHORT;
    const present = tag === 1 ? bytes[pos]! : readLength(bytes, pos);
    if (present > 1) return BAD_VALUE;
    if (present === 1) return codec.check(bytes, pos + tag, end);
    this.at[index] = ABSENT;
    // A C option keeps the room of its value even when empty.
    const after = pos + tag + (tag === 4 ? codec.fixed! : 0);
    return after > end ? TOO_SHORT : after;
  }

  /** Appends the leaf located last to its column. */
  append(index: number, bytes: Uint8Array, column: ColumnBuilder): void {
    const at = this.at[index]!;
    // Most leaves are copied as they lie: this is the hot path of decoding.
    if (at !== ABSENT && this.copied[index] === 1 && column.fixed) column.copy(bytes, at);
    else this.appendOther(index, at, bytes, column);
  }

  private appendOther(index: number, at: number, bytes: Uint8Array, column: ColumnBuilder): void {
    const form = this.leaves[index]!.form;
    if (at === ABSENT) column.null();
    else if (form.kind === "copy") column.bytes(bytes, at, at + form.size);
    else if (form.kind === "prefixed") column.bytes(bytes, at + 4, at + 4 + readLength(bytes, at));
    else if (form.kind === "variant") column.string(form.names[bytes[at]!]!);
    else {
      const text = form.codec.text(new Cursor(bytes, at));
      column.string(form.kind === "digits" ? text.slice(1, -1) : text);
    }
  }
}

function leavesOf(fields: readonly BorshField[], path: string, name: string): Leaf[] {
  return fields.flatMap((field) => {
    const nested = nestedFields(field.type);
    const here = `${path}${field.name}`;
    const column = `${name}${columnNameOf(field.name)}`;
    return nested === null ? [leafOf(field, here, column)] : leavesOf(nested, `${here}.`, `${column}_`);
  });
}

/** Structs and tuples are flattened: their parts are columns of the event. */
function nestedFields(type: BorshType): readonly BorshField[] | null {
  if (typeof type === "string") return null;
  if ("struct" in type) return type.struct;
  if ("tuple" in type) return type.tuple.map((part, i) => ({ name: String(i), type: part }));
  return null;
}

function leafOf(field: BorshField, path: string, name: string): Leaf {
  const { type, tag } = optional(field.type);
  const codec = codecOf(type);
  const { columnType, form } = shapeOf(type, codec);
  const column: ColumnSpec = {
    name,
    type: columnType,
    ...(tag === 0 ? {} : { nullable: true }),
    ...(field.unit === undefined ? {} : { unit: field.unit }),
    ...(path === name ? {} : { field: path }),
    doc: docOf(field, type, path),
  };
  return { path, column, tag, codec, form };
}

function docOf({ doc }: BorshField, type: BorshType, path: string): string {
  if (isWide(type)) return `${doc === undefined ? "" : `${doc} `}An integer of 256 bits, in decimal digits.`;
  return doc ?? `Field ${path} of the event.`;
}

function isWide(type: BorshType): type is "u256" | "i256" {
  return type === "u256" || type === "i256";
}

function optional(type: BorshType): { type: BorshType; tag: 0 | 1 | 4 } {
  if (typeof type === "object" && "option" in type) return { type: type.option, tag: 1 };
  if (typeof type === "object" && "coption" in type) {
    codecOf(type); // refuses a value without a fixed size
    return { type: type.coption, tag: 4 };
  }
  return { type, tag: 0 };
}

function shapeOf(type: BorshType, codec: Codec): { columnType: ColumnType; form: Form } {
  if (type === "string" || type === "bytes") return { columnType: SCALAR_COLUMN[type], form: { kind: "prefixed" } };
  if (isByteVec(type)) return { columnType: "bytes", form: { kind: "prefixed" } };
  if (isWide(type)) return { columnType: SCALAR_COLUMN[type], form: { kind: "digits", codec } };
  if (typeof type === "string") return { columnType: SCALAR_COLUMN[type], form: { kind: "copy", size: codec.fixed! } };
  if ("array" in type && type.array[0] === "u8") {
    return { columnType: "bytes", form: { kind: "copy", size: type.array[1] } };
  }
  if ("enum" in type && codec.fixed === 1) {
    return { columnType: "utf8", form: { kind: "variant", names: type.enum.map((v) => v.name) } };
  }
  return { columnType: "json", form: { kind: "json", codec } };
}
