/**
 * Goal: instructions become rows with named accounts and arguments, wherever they stand and however their accounts are
 * found; events find the accounts of the instruction that emitted them. Method: a made-up program described by both forms of IDL.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import {
  concat,
  dataLine,
  type FixtureTransaction,
  keyOf,
  littleEndian,
  messageField,
  textField,
  varintField,
} from "./block-fixture.ts";
import { type IdlOptions, programFromIdl } from "./idl.ts";
import { anchorHash, discriminatorOf } from "./program-decoder.ts";
import { SPL_TOKEN } from "./programs/spl-token.ts";
import { decodeTransactions } from "./stage-fixture.ts";

const OURS = keyOf(7);
const ID = bs58.encode(OURS);
const PAYER = keyOf(1);
const MINT = keyOf(3);
const POOL = keyOf(4);
const EXTRA = keyOf(5);

const LEGACY = {
  version: "0.1.0",
  name: "shop",
  instructions: [
    {
      name: "buyExactIn",
      docs: ["Buys."],
      accounts: [
        { name: "payer", isMut: true, isSigner: true },
        { name: "pools", accounts: [{ name: "poolState" }, { name: "tokenMint" }] },
        { name: "referrer", isOptional: true },
      ],
      args: [
        { name: "amountIn", type: "u64" },
        { name: "memo", type: { option: "string" } },
      ],
    },
    { name: "close", accounts: [], args: [] },
  ],
  events: [{ name: "SoldEvent", fields: [{ name: "amount", type: "u64", index: false }] }],
};
const NAMED = [107, 1, 2, 3, 4, 5, 6, 7];
const CURRENT = {
  address: ID,
  metadata: { name: "shop", version: "0.1.0", spec: "0.1.0" },
  instructions: [
    {
      name: "buy_exact_in",
      discriminator: NAMED,
      accounts: [
        { name: "payer" },
        { name: "pool_state" },
        { name: "token_mint" },
        { name: "referrer", optional: true },
      ],
      args: [{ name: "amount_in", type: "u64" }],
    },
  ],
  events: [],
};

const legacy = (options: IdlOptions = {}) => programFromIdl(LEGACY, { programId: ID, ...options });
const buy = concat([anchorHash("global:buy_exact_in"), littleEndian(9n, 8), Uint8Array.of(0)]);

/** Keys: 0 payer, 1 ours; writable from a lookup table: 2 pool, 3 mint; read-only: 4 extra. */
function transaction(parts: Partial<FixtureTransaction>): FixtureTransaction {
  return { keys: [PAYER, OURS], writable: [POOL, MINT], readonly: [EXTRA], instructions: [], ...parts };
}
const call = (data: Uint8Array, accounts: readonly number[]) => ({
  program: 1,
  data,
  accounts: Uint8Array.from(accounts),
});

describe("rows", () => {
  test("accounts by name, from lookup tables too; an absent one is null; more than named are kept", () => {
    const options = { instructions: { buy_exact_in: { mint: "pools_token_mint" } } };
    const { rows, health } = decodeTransactions({ programs: [legacy(options)] }, [
      transaction({ instructions: [call(buy, [0, 2, 3, 1, 4, 0]), call(buy, [0, 2, 3, 4])] }),
    ]);
    const [first, second] = rows["ix_buy_exact_in"]!;
    expect(first).toMatchObject({
      instruction_path: "0",
      amount_in: 9n,
      memo: null,
      mint: MINT,
      payer: PAYER,
      pools_pool_state: POOL,
      referrer: null,
      remaining_accounts: JSON.stringify([EXTRA, PAYER].map((key) => bs58.encode(key))),
    });
    expect(second).toMatchObject({ instruction_path: "1", referrer: EXTRA, remaining_accounts: null, event_index: 1 });
    expect(health.programs["shop"]).toMatchObject({ instructionsSeen: 2, instructionsDecoded: 2 });
  });

  test("inner instructions have their path and come in execution order with the events", () => {
    const event = concat([discriminatorOf({ name: "SoldEvent" }, "shop"), littleEndian(5n, 8)]);
    const tx = transaction({
      keys: [PAYER, OURS, keyOf(9)],
      instructions: [{ program: 2 }, { program: 1, data: buy, accounts: Uint8Array.of(0, 2, 3, 4) }],
      inner: [{ index: 0, instructions: [{ program: 1, data: buy, height: 2, accounts: Uint8Array.of(0) }] }],
      logs: [
        `Program ${bs58.encode(keyOf(9))} invoke [1]`,
        `Program ${ID} invoke [2]`,
        dataLine(event),
        `Program ${ID} success`,
        `Program ${bs58.encode(keyOf(9))} success`,
        `Program ${ID} invoke [1]`,
        dataLine(event),
        `Program ${ID} success`,
      ],
    });
    const { rows } = decodeTransactions({ programs: [legacy({ instructions: "all" })] }, [tx]);
    const order = (name: string) => rows[name]!.map((row) => [row["instruction_path"], row["event_index"]]);
    expect(order("ix_buy_exact_in")).toEqual([
      ["0.0", 0],
      ["1", 2],
    ]);
    expect(order("sold")).toEqual([
      ["0.0", 1],
      ["1", 3],
    ]);
    // Given one account only, the others are not there.
    expect(rows["ix_buy_exact_in"]![0]).toMatchObject({ payer: PAYER, pools_pool_state: null, mint: null });
  });

  test("bytes after the arguments, which any caller may append, are counted and alarm nobody", () => {
    const longer = concat([buy, new Uint8Array(3)]);
    const tx = transaction({ instructions: [call(longer, [0, 2, 3]), call(buy, [0, 2, 3])] });
    const { rows, health } = decodeTransactions({ programs: [legacy({ instructions: "all" })] }, [tx]);
    expect(rows["ix_buy_exact_in"]!.map((row) => row["amount_in"])).toEqual([9n, 9n]);
    expect(health.programs["shop"]!.datasets["ix_buy_exact_in"]).toMatchObject({
      ...{ decoded: 2, eventsWithBytesLeftOver: 1, bytesLeftOver: 3 },
    });
    expect([rows["quarantine"] ?? [], health.alarms]).toEqual([[], []]);
  });

  test("the current form names discriminators itself; nothing has rows unless asked for", () => {
    const data = concat([Uint8Array.from(NAMED), littleEndian(3n, 8)]);
    const tx = transaction({ instructions: [call(data, [0, 2, 3, 1])] });
    const asked = decodeTransactions({ programs: [programFromIdl(CURRENT, { instructions: "all" })] }, [tx]);
    expect(asked.rows["ix_buy_exact_in"]![0]).toMatchObject({ amount_in: 3n, mint: MINT, referrer: null });
    expect(decodeTransactions({ programs: [programFromIdl(CURRENT)] }, [tx]).rows).toEqual({});
  });

  test("one byte too few is set aside, an unknown one is counted, an unwanted one as well", () => {
    const tx = transaction({
      instructions: [
        call(buy.subarray(0, buy.length - 1), [0]),
        call(Uint8Array.of(1, 2), [0]),
        call(anchorHash("global:close"), []),
      ],
    });
    const { rows, health } = decodeTransactions({ programs: [legacy({ instructions: { buy_exact_in: {} } })] }, [tx]);
    expect(Object.keys(rows)).toEqual(["quarantine"]);
    expect(rows["quarantine"]![0]).toMatchObject({ reason: "unknown_length", instruction_path: "0" });
    expect(health.programs["shop"]).toMatchObject({
      instructionsSeen: 3,
      instructionsDecoded: 0,
      instructionsBad: 1,
      instructionsUnknown: 1,
      instructionsUnwanted: 1,
    });
  });

  test("an instruction that is not there is refused by name", () => {
    expect(() => legacy({ instructions: { sell: {} } })).toThrow("there is no instruction sell");
  });
});

describe("accounts of the emitting instruction", () => {
  const program = legacy({ mints: { SoldEvent: "accounts.poolsTokenMint" } });
  const sold = concat([discriminatorOf({ name: "SoldEvent" }, "shop"), littleEndian(5n, 8)]);

  test("of a log event: the instruction on top of the stack; of a self-call: its caller", () => {
    const cpi = concat([Buffer.from("e445a52e51cb9a1d", "hex"), sold]);
    const logged = transaction({
      instructions: [call(buy, [0, 2, 3, 1])],
      logs: [`Program ${ID} invoke [1]`, dataLine(sold), `Program ${ID} success`],
    });
    const called = transaction({
      instructions: [call(buy, [0, 2, 4, 1])],
      inner: [{ index: 0, instructions: [{ program: 1, data: cpi, height: 2, accounts: Uint8Array.of(0) }] }],
    });
    const { rows } = decodeTransactions({ programs: [program] }, [logged, called]);
    expect(rows["sold"]!.map((row) => row["mint"])).toEqual([MINT, EXTRA]);
  });

  test("null where the instruction has no such account, or is unknown", () => {
    const tx = transaction({
      instructions: [call(anchorHash("global:close"), []), call(Uint8Array.of(9), [0, 2, 3])],
      logs: [1, 1].flatMap(() => [`Program ${ID} invoke [1]`, dataLine(sold), `Program ${ID} success`]),
    });
    const { rows } = decodeTransactions({ programs: [program] }, [tx]);
    expect(rows["sold"]!.map((row) => row["mint"])).toEqual([null, null]);
  });
});

describe("SPL tokens", () => {
  const TOKEN = bs58.decode(SPL_TOKEN.programId);
  const balance = (account: number, mint: Uint8Array, decimals: number) =>
    messageField(7, [
      varintField(1, account),
      textField(2, bs58.encode(mint)),
      messageField(3, [varintField(2, decimals)]),
    ]);

  test("a transfer that names accounts only gets its token from the balances; a checked one names it", () => {
    const tx: FixtureTransaction = {
      keys: [PAYER, keyOf(11), keyOf(12), TOKEN, MINT],
      instructions: [
        { program: 3, data: concat([Uint8Array.of(3), littleEndian(500n, 8)]), accounts: Uint8Array.of(1, 2, 0) },
        {
          program: 3,
          data: concat([Uint8Array.of(12), littleEndian(7n, 8), Uint8Array.of(6)]),
          accounts: Uint8Array.of(1, 4, 2, 0),
        },
        { program: 3, data: concat([Uint8Array.of(3), littleEndian(1n, 8)]), accounts: Uint8Array.of(0, 4, 0) },
      ],
      moreMeta: balance(2, EXTRA, 9),
    };
    const { rows } = decodeTransactions({ programs: [SPL_TOKEN] }, [tx]);
    const shown = rows["token_transfer"]!.map((row) => [row["amount"], row["mint"], row["decimals"], row["authority"]]);
    expect(shown).toEqual([
      [500n, EXTRA, null, PAYER],
      [7n, MINT, 6, PAYER],
      [1n, null, null, PAYER],
    ]);
    expect(rows["token_transfer"]![1]).toMatchObject({ source: keyOf(11), destination: keyOf(12) });
  });

  test("a transfer with fee begins with two bytes; minting and burning have datasets of their own", () => {
    const fee = concat([Uint8Array.of(26, 1), littleEndian(100n, 8), Uint8Array.of(2), littleEndian(3n, 8)]);
    const keys = [PAYER, keyOf(11), keyOf(12), TOKEN, MINT];
    const accounts = Uint8Array.of(4, 1, 0);
    const tx: FixtureTransaction = {
      keys,
      instructions: [
        { program: 3, data: fee, accounts: Uint8Array.of(1, 4, 2, 0) },
        { program: 3, data: concat([Uint8Array.of(7), littleEndian(8n, 8)]), accounts },
        {
          program: 3,
          data: concat([Uint8Array.of(15), littleEndian(9n, 8), Uint8Array.of(2)]),
          accounts: Uint8Array.of(1, 4, 0),
        },
        { program: 3, data: Uint8Array.of(26, 0), accounts },
      ],
    };
    const { rows, health } = decodeTransactions({ programs: [SPL_TOKEN] }, [tx]);
    expect(rows["token_transfer"]![0]).toMatchObject({ amount: 100n, decimals: 2, fee: 3n, mint: MINT });
    expect(rows["token_mint_to"]![0]).toMatchObject({ amount: 8n, mint: MINT, destination: keyOf(11), decimals: null });
    expect(rows["token_burn"]![0]).toMatchObject({ amount: 9n, mint: MINT, source: keyOf(11), decimals: 2 });
    expect(health.programs["spl_token"]).toMatchObject({ instructionsDecoded: 3, instructionsUnknown: 1 });
  });

  test("a burn that needs a second authority names both", () => {
    const accounts = Uint8Array.of(1, 4, 2, 0);
    const tx: FixtureTransaction = {
      keys: [PAYER, keyOf(11), keyOf(12), TOKEN, MINT],
      instructions: [
        { program: 3, data: concat([Uint8Array.of(46, 1), littleEndian(5n, 8)]), accounts },
        { program: 3, data: concat([Uint8Array.of(46, 2), littleEndian(6n, 8), Uint8Array.of(9)]), accounts },
      ],
    };
    const { rows } = decodeTransactions({ programs: [SPL_TOKEN] }, [tx]);
    const both = { source: keyOf(11), mint: MINT, permissioned_burn_authority: keyOf(12), authority: PAYER };
    expect(rows["token_burn"]!).toMatchObject([
      { ...both, amount: 5n, decimals: null },
      { ...both, amount: 6n, decimals: 9 },
    ]);
  });

  describe("a batch", () => {
    const one = (accounts: number, ...data: readonly Uint8Array[]) => {
      const whole = concat(data);
      return concat([Uint8Array.of(accounts, whole.length), whole]);
    };
    const batchOf = (...parts: readonly Uint8Array[]) => concat([Uint8Array.of(255), ...parts]);
    const decoded = (data: Uint8Array, accounts: readonly number[]) =>
      decodeTransactions({ programs: [SPL_TOKEN] }, [
        {
          keys: [PAYER, keyOf(11), keyOf(12), TOKEN, MINT],
          instructions: [{ program: 3, data, accounts: Uint8Array.from(accounts) }],
          moreMeta: balance(1, EXTRA, 9),
        },
      ]);

    test("is read as the instructions in it, each with its share of the accounts", () => {
      const { rows, health } = decoded(
        batchOf(
          one(4, Uint8Array.of(12), littleEndian(7n, 8), Uint8Array.of(6)),
          one(1, Uint8Array.of(17)),
          one(3, Uint8Array.of(3), littleEndian(8n, 8)),
          one(3, Uint8Array.of(7), littleEndian(9n, 8)),
        ),
        [1, 4, 2, 0, 2, 2, 1, 0, 4, 1, 0, 2],
      );
      expect(rows["token_transfer"]!).toMatchObject([
        { amount: 7n, mint: MINT, source: keyOf(11), destination: keyOf(12), ordinal: 0, event_index: 0 },
        { amount: 8n, mint: EXTRA, source: keyOf(12), destination: keyOf(11), authority: PAYER, event_index: 1 },
      ]);
      expect(rows["token_mint_to"]!).toMatchObject([
        { amount: 9n, mint: MINT, destination: keyOf(11), event_index: 2 },
      ]);
      const all = [...rows["token_transfer"]!, ...rows["token_mint_to"]!];
      expect(all.map((row) => row["instruction_path"])).toEqual(["0", "0", "0"]);
      expect(all.map((row) => row["remaining_accounts"])).toEqual([null, null, null]);
      expect(new Set(all.map((row) => row["ordinal"])).size).toBe(3);
      expect(health.programs["spl_token"]).toMatchObject({
        ...{ instructionsSeen: 4, instructionsDecoded: 3, instructionsUnknown: 1, instructionsBad: 0 },
      });
    });

    test("with fewer accounts than it says has null for those, and a batch in a batch is unknown", () => {
      const { rows, health } = decoded(
        batchOf(one(3, Uint8Array.of(3), littleEndian(8n, 8)), one(0), one(0, batchOf(one(0)))),
        [1, 2],
      );
      expect(rows["token_transfer"]!).toMatchObject([{ source: keyOf(11), destination: keyOf(12), authority: null }]);
      expect(health.programs["spl_token"]).toMatchObject({ instructionsSeen: 3, instructionsUnknown: 2 });
    });

    test.each([
      ["nothing", batchOf()],
      ["half a header", batchOf(Uint8Array.of(1))],
      ["less data than it says", batchOf(one(3, Uint8Array.of(3), littleEndian(8n, 8))).subarray(0, 9)],
    ])("of %s is set aside whole", (_, data) => {
      const { rows, health } = decoded(data, [1, 2, 0]);
      expect(Object.keys(rows)).toEqual(["quarantine"]);
      expect(rows["quarantine"]!).toMatchObject([{ reason: "unknown_length", payload: data }]);
      expect(health.programs["spl_token"]).toMatchObject({ instructionsSeen: 1, instructionsBad: 1 });
    });
  });
});
