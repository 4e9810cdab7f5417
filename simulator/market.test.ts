/**
 * The market against its own laws, for any course of events: the curve's product holds, tokens are conserved between
 * pool, holders and orders, prices follow the reserves, orders live one consistent life, and a block taken back leaves no
 * trace.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  CURVE_K,
  INITIAL_LAMPORTS,
  INITIAL_TOKENS,
  lamportsAt,
  longLiquidation,
  MAX_TOKENS,
  MIN_TOKENS,
  priceAt,
  shortLiquidation,
  tokensFor,
} from "./curve.ts";
import type { MarketEvent } from "./events.ts";
import { type Action, LONG, Market, type Token } from "./market.ts";
import { PROFILES } from "./profiles.ts";
import { Traders } from "./traders.ts";

const reserves = fc.bigInt({ min: MIN_TOKENS, max: MAX_TOKENS });

describe("the curve", () => {
  test("starts at 30 SOL and 1,073,000,000 tokens, at the price the program logs", () => {
    expect(lamportsAt(INITIAL_TOKENS)).toBe(INITIAL_LAMPORTS);
    expect(priceAt(INITIAL_TOKENS)).toBe(279589934762348555452n);
  });

  test("keeps its product, rounding in favour of the pool", () => {
    fc.assert(
      fc.property(reserves, (tokens) => {
        const product = tokens * lamportsAt(tokens);
        expect(product >= CURVE_K && product < CURVE_K + tokens).toBe(true);
      }),
    );
  });

  test("gives no more tokens than the lamports pay for", () => {
    fc.assert(
      fc.property(reserves, fc.bigInt({ min: 1n, max: 10n ** 11n }), (tokens, lamports) => {
        const bought = tokensFor(tokens, lamports);
        expect(lamportsAt(tokens - bought) - lamportsAt(tokens)).toBeLessThanOrEqual(lamports);
      }),
    );
  });

  test("liquidation points are where a position is worth its debt", () => {
    const sizes = fc.record({ position: fc.bigInt({ min: 10n ** 11n, max: 10n ** 13n }), reserve: reserves });
    fc.assert(
      fc.property(sizes, ({ position, reserve }) => {
        const debt = lamportsAt(reserve) - lamportsAt(reserve + position);
        const relative = (found: bigint) => Math.abs(Number(found - reserve)) / Number(reserve);
        expect(relative(longLiquidation(position, debt))).toBeLessThan(1e-3);
        const cost = lamportsAt(reserve - position) - lamportsAt(reserve);
        expect(relative(shortLiquidation(position, cost))).toBeLessThan(1e-3);
      }),
    );
  });
});

/** A market driven by its traders for some steps, with what it emitted. */
function trade(seed: number, steps: number, after: (market: Market, events: readonly MarketEvent[]) => void): Market {
  const market = new Market();
  const rates = { ...PROFILES.market, create: 0.05 };
  const traders = new Traders({ seed, rates, market });
  for (let step = 0; step < steps; step++) {
    market.beginBlock();
    after(market, market.apply(traders.next(), 1_000_000 + step) ?? []);
  }
  return market;
}

/** Tokens that left the pool are with holders and longs; those that shorts sold came on top. */
function conserved(token: Token): void {
  const { reserve, held, orders } = token.state;
  const inOrders = orders.reduce((sum, o) => sum + (o.type === LONG ? o.tokens : -o.tokens), 0n);
  expect(INITIAL_TOKENS - reserve).toBe(held + inOrders);
}

const seeds = fc.nat();
const RUNS = { numRuns: 15 };

describe("the market", () => {
  test("conserves tokens, whatever happens", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        trade(seed, 400, (market) => {
          for (const token of market.tokens) conserved(token);
        });
      }),
      RUNS,
    );
  });

  test("announces the price of the reserves after each trade", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        trade(seed, 400, (market, events) => {
          const first = events[0];
          if (first === undefined || !("latest_price" in first)) return;
          const token = market.tokens.find((t) => t.definition.mint === first.mint_account)!;
          // A liquidation behind the trade moves the curve on without an announcement.
          if (events.some((e) => e.kind === "force_liquidate"))
            expect(first.latest_price).not.toBe(priceAt(token.state.reserve));
          else expect(first.latest_price).toBe(priceAt(token.state.reserve));
        });
      }),
      RUNS,
    );
  });

  test("orders are opened, changed while open, and closed once; sums match what is left", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const open = new Map<unknown, { tokens: bigint; margin: bigint; user: unknown }>();
        const seen = new Set<unknown>();
        const market = trade(seed, 600, (_, events) => {
          for (const e of events) {
            if (e.kind === "long_short") {
              expect(seen.has(e.order_pda)).toBe(false);
              seen.add(e.order_pda);
              open.set(e.order_pda, { tokens: e.lock_lp_token_amount, margin: e.margin_sol_amount, user: e.user });
            } else if (e.kind === "partial_close") {
              const before = open.get(e.order_pda)!;
              expect(e.lock_lp_token_amount + e.final_token_amount).toBe(before.tokens);
              expect(e.margin_sol_amount).toBeLessThanOrEqual(before.margin);
              expect(e.user).toBe(before.user as typeof e.user);
              open.set(e.order_pda, { ...before, tokens: e.lock_lp_token_amount, margin: e.margin_sol_amount });
            } else if (e.kind === "full_close") {
              expect(e.final_token_amount).toBe(open.get(e.order_pda)!.tokens);
              expect(open.delete(e.order_pda)).toBe(true);
            } else if (e.kind === "force_liquidate") expect(open.delete(e.order_pda)).toBe(true);
          }
        });
        const left = market.tokens.flatMap((token) => token.state.orders);
        expect(left.length).toBe(open.size);
        for (const order of left)
          expect(open.get(order.pda)).toMatchObject({ tokens: order.tokens, margin: order.margin });
      }),
      RUNS,
    );
  });

  test("an undone block leaves no trace", () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 40 }), (seed, depth) => {
        const states: string[] = [];
        const snapshot = (market: Market) =>
          JSON.stringify(
            market.tokens.map((t) => [t.definition.name, t.state]),
            (_, value) => (typeof value === "bigint" ? `${value}` : value),
          );
        const market = trade(seed, 100, (m) => states.push(snapshot(m)));
        for (let i = 0; i < depth; i++) market.undoBlock();
        expect(snapshot(market)).toBe(states[99 - depth]!);
      }),
      RUNS,
    );
  });

  test("a preview has no effect, and tells what would happen", () => {
    const market = trade(7, 200, () => undefined);
    const traders = new Traders({ seed: 8, rates: PROFILES.market, market });
    const action = traders.buy() as Action & { kind: "buy" };
    const before = action.token.state;
    const events = market.preview(action, 5);
    expect(action.token.state).toBe(before);
    expect(market.apply(action, 5)).toEqual(events);
  });
});
