/**
 * What is known of one token: a state that was read, and what the live feed has told since. Pure. A message about a block
 * that the state has already is passed over; an undo takes back what came behind the block that it goes back to.
 */
import type { CandleRow, CandlesAnswer, Listed, One, TradeAnswer } from "./answers.ts";
import type { LiveMessage } from "./live.ts";

/** Trades kept. */
export const TRADES_MAX = 100;

export class TokenState {
  readonly mint: string;
  readonly interval: string;
  /** Newest first. */
  trades: readonly TradeAnswer[] = [];
  /** Oldest first. */
  candles: readonly CandleRow[] = [];
  finalUpTo = 0;
  /** Candles that ended by then will not change; Unix seconds. */
  finalTime: number | null = null;
  /** Newest block seen. */
  headSlot = 0;
  private readTrades = 0;
  private readCandles = 0;

  constructor(mint: string, interval: string) {
    this.mint = mint;
    this.interval = interval;
  }

  takeTrades({ data, as_of, final_up_to }: Listed<TradeAnswer>): void {
    this.trades = data.slice(0, TRADES_MAX);
    this.readTrades = as_of?.slot ?? 0;
    this.headSlot = this.readTrades;
    this.finalUpTo = final_up_to;
  }

  takeCandles({ data, as_of }: One<CandlesAnswer>): void {
    this.candles = data.rows;
    this.readCandles = as_of?.slot ?? 0;
    this.finalTime = data.final_time;
  }

  /** False: the message changes nothing. */
  apply(message: LiveMessage): boolean {
    switch (message.type) {
      case "trade":
        return message.trade.mint === this.mint && this.addTrade(message.trade);
      case "candle":
        if (message.mint !== this.mint || message.interval !== this.interval) return false;
        if (message.at.slot <= this.readCandles) return false;
        return this.putCandle(message.row);
      case "final":
        return this.raiseFinal(message.final_up_to, message.at.slot);
      case "undo":
        return this.undo(message);
      default:
        return false;
    }
  }

  private addTrade(trade: TradeAnswer): boolean {
    if (trade.slot <= this.readTrades || this.trades.some((known) => sameTrade(known, trade))) return false;
    this.trades = [trade, ...this.trades].slice(0, TRADES_MAX);
    this.headSlot = Math.max(this.headSlot, trade.slot);
    return true;
  }

  /** A candle comes whole, as a block leaves it. */
  private putCandle(row: CandleRow): boolean {
    const after = this.candles.findLastIndex(([time]) => time <= row[0]);
    const replaces = this.candles[after]?.[0] === row[0];
    this.candles = this.candles.toSpliced(replaces ? after : after + 1, replaces ? 1 : 0, row);
    return true;
  }

  private raiseFinal(finalUpTo: number, headSlot: number): boolean {
    this.headSlot = Math.max(this.headSlot, headSlot);
    if (finalUpTo <= this.finalUpTo) return false;
    this.finalUpTo = finalUpTo;
    const settled = this.trades.find((trade) => trade.slot <= finalUpTo);
    if (settled !== undefined) this.finalTime = Math.max(this.finalTime ?? 0, settled.time);
    return true;
  }

  private undo({ at, candles }: LiveMessage & { type: "undo" }): boolean {
    this.trades = this.trades.filter(({ slot }) => slot <= at.slot);
    this.headSlot = at.slot;
    // What comes next may be blocks with numbers that were read already, on the other fork.
    this.readTrades = Math.min(this.readTrades, at.slot);
    this.readCandles = Math.min(this.readCandles, at.slot);
    for (const fix of candles) {
      if (fix.mint !== this.mint || fix.interval !== this.interval) continue;
      if (fix.removed) this.candles = this.candles.filter(([time]) => time !== fix.time);
      else this.putCandle(fix.row);
    }
    return true;
  }
}

function sameTrade(a: TradeAnswer, b: TradeAnswer): boolean {
  return a.slot === b.slot && a.tx_index === b.tx_index && a.event_index === b.event_index;
}
