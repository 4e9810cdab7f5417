/**
 * Goal: a state that was read plus what the feed tells is the state as if it were read later: nothing missing, nothing twice,
 * forks taken back. Method: small histories by hand; any split of a history into read and told parts gives the same.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { CandleRow, TradeAnswer } from "./answers.ts";
import type { LiveMessage } from "./live.ts";
import { TokenState, TRADES_MAX } from "./token-state.ts";

const MINT = "mint-a";
type Told = TradeAnswer & { readonly mint: string };

function trade(slot: number, event = 0, mint = MINT): Told {
  return {
    ...{
      slot,
      time: slot * 2,
      tx_index: 0,
      event_index: event,
      signature: `${slot}-${event}`,
      kind: "buy_sell",
      user: "u",
    },
    ...{ is_buy: true, base_amount: "1", quote_amount: "1", price: "1", mint },
  };
}

const at = (slot: number) => ({ slot, hash: `h${slot}`, ordinal: null });
const tradeMessage = (told: Told): LiveMessage => ({ type: "trade", at: at(told.slot), trade: told });
const candleMessage = (slot: number, row: CandleRow, mint = MINT): LiveMessage => ({
  ...{ type: "candle", at: at(slot), mint, interval: "m1", row },
});
const candle = (time: number, close = 1): CandleRow => [time, 1, 1, 1, close, 1, 1];

function stateAt(slot: number, trades: readonly Told[] = [], rows: readonly CandleRow[] = []): TokenState {
  const state = new TokenState(MINT, "m1");
  const standing = { as_of: { slot, hash: "h" }, final_up_to: slot - 10, source: "hot" };
  state.takeTrades({ data: trades, next_cursor: null, ...standing });
  state.takeCandles({ data: { interval: "m1", rows, final_time: 5, next_to: null }, ...standing });
  return state;
}

describe("trades", () => {
  test("what is told goes on top, newest first; what was read or told already, and other tokens', is passed over", () => {
    const state = stateAt(100, [trade(100)]);
    expect(state.apply(tradeMessage(trade(101)))).toBe(true);
    expect(state.apply(tradeMessage(trade(101)))).toBe(false);
    expect(state.apply(tradeMessage(trade(100, 1)))).toBe(false);
    expect(state.apply(tradeMessage(trade(102, 0, "mint-b")))).toBe(false);
    expect(state.trades.map(({ slot }) => slot)).toEqual([101, 100]);
  });

  test("wherever reading ends and telling begins, and however far they overlap, the result is the same", () => {
    const history = Array.from({ length: 30 }, (_, i) => trade(1 + Math.floor(i / 2), i % 2));
    fc.assert(
      fc.property(fc.nat(15), fc.nat(15), (readTo, toldFrom) => {
        const state = stateAt(readTo, history.filter(({ slot }) => slot <= readTo).reverse());
        for (const told of history.filter(({ slot }) => slot > Math.min(readTo, toldFrom)))
          state.apply(tradeMessage(told));
        expect(state.trades).toEqual(history.toReversed());
      }),
    );
  });

  test("are bounded", () => {
    const state = stateAt(0);
    for (let slot = 1; slot <= TRADES_MAX + 50; slot++) state.apply(tradeMessage(trade(slot)));
    expect([state.trades.length, state.trades[0]!.slot]).toEqual([TRADES_MAX, TRADES_MAX + 50]);
  });
});

describe("candles", () => {
  test("a candle that is told replaces its earlier state, or is put where it belongs", () => {
    const state = stateAt(100, [], [candle(60), candle(180)]);
    state.apply(candleMessage(101, candle(180, 2)));
    state.apply(candleMessage(102, candle(120, 3)));
    state.apply(candleMessage(103, candle(0, 4)));
    expect(state.candles).toEqual([candle(0, 4), candle(60), candle(120, 3), candle(180, 2)]);
  });

  test("of a block that was read already says nothing new; other intervals and tokens are passed over", () => {
    const state = stateAt(100, [], [candle(60)]);
    expect(state.apply(candleMessage(100, candle(60, 9)))).toBe(false);
    expect(state.apply(candleMessage(101, candle(60, 9), "mint-b"))).toBe(false);
    expect(state.apply({ ...candleMessage(101, candle(60, 9)), interval: "s1" } as LiveMessage)).toBe(false);
    expect(state.candles).toEqual([candle(60)]);
  });
});

test("an undo takes trades back, restates candles, and lets the other fork's blocks in, even those with the same slots", () => {
  const state = stateAt(103, [trade(103), trade(102), trade(100)], [candle(60, 3), candle(120, 1)]);
  const fix = { mint: MINT, interval: "m1" } as const;
  const undone = state.apply({
    ...{ type: "undo", at: at(100), removed_mints: [] },
    candles: [
      { ...fix, row: candle(60, 2) },
      { ...fix, time: 120, removed: true },
      { ...fix, mint: "mint-b", time: 60, removed: true },
    ],
  });
  expect(undone).toBe(true);
  expect(state.trades.map(({ slot }) => slot)).toEqual([100]);
  expect(state.candles).toEqual([candle(60, 2)]);
  state.apply(tradeMessage(trade(102)));
  state.apply(candleMessage(102, candle(60, 5)));
  expect(state.trades.map(({ slot }) => slot)).toEqual([102, 100]);
  expect(state.candles).toEqual([candle(60, 5)]);
});

test("finality never goes back, and settles the candles that ended before the newest final trade", () => {
  const state = stateAt(100, [trade(100), trade(96), trade(90)]);
  expect([state.finalUpTo, state.finalTime]).toEqual([90, 5]);
  expect(state.apply({ type: "final", at: at(101), final_up_to: 97 })).toBe(true);
  expect([state.finalUpTo, state.finalTime]).toEqual([97, 192]);
  expect(state.apply({ type: "final", at: at(102), final_up_to: 95 })).toBe(false);
  expect(state.finalUpTo).toBe(97);
});
