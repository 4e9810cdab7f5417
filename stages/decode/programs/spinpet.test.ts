/**
 * Goal: the description of the seven events agrees with the program, byte by byte. Method: golden discriminators and field
 * offsets as published; every field of a body of counting bytes must be the bytes at its offset.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { concat, dataLine, keyOf, littleEndian } from "../block-fixture.ts";
import { datasetCatalog } from "../catalog.ts";
import { discriminatorOf } from "../program-decoder.ts";
import { parseAddress } from "../program-set.ts";
import { decodeTransactions, payloadOf, type Row } from "../stage-fixture.ts";
import { SPINPET } from "./spinpet.ts";

type Offsets = Readonly<Record<string, readonly [offset: number, size: number]>>;

const closing: Offsets = {
  payer: [0, 32],
  user_sol_account: [32, 32],
  mint: [64, 32],
  is_close_long: [96, 1],
  final_token_amount: [97, 8],
  final_sol_amount: [105, 8],
  user_close_profit: [113, 8],
  latest_price: [121, 16],
  order_pda: [137, 32],
};

/** Fields of an order, which begin at `start` in both events that carry them. */
function orderState(start: number): Offsets {
  return {
    order_type: [start, 1],
    event_mint: [start + 1, 32],
    user: [start + 33, 32],
    lock_lp_start_price: [start + 65, 16],
    lock_lp_end_price: [start + 81, 16],
    lock_lp_sol_amount: [start + 97, 8],
    lock_lp_token_amount: [start + 105, 8],
    start_time: [start + 113, 4],
    end_time: [start + 117, 4],
    margin_sol_amount: [start + 121, 8],
    borrow_amount: [start + 129, 8],
    position_asset_amount: [start + 137, 8],
    borrow_fee: [start + 145, 2],
  };
}

const EVENTS: readonly { name: string; dataset: string; discriminator: string; size: number; fields: Offsets }[] = [
  {
    name: "TokenCreatedEvent",
    dataset: "token_created",
    discriminator: "607a718a32e39539",
    size: 261,
    fields: {
      payer: [0, 32],
      mint: [32, 32],
      curve_account: [64, 32],
      pool_token_account: [96, 32],
      pool_sol_account: [128, 32],
      fee_recipient: [160, 32],
      base_fee_recipient: [192, 32],
      params_account: [224, 32],
      swap_fee: [256, 2],
      borrow_fee: [258, 2],
      fee_discount_flag: [260, 1],
    },
  },
  {
    name: "BuySellEvent",
    dataset: "buy_sell",
    discriminator: "62d0783c5d2013b4",
    size: 97,
    fields: {
      payer: [0, 32],
      mint: [32, 32],
      is_buy: [64, 1],
      token_amount: [65, 8],
      sol_amount: [73, 8],
      latest_price: [81, 16],
    },
  },
  {
    name: "LongShortEvent",
    dataset: "long_short",
    discriminator: "1b4514743afa5fdc",
    size: 259,
    fields: { payer: [0, 32], mint: [32, 32], order_pda: [64, 32], latest_price: [96, 16], ...orderState(112) },
  },
  {
    name: "ForceLiquidateEvent",
    dataset: "force_liquidate",
    discriminator: "eac4b769281ace30",
    size: 96,
    fields: { payer: [0, 32], mint: [32, 32], order_pda: [64, 32] },
  },
  { name: "FullCloseEvent", dataset: "full_close", discriminator: "16f471f59aa86d8b", size: 169, fields: closing },
  {
    name: "PartialCloseEvent",
    dataset: "partial_close",
    discriminator: "855e03de1844459b",
    size: 316,
    fields: { ...closing, ...orderState(169) },
  },
  {
    name: "MilestoneDiscountEvent",
    dataset: "milestone_discount",
    discriminator: "82e80b2522b98880",
    size: 101,
    fields: {
      payer: [0, 32],
      mint: [32, 32],
      curve_account: [64, 32],
      swap_fee: [96, 2],
      borrow_fee: [98, 2],
      fee_discount_flag: [100, 1],
    },
  },
];

/** A body in which no two fields hold the same bytes; bools are made valid. */
function countingBody(size: number, fields: Offsets): Uint8Array {
  const body = Uint8Array.from({ length: size }, (_, i) => (i * 7 + 3) & 0xff);
  for (const [name, [offset]] of Object.entries(fields)) if (name.startsWith("is_")) body[offset] = 1;
  return body;
}

function logged(payload: Uint8Array) {
  const program = SPINPET.programId;
  const logs = [`Program ${program} invoke [1]`, dataLine(payload), `Program ${program} success`];
  const keys = [keyOf(1), parseAddress(program, "test")];
  return decodeTransactions({ programs: [SPINPET] }, [{ keys, instructions: [{ program: 1 }], logs }]);
}

function cellAt(body: Uint8Array, offset: number, size: number): Cell {
  if (size === 32) return body.slice(offset, offset + size);
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(body[offset + i]!);
  return size >= 8 ? value : Number(value);
}

describe.each(EVENTS)("$name", ({ name, dataset, discriminator, size, fields }) => {
  test("discriminator", () => {
    expect(createHash("sha256").update(`event:${name}`).digest("hex").slice(0, 16)).toBe(discriminator);
    const event = SPINPET.events.find((e) => e.name === name)!;
    expect(Buffer.from(discriminatorOf(event, "spinpet")).toString("hex")).toBe(discriminator);
  });

  test("every field is the bytes at its offset", () => {
    const fixed = countingBody(size, fields);
    const text = new TextEncoder().encode("Ünïcode");
    const string = concat([littleEndian(BigInt(text.length), 4), text]);
    const isNamed = name === "TokenCreatedEvent";
    const { rows } = logged(payloadOf(discriminator, isNamed ? concat([fixed, string, string, string]) : fixed));
    const [row] = rows[dataset]!;
    const covered = Object.values(fields).reduce((sum, [, bytes]) => sum + bytes, 0);
    expect(covered).toBe(size);
    for (const [column, [offset, bytes]] of Object.entries(fields)) {
      const expected = column.startsWith("is_") ? true : cellAt(fixed, offset, bytes);
      expect({ [column]: row?.[column] }).toEqual({ [column]: expected });
    }
    if (isNamed) expect([row?.["name"], row?.["symbol"], row?.["uri"]]).toEqual(Array(3).fill("Ünïcode"));
  });

  test("one byte less is quarantined, one byte more is left over, and the payload kept", () => {
    const body = countingBody(size, fields);
    const whole = name === "TokenCreatedEvent" ? concat([body, new Uint8Array(12)]) : body;
    const short = logged(payloadOf(discriminator, whole.subarray(0, whole.length - 1)));
    expect(Object.keys(short.rows)).toEqual(["quarantine"]);
    expect(short.rows["quarantine"]?.[0]?.["reason"]).toBe("unknown_length");
    const long = logged(payloadOf(discriminator, concat([whole, Uint8Array.of(0)])));
    expect(long.rows[dataset]).toHaveLength(1);
    expect(long.rows["quarantine"]).toHaveLength(1);
    expect(long.rows["quarantine"]![0]).toMatchObject({
      reason: "bytes_left_over",
      payload: payloadOf(discriminator, concat([whole, Uint8Array.of(0)])),
    });
    expect(long.health.programs["spinpet"]).toMatchObject({ decoded: 1, bytesLeftOver: 1, eventsWithBytesLeftOver: 1 });
  });
});

test("the catalog names the seven datasets, trades and quarantine", () => {
  const names = [...datasetCatalog([SPINPET]).keys()].sort();
  expect(names).toEqual([...EVENTS.map((e) => e.dataset), "quarantine", "trades"].sort());
});

test("the API can answer with the program's own field names", () => {
  const columns = datasetCatalog([SPINPET]).get("long_short")!.columns;
  const fieldOf = (name: string) => columns.find((c) => c.name === name)?.field;
  expect([fieldOf("mint"), fieldOf("event_mint"), fieldOf("payer")]).toEqual(["mint_account", "mint", undefined]);
});

describe("trades", () => {
  const bodyOf = (name: string) => {
    const event = EVENTS.find((e) => e.name === name)!;
    return { ...event, body: countingBody(event.size, event.fields) };
  };

  test("a swap is volume", () => {
    const { discriminator, body, fields } = bodyOf("BuySellEvent");
    const [trade] = logged(payloadOf(discriminator, body)).rows["trades"]!;
    expect(trade).toMatchObject({
      kind: "buy_sell",
      is_buy: true,
      base_amount: cellAt(body, ...fields["token_amount"]!),
      quote_amount: cellAt(body, ...fields["sol_amount"]!),
      price: cellAt(body, ...fields["latest_price"]!),
    });
    expect(trade?.["user"]).toEqual(body.slice(0, 32));
    expect(trade?.["mint"]).toEqual(body.slice(32, 64));
  });

  test.each(["LongShortEvent", "FullCloseEvent", "PartialCloseEvent"])(
    "%s moves the price and is no volume",
    (name) => {
      const { discriminator, body, dataset, fields } = bodyOf(name);
      const { rows } = logged(payloadOf(discriminator, body));
      const [trade] = rows["trades"]!;
      const price = cellAt(body, ...fields["latest_price"]!);
      expect(trade).toMatchObject({ kind: dataset, is_buy: null, base_amount: null, quote_amount: null, price });
      expect(trade?.["user"]).toEqual(body.slice(0, 32));
      const identity = ({ slot, signature, instruction_path, ordinal, event_index, mint }: Row) =>
        [slot, signature, instruction_path, ordinal, event_index, mint] as const;
      expect(identity(trade!)).toEqual(identity(rows[dataset]![0]!));
    },
  );

  test.each(["ForceLiquidateEvent", "MilestoneDiscountEvent"])("%s is no trade", (name) => {
    const { discriminator, body } = bodyOf(name);
    expect(logged(payloadOf(discriminator, body)).rows["trades"]).toBeUndefined();
  });
});
