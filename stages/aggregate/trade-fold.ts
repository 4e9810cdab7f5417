/**
 * Folds trades into candles and into the price and volume of their token. All arithmetic is exact.
 *
 * A candle's bucket follows block time; trades are taken in chain order, so `close` is the price after the last of them.
 * `open` is the price before the candle's first trade: for time that does not run backwards, that is the close of the
 * latest earlier candle. Nothing is kept between batches, so how blocks are batched leaves no trace in the result.
 */
import { CANDLE_SECONDS, CANDLES, type CandleRow } from "../../pipeline/datasets/candles.ts";
import { keyPart } from "../../pipeline/datasets/key.ts";
import { MINTS, type MintRow, newMint } from "../../pipeline/datasets/mints.ts";
import { addressKeys } from "../../pipeline/wire/address-keys.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import type { State } from "../stage.ts";
import { addU64, later } from "../sync/mint-state.ts";

const INTERVALS = Object.values(CANDLE_SECONDS).map((seconds) => ({ seconds, part: keyPart("u32", seconds) }));

interface OpenCandle {
  readonly key: string;
  readonly time: number;
  readonly row: { -readonly [K in keyof CandleRow]: CandleRow[K] };
}

/** What this batch has added to a token and not yet put. */
interface Token {
  readonly key: string;
  readonly mint: Uint8Array;
  price: bigint | null;
  /** Greatest block time of its trades; no candle begins after it. */
  latest: number | null;
  swapped: bigint;
  /** The candle being filled, by interval. */
  readonly candles: (OpenCandle | null)[];
}

export class TradeFold {
  private readonly state: State;
  private readonly tokens = new Map<string, Token>();
  private readonly slots: Column;
  private readonly times: Column;
  private readonly mints: Column;
  private readonly mintKey: (row: number) => string;
  private readonly quotes: Column;
  private readonly bases: Column;
  private readonly prices: Column;

  constructor(state: State, trades: Table) {
    this.state = state;
    this.slots = trades.column("slot");
    this.times = trades.column("block_time");
    this.mints = trades.column("mint");
    this.mintKey = addressKeys(this.mints);
    this.quotes = trades.column("quote_amount");
    this.bases = trades.column("base_amount");
    this.prices = trades.column("price");
  }

  /** Takes one trade. A trade that names no token moves no price. */
  add(row: number): void {
    if (this.mints.isNull(row)) return;
    const token = this.token(row);
    const time = this.times.number(row);
    const price = this.prices.bigint(row);
    const quote = this.quotes.isNull(row) ? null : this.quotes.bigint(row);
    const base = this.bases.isNull(row) ? 0n : this.bases.bigint(row);
    for (let i = 0; i < INTERVALS.length; i++) {
      const candle = this.candle(token, i, time, price).row;
      if (price > candle.high) candle.high = price;
      if (price < candle.low) candle.low = price;
      candle.close = price;
      candle.trades++;
      if (quote === null) continue;
      candle.volume_quote += quote;
      candle.volume_base += base;
    }
    if (quote !== null) token.swapped += quote;
    token.price = price;
    token.latest = token.latest === null ? time : Math.max(token.latest, time);
  }

  /** Puts all that was folded since the last flush. */
  flush(): void {
    for (const token of this.tokens.values()) {
      for (const candle of token.candles) if (candle !== null) this.state.put(CANDLES.name, candle.key, candle.row);
      // Read again: the effects of other events of the token may have changed its row since.
      const row = this.state.get<MintRow>(MINTS.name, token.key)!;
      const latest = BigInt(token.latest!);
      this.state.put<MintRow>(MINTS.name, token.key, {
        ...row,
        latest_price: token.price,
        latest_trade_time: latest,
        total_sol_amount: addU64(row.total_sol_amount, token.swapped),
        last_updated_at: later(row.last_updated_at, latest),
      });
    }
    this.tokens.clear();
  }

  private token(row: number): Token {
    const key = this.mintKey(row);
    const known = this.tokens.get(key);
    if (known !== undefined) return known;
    let mint = this.state.get<MintRow>(MINTS.name, key);
    if (mint === undefined) {
      mint = newMint(this.mints.bytes(row).slice(), this.slots.bigint(row), this.times.bigint(row));
      this.state.put(MINTS.name, key, mint);
    }
    const token: Token = {
      key,
      mint: mint.mint,
      price: mint.latest_price,
      latest: mint.latest_trade_time === null ? null : Number(mint.latest_trade_time),
      swapped: 0n,
      candles: INTERVALS.map(() => null),
    };
    this.tokens.set(key, token);
    return token;
  }

  private candle(token: Token, i: number, time: number, price: bigint): OpenCandle {
    const seconds = INTERVALS[i]!.seconds;
    const start = Math.floor(time / seconds) * seconds;
    const filling = token.candles[i]!;
    if (filling !== null && filling.time === start) return filling;
    if (filling !== null) this.state.put(CANDLES.name, filling.key, filling.row);
    const key = token.key + INTERVALS[i]!.part + keyPart("i64", start);
    const isNew = token.latest === null || start > token.latest;
    const held = isNew ? undefined : this.state.get<CandleRow>(CANDLES.name, key);
    const row = held === undefined ? newCandle(token, seconds, start, token.price ?? price) : { ...held };
    const opened = { key, time: start, row };
    token.candles[i] = opened;
    return opened;
  }
}

function newCandle(token: Token, interval: number, time: number, open: bigint): CandleRow {
  return {
    mint: token.mint,
    interval,
    time: BigInt(time),
    open,
    high: open,
    low: open,
    close: open,
    volume_quote: 0n,
    volume_base: 0n,
    trades: 0,
  };
}
