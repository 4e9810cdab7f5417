/** A swap of two tokens as a trade: one side wrapped SOL, the other the token. */
import { PRICE_SCALE } from "../../pipeline/datasets/trades.ts";
import type { ColumnBuilder } from "../../pipeline/wire/column.ts";
import { type AddressSource, isWrappedSol } from "./address-source.ts";
import { ABSENT } from "./layout.ts";
import type { SwapSide, SwapTrade } from "./program.ts";
import { ADDRESS_BYTES } from "./program-set.ts";
import type { Found, Surroundings } from "./surroundings.ts";
import { type FieldFinder, readUint, type TradeWriter, U128_END, type UintField } from "./trade-mapping.ts";

export const SOL_DECIMALS = 9;
const U64_END = 1n << 64n;

interface Side {
  readonly mint: AddressSource;
  readonly amount: UintField;
}

export class LayoutSwap implements TradeWriter {
  readonly mint: Found = { in: new Uint8Array(ADDRESS_BYTES), at: 0 };
  private readonly fields: FieldFinder;
  private readonly kind: string;
  private readonly user: AddressSource;
  private readonly input: Side;
  private readonly output: Side;
  private readonly decimals: number | null;
  private readonly isAggregator: boolean;
  /** -1: the layout does not name it. */
  private readonly venueLeaf: number;
  private readonly reversed: { readonly leaf: number; readonly variant: number } | null;
  private readonly foundUser: Found = { in: this.mint.in, at: 0 };
  private readonly other: Found = { in: this.mint.in, at: 0 };
  private bought = false;
  private base = 0n;
  private quote = 0n;
  private price = 0n;

  constructor(fields: FieldFinder, mapping: SwapTrade, dataset: string) {
    this.fields = fields;
    this.kind = mapping.kind ?? dataset;
    this.user = fields.address(mapping.user);
    this.input = sideOf(mapping.input, fields);
    this.output = sideOf(mapping.output, fields);
    this.decimals = mapping.decimals ?? null;
    this.reversed = mapping.reversed === undefined ? null : fields.variant(mapping.reversed);
    this.isAggregator = mapping.venue !== undefined;
    this.venueLeaf = mapping.venue === undefined ? -1 : fields.optionalAddress(mapping.venue);
  }

  prepare(bytes: Uint8Array, around: Surroundings): boolean {
    const { input, output, mint, other, reversed } = this;
    const { layout } = this.fields;
    const flip = reversed !== null && bytes[layout.at[reversed.leaf]!] === reversed.variant;
    const [given, taken] = flip ? [output, input] : [input, output];
    if (!given.mint(bytes, around, other) || !taken.mint(bytes, around, mint)) return false;
    this.bought = isWrappedSol(other);
    if (isWrappedSol(mint) === this.bought) return false;
    if (!this.bought) Object.assign(mint, other);
    if (!this.user(bytes, around, this.foundUser)) return false;
    const base = readUint(layout, this.bought ? output.amount : input.amount, bytes);
    const quote = readUint(layout, this.bought ? input.amount : output.amount, bytes);
    const decimals = around.decimals(mint) ?? this.decimals;
    if (base === null || quote === null || decimals === null) return false;
    const price = swapPrice(base, quote, decimals);
    if (price === null) return false;
    this.base = base;
    this.quote = quote;
    this.price = price;
    return true;
  }

  append(_: Uint8Array, columns: readonly ColumnBuilder[], first: number): void {
    const { foundUser: user } = this;
    columns[first]!.string(this.kind);
    columns[first + 1]!.bytes(user.in, user.at, user.at + ADDRESS_BYTES);
    columns[first + 2]!.number(this.bought ? 1 : 0);
    columns[first + 3]!.bigint(this.base);
    columns[first + 4]!.bigint(this.quote);
    columns[first + 5]!.bigint(this.price);
  }

  isBuy(): boolean {
    return this.bought;
  }

  baseAmount(): bigint {
    return this.base;
  }

  venue(bytes: Uint8Array): Found | "unnamed" | null {
    if (!this.isAggregator) return null;
    const at = this.venueLeaf < 0 ? ABSENT : this.fields.layout.at[this.venueLeaf]!;
    return at === ABSENT ? "unnamed" : { in: bytes, at };
  }
}

/**
 * SOL per whole token as a multiple of 1e-28, rounded down: quote lamports over base units of a token of that many decimals.
 * Null when it has no finite value that fits.
 */
export function swapPrice(base: bigint, quote: bigint, decimals: number): bigint | null {
  if (base <= 0n || quote < 0n || base >= U64_END || quote >= U64_END || decimals > 255) return null;
  const price = (quote * PRICE_SCALE * 10n ** BigInt(decimals)) / (base * 10n ** BigInt(SOL_DECIMALS));
  return price < U128_END ? price : null;
}

function sideOf(side: SwapSide, fields: FieldFinder): Side {
  return { mint: fields.address(side.mint), amount: fields.uint(side.amount, 8) };
}
