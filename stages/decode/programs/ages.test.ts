/**
 * Goal: events decode at every age that the chain has seen of them, to the last byte, and a later age as far as it is known.
 * Method: recorded payloads through the presets, with fields read off them by hand; every prefix of the newest at which an
 * age ended; and, for what no recording is at hand, payloads composed by the published layouts.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { WRAPPED_SOL } from "../address-source.ts";
import { concat, type FixtureInstruction, type FixtureTransaction, keyOf, littleEndian } from "../block-fixture.ts";
import type { ProgramSpec } from "../program.ts";
import { anchorHash, discriminatorOf } from "../program-decoder.ts";
import { decodeTransactions } from "../stage-fixture.ts";
import { RECORDED } from "./ages-fixture.ts";
import { JUPITER_V6 } from "./jupiter.ts";
import { MOONSHOT } from "./moonshot.ts";
import { PUMPFUN } from "./pumpfun.ts";
import { PUMPFUN_AMM } from "./pumpfun-amm.ts";

const SOL = bs58.decode(WRAPPED_SOL);
const TOKEN = keyOf(3);
const USDC = bs58.decode("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v");
const EMIT_CPI = Buffer.from("e445a52e51cb9a1d", "hex");

/** The payload as a self-call within a call of `instruction`, whose accounts are those of pump's AMM swaps. */
function emitted(program: ProgramSpec, payload: Uint8Array, instruction = "buy"): FixtureTransaction {
  const call: FixtureInstruction = {
    program: 1,
    data: concat([anchorHash(`global:${instruction}`), new Uint8Array(24)]),
    accounts: Uint8Array.of(0, 0, 0, 2, 3, 0, 2),
  };
  return {
    keys: [keyOf(1), bs58.decode(program.programId), TOKEN, SOL],
    instructions: [call],
    inner: [{ index: 0, instructions: [{ program: 1, height: 2, data: concat([EMIT_CPI, payload]) }] }],
  };
}

function decoded(program: ProgramSpec, payload: Uint8Array, instruction?: string) {
  const { rows, health } = decodeTransactions({ programs: [program] }, [emitted(program, payload, instruction)]);
  const { decoded: count, bytesLeftOver, seen } = health.programs[program.name]!;
  const { trades = [], ...events } = rows;
  const own = Object.entries(events).filter(([dataset]) => !dataset.includes("_ix_"));
  return { rows: own.flatMap(([, found]) => found), trades, count, seen, bytesLeftOver };
}

const recorded = (name: keyof typeof RECORDED) => new Uint8Array(Buffer.from(RECORDED[name], "base64"));
const u64 = (...values: bigint[]) => concat(values.map((value) => littleEndian(value, 8)));

describe("recorded payloads", () => {
  test.each<[keyof typeof RECORDED, ProgramSpec, string, Record<string, unknown>, Record<string, unknown> | null]>([
    [
      "tradeOfJune2026",
      PUMPFUN,
      "buy",
      {
        ix_name: "buy",
        buyback_fee: 469_136n,
        shareholders: "[]",
        real_quote_reserves: 597_176_504n,
        holder_rewards: null,
      },
      { is_buy: true, base_amount: 3_406_962_678_253n, quote_amount: 98_765_431n },
    ],
    [
      "tradeOfOctober2026",
      PUMPFUN,
      "buy",
      { creator_fee: 3_340n, buyback_fee_basis_points: 5_000n, quote_amount: 1_113_100n, creator_fee_unclaimed: 0n },
      { is_buy: true, base_amount: 39_272_937_350n, quote_amount: 1_113_100n },
    ],
    [
      "createOfSeptember2026",
      PUMPFUN,
      "migrate",
      { symbol: "BONZI", virtual_quote_reserves: 30_000_000_000n, creator_fee_bps: 0n, is_holder_reward: null },
      null,
    ],
    ["migration", PUMPFUN, "migrate", { sol_amount: 84_990_359_084n, quote_mint: new Uint8Array(32) }, null],
    ["sellOfMarch2025", PUMPFUN_AMM, "sell", { user_quote_amount_out: 8_614_749n, coin_creator: null }, {}],
    ["sellOfAugust2025", PUMPFUN_AMM, "sell", { coin_creator_fee: 0n, cashback: null }, {}],
    [
      "buyOfJuly2026",
      PUMPFUN_AMM,
      "buy",
      { ix_name: "buy_exact_quote_in", base_supply: 10n ** 15n, can_boost: true },
      {},
    ],
    ["sellOfAugust2026", PUMPFUN_AMM, "sell", { cashback: 723_796n, virtual_quote_reserves: 17_584_505_455n }, {}],
    [
      "sellOfOctober2026",
      PUMPFUN_AMM,
      "sell_v2",
      { holder_rewards: 0n, creator_fee_unclaimed: 0n },
      { is_buy: false, base_amount: 432_175_152_272n, quote_amount: 11_795_992n, mint: TOKEN },
    ],
    [
      "moonshotTrade",
      MOONSHOT,
      "buy",
      { label: "trade", dex_fee: 9_839n },
      { is_buy: true, base_amount: 5_430_576_418_647n, quote_amount: 1_639_908n },
    ],
  ])("%s, to the last byte", (name, program, instruction, fields, tradeFields) => {
    const { rows, trades, count, bytesLeftOver } = decoded(program, recorded(name), instruction);
    expect([count, bytesLeftOver]).toEqual([1, 0]);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject(fields);
    expect(trades).toHaveLength(tradeFields === null ? 0 : 1);
    if (tradeFields !== null) expect(trades[0]).toMatchObject(tradeFields);
  });
});

describe("ages", () => {
  /** Bytes of fields at which ages of TradeEvent ended; `ix_name` is "buy". */
  const trades = [89 + 16, 121, 217, 250, 257, 258, 274, 290, 294, 350, 366, 374];
  /** The same of SellEvent. */
  const sells = [304, 352, 368, 384, 400, 401, 409, 425, 433];

  test.each([
    ["TradeEvent", PUMPFUN, "tradeOfOctober2026", trades] as const,
    ["SellEvent", PUMPFUN_AMM, "sellOfOctober2026", sells] as const,
  ])("%s ends where each of its ages ended, and nowhere else", (_, program, name, ends) => {
    const whole = recorded(name);
    const exact = Array.from({ length: whole.length - 8 }, (__, i) => i + 1).filter((size) => {
      const { count, bytesLeftOver } = decoded(program, whole.subarray(0, 8 + size), "sell_v2");
      return count === 1 && bytesLeftOver === 0;
    });
    expect(exact).toEqual([...ends]);
  });

  test("CreatePoolEvent, by the published layouts", () => {
    const first = concat([
      u64(1n),
      littleEndian(42n, 2),
      keyOf(8),
      TOKEN,
      SOL,
      Uint8Array.of(6, 9),
      new Uint8Array(185),
    ]);
    const whole = concat([first, keyOf(9), Uint8Array.of(1), u64(250n), Uint8Array.of(1, 1)]);
    const ages = [293, 325, 326, 335, 336].map((size) =>
      decoded(PUMPFUN_AMM, concat([discriminatorOf({ name: "CreatePoolEvent" }, "test"), whole.subarray(0, size)])),
    );
    expect(ages.map(({ count, bytesLeftOver }) => [count, bytesLeftOver])).toEqual(ages.map(() => [1, 0]));
    const columns = ["coin_creator", "is_mayhem_mode", "creator_fee_bps", "can_edit_creator_fee", "is_holder_reward"];
    expect(ages.map(({ rows }) => columns.map((column) => rows[0]![column]))).toEqual([
      [null, null, null, null, null],
      [keyOf(9), null, null, null, null],
      [keyOf(9), true, null, null, null],
      [keyOf(9), true, 250n, true, null],
      [keyOf(9), true, 250n, true, true],
    ]);
    expect(ages.map(({ rows }) => rows[0]!["mint"])).toEqual(ages.map(() => TOKEN));
  });

  test("an age that nobody knows yet: all that is known of it, and the rest counted", () => {
    const { rows, bytesLeftOver } = decoded(PUMPFUN, concat([recorded("tradeOfOctober2026"), new Uint8Array(11)]));
    expect(bytesLeftOver).toBe(11);
    expect(rows[0]).toMatchObject({ creator_fee_unclaimed: 0n, quote_amount: 1_113_100n });
  });

  test("a curve that trades against another token makes no trade in SOL", () => {
    const payload = recorded("tradeOfJune2026");
    const at = payload.length - 32 - 3 * 8;
    const quotedIn = (mint: Uint8Array) => {
      payload.set(mint, at);
      return decoded(PUMPFUN, payload);
    };
    expect(quotedIn(USDC)).toMatchObject({ trades: [], count: 1, bytesLeftOver: 0 });
    expect(quotedIn(SOL).trades).toMatchObject([{ quote_amount: 98_765_431n }]);
  });

  test("the rest of a buy that completed its curve is a trade as well", () => {
    const payload = concat([
      discriminatorOf({ name: "PostCompleteBuyEvent" }, "test"),
      ...[keyOf(8), TOKEN, keyOf(9), new Uint8Array(32)],
      u64(1_791_220_143n, 500n, 7n, 95n, 1n, 30n, 1n, 1n, 2_000n, 20n, 1_500n, 27n),
    ]);
    const { trades: made, bytesLeftOver } = decoded(PUMPFUN, payload);
    expect(bytesLeftOver).toBe(0);
    expect(made).toMatchObject([{ kind: "pump_post_complete_buy", is_buy: true, base_amount: 500n, quote_amount: 7n }]);
    // 27 lamports for 1,500 base units of a token of six decimals.
    expect(made[0]!["price"]).toBe((27n * 10n ** 28n * 10n ** 6n) / (1_500n * 10n ** 9n));
  });
});

describe("Jupiter's list of swaps", () => {
  const swap = (input: Uint8Array, paid: bigint, output: Uint8Array, got: bigint, amm?: Uint8Array) =>
    concat([input, u64(paid), output, u64(got), ...(amm === undefined ? [] : [amm])]);
  const list = (count: number, ...elements: Uint8Array[]) =>
    concat([discriminatorOf({ name: "SwapsEvent" }, "test"), littleEndian(BigInt(count), 4), ...elements]);
  const MID = keyOf(7);
  const route = (amm?: Uint8Array) => list(2, swap(SOL, 5n, MID, 6n, amm), swap(MID, 6n, TOKEN, 7n, amm));

  test.each([
    ["without the pools' programs", undefined],
    ["with them", keyOf(6)],
  ])("each swap is a row of its own, %s", (_, amm) => {
    const { rows, trades, count, bytesLeftOver } = decoded(JUPITER_V6, route(amm));
    expect([count, bytesLeftOver]).toEqual([1, 0]);
    expect(rows.map((row) => [row["input_amount"], row["output_amount"], row["mint"], row["amm"]])).toEqual([
      [5n, 6n, MID, amm ?? null],
      [6n, 7n, TOKEN, amm ?? null],
    ]);
    expect(new Set(rows.map((row) => row["ordinal"])).size).toBe(2);
    expect(rows.map((row) => row["event_index"])).toEqual([0, 1]);
    // Decimals of these tokens are not told: events, and no trades.
    expect(trades).toEqual([]);
  });

  test("rows of both kinds of events are of one dataset", () => {
    const single = concat([discriminatorOf({ name: "SwapEvent" }, "test"), keyOf(6), swap(SOL, 1n, TOKEN, 2n)]);
    const { rows } = decodeTransactions({ programs: [JUPITER_V6] }, [
      emitted(JUPITER_V6, single),
      emitted(JUPITER_V6, route()),
    ]);
    expect(rows["jupiter_swap"]).toHaveLength(3);
  });

  test("an empty list has no rows; a single longer element is read as far as it is known", () => {
    expect(decoded(JUPITER_V6, list(0))).toMatchObject({ rows: [], count: 1 });
    const longer = list(1, swap(SOL, 5n, TOKEN, 6n, keyOf(6)), new Uint8Array(9));
    expect(decoded(JUPITER_V6, longer)).toMatchObject({
      rows: [{ output_amount: 6n }, { reason: "bytes_left_over", payload: longer }],
      bytesLeftOver: 9,
    });
  });

  test.each([
    ["more elements than there are bytes", list(3, swap(SOL, 5n, TOKEN, 6n))],
    ["a count that is no list's", list(0xffff_ffff, swap(SOL, 5n, TOKEN, 6n))],
    ["elements of an unknown size", list(2, new Uint8Array(2 * 100))],
    ["bytes after the list", list(2, new Uint8Array(160), new Uint8Array(8))],
    ["no count", discriminatorOf({ name: "SwapsEvent" }, "test")],
  ])("%s: set aside whole", (_, payload) => {
    const { rows, count } = decoded(JUPITER_V6, payload);
    expect(count).toBe(0);
    expect(rows).toMatchObject([{ reason: "unknown_length" }]);
  });
});
