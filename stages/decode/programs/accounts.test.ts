/**
 * Goal: the token and the arguments that an event does not name are found in whichever instruction emitted it, in each of
 * the forms that programs publish. Method: recorded and composed payloads inside instructions with the published accounts.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { WRAPPED_SOL } from "../address-source.ts";
import {
  concat,
  type FixtureTransaction,
  keyOf,
  littleEndian,
  messageField,
  textField,
  varintField,
} from "../block-fixture.ts";
import type { ProgramSpec } from "../program.ts";
import { anchorHash, discriminatorOf } from "../program-decoder.ts";
import { decodeTransactions } from "../stage-fixture.ts";
import { RECORDED } from "./ages-fixture.ts";
import { JUPITER_V6 } from "./jupiter.ts";
import { MOONSHOT } from "./moonshot.ts";
import { PUMPFUN } from "./pumpfun.ts";
import { PUMPFUN_AMM } from "./pumpfun-amm.ts";
import { RAYDIUM_LAUNCHPAD } from "./raydium-launchpad.ts";

const SOL = bs58.decode(WRAPPED_SOL);
const [COIN, OTHER, COIN_POOL, OTHER_POOL, USER] = [keyOf(21), keyOf(22), keyOf(23), keyOf(24), keyOf(1)];
const EMIT_CPI = Buffer.from("e445a52e51cb9a1d", "hex");
const PROGRAM = 1;
const KEYS = [USER, keyOf(0), COIN, OTHER, SOL, COIN_POOL, OTHER_POOL, keyOf(30)] as const;
const [COIN_KEY, OTHER_KEY, SOL_KEY, COIN_POOL_KEY, OTHER_POOL_KEY, REST] = [2, 3, 4, 5, 6, 7];

/** A call of the instruction with these accounts (places in KEYS), within which the payloads are emitted. */
function call(
  program: ProgramSpec,
  instruction: string,
  accounts: readonly number[],
  args: Uint8Array,
  payloads: readonly Uint8Array[],
): FixtureTransaction {
  return {
    keys: KEYS.map((key, i) => (i === PROGRAM ? bs58.decode(program.programId) : key)),
    instructions: [
      {
        program: PROGRAM,
        data: concat([anchorHash(`global:${instruction}`), args]),
        accounts: Uint8Array.from(accounts),
      },
    ],
    inner: [
      {
        index: 0,
        instructions: payloads.map((payload) => ({ program: PROGRAM, height: 2, data: concat([EMIT_CPI, payload]) })),
      },
    ],
  };
}

const u64 = (...values: bigint[]) => concat(values.map((value) => littleEndian(value, 8)));
const filled = (count: number) => new Array<number>(count).fill(REST);

/** The recorded buy, of another pool: 120 bytes of numbers stand before it. */
function buyIn(pool: Uint8Array): Uint8Array {
  const payload = new Uint8Array(Buffer.from(RECORDED.buyOfJuly2026, "base64"));
  payload.set(pool, 120);
  return payload;
}

// Read off the payload by hand, at bytes 16 and 112.
const BASE_OUT = 2_374_370_725_319n;
const SOL_IN = 986_666_666n;

describe("pump.fun's AMM", () => {
  const coinHop = [COIN_KEY, SOL_KEY, COIN_POOL_KEY, REST, REST];
  const otherHop = [OTHER_KEY, COIN_KEY, OTHER_POOL_KEY, REST, REST];
  const route = (...hops: number[][]) => [0, ...filled(15), ...hops.flat()];
  const rowsOf = (instruction: string, accounts: readonly number[], ...payloads: Uint8Array[]) => {
    const tx = call(PUMPFUN_AMM, instruction, accounts, u64(1n, 1n), payloads);
    return decodeTransactions({ programs: [PUMPFUN_AMM] }, [tx]).rows;
  };

  test("each hop of a route has the tokens of its own pool, and the one paid in SOL is a trade", () => {
    const accounts = route(coinHop, otherHop);
    const { pump_amm_buy: buys, trades } = rowsOf("multi_hop_swap", accounts, buyIn(COIN_POOL), buyIn(OTHER_POOL));
    expect(buys!.map((row) => row["mint"])).toEqual([COIN, OTHER]);
    expect(trades).toMatchObject([{ mint: COIN, is_buy: true, base_amount: BASE_OUT, quote_amount: SOL_IN }]);
  });

  test("a hop whose pool is not among those of its route has no token and is no trade", () => {
    const { pump_amm_buy: buys, trades = [] } = rowsOf("multi_hop_swap", route(otherHop), buyIn(COIN_POOL));
    expect(buys!.map((row) => row["mint"])).toEqual([null]);
    expect(trades).toEqual([]);
  });

  test("the program's own buy of a boosted coin is a trade", () => {
    const accounts = [COIN_POOL_KEY, 0, REST, COIN_KEY, SOL_KEY, ...filled(8)];
    const { trades } = rowsOf("boost_buy_and_burn", accounts, buyIn(COIN_POOL));
    expect(trades).toMatchObject([{ mint: COIN, is_buy: true, base_amount: BASE_OUT }]);
  });

  test("a coin paired with another coin is what its pool's events are about", () => {
    const accounts = [OTHER_POOL_KEY, 0, REST, OTHER_KEY, COIN_KEY, ...filled(12)];
    const { pump_amm_buy: buys, trades = [] } = rowsOf("buy", accounts, buyIn(OTHER_POOL));
    expect(buys!.map((row) => row["mint"])).toEqual([OTHER]);
    expect(trades).toEqual([]);
  });
});

test("a launchpad's trades are about the launched token, whatever it is paid in", () => {
  const payload = concat([
    discriminatorOf({ name: "TradeEvent" }, "test"),
    COIN_POOL,
    u64(...new Array<bigint>(13).fill(5n)),
    Uint8Array.of(0, 0, 1),
  ]);
  const accounts = [0, ...filled(8), COIN_KEY, OTHER_KEY, ...filled(4)];
  const tx = call(RAYDIUM_LAUNCHPAD, "buy_exact_in", accounts, u64(1n, 1n, 0n), [payload]);
  const { rows } = decodeTransactions({ programs: [RAYDIUM_LAUNCHPAD] }, [tx]);
  expect(rows["launchpad_trade"]!.map((row) => row["mint"])).toEqual([COIN]);
  expect(rows["trades"] ?? []).toEqual([]);
});

test.each([
  ["pumpfun", PUMPFUN, "buy", "pump_ix_buy"],
  ["pumpfun_amm", PUMPFUN_AMM, "buy_exact_quote_in", "pump_amm_ix_buy_exact_quote_in"],
] as const)("%s: buys say whether their volume is tracked, since they can", (_, program, name, dataset) => {
  const args = [u64(1n, 2n), concat([u64(1n, 2n), Uint8Array.of(1)])];
  const txs = args.map((bytes) => call(program, name, [0, ...filled(16)], bytes, []));
  const { rows, health } = decodeTransactions({ programs: [program] }, txs);
  expect(rows[dataset]!.map((row) => row["track_volume"])).toEqual([null, true]);
  expect(health.programs[program.name]!.datasets[dataset]).toMatchObject({ decoded: 2, bytesLeftOver: 0 });
});

test.each([
  ["that the transaction tells", 6],
  ["of most, where it tells none", 9],
])("a price on Moonshot goes by the token's decimals: those %s", (_, decimals) => {
  const payload = new Uint8Array(Buffer.from(RECORDED.moonshotTrade, "base64"));
  const tx = call(MOONSHOT, "buy", [0, ...filled(5), COIN_KEY, ...filled(4)], u64(1n, 1n, 0n), [payload]);
  const amount = messageField(3, [varintField(2, decimals)]);
  const told = messageField(7, [varintField(1, REST), textField(2, bs58.encode(COIN)), amount]);
  const { rows } = decodeTransactions({ programs: [MOONSHOT] }, [decimals === 9 ? tx : { ...tx, moreMeta: told }]);
  // 1,639,908 lamports for 5,430,576,418,647 base units.
  const price = (1_639_908n * 10n ** 28n * 10n ** BigInt(decimals)) / (5_430_576_418_647n * 10n ** 9n);
  expect(rows["trades"]).toMatchObject([{ mint: COIN, price }]);
});

test.each([
  ["route", [REST, OTHER_KEY]],
  ["shared_accounts_route", [REST, REST, OTHER_KEY]],
  ["route_v2", [OTHER_KEY]],
  ["shared_accounts_exact_out_route_v2", [REST, OTHER_KEY]],
  ["a_route_of_later", [REST, REST]],
])("Jupiter's %s swaps for whose tokens they are, not for who pays the fees", (name, accounts) => {
  const swap = concat([keyOf(40), SOL, u64(5n), COIN, u64(7n)]);
  const payload = concat([discriminatorOf({ name: "SwapEvent" }, "test"), swap]);
  const told = messageField(7, [
    varintField(1, REST),
    textField(2, bs58.encode(COIN)),
    messageField(3, [varintField(2, 6)]),
  ]);
  const tx = { ...call(JUPITER_V6, name, accounts, new Uint8Array(0), [payload]), moreMeta: told };
  const { rows } = decodeTransactions({ programs: [JUPITER_V6] }, [tx]);
  // Where the instruction is not known, who pays is the best guess.
  expect(rows["trades"]).toMatchObject([
    { user: name === "a_route_of_later" ? USER : OTHER, mint: COIN, is_buy: true },
  ]);
});

describe("arguments of Moonshot's swaps", () => {
  const rowOf = (args: Uint8Array) => {
    const tx = call(MOONSHOT, "buy", [0, ...filled(5), COIN_KEY, ...filled(4)], args, []);
    return decodeTransactions({ programs: [MOONSHOT] }, [tx]).rows["moonshot_ix_buy"]![0]!;
  };

  test.each([
    ["of the first age", u64(9n, 8n, 250n), null],
    ["with the side that is fixed", concat([u64(9n, 8n), Uint8Array.of(1), u64(250n)]), 1],
  ])("%s", (_, args, side) => {
    const expected = { mint: COIN, amount: 9n, collateral_amount: 8n, fixed_side: side, slippage_bps: 250n };
    expect(rowOf(args)).toMatchObject(expected);
  });
});
