/**
 * Goal: candles are what their definition says, exactly, for any trades in any batches. Method: golden buckets and
 * prices, then random chains against the definition written as plainly as possible.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CANDLE_SECONDS, CANDLES, type CandleInterval, type CandleRow } from "../../pipeline/datasets/candles.ts";
import { MINTS } from "../../pipeline/datasets/mints.ts";
import { address, event, type LaneBlock, laneBatch, MapState, stateAfter } from "../sync/lane-fixture.ts";
import { LaneStage } from "../sync/lane-stage.ts";
import { SPINPET_EFFECTS } from "../sync/spinpet.ts";

const U64_MAX = (1n << 64n) - 1n;
const U128_MAX = (1n << 128n) - 1n;

interface Trade {
  readonly mint: number;
  readonly price: bigint;
  readonly sol: bigint | null;
  readonly tokens: bigint;
}

interface TradeBlock {
  readonly time: number;
  readonly trades: readonly Trade[];
}

function eventOf({ mint, price, sol, tokens }: Trade) {
  if (sol === null) return event("long_short", { mint: address(mint), latest_price: price, order_pda: address(5) });
  return event("buy_sell", { mint: address(mint), latest_price: price, sol_amount: sol, token_amount: tokens });
}

const blocksOf = (chain: readonly TradeBlock[]): LaneBlock[] =>
  chain.map(({ time, trades }, i) => ({ slot: 100 + i, time, transactions: [trades.map(eventOf)] }));

const candlesOf = (state: MapState, interval: CandleInterval, mint = 1) =>
  state.rows<CandleRow>(CANDLES.name).filter((c) => c.interval === CANDLE_SECONDS[interval] && c.mint[0] === mint);

const at = (time: number, price: bigint, sol: bigint | null = 1n): TradeBlock => ({
  time,
  trades: [{ mint: 1, price, sol, tokens: 2n }],
});

describe("candles", () => {
  test("begin at multiples of their interval", () => {
    const state = stateAfter(...blocksOf([at(1_726_627_853, 1n)]));
    const starts = Object.keys(CANDLE_SECONDS).map((name) => [name, candlesOf(state, name as CandleInterval)[0]!.time]);
    expect(Object.fromEntries(starts)).toEqual({
      s1: 1_726_627_853n,
      s30: 1_726_627_830n,
      m1: 1_726_627_800n,
      m5: 1_726_627_800n,
      m15: 1_726_627_500n,
      h1: 1_726_624_800n,
      h4: 1_726_617_600n,
      d1: 1_726_617_600n,
    });
  });

  test("open at the price before them, which high and low include; a gap is not filled", () => {
    const price = 279_589_934_762_348_555_452n;
    const state = stateAfter(
      ...blocksOf([at(60, price), at(60, price * 2n), at(3_600, price * 3n, 9n), at(3_601, price / 2n)]),
    );
    const open = candlesOf(state, "m1").map(({ time, open, high, low, close }) => [time, open, high, low, close]);
    expect(open).toEqual([
      [60n, price, price * 2n, price, price * 2n],
      [3_600n, price * 2n, price * 3n, price / 2n, price / 2n],
    ]);
    expect(candlesOf(state, "s1")).toHaveLength(3);
  });

  test("volume is swaps only, other events move the price", () => {
    const state = stateAfter(...blocksOf([at(0, 5n, 10n), at(1, 7n, null), at(2, 6n, 20n)]));
    expect(candlesOf(state, "m1")).toMatchObject([
      { volume_quote: 30n, volume_base: 4n, trades: 3, high: 7n, close: 6n },
    ]);
    expect(state.mint()).toMatchObject({ latest_price: 6n, latest_trade_time: 2n, total_sol_amount: 30n });
  });

  test("hold the largest numbers exactly", () => {
    const most = { mint: 1, price: U128_MAX, sol: U64_MAX, tokens: U64_MAX };
    const state = stateAfter(...blocksOf([{ time: 0, trades: [most, most, { ...most, price: 0n }] }]));
    expect(candlesOf(state, "d1")).toMatchObject([
      { open: U128_MAX, high: U128_MAX, low: 0n, close: 0n, volume_quote: U64_MAX * 3n, volume_base: U64_MAX * 3n },
    ]);
  });

  test("time before 1970 still rounds down", () => {
    expect(candlesOf(stateAfter(...blocksOf([at(-1, 1n)])), "m1")[0]!.time).toBe(-60n);
  });

  test("a block time from the future leaves its own candle and no trace in the others", () => {
    const state = stateAfter(...blocksOf([at(10, 5n), at(100_000, 9n), at(11, 6n), at(70, 7n), at(100_001, 8n)]));
    const rows = candlesOf(state, "m1").map((c) => [c.time, c.open, c.high, c.low, c.close, c.trades]);
    expect(rows).toEqual([
      [0n, 5n, 6n, 5n, 6n, 2],
      [60n, 6n, 7n, 6n, 7n, 1],
      [99_960n, 5n, 9n, 5n, 8n, 2],
    ]);
    expect(state.mint()).toMatchObject({ latest_trade_time: 100_001n, latest_price: 8n });
  });

  test("a trade that names no token is stored and changes nothing", () => {
    const state = new MapState();
    const batch = laneBatch([
      { slot: 1, transactions: [[event("trades", { mint: null, price: 5n, quote_amount: 1n })]] },
    ]);
    expect(new LaneStage(state, SPINPET_EFFECTS).apply(batch)).toBe(batch);
    expect(state.puts).toEqual([]);
  });
});

/** The definition: each candle is the trades of its bucket in chain order, open is the price before the first. */
function candlesByDefinition(chain: readonly TradeBlock[], interval: number): Map<string, Partial<CandleRow>> {
  const flat = chain.flatMap(({ time, trades }) => trades.map((trade) => ({ time, ...trade })));
  const candles = new Map<string, Partial<CandleRow>>();
  for (const mint of new Set(flat.map((t) => t.mint))) {
    const own = flat.filter((t) => t.mint === mint);
    const start = (time: number) => Math.floor(time / interval) * interval;
    for (const time of new Set(own.map((t) => start(t.time)))) {
      const inside = own.filter((t) => start(t.time) === time);
      const open = own[own.indexOf(inside[0]!) - 1]?.price ?? inside[0]!.price;
      const prices = [open, ...inside.map((t) => t.price)];
      const sorted = prices.toSorted((a, b) => (a < b ? -1 : Number(a > b)));
      const swaps = inside.filter((t) => t.sol !== null);
      candles.set(`${mint}@${time}`, {
        open,
        high: sorted.at(-1)!,
        low: sorted[0]!,
        close: prices.at(-1)!,
        volume_quote: swaps.reduce((sum, t) => sum + t.sol!, 0n),
        volume_base: swaps.reduce((sum, t) => sum + t.tokens, 0n),
        trades: inside.length,
      });
    }
  }
  return candles;
}

const trade = fc.record({
  mint: fc.integer({ min: 1, max: 3 }),
  price: fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: U128_MAX })),
  sol: fc.option(fc.bigInt({ min: 0n, max: U64_MAX })),
  tokens: fc.bigInt({ min: 0n, max: U64_MAX }),
});
/** Time mostly goes on by seconds or hours, and now and then runs back. */
const chainOf = fc
  .array(
    fc.record({
      step: fc.oneof(fc.nat({ max: 40 }), fc.integer({ min: -90, max: 20_000 })),
      trades: fc.array(trade, { maxLength: 6 }),
    }),
    {
      maxLength: 25,
    },
  )
  .map((steps) => {
    let time = 1_700_000_000;
    return steps.map(({ step, trades }): TradeBlock => ({ time: (time += step), trades }));
  });
/** Cuts a chain into batches: for each, how many blocks and how many of these are final. */
const cuts = fc.infiniteStream(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat({ max: 6 })));

function fold(chain: readonly TradeBlock[], sizes: Iterator<readonly [number, number]>): MapState {
  const state = new MapState();
  const stage = new LaneStage(state, SPINPET_EFFECTS);
  const blocks = blocksOf(chain);
  for (let from = 0; from < blocks.length; ) {
    const [size, final] = sizes.next().value as readonly [number, number];
    stage.apply(laneBatch(blocks.slice(from, from + size), 100 + from + final - 1));
    from += size;
  }
  return state;
}

describe("for any trades", () => {
  test("candles and batches of any size give what the definition gives", () => {
    fc.assert(
      fc.property(chainOf, cuts, (chain, sizes) => {
        const state = fold(chain, sizes[Symbol.iterator]());
        for (const seconds of Object.values(CANDLE_SECONDS)) {
          const expected = candlesByDefinition(chain, seconds);
          const got = new Map<string, Partial<CandleRow>>();
          for (const { mint, interval, time, ...rest } of state.rows<CandleRow>(CANDLES.name)) {
            if (interval === seconds) got.set(`${mint[0]}@${time}`, rest);
          }
          expect(got).toEqual(expected);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("tokens are the same however the chain is cut into batches", () => {
    fc.assert(
      fc.property(chainOf, cuts, (chain, sizes) => {
        const rows = (state: MapState) => state.rows(MINTS.name);
        expect(rows(fold(chain, sizes[Symbol.iterator]()))).toEqual(rows(stateAfter(...blocksOf(chain))));
      }),
      { numRuns: 150 },
    );
  });
});
