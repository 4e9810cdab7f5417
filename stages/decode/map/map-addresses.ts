/** Addresses, signatures and amounts in mapped rows: outputs have them as bytes or as base58 text. */

import type { MessageType } from "@bufbuild/protobuf";
import bs58 from "bs58";
import { Fatal } from "../../../pipeline/errors.ts";
import { CURRENCIES } from "../address-source.ts";
import { base58Bytes } from "../base58.ts";
import { leave } from "./map-columns.ts";
import type { MapMint } from "./map-spec.ts";
import { type Fields, follow, notThere, resolvePath, type Step } from "./message-path.ts";

/** The messages on the way to a row, the output first, the row message last. */
export type Chain = readonly Fields[];
export type Pick<T> = (chain: Chain) => T | null;

/** Texts that were decoded before; beyond this the memory starts anew. */
const REMEMBERED_MAX = 100_000;

export class Picker {
  private readonly type: MessageType;
  private readonly rowType: MessageType;
  private readonly levels: readonly Step[];
  private readonly where: string;
  private readonly decoded = new Map<string, Uint8Array>();

  constructor(type: MessageType, rowType: MessageType, levels: readonly Step[], where: string) {
    this.type = type;
    this.rowType = rowType;
    this.levels = levels;
    this.where = where;
  }

  /** A field of the row message; where it has none of that name, a path from the output. */
  value(path: string): Pick<unknown> {
    const own = this.rowType.fields.list().some((field) => field.name === path.split(".")[0]);
    if (!own && !path.includes(".")) resolvePath(this.rowType, path, this.where);
    const steps = resolvePath(own ? this.rowType : this.type, path, this.where);
    const { level, rest } = own ? { level: this.levels.length, rest: steps } : leave(this.levels, steps);
    if (rest.some(({ field }) => field.repeated)) throw notThere(path, "it passes a list", this.where);
    return (chain) => follow(rest, chain[level]!) ?? null;
  }

  /** Bytes of exactly that size; what is not of that size, or not base58, is null. */
  bytes(path: string, size: 32 | 64): Pick<Uint8Array> {
    const value = this.value(path);
    return (chain) => {
      const found = value(chain);
      const bytes = typeof found === "string" ? this.decode(found, size) : found;
      return bytes instanceof Uint8Array && bytes.length === size ? bytes : null;
    };
  }

  amount(path: string): Pick<bigint> {
    const value = this.value(path);
    return (chain) => {
      const found = value(chain);
      if (typeof found === "bigint") return found;
      if (typeof found === "number" && Number.isSafeInteger(found)) return BigInt(found);
      return typeof found === "string" && /^\d{1,20}$/.test(found) ? BigInt(found) : null;
    };
  }

  /** The mints of a row: one, or two where the rule says so; null for no token. */
  mints(rule: MapMint | undefined): (chain: Chain) => readonly (Uint8Array | null)[] {
    if (rule === undefined) return () => [null];
    if (typeof rule === "string") {
      const only = this.bytes(rule, 32);
      return (chain) => [only(chain)];
    }
    const both = rule.of.map((path) => this.bytes(path, 32));
    return (chain) =>
      choose(
        rule.rule,
        both.map((pick) => pick(chain)),
      );
  }

  private decode(text: string, size: 32 | 64): Uint8Array | null {
    const known = this.decoded.get(text);
    if (known !== undefined) return known;
    // What is none is not kept: it may be as long as an output.
    const bytes = base58Bytes(text, size);
    if (bytes === null) return null;
    if (this.decoded.size >= REMEMBERED_MAX) this.decoded.clear();
    this.decoded.set(text, bytes);
    return bytes;
  }
}

const currencies = new Set(CURRENCIES.map((text) => keyOf(bs58.decode(text))));

export function keyOf(address: Uint8Array): string {
  return Buffer.from(address.buffer, address.byteOffset, address.byteLength).toString("latin1");
}

/** The mints that a rule makes of two that a row touches, or of one. */
export function choose(
  rule: Exclude<MapMint, string>["rule"],
  [first = null, second = null]: readonly (Uint8Array | null)[],
): readonly (Uint8Array | null)[] {
  switch (rule) {
    case "first":
      return [first];
    case "second":
      return [second];
    case "both":
      if (first === null || second === null) return [first ?? second];
      return keyOf(first) === keyOf(second) ? [first] : [first, second];
    case "token":
      if (first === null || second === null) return [first ?? second];
      return [currencies.has(keyOf(second)) && !currencies.has(keyOf(first)) ? first : second];
  }
}

/** A mapping that cannot work on this output. */
export function broken(message: string, where: string): Fatal {
  return new Fatal("MAP_FIELD", `the mapping does not fit: ${message}`, {
    where,
    hint: "`sluice map --package P --module M` proposes a mapping that fits.",
  });
}
