/**
 * Candles as they ought to be, computed the plain way: trades come in chain order and block time never falls, so every
 * bucket of an interval is complete when a trade of a later bucket arrives.
 */
import type { Account } from "./accounts.ts";
import type { LineDigest } from "./lines.ts";

/** Seconds of each interval. */
export const INTERVALS = { s1: 1, s30: 30, m1: 60, m5: 300, m15: 900, h1: 3_600, h4: 14_400, d1: 86_400 } as const;

export type Interval = keyof typeof INTERVALS;

export interface Trade {
  readonly mint: Account;
  readonly time: number;
  readonly price: bigint;
  /** Price of the mint's trade before; the same as `price` for its first. */
  readonly before: bigint;
  /** Volume, base units and lamports; zero where the trade only moves the price. */
  readonly base: bigint;
  readonly quote: bigint;
}

interface Candle {
  readonly open: bigint;
  high: bigint;
  low: bigint;
  close: bigint;
  base: bigint;
  quote: bigint;
  trades: number;
}

/** Candles of one interval, given to a digest bucket by bucket, within a bucket by mint. */
export class CandleBook {
  readonly #seconds: number;
  readonly #digest: LineDigest;
  #bucket = 0;
  readonly #candles = new Map<Account, Candle>();

  constructor(interval: Interval, digest: LineDigest) {
    this.#seconds = INTERVALS[interval];
    this.#digest = digest;
  }

  add(trade: Trade): void {
    const bucket = Math.floor(trade.time / this.#seconds) * this.#seconds;
    if (bucket !== this.#bucket) this.flush();
    this.#bucket = bucket;
    let candle = this.#candles.get(trade.mint);
    if (candle === undefined) {
      const open = trade.before;
      candle = { open, high: open, low: open, close: open, base: 0n, quote: 0n, trades: 0 };
      this.#candles.set(trade.mint, candle);
    }
    if (trade.price > candle.high) candle.high = trade.price;
    if (trade.price < candle.low) candle.low = trade.price;
    candle.close = trade.price;
    candle.base += trade.base;
    candle.quote += trade.quote;
    candle.trades++;
  }

  flush(): void {
    const mints = [...this.#candles.keys()].sort(byText);
    for (const mint of mints) {
      const c = this.#candles.get(mint)!;
      this.#digest.add(this.#bucket, mint, c.open, c.high, c.low, c.close, c.base, c.quote, c.trades);
    }
    this.#candles.clear();
  }
}

/** Order of base58 texts by their bytes, as SQL compares them without a locale. */
export function byText(a: Account, b: Account): number {
  return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
}
