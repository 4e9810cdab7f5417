/** Goal: mapped fields become a trade exactly, and an event without a price becomes none. Method: one event, many mappings. */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import { concat, dataLine, keyOf, littleEndian } from "./block-fixture.ts";
import type { BorshField } from "./borsh.ts";
import type { ProgramSpec, TokenTrade, TradeMapping } from "./program.ts";
import { discriminatorOf } from "./program-decoder.ts";
import { decodeTransactions, type Row } from "./stage-fixture.ts";

const FIELDS: readonly BorshField[] = [
  { name: "user", type: "pubkey" },
  { name: "side", type: { enum: [{ name: "Buy" }, { name: "Sell" }] } },
  { name: "tokens", type: "u64" },
  { name: "sol", type: "u32" },
  { name: "reserve", type: "u128" },
  { name: "amount", type: { option: "u64" } },
];

interface Values {
  readonly side?: number;
  readonly tokens?: bigint;
  readonly sol?: bigint;
  readonly reserve?: bigint;
  readonly amount?: bigint;
}

function payloadOf(values: Values): Uint8Array {
  const { amount } = values;
  return concat([
    discriminatorOf({ name: "SwapEvent" }, "dex"),
    keyOf(2),
    Uint8Array.of(values.side ?? 0),
    littleEndian(values.tokens ?? 0n, 8),
    littleEndian(values.sol ?? 0n, 4),
    littleEndian(values.reserve ?? 0n, 16),
    amount === undefined ? Uint8Array.of(0) : concat([Uint8Array.of(1), littleEndian(amount, 8)]),
  ]);
}

function decode(trade: TradeMapping, ...events: readonly Values[]) {
  const id = bs58.encode(keyOf(7));
  const event = { name: "SwapEvent", layouts: [FIELDS], trade };
  const program: ProgramSpec = { name: "dex", programId: id, events: [event] };
  const logs = [`Program ${id} invoke [1]`, ...events.map((values) => dataLine(payloadOf(values)))];
  const { rows, health } = decodeTransactions({ programs: [program] }, [
    { keys: [keyOf(7)], instructions: [{ program: 0 }], logs },
  ]);
  return {
    trades: rows["trades"],
    trade: rows["trades"]?.[0],
    events: rows["swap"]?.length,
    health: health.programs["dex"]!,
  };
}

const ratio = { quote: "sol", base: "tokens", quoteDecimals: 9, baseDecimals: 6 };

test("a price as a ratio is exact to 1e-28, rounded down", () => {
  // 2 SOL for 3 tokens: 0.666... SOL per token.
  const { trade } = decode({ user: "user", price: ratio }, { sol: 2_000_000_000n, tokens: 3_000_000n });
  expect(trade?.["price"]).toBe(6_666_666_666_666_666_666_666_666_666n);
});

test.each<[string, Values]>([
  ["nothing was sold", { sol: 5n, tokens: 0n }],
  ["the price passes u128", { sol: 2n ** 32n - 1n, reserve: 1n, tokens: 1n }],
])("no trade where %s, but the event stays", (_, values) => {
  const price = values.reserve === undefined ? ratio : { ...ratio, quoteDecimals: 0, baseDecimals: 9, base: "reserve" };
  const { trade, events, health } = decode({ user: "user", price }, values);
  expect([trade, events, health.tradesWithoutPrice, health.decoded]).toEqual([undefined, 1, 1, 1]);
});

test("an absent price makes no trade", () => {
  expect(decode({ user: "user", price: "amount" }, {}).trade).toBeUndefined();
  expect(decode({ user: "user", price: "amount" }, { amount: 7n }).trade?.["price"]).toBe(7n);
});

test.each<[TokenTrade["isBuy"], number, boolean | null]>([
  [undefined, 0, null],
  [true, 1, true],
  [false, 0, false],
  [{ field: "side", equals: "Buy" }, 0, true],
  [{ field: "side", equals: "Buy" }, 1, false],
  [{ field: "side", equals: "Sell" }, 1, true],
])("isBuy %p of variant %p is %p", (isBuy, side, expected) => {
  const mapping: TradeMapping = { user: "user", price: "reserve", ...(isBuy === undefined ? {} : { isBuy }) };
  expect(decode(mapping, { side }).trade?.["is_buy"]).toBe(expected);
});

test("amounts of any unsigned width, absent ones null", () => {
  const mapping: TradeMapping = {
    kind: "swap_it",
    user: "user",
    price: "reserve",
    baseAmount: "tokens",
    quoteAmount: "sol",
  };
  const most = { tokens: 2n ** 64n - 1n, sol: 2n ** 32n - 1n, reserve: 2n ** 128n - 1n };
  const expected: Row = { kind: "swap_it", base_amount: most.tokens, quote_amount: most.sol, price: most.reserve };
  expect(decode(mapping, most).trade).toMatchObject(expected);
  expect(decode({ ...mapping, baseAmount: "amount" }, {}).trade?.["base_amount"]).toBeNull();
});

test("a field that is nearly there is proposed", () => {
  expect(() => decode({ user: "user", price: "resrve" }, {})).toThrow(
    "there is no field resrve (did you mean reserve?)",
  );
});

test("a narrow amount does not keep bytes of a wider one before it", () => {
  const mapping: TradeMapping = { user: "user", price: "tokens", quoteAmount: "sol" };
  const { trades } = decode(mapping, { tokens: 2n ** 64n - 1n, sol: 1n }, { tokens: 5n, sol: 2n });
  expect(trades?.map((trade) => [trade["price"], trade["quote_amount"]])).toEqual([
    [2n ** 64n - 1n, 1n],
    [5n, 2n],
  ]);
});

test.each<[string, Partial<TokenTrade>]>([
  ["field that is not there", { user: "nobody" }],
  ["user that is no address", { user: "tokens" }],
  ["price that is no integer", { price: "user" }],
  ["amount beyond u64", { baseAmount: "reserve" }],
  ["side that is no bool", { isBuy: "tokens" }],
  ["variant that is not there", { isBuy: { field: "side", equals: "Hold" } }],
])("refuses a %s", (_, wrong) => {
  expect(() => decode({ user: "user", price: "reserve", ...wrong }, {})).toThrow("the trade mapping does not fit");
});
