/**
 * Goal: one event in the four lengths it has had on chain decodes by the layout of its length, into one dataset. Method:
 * recorded `emit_cpi!` payloads with known fields; the program is described here, as a user would describe it.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { type FixtureTransaction, keyOf } from "./block-fixture.ts";
import type { BorshField } from "./borsh.ts";
import type { ProgramSpec } from "./program.ts";
import { hasRecordings, recordedJson } from "./recorded-fixture.ts";
import { decodeTransactions, type Row } from "./stage-fixture.ts";

if (!hasRecordings) console.warn("../shared/data is missing: pump.fun's payloads are not tested");
const recorded = describe.skipIf(!hasRecordings);

const u64 = (...names: string[]): BorshField[] => names.map((name) => ({ name, type: "u64" }));
const key = (name: string): BorshField => ({ name, type: "pubkey" });
const text = (name: string): BorshField => ({ name, type: "string" });

const v0: BorshField[] = [
  key("mint"),
  ...u64("sol_amount", "token_amount"),
  { name: "is_buy", type: "bool" },
  key("user"),
  { name: "timestamp", type: "i64" },
  ...u64("virtual_sol_reserves", "virtual_token_reserves"),
];
const v1 = [...v0, ...u64("real_sol_reserves", "real_token_reserves")];
const v2 = [
  ...v1,
  key("fee_recipient"),
  ...u64("fee_basis_points", "fee"),
  key("creator"),
  ...u64("creator_fee_basis_points", "creator_fee"),
];
const v3: BorshField[] = [
  ...v2,
  { name: "track_volume", type: "bool" },
  ...u64("total_unclaimed_tokens", "total_claimed_tokens", "current_sol_volume"),
  { name: "last_update_timestamp", type: "i64" },
];

const PUMPFUN: ProgramSpec = {
  name: "pumpfun",
  programId: "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
  mintField: "mint",
  events: [
    {
      name: "TradeEvent",
      layouts: [v0, v1, v2, v3],
      trade: {
        user: "user",
        isBuy: "is_buy",
        baseAmount: "token_amount",
        quoteAmount: "sol_amount",
        price: { quote: "virtual_sol_reserves", base: "virtual_token_reserves", quoteDecimals: 9, baseDecimals: 6 },
      },
    },
    {
      name: "CreateEvent",
      layouts: [
        [
          ...[
            text("name"),
            text("symbol"),
            text("uri"),
            key("mint"),
            key("bonding_curve"),
            key("user"),
            key("creator"),
          ],
          { name: "timestamp", type: "i64" },
          ...u64("virtual_token_reserves", "virtual_sol_reserves", "real_token_reserves", "token_total_supply"),
        ],
      ],
    },
  ],
};

interface Payload {
  readonly name: string;
  readonly tx: string;
  readonly hex: string;
  readonly type: string;
  readonly expect: Readonly<Record<string, string | boolean>>;
}

const payloads = hasRecordings ? recordedJson<Payload[]>("payloads/pumpfun_bonding_curve.json") : [];
const calls = payloads.filter(({ name }) => name.startsWith("anchor_self_cpi"));

function transactionOf({ tx, hex }: Payload): FixtureTransaction {
  return {
    signature: bs58.decode(tx),
    keys: [keyOf(1), bs58.decode(PUMPFUN.programId)],
    instructions: [{ program: 1 }],
    inner: [{ index: 0, instructions: [{ program: 1, height: 2, data: Buffer.from(hex, "hex") }] }],
  };
}

/** Addresses as base58 and integers as text, as the expectations have them. */
function plain(row: Row, fields: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    fields.map((field) => {
      const cell = row[field];
      return [field, cell instanceof Uint8Array ? bs58.encode(cell) : typeof cell === "bigint" ? String(cell) : cell];
    }),
  );
}

recorded("pump.fun", () => {
  test("there are five trades in four lengths and one creation", () => {
    expect(calls.map(({ type }) => type).sort()).toEqual([
      ...["CreateEvent", "TradeEventV0", "TradeEventV1", "TradeEventV2", "TradeEventV3", "TradeEventV3"],
    ]);
  });

  test.each(calls)("$name", (payload) => {
    const { rows, health } = decodeTransactions({ programs: [PUMPFUN] }, [transactionOf(payload)]);
    const [row] = rows[payload.type === "CreateEvent" ? "create" : "trade"]!;
    const fields = Object.keys(payload.expect);
    expect(plain(row!, fields)).toEqual(payload.expect);
    expect(row!["instruction_path"]).toBe("0.0");
    expect(health.programs["pumpfun"]).toMatchObject({ seen: 1, decoded: 1, bytesLeftOver: 0 });
    const layout = [v0, v1, v2, v3][Number(payload.type.at(-1))];
    for (const { name } of layout === undefined ? [] : v3.slice(layout.length))
      expect({ [name]: row![name] }).toEqual({ [name]: null });
  });

  test("trades of every length are trades", () => {
    const { rows } = decodeTransactions({ programs: [PUMPFUN] }, calls.map(transactionOf));
    for (const trade of rows["trades"]!) {
      const { expect: fields } = calls[trade["tx_index"] as number]!;
      expect(String(trade["base_amount"])).toBe(String(fields["token_amount"]));
      const price = Number(trade["price"]) / 1e28;
      const expected = Number(fields["virtual_sol_reserves"]) / 1e9 / (Number(fields["virtual_token_reserves"]) / 1e6);
      expect(price / expected).toBeCloseTo(1, 12);
    }
    expect(rows["trades"]).toHaveLength(5);
  });

  test("a fifth length is read as far as it is known, and the rest is counted", () => {
    const last = calls.at(-1)!;
    const { rows, health } = decodeTransactions({ programs: [PUMPFUN] }, [
      transactionOf({ ...last, hex: `${last.hex}00112233` }),
    ]);
    expect(rows["trade"]).toHaveLength(1);
    expect(health.programs["pumpfun"]).toMatchObject({ decoded: 1, eventsWithBytesLeftOver: 1, bytesLeftOver: 4 });
  });

  test("instructions are not events", () => {
    const instruction = payloads.find(({ name }) => name === "instruction_buy")!;
    expect(decodeTransactions({ programs: [PUMPFUN] }, [transactionOf(instruction)]).rows).toEqual({});
  });
});
