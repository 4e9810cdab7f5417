/**
 * Goal: a payload that was kept becomes exactly the rows that its block would give today, at its place, and what cannot be told
 * from the payload alone is left for the block. Method: a market whose program is upgraded in mid-chain, decoded with the old
 * layouts; what that set aside is read again with the new one and held against decoding the blocks with it.
 */
import { expect, test } from "bun:test";
import { QUARANTINE } from "../../pipeline/datasets/quarantine.ts";
import type { BlockBatch } from "../../pipeline/wire/batch.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { simulate } from "../../simulator/index.ts";
import { readMessage } from "../../simulator/naive-reader.ts";
import { KeptPayloads } from "./kept-payloads.ts";
import type { ProgramSpec } from "./program.ts";
import { SPINPET } from "./programs/spinpet.ts";
import { DecodeStage } from "./stage.ts";

const UPGRADE = 370_500_060;

/** Spinpet with the layout that its swaps have after the upgrade. */
const UPGRADED: ProgramSpec = {
  ...SPINPET,
  events: SPINPET.events.map((event) => {
    if (event.name !== "BuySellEvent") return event;
    const [old] = event.layouts as [(typeof event.layouts)[0]];
    const grown = [
      { name: "fee_lamports", type: "u64" },
      { name: "referrer", type: "pubkey" },
    ] as const;
    return { ...event, layouts: [old, [...old.slice(0, 2), ...grown, ...old.slice(2)]] };
  }),
};

function batchOf(at: "end" | "middle"): BlockBatch {
  const grows = { fromSlot: UPGRADE, at };
  const messages = [...simulate({ seed: 5, blocks: 120, output: "transactions", grows, rates: { undo: 0 } })];
  const read = messages.map(readMessage).flatMap((message) => ("block" in message ? [message.block] : []));
  return {
    blocks: read.map((b) => ({ slot: b.slot, hash: b.hash, cursor: "", time: b.time, finalSlot: b.finalHeight })),
    payloads: read.map(({ output }) => output?.value ?? new Uint8Array(0)),
    typeName: "sf.substreams.solana.v1.Transactions",
  };
}

const KEY = ["slot", "signature", "instruction_path", "ordinal"];
const keyOf = (table: Table, row: number) => KEY.map((name) => String(table.column(name).cell(row))).join(" ");
const rowsOf = (table: Table | undefined) => Array.from({ length: table?.length ?? 0 }, (_, row) => table!.row(row));

for (const at of ["end", "middle"] as const) {
  test(`fields that came at the ${at}: the rows that the blocks give`, () => {
    const batch = batchOf(at);
    const stale = new DecodeStage({ programs: [SPINPET] }).apply(batch).tables.get(QUARANTINE.name)!;
    const today = new DecodeStage({ programs: [UPGRADED] }).apply(batch).tables;
    const again = new KeptPayloads(UPGRADED).read(stale);
    const read = new Set(again.rows.map((row) => keyOf(stale, row)));
    expect(again.healed).toBeGreaterThan(30);
    for (const dataset of ["buy_sell", "trades", QUARANTINE.name]) {
      const table = today.get(dataset)!;
      const expected = Array.from({ length: table.length }, (_, i) => i).filter((i) => read.has(keyOf(table, i)));
      expect(rowsOf(again.tables.get(dataset))).toEqual(expected.map((i) => table.row(i)));
    }
    // What is still not understood are the stray payloads of any chain.
    expect(again.rows.length - again.healed).toBe(again.tables.get(QUARANTINE.name)?.length ?? 0);
  });
}

test("with the same decoder as before, what comes out is what was kept", () => {
  const stale = new DecodeStage({ programs: [SPINPET] }).apply(batchOf("middle")).tables.get(QUARANTINE.name)!;
  const again = new KeptPayloads(SPINPET).read(stale);
  expect(again.healed).toBe(0);
  expect(rowsOf(again.tables.get(QUARANTINE.name))).toEqual(again.rows.map((row) => stale.row(row)));
});

test("what only the block can tell is counted and left alone; other programs are nobody's business", () => {
  const stale = new DecodeStage({ programs: [SPINPET] }).apply(batchOf("middle")).tables.get(QUARANTINE.name)!;
  const bySigner = UPGRADED.events.map((event) =>
    event.trade === undefined ? event : { ...event, trade: { ...event.trade, user: "signer" } },
  ) as ProgramSpec["events"];
  const swaps = new KeptPayloads({ ...UPGRADED, events: bySigner }).read(stale);
  // Creations, which make no trade, can be told from their payload even so.
  const created = stale.column("detail");
  const trading = Array.from({ length: stale.length }, (_, i) => i).filter((i) =>
    created.string(i).startsWith("BuySell"),
  );
  expect(trading.length).toBeGreaterThan(30);
  expect(swaps.needBlock).toBeGreaterThanOrEqual(trading.length);
  expect(swaps.rows.filter((row) => trading.includes(row))).toEqual([]);
  const byAccount = new KeptPayloads({ ...UPGRADED, mintField: "accounts.mint" }).read(stale);
  expect(byAccount).toMatchObject({ rows: [], needBlock: stale.length });
  const other = { ...UPGRADED, programId: "11111111111111111111111111111112" };
  expect(new KeptPayloads(other).read(stale)).toMatchObject({ rows: [], needBlock: 0, healed: 0 });
  const empty = new KeptPayloads(UPGRADED).read(new TableBuilder(QUARANTINE, 1).finish());
  expect(empty).toMatchObject({ rows: [], needBlock: 0, healed: 0 });
});
