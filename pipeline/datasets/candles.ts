/** State: open, high, low, close and volume of each token by interval, folded from `trades`. Gaps are not filled. */
import type { DatasetSpec } from "./dataset.ts";

/** Candle intervals by the name the API uses; seconds. Each divides the next. */
export const CANDLE_SECONDS = {
  s1: 1,
  s30: 30,
  m1: 60,
  m5: 300,
  m15: 900,
  h1: 3600,
  h4: 14_400,
  d1: 86_400,
} as const;

export type CandleInterval = keyof typeof CANDLE_SECONDS;

export const CANDLES: DatasetSpec = {
  name: "candles",
  version: 1,
  doc:
    "Candles by block time, folded in chain order. `open` is the price before the candle's first trade, or that trade's " +
    "own price when the token had none before; high and low include it. Final once its time is below the final block's.",
  columns: [
    { name: "mint", type: "bytes32", doc: "Token." },
    { name: "interval", type: "u32", unit: "seconds", doc: "Length: 1, 30, 60, 300, 900, 3600, 14400 or 86400." },
    { name: "time", type: "i64", unit: "seconds", doc: "Start, Unix seconds; a multiple of the interval." },
    { name: "open", type: "u128", unit: "1e-28 SOL per token", doc: "Price before the first trade of the candle." },
    { name: "high", type: "u128", unit: "1e-28 SOL per token", doc: "Highest price, open included." },
    { name: "low", type: "u128", unit: "1e-28 SOL per token", doc: "Lowest price, open included." },
    { name: "close", type: "u128", unit: "1e-28 SOL per token", doc: "Price after the last trade in chain order." },
    { name: "volume_quote", type: "u128", unit: "lamports", doc: "SOL swapped." },
    { name: "volume_base", type: "u128", unit: "base units", doc: "Tokens swapped." },
    {
      name: "trades",
      type: "u32",
      field: "update_count",
      doc: "Trades folded in, whether they count as volume or not.",
    },
  ],
  key: ["mint", "interval", "time"],
  order: ["mint", "interval", "time"],
};

/** A row of `candles`, as state holds it. */
export interface CandleRow {
  readonly mint: Uint8Array;
  readonly interval: number;
  readonly time: bigint;
  readonly open: bigint;
  readonly high: bigint;
  readonly low: bigint;
  readonly close: bigint;
  readonly volume_quote: bigint;
  readonly volume_base: bigint;
  readonly trades: number;
}
