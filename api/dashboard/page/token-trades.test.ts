/** Goal: amounts are shown with the token's own decimals, where its trades tell them. Method: swaps priced with known decimals. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { TradeAnswer } from "./answers.ts";
import { decimalsIn } from "./token-trades.ts";

const about = {
  slot: 1,
  time: 1,
  tx_index: 0,
  event_index: 0,
  signature: "s",
  kind: "buy_sell",
  user: "u",
  is_buy: true,
};

/** A swap of so many whole tokens at a price, told with one that it has moved. */
function swap(digits: number, tokens: number, price: number, moved = 1): TradeAnswer {
  const base_amount = BigInt(Math.round(tokens * 10 ** digits)).toString();
  const quote_amount = BigInt(Math.round(tokens * price * 1e9)).toString();
  return { ...about, base_amount, quote_amount, price: String(price * moved) };
}

test("any decimals, from swaps of any size, also when half of them moved the price a lot", () => {
  const token = fc.record({
    digits: fc.integer({ min: 0, max: 12 }),
    price: fc.double({ min: 1e-7, max: 1e3, noNaN: true }),
  });
  fc.assert(
    fc.property(
      token,
      fc.array(fc.integer({ min: 100, max: 1e9 }), { minLength: 1, maxLength: 9 }),
      ({ digits, price }, sizes) => {
        const trades = sizes.map((size, i) => swap(digits, size, price, i % 2 === 1 ? 2.9 : 1));
        expect(decimalsIn(trades)).toBe(digits);
      },
    ),
  );
});

test("what is not a swap tells nothing", () => {
  const closed = { ...about, is_buy: null, base_amount: null, quote_amount: null, price: "1" };
  expect(decimalsIn([])).toBeNull();
  expect(decimalsIn([closed, { ...swap(6, 1, 1), quote_amount: "0" }, { ...swap(6, 1, 1), price: "0" }])).toBeNull();
  expect(decimalsIn([closed, swap(9, 1_000, 1)])).toBe(9);
});
