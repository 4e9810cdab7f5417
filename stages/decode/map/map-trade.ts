/** A mapped swap as a trade: one side SOL, wrapped or as it is, the other the token. */
import bs58 from "bs58";
import type { ColumnBuilder } from "../../../pipeline/wire/column.ts";
import { NATIVE_SOL, WRAPPED_SOL } from "../address-source.ts";
import { swapPrice } from "../swap-trade.ts";
import { broken, type Chain, keyOf, type Pick, type Picker } from "./map-addresses.ts";
import type { MapTrade } from "./map-spec.ts";

const SOL: ReadonlySet<string> = new Set([WRAPPED_SOL, NATIVE_SOL].map((text) => keyOf(bs58.decode(text))));

interface Side {
  readonly mint: Pick<Uint8Array>;
  readonly amount: Pick<bigint>;
}

export interface SwapRow {
  readonly mint: Uint8Array;
  readonly user: Uint8Array;
  readonly isBuy: boolean;
  readonly base: bigint;
  readonly quote: bigint;
  readonly price: bigint;
  /** The program that did the swap, and whether it is an aggregator's report. */
  readonly venue: string;
  readonly isAggregator: boolean;
  /** It does not say whose report it is. */
  readonly isUnattributed: boolean;
}

export class SwapMapper {
  private readonly kind: string;
  private readonly user: Pick<Uint8Array>;
  private readonly input: Side;
  private readonly output: Side;
  private readonly decimals: number;
  private readonly decimalsOf: ReadonlyMap<string, number>;
  private readonly venue: Pick<Uint8Array>;
  private readonly aggregators: ReadonlySet<string>;
  private readonly unattributed: boolean;

  constructor(trade: MapTrade, picker: Picker, dataset: string, where: string) {
    const side = ({ mint, amount }: MapTrade["input"]) => ({
      mint: picker.bytes(mint, 32),
      amount: picker.amount(amount),
    });
    this.kind = trade.kind ?? dataset;
    this.user = picker.bytes(trade.user, 32);
    this.input = side(trade.input);
    this.output = side(trade.output);
    this.decimals = trade.decimals;
    this.decimalsOf = new Map(Object.entries(trade.decimalsOf ?? {}).map(([mint, n]) => [addressKey(mint, where), n]));
    this.venue = trade.venue === undefined ? () => null : picker.bytes(trade.venue, 32);
    this.aggregators = new Set((trade.aggregators ?? []).map((program) => addressKey(program, where)));
    this.unattributed = trade.unattributed === true;
  }

  /** Null when the row makes no trade: neither side or both are SOL, or something is missing. */
  map(chain: Chain): SwapRow | null {
    const given = this.input.mint(chain);
    const taken = this.output.mint(chain);
    if (given === null || taken === null) return null;
    const isBuy = SOL.has(keyOf(given));
    if (SOL.has(keyOf(taken)) === isBuy) return null;
    const mint = isBuy ? taken : given;
    const base = (isBuy ? this.output : this.input).amount(chain);
    const quote = (isBuy ? this.input : this.output).amount(chain);
    const user = this.user(chain);
    if (base === null || quote === null || user === null) return null;
    const price = swapPrice(base, quote, this.decimalsOf.get(keyOf(mint)) ?? this.decimals);
    if (price === null) return null;
    const program = this.venue(chain);
    const venue = program === null ? "" : keyOf(program);
    const isAggregator = this.aggregators.has(venue);
    const isUnattributed = this.unattributed && !isAggregator;
    return { mint, user, isBuy, base, quote, price, venue, isAggregator, isUnattributed };
  }

  /** Fills the own columns of `trades`, in their order, from `columns[first]` on. */
  append(row: SwapRow, columns: readonly ColumnBuilder[], first: number): void {
    columns[first]!.string(this.kind);
    columns[first + 1]!.bytes(row.user);
    columns[first + 2]!.number(row.isBuy ? 1 : 0);
    columns[first + 3]!.bigint(row.base);
    columns[first + 4]!.bigint(row.quote);
    columns[first + 5]!.bigint(row.price);
  }
}

function addressKey(text: string, where: string): string {
  const bytes = bs58.decodeUnsafe(text);
  if (bytes?.length !== 32) throw broken(`"${text}" is not an address`, where);
  return keyOf(bytes);
}
