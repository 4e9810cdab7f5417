/**
 * Borsh types as data, and codecs made from them. A codec does two things: it checks a value where it lies in the payload
 * and says where it ends, and it writes an already checked value as canonical JSON text. Nothing is ever turned into objects.
 * Format: https://borsh.io (little endian, u32 lengths, u8 tags); `coption` is Solana's C layout of an option: a u32 tag
 * and always the room of the value.
 */
import { isUtf8 } from "node:buffer";
import bs58 from "bs58";
import { Fatal } from "../../pipeline/errors.ts";

export type BorshScalar =
  | "bool"
  | "u8"
  | "u16"
  | "u32"
  | "u64"
  | "u128"
  | "u256"
  | "i8"
  | "i16"
  | "i32"
  | "i64"
  | "i128"
  | "i256"
  | "f32"
  | "f64"
  | "pubkey"
  | "string"
  | "bytes";

export type BorshType =
  | BorshScalar
  | { readonly option: BorshType }
  | { readonly coption: BorshType }
  | { readonly vec: BorshType }
  | { readonly array: readonly [element: BorshType, length: number] }
  | { readonly tuple: readonly BorshType[] }
  | { readonly struct: readonly BorshField[] }
  | { readonly enum: readonly BorshVariant[] };

export interface BorshField {
  readonly name: string;
  readonly type: BorshType;
  readonly unit?: string;
  readonly doc?: string;
}

export interface BorshVariant {
  readonly name: string;
  /** What follows the tag: a struct, a tuple or nothing. */
  readonly body?: BorshType;
}

/** What `check` answers instead of an end. */
export const TOO_SHORT = -1;
export const BAD_VALUE = -2;

export interface Codec {
  /** Size of every value in bytes, or null when it depends on the value. */
  readonly fixed: number | null;
  /** Size of the smallest value. */
  readonly min: number;
  /** Every pattern of `fixed` bytes is a value: nothing to check but the length. */
  readonly plain: boolean;
  /** The end of the value at `pos`, or TOO_SHORT, or BAD_VALUE. */
  check(bytes: Uint8Array, pos: number, end: number): number;
  /** Canonical JSON of a checked value: integers of 64 bits and more as strings, addresses base58, bytes hex. Moves `at.pos`. */
  text(at: Cursor): string;
}

/** A place in a checked payload. */
export class Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  pos: number;

  constructor(bytes: Uint8Array, pos: number) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = pos;
  }

  /** Passes `size` bytes and returns where they began. */
  take(size: number): number {
    const at = this.pos;
    this.pos += size;
    return at;
  }
}

const SIZE: Readonly<Record<Exclude<BorshScalar, "string" | "bytes">, number>> = {
  bool: 1,
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  u128: 16,
  u256: 32,
  i8: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  i128: 16,
  i256: 32,
  f32: 4,
  f64: 8,
  pubkey: 32,
};

const TEXT: Readonly<Record<keyof typeof SIZE, (view: DataView, at: number, bytes: Uint8Array) => string>> = {
  bool: (view, at) => (view.getUint8(at) === 1 ? "true" : "false"),
  u8: (view, at) => String(view.getUint8(at)),
  u16: (view, at) => String(view.getUint16(at, true)),
  u32: (view, at) => String(view.getUint32(at, true)),
  u64: (view, at) => `"${view.getBigUint64(at, true)}"`,
  u128: (view, at) => `"${uint128(view, at)}"`,
  u256: (view, at) => `"${uint256(view, at)}"`,
  i8: (view, at) => String(view.getInt8(at)),
  i16: (view, at) => String(view.getInt16(at, true)),
  i32: (view, at) => String(view.getInt32(at, true)),
  i64: (view, at) => `"${view.getBigInt64(at, true)}"`,
  i128: (view, at) => `"${BigInt.asIntN(128, uint128(view, at))}"`,
  i256: (view, at) => `"${BigInt.asIntN(256, uint256(view, at))}"`,
  f32: (view, at) => floatText(view.getFloat32(at, true)),
  f64: (view, at) => floatText(view.getFloat64(at, true)),
  pubkey: (_, at, bytes) => `"${bs58.encode(bytes.subarray(at, at + 32))}"`,
};

function uint128(view: DataView, at: number): bigint {
  return (view.getBigUint64(at + 8, true) << 64n) | view.getBigUint64(at, true);
}

function uint256(view: DataView, at: number): bigint {
  return (uint128(view, at + 16) << 128n) | uint128(view, at);
}

export function codecOf(type: BorshType): Codec {
  if (type === "string") return prefixed(isText, (bytes) => JSON.stringify(textDecoder.decode(bytes)));
  if (type === "bytes" || isByteVec(type))
    return prefixed(
      () => true,
      (bytes) => `"${Buffer.from(bytes).toString("hex")}"`,
    );
  if (typeof type === "string") return scalar(type);
  if ("option" in type) return option(codecOf(type.option));
  if ("coption" in type) return coption(codecOf(type.coption));
  if ("vec" in type) return vec(codecOf(type.vec));
  if ("array" in type) return array(type.array[0], type.array[1]);
  if ("tuple" in type) return sequence(type.tuple.map(codecOf), null);
  if ("struct" in type)
    return sequence(
      type.struct.map((f) => codecOf(f.type)),
      type.struct.map((f) => f.name),
    );
  return enumeration(type.enum);
}

/** `vec<u8>` is the same on the wire as `bytes`, and is treated as such. */
export function isByteVec(type: BorshType): boolean {
  return typeof type === "object" && "vec" in type && type.vec === "u8";
}

export function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! >= 0x80) return isUtf8(bytes.subarray(i, end));
  return true;
}

export function readLength(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function scalar(type: keyof typeof SIZE): Codec {
  const size = SIZE[type];
  const write = TEXT[type];
  return {
    fixed: size,
    min: size,
    plain: type !== "bool",
    check(bytes, pos, end) {
      if (end - pos < size) return TOO_SHORT;
      return type === "bool" && bytes[pos]! > 1 ? BAD_VALUE : pos + size;
    },
    text: (at) => write(at.view, at.take(size), at.bytes),
  };
}

function prefixed(
  valid: (bytes: Uint8Array, start: number, end: number) => boolean,
  write: (bytes: Uint8Array) => string,
): Codec {
  return {
    fixed: null,
    min: 4,
    plain: false,
    check(bytes, pos, end) {
      if (end - pos < 4) return TOO_SHORT;
      const length = readLength(bytes, pos);
      if (end - pos - 4 < length) return TOO_SHORT;
      return valid(bytes, pos + 4, pos + 4 + length) ? pos + 4 + length : BAD_VALUE;
    },
    text(at) {
      const length = readLength(at.bytes, at.take(4));
      const start = at.take(length);
      return write(at.bytes.subarray(start, start + length));
    },
  };
}

function option(inner: Codec): Codec {
  return {
    fixed: null,
    min: 1,
    plain: false,
    check(bytes, pos, end) {
      if (pos >= end) return TOO_SHORT;
      const tag = bytes[pos]!;
      if (tag > 1) return BAD_VALUE;
      return tag === 0 ? pos + 1 : inner.check(bytes, pos + 1, end);
    },
    text: (at) => (at.bytes[at.take(1)] === 0 ? "null" : inner.text(at)),
  };
}

function coption(inner: Codec): Codec {
  const room = inner.fixed;
  if (room === null) throw unsupported("a coption of a type without a fixed size");
  return {
    fixed: 4 + room,
    min: 4 + room,
    plain: false,
    check(bytes, pos, end) {
      if (end - pos < 4 + room) return TOO_SHORT;
      const tag = readLength(bytes, pos);
      if (tag > 1) return BAD_VALUE;
      return tag === 0 ? pos + 4 + room : inner.check(bytes, pos + 4, end);
    },
    text(at) {
      if (readLength(at.bytes, at.take(4)) === 1) return inner.text(at);
      at.take(room);
      return "null";
    },
  };
}

function vec(element: Codec): Codec {
  // A count alone could then demand four billion elements of a payload of four bytes.
  if (element.min === 0) throw unsupported("a vec of a type without a size");
  return {
    fixed: null,
    min: 4,
    plain: false,
    check(bytes, pos, end) {
      if (end - pos < 4) return TOO_SHORT;
      const count = readLength(bytes, pos);
      if (count * element.min > end - pos - 4) return TOO_SHORT;
      if (element.plain && element.fixed !== null) return pos + 4 + count * element.fixed;
      return checkMany(element, count, bytes, pos + 4, end);
    },
    text: (at) => textMany(element, readLength(at.bytes, at.take(4)), at),
  };
}

function array(type: BorshType, length: number): Codec {
  const element = codecOf(type);
  const fixed = element.fixed === null ? null : element.fixed * length;
  return {
    fixed,
    min: element.min * length,
    plain: element.plain,
    check(bytes, pos, end) {
      if (end - pos < element.min * length) return TOO_SHORT;
      return element.plain && fixed !== null ? pos + fixed : checkMany(element, length, bytes, pos, end);
    },
    text(at) {
      if (type !== "u8") return textMany(element, length, at);
      const start = at.take(length);
      return `"${Buffer.from(at.bytes.subarray(start, start + length)).toString("hex")}"`;
    },
  };
}

/** A struct (with names) or a tuple (without): its parts, one after the other. */
function sequence(parts: readonly Codec[], names: readonly string[] | null): Codec {
  const fixed = parts.reduce<number | null>((sum, p) => (sum === null || p.fixed === null ? null : sum + p.fixed), 0);
  const keys = names?.map((name) => `${JSON.stringify(name)}:`);
  return {
    fixed,
    min: parts.reduce((sum, p) => sum + p.min, 0),
    plain: parts.every((p) => p.plain),
    check(bytes, start, end) {
      let pos = start;
      for (const part of parts) {
        pos = part.check(bytes, pos, end);
        if (pos < 0) return pos;
      }
      return pos;
    },
    text(at) {
      const texts = parts.map((part, i) => (keys === undefined ? part.text(at) : keys[i] + part.text(at)));
      return keys === undefined ? `[${texts.join(",")}]` : `{${texts.join(",")}}`;
    },
  };
}

/** A variant without a body is its name; one with a body is an object of one key. */
function enumeration(variants: readonly BorshVariant[]): Codec {
  if (variants.length === 0 || variants.length > 256) throw unsupported(`an enum of ${variants.length} variants`);
  const bodies = variants.map((v) => (v.body === undefined ? null : codecOf(v.body)));
  const names = variants.map((v) => JSON.stringify(v.name));
  return {
    fixed: bodies.every((b) => b === null) ? 1 : null,
    min: 1 + Math.min(...bodies.map((b) => b?.min ?? 0)),
    plain: false,
    check(bytes, pos, end) {
      if (pos >= end) return TOO_SHORT;
      const body = bodies[bytes[pos]!];
      if (body === undefined) return BAD_VALUE;
      return body === null ? pos + 1 : body.check(bytes, pos + 1, end);
    },
    text(at) {
      const tag = at.bytes[at.take(1)]!;
      const body = bodies[tag];
      return body === null || body === undefined ? names[tag]! : `{${names[tag]}:${body.text(at)}}`;
    },
  };
}

function checkMany(element: Codec, count: number, bytes: Uint8Array, start: number, end: number): number {
  let pos = start;
  for (let i = 0; i < count; i++) {
    pos = element.check(bytes, pos, end);
    if (pos < 0) return pos;
  }
  return pos;
}

function textMany(element: Codec, count: number, at: Cursor): string {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) texts.push(element.text(at));
  return `[${texts.join(",")}]`;
}

/** JSON has no words for these three; -0 keeps its sign. */
function floatText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}

function unsupported(what: string): Fatal {
  return new Fatal("BORSH_TYPE", `${what} cannot be decoded`, { hint: "Leave the event out of the wanted ones." });
}
