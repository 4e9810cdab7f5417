/** Trade mappings resolved against one layout: from a located event straight into a row of `trades`. */

import { closest } from "../../pipeline/closest.ts";
import { PRICE_SCALE } from "../../pipeline/datasets/trades.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { ColumnBuilder } from "../../pipeline/wire/column.ts";
import { type AddressSource, addressSource, isWrappedSol } from "./address-source.ts";
import { ABSENT, type Layout, type Leaf } from "./layout.ts";
import type { PriceMapping, TokenTrade, TradeMapping } from "./program.ts";
import { ADDRESS_BYTES } from "./program-set.ts";
import { type Found, type Surroundings, sameAddress } from "./surroundings.ts";
import { LayoutSwap } from "./swap-trade.ts";

export const U128_END = 1n << 128n;

/** Writes the trade that an event is. `prepare` comes first, for each event; the rest tells of the event prepared last. */
export interface TradeWriter {
  /** False when the event makes no trade: it lacks a user or a price, or is no swap against SOL. */
  prepare(bytes: Uint8Array, around: Surroundings): boolean;
  /** The token, where the trade has one of its own; else it is that of the event. */
  readonly mint: Found | null;
  /** Fills the own columns of `trades`, in their order, from `columns[first]` on. */
  append(bytes: Uint8Array, columns: readonly ColumnBuilder[], first: number): void;
  /** True when the token was bought; null where the event does not say. */
  isBuy(bytes: Uint8Array): boolean | null;
  baseAmount(bytes: Uint8Array): bigint | null;
  /** The program that an aggregator names as the one that did the swap, or that it names none; null when this is no aggregator's report. */
  venue(bytes: Uint8Array): Found | "unnamed" | null;
}

/** `where` names program and event for errors: a mapping that does not fit the layout is `Fatal` TRADE_MAPPING. */
export function tradeWriter(layout: Layout, mapping: TradeMapping, dataset: string, where: string): TradeWriter {
  const fields = new FieldFinder(layout, where);
  return "input" in mapping ? new LayoutSwap(fields, mapping, dataset) : new LayoutTrade(fields, mapping, dataset);
}

/** Some of it is told by the transaction's token balances alone. */
export function asksBalances(trade: TradeMapping): boolean {
  return "input" in trade || (typeof trade.price !== "string" && trade.price.baseMint !== undefined);
}

/** Fields that single layouts may lack must be in one of them. Throws `Fatal` TRADE_MAPPING. */
export function requireOptional(mapping: TradeMapping, layouts: readonly Layout[], where: string): void {
  const path = "input" in mapping ? mapping.venue : mapping.quoteMint;
  if (path === undefined || layouts.some((layout) => layout.indexOf(path) >= 0)) return;
  throw misfit(`there is no field ${path}`, where);
}

/** A leaf that is an unsigned little-endian integer. */
export interface UintField {
  readonly leaf: number;
  readonly size: number;
}

/** A constant, or a leaf and the byte in it that means a buy, or none. */
type Side = boolean | { readonly leaf: number; readonly buy: number } | null;

/** A leaf that is the price already, or how to compute it; null when there is none. */
type Price = UintField | ((bytes: Uint8Array, around: Surroundings) => bigint | null);

class LayoutTrade implements TradeWriter {
  readonly mint = null;
  private readonly layout: Layout;
  private readonly kind: string;
  private readonly user: AddressSource;
  private readonly side: Side;
  private readonly base: UintField | null;
  private readonly quote: UintField | null;
  private readonly price: Price;
  /** Leaf that names the quote token; -1: it is SOL. */
  private readonly quoteMint: number;
  private readonly foundUser: Found = { in: new Uint8Array(ADDRESS_BYTES), at: 0 };
  private computed: bigint | null = null;
  private readonly widened = new Uint8Array(16);

  constructor(fields: FieldFinder, mapping: TokenTrade, dataset: string) {
    this.layout = fields.layout;
    this.kind = mapping.kind ?? dataset;
    this.user = fields.address(mapping.user);
    this.side = sideOf(mapping.isBuy, fields);
    this.base = mapping.baseAmount === undefined ? null : fields.uint(mapping.baseAmount, 8);
    this.quote = mapping.quoteAmount === undefined ? null : fields.uint(mapping.quoteAmount, 8);
    this.price = priceOf(fields.layout, mapping.price, fields);
    this.quoteMint = mapping.quoteMint === undefined ? -1 : fields.optionalAddress(mapping.quoteMint);
  }

  prepare(bytes: Uint8Array, around: Surroundings): boolean {
    if (this.quoteMint >= 0 && !isSol({ in: bytes, at: this.layout.at[this.quoteMint]! })) return false;
    if (!this.user(bytes, around, this.foundUser)) return false;
    if (typeof this.price !== "function") return this.layout.at[this.price.leaf] !== ABSENT;
    this.computed = this.price(bytes, around);
    return this.computed !== null;
  }

  append(bytes: Uint8Array, columns: readonly ColumnBuilder[], first: number): void {
    const user = this.foundUser;
    columns[first]!.string(this.kind);
    columns[first + 1]!.bytes(user.in, user.at, user.at + ADDRESS_BYTES);
    const isBuy = this.isBuy(bytes);
    if (isBuy === null) columns[first + 2]!.null();
    else columns[first + 2]!.number(isBuy ? 1 : 0);
    this.appendUint(bytes, this.base, columns[first + 3]!, 8);
    this.appendUint(bytes, this.quote, columns[first + 4]!, 8);
    if (typeof this.price === "function") columns[first + 5]!.bigint(this.computed!);
    else this.appendUint(bytes, this.price, columns[first + 5]!, 16);
  }

  isBuy(bytes: Uint8Array): boolean | null {
    const { side } = this;
    if (side === null || typeof side === "boolean") return side;
    const at = this.layout.at[side.leaf]!;
    return at === ABSENT ? null : bytes[at] === side.buy;
  }

  baseAmount(bytes: Uint8Array): bigint | null {
    return this.base === null ? null : readUint(this.layout, this.base, bytes);
  }

  venue(): null {
    return null;
  }

  /** Little endian on both sides: a wider column takes the bytes and zeros after them. */
  private appendUint(bytes: Uint8Array, field: UintField | null, column: ColumnBuilder, width: 8 | 16): void {
    const at = field === null ? ABSENT : this.layout.at[field.leaf]!;
    if (field === null || at === ABSENT) column.null();
    else if (field.size === width) column.bytes(bytes, at, at + width);
    else {
      this.widened.fill(0);
      this.widened.set(bytes.subarray(at, at + field.size));
      column.bytes(this.widened, 0, width);
    }
  }
}

/** Programs write the zero key where they mean SOL itself. */
function isSol(mint: Found): boolean {
  return isWrappedSol(mint) || sameAddress(mint, ZERO_KEY);
}

const ZERO_KEY = new Uint8Array(ADDRESS_BYTES);

function sideOf(mapping: TokenTrade["isBuy"], fields: FieldFinder): Side {
  if (mapping === undefined) return null;
  if (typeof mapping === "boolean") return mapping;
  if (typeof mapping === "string") {
    return { leaf: fields.find(mapping, (leaf) => leaf.column.type === "bool", "a bool"), buy: 1 };
  }
  const { leaf, variant } = fields.variant(mapping);
  return { leaf, buy: variant };
}

function priceOf(layout: Layout, mapping: PriceMapping, fields: FieldFinder): Price {
  if (typeof mapping === "string") return fields.uint(mapping, 16);
  const quote = fields.uint(mapping.quote, 16);
  const base = fields.uint(mapping.base, 16);
  const mint = mapping.baseMint === undefined ? null : fields.address(mapping.baseMint);
  const found: Found = { in: new Uint8Array(ADDRESS_BYTES), at: 0 };
  const down = 10n ** BigInt(mapping.quoteDecimals);
  return (bytes, around) => {
    const quoteUnits = readUint(layout, quote, bytes);
    const baseUnits = readUint(layout, base, bytes);
    if (quoteUnits === null || baseUnits === null || baseUnits === 0n) return null;
    const told = mint?.(bytes, around, found) === true ? around.decimals(found) : null;
    const up = PRICE_SCALE * 10n ** BigInt(told ?? mapping.baseDecimals);
    const price = (quoteUnits * up) / (baseUnits * down);
    return price < U128_END ? price : null;
  };
}

export function readUint(layout: Layout, field: UintField, bytes: Uint8Array): bigint | null {
  const at = layout.at[field.leaf]!;
  if (at === ABSENT) return null;
  let value = 0n;
  for (let to = field.size; to > 0; to -= 4) {
    const from = Math.max(0, to - 4);
    let part = 0;
    for (let i = to - 1; i >= from; i--) part = part * 256 + bytes[at + i]!;
    value = (value << BigInt(8 * (to - from))) | BigInt(part);
  }
  return value;
}

/** Finds what a mapping names in one layout, or says what does not fit. */
export class FieldFinder {
  readonly layout: Layout;
  private readonly where: string;

  constructor(layout: Layout, where: string) {
    this.layout = layout;
    this.where = where;
  }

  find(path: string, fits: (leaf: Leaf) => boolean, what: string): number {
    const index = this.layout.indexOf(path);
    if (index < 0) throw this.unknown(path);
    if (!fits(this.layout.leaves[index]!)) throw this.broken(`${path} is not ${what}`);
    return index;
  }

  /** Of several references the first that is there. */
  address(references: string | readonly string[]): AddressSource {
    const sources = [references].flat().map((reference) => this.addressOf(reference));
    return (bytes, around, found) => sources.some((source) => source(bytes, around, found));
  }

  private addressOf(reference: string): AddressSource {
    try {
      return addressSource(reference, this.layout, this.where);
    } catch (error) {
      if (error instanceof Fatal) throw this.broken(error.message);
      throw error;
    }
  }

  /** The leaf of an address that layouts may lack: -1 then. */
  optionalAddress(path: string): number {
    if (this.layout.indexOf(path) < 0) return -1;
    return this.find(path, (leaf) => leaf.column.type === "bytes32" && leaf.tag === 0, "an address");
  }

  /** A field that is an enum without payload, and the number of the variant. */
  variant({ field, equals }: { readonly field: string; readonly equals: string }): { leaf: number; variant: number } {
    const leaf = this.find(field, (l) => l.form.kind === "variant", "an enum without payload");
    const form = this.layout.leaves[leaf]!.form;
    const variant = form.kind === "variant" ? form.names.indexOf(equals) : -1;
    if (variant < 0) throw this.broken(`${field} has no variant ${equals}`);
    return { leaf, variant };
  }

  uint(path: string, maxSize: 8 | 16): UintField {
    const types = maxSize === 8 ? ["u8", "u16", "u32", "u64"] : ["u8", "u16", "u32", "u64", "u128"];
    const leaf = this.find(
      path,
      (l) => types.includes(l.column.type),
      `an unsigned integer of at most ${maxSize} bytes`,
    );
    return { leaf, size: this.layout.leaves[leaf]!.codec.fixed! };
  }

  private unknown(path: string): Fatal {
    const near = closest(
      path,
      this.layout.leaves.map((leaf) => leaf.path),
    );
    return this.broken(`there is no field ${path}${near === null ? "" : ` (did you mean ${near}?)`}`);
  }

  broken(message: string): Fatal {
    return misfit(message, this.where);
  }
}

function misfit(message: string, where: string): Fatal {
  return new Fatal("TRADE_MAPPING", `the trade mapping does not fit: ${message}`, {
    where,
    hint: "Every layout of the event needs the mapped fields; name them by path, as in the event.",
  });
}
