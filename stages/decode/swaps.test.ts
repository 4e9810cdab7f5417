/**
 * Goal: swaps of two tokens become trades of the token against SOL, priced with the decimals that the transaction tells,
 * and a swap that an aggregator and its pool both report is one trade. Method: the presets, on composed transactions.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { WRAPPED_SOL } from "./address-source.ts";
import {
  bytesField,
  concat,
  encodeTransactions,
  type FixtureInstruction,
  type FixtureTransaction,
  keyOf,
  littleEndian,
  messageField,
  textField,
  varintField,
} from "./block-fixture.ts";
import { DoubleReports, type ReportedTrade } from "./double-reports.ts";
import { anchorHash, discriminatorOf } from "./program-decoder.ts";
import { JUPITER_V6 } from "./programs/jupiter.ts";
import { PUMPFUN_AMM } from "./programs/pumpfun-amm.ts";
import { RAYDIUM_LAUNCHPAD } from "./programs/raydium-launchpad.ts";
import { DecodeStage } from "./stage.ts";
import { batchOf, decodeTransactions, type Row, rowsOf } from "./stage-fixture.ts";

const SOL = bs58.decode(WRAPPED_SOL);
const TOKEN = keyOf(3);
const OTHER = keyOf(4);
const USER = keyOf(5);
const PUMP = bs58.decode(PUMPFUN_AMM.programId);
const JUPITER = bs58.decode(JUPITER_V6.programId);
const LAUNCHPAD = bs58.decode(RAYDIUM_LAUNCHPAD.programId);
const KEYS = [USER, SOL, TOKEN, OTHER, PUMP, JUPITER, LAUNCHPAD] as const;
const at = (key: Uint8Array) => KEYS.indexOf(key);
const u64 = (...values: bigint[]) => concat(values.map((value) => littleEndian(value, 8)));

const EMIT = Buffer.from("e445a52e51cb9a1d", "hex");
const emitted = (name: string, body: Uint8Array) => concat([EMIT, discriminatorOf({ name }, "test"), body]);

/** A sell of base tokens to a pool as pump's AMM reports it, in its first layout. */
function pumpSell(base: bigint, quote: bigint): Uint8Array {
  return emitted(
    "SellEvent",
    concat([u64(0n, base, 0n, 0n, 0n, 0n, 0n, quote, 0n, 0n, 0n, 0n, quote, quote), ...KEYS.slice(0, 5), OTHER]),
  );
}
function pumpBuy(base: bigint, quote: bigint): Uint8Array {
  return emitted(
    "BuyEvent",
    concat([u64(0n, base, 0n, 0n, 0n, 0n, 0n, quote, 0n, 0n, 0n, 0n, quote, quote), USER, USER, ...KEYS.slice(0, 4)]),
  );
}
/** pool user global_config base_mint quote_mint */
const pumpCall = (name: string, base: Uint8Array, quote: Uint8Array, height: number): FixtureInstruction => ({
  program: at(PUMP),
  data: concat([anchorHash(`global:${name}`), u64(1n, 1n)]),
  accounts: Uint8Array.of(0, 0, 0, at(base), at(quote)),
  height,
});
const selfCall = (program: Uint8Array, data: Uint8Array, height: number): FixtureInstruction => ({
  program: at(program),
  data,
  height,
});
const jupiterSwap = (venue: Uint8Array, input: Uint8Array, paid: bigint, output: Uint8Array, got: bigint) =>
  selfCall(JUPITER, emitted("SwapEvent", concat([venue, input, u64(paid), output, u64(got)])), 2);

const decimalsOf = (mint: Uint8Array, decimals: number) =>
  messageField(8, [varintField(1, 0), textField(2, bs58.encode(mint)), messageField(3, [varintField(2, decimals)])]);

/** A transaction that calls Jupiter, which calls all these. */
function routed(inner: readonly FixtureInstruction[], moreMeta = decimalsOf(TOKEN, 6)): FixtureTransaction {
  return { keys: KEYS, instructions: [{ program: at(JUPITER) }], inner: [{ index: 0, instructions: inner }], moreMeta };
}
function trades(programs: (typeof JUPITER_V6)[], tx: FixtureTransaction): Row[] {
  const { rows, health } = decodeTransactions({ programs }, [tx]);
  for (const program of Object.values(health.programs)) {
    expect([program.unknownDiscriminator, program.unknownLength, program.badValue]).toEqual([0, 0, 0]);
  }
  return rows["trades"] ?? [];
}
const shown = (row: Row) => [row["kind"], row["is_buy"], row["base_amount"], row["quote_amount"], row["mint"]];

describe("a swap as a trade", () => {
  test("buying with SOL and selling for it; the price has the decimals that the balances tell", () => {
    const [buy, sell] = trades(
      [JUPITER_V6],
      routed(
        [jupiterSwap(OTHER, SOL, 2_000_000_000n, TOKEN, 500n), jupiterSwap(OTHER, TOKEN, 500n, SOL, 1_000_000_000n)],
        decimalsOf(TOKEN, 2),
      ),
    );
    expect(shown(buy!)).toEqual(["jupiter_swap", true, 500n, 2_000_000_000n, TOKEN]);
    expect(buy!["price"]).toBe(4n * 10n ** 27n); // 2 SOL for 5 whole tokens
    expect(shown(sell!)).toEqual(["jupiter_swap", false, 500n, 1_000_000_000n, TOKEN]);
    expect(buy!["user"]).toEqual(USER);
  });

  test("neither side SOL, or decimals that nobody tells: no trade, but the event", () => {
    const { rows, health } = decodeTransactions({ programs: [JUPITER_V6] }, [
      routed([jupiterSwap(OTHER, OTHER, 5n, TOKEN, 6n), jupiterSwap(OTHER, SOL, 5n, OTHER, 6n)]),
    ]);
    expect(rows["trades"]).toBeUndefined();
    expect(rows["jupiter_swap"]!.map((row) => row["mint"])).toEqual([TOKEN, OTHER]);
    expect(health.programs["jupiter_v6"]!.tradesWithoutPrice).toBe(2);
  });

  test("a broken balance sets its block aside, and no other; an endless one costs nothing", () => {
    const swap = [jupiterSwap(OTHER, SOL, 2_000_000_000n, TOKEN, 500n)];
    const good = encodeTransactions([routed(swap)]);
    const broken = [
      bytesField(8, Uint8Array.of(0x0a)),
      bytesField(8, Uint8Array.of(0x12, 0x7f, 1)),
      messageField(8, [bytesField(3, Uint8Array.of(0x10, 0xff))]),
      messageField(8, [bytesField(3, Uint8Array.of(0x07))]),
    ];
    for (const balance of broken) {
      const bad = encodeTransactions([routed(swap, concat([decimalsOf(TOKEN, 6), balance]))]);
      const stage = new DecodeStage({ programs: [JUPITER_V6] });
      const rows = rowsOf(stage.apply(batchOf([good, bad, good])));
      expect(rows["trades"]!.map((row) => row["slot"])).toEqual([100n, 102n]);
      expect(rows["quarantine"]).toMatchObject([{ slot: 101n, reason: "bad_block" }]);
    }
    // Decoding base58 of this length would take hours.
    const endless = messageField(8, [textField(2, "z".repeat(1_000_000))]);
    expect(trades([JUPITER_V6], routed(swap, concat([decimalsOf(TOKEN, 6), endless])))).toHaveLength(1);
  });

  test("pump's AMM: the tokens are the instruction's accounts, whichever of them is SOL", () => {
    const bought = routed([pumpCall("buy", TOKEN, SOL, 2), selfCall(PUMP, pumpBuy(4n, 9n), 3)]);
    const reversed = routed([pumpCall("sell", SOL, TOKEN, 2), selfCall(PUMP, pumpSell(9n, 4n), 3)]);
    expect(trades([PUMPFUN_AMM], bought).map(shown)).toEqual([["pump_amm_buy", true, 4n, 9n, TOKEN]]);
    // Base is SOL here: whoever sells SOL to the pool buys the token.
    expect(trades([PUMPFUN_AMM], reversed).map(shown)).toEqual([["pump_amm_sell", true, 4n, 9n, TOKEN]]);
  });

  test("Raydium's launchpad: the direction says which amount is the token's", () => {
    const trade = (direction: number, fees: number, exactIn: boolean) =>
      emitted(
        "TradeEvent",
        concat([
          keyOf(9),
          u64(...Array<bigint>(7).fill(1n)),
          u64(70n, 8n),
          u64(...Array<bigint>(fees).fill(1n)),
          Uint8Array.of(direction, 0, ...(exactIn ? [1] : [])),
        ]),
      );
    const accounts = Uint8Array.of(0, 1, 1, 1, 1, 1, 1, 1, 1, at(TOKEN), at(SOL));
    const swap = (name: string): FixtureInstruction => ({
      program: at(LAUNCHPAD),
      data: concat([anchorHash(`global:${name}`), u64(1n, 1n, 1n)]),
      accounts,
      height: 2,
    });
    const all = [trade(0, 4, true), trade(1, 4, true), trade(0, 3, false), trade(1, 3, true)];
    const rows = trades(
      [RAYDIUM_LAUNCHPAD],
      routed(all.flatMap((data) => [swap("buy_exact_in"), selfCall(LAUNCHPAD, data, 3)])),
    );
    expect(rows.map(shown)).toEqual([
      ["launchpad_trade", true, 8n, 70n, TOKEN],
      ["launchpad_trade", false, 70n, 8n, TOKEN],
      ["launchpad_trade", true, 8n, 70n, TOKEN],
      ["launchpad_trade", false, 70n, 8n, TOKEN],
    ]);
    expect(rows[0]!["user"]).toEqual(USER);
  });
});

describe("one swap, two reports", () => {
  const pool = [pumpCall("buy", TOKEN, SOL, 2), selfCall(PUMP, pumpBuy(40n, 90n), 3)];

  test("the pool's counts; both events are kept", () => {
    const tx = routed([...pool, jupiterSwap(PUMP, SOL, 91n, TOKEN, 39n)]);
    const { rows } = decodeTransactions({ programs: [PUMPFUN_AMM, JUPITER_V6] }, [tx]);
    expect(rows["trades"]!.map(shown)).toEqual([["pump_amm_buy", true, 40n, 90n, TOKEN]]);
    expect([rows["jupiter_swap"]!.length, rows["pump_amm_buy"]!.length]).toEqual([1, 1]);
  });

  test("where the pool is not decoded the aggregator's counts", () => {
    const tx = routed([...pool, jupiterSwap(PUMP, SOL, 91n, TOKEN, 39n)]);
    expect(trades([JUPITER_V6], tx).map(shown)).toEqual([["jupiter_swap", true, 39n, 91n, TOKEN]]);
  });

  test("a leg elsewhere, another side and another transaction are swaps of their own", () => {
    const elsewhere = jupiterSwap(OTHER, SOL, 5n, TOKEN, 6n);
    const sold = jupiterSwap(PUMP, TOKEN, 40n, SOL, 80n);
    const tx = routed([...pool, jupiterSwap(PUMP, SOL, 90n, TOKEN, 40n), elsewhere, sold]);
    const { rows } = decodeTransactions({ programs: [PUMPFUN_AMM, JUPITER_V6] }, [
      tx,
      routed([jupiterSwap(PUMP, SOL, 90n, TOKEN, 40n)]),
    ]);
    expect(rows["trades"]!.map((row) => [row["tx_index"], row["kind"], row["base_amount"]])).toEqual([
      [0, "pump_amm_buy", 40n],
      [0, "jupiter_swap", 6n],
      [0, "jupiter_swap", 40n],
      [1, "jupiter_swap", 40n],
    ]);
  });

  const report = (row: number, program: string, venue: string | null, base: bigint, isBuy = true): ReportedTrade => ({
    row,
    program,
    venue,
    base,
    isBuy,
    mint: "m",
  });
  const kept = (...reports: ReportedTrade[]) => {
    const doubles = new DoubleReports();
    for (const r of reports) doubles.add(r);
    doubles.endTransaction();
    return reports.filter(({ row }) => !doubles.dropped.has(row)).map(({ row }) => row);
  };

  test("matching is one to one: venue first, then the amount, then aggregators among themselves", () => {
    expect(kept(report(0, "pool", null, 5n), report(1, "agg", "pool", 5n), report(2, "agg", "pool", 5n))).toEqual([
      0, 2,
    ]);
    expect(kept(report(0, "pool", null, 5n), report(1, "agg", "address of a pool", 5n))).toEqual([0]);
    expect(kept(report(0, "pool", null, 5n), report(1, "agg", "elsewhere", 6n))).toEqual([0, 1]);
    expect(kept(report(0, "inner", "x", 5n), report(1, "outer", "y", 5n))).toEqual([0]);
    expect(kept(report(0, "inner", "x", 5n), report(1, "inner", "x", 5n))).toEqual([0, 1]);
    expect(kept(report(0, "pool", null, 5n), report(1, "pool", null, 5n))).toEqual([0, 1]);
    expect(kept(report(0, "pool", null, 5n, false), report(1, "agg", "pool", 5n, true))).toEqual([0, 1]);
  });

  test("reports that do not say whose they are: two that are equal on both sides are one swap", () => {
    const open = (row: number, base: bigint, quote: bigint, isBuy = true): ReportedTrade => ({
      ...report(row, "pool", null, base, isBuy),
      unattributedQuote: quote,
    });
    expect(kept(open(0, 5n, 9n), open(1, 5n, 9n))).toEqual([0]);
    expect(kept(open(0, 5n, 9n), open(1, 5n, 8n), open(2, 4n, 9n), open(3, 5n, 9n, false))).toEqual([0, 1, 2, 3]);
    expect(kept(open(0, 5n, 9n), open(1, 6n, 9n), open(2, 5n, 9n), open(3, 6n, 9n))).toEqual([0, 1]);
    expect(kept(...[0, 1, 2, 3].map((row) => open(row, 5n, 9n)))).toEqual([0, 2]);
    // Of another kind of report, equal or not, they know nothing.
    expect(kept(report(0, "pool", null, 5n), open(1, 5n, 9n))).toEqual([0, 1]);
    // An aggregator above the aggregator.
    expect(kept(open(0, 5n, 9n), open(1, 5n, 9n), report(2, "outer", "", 5n))).toEqual([0]);
  });
});
