/** The shard stage. Goal: every row lands in exactly one lane, in order, and every lane hears of every block. */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import fc from "fast-check";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { laneOf } from "../../pipeline/shards.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { TableBuilder } from "../../pipeline/wire/table.ts";
import { ShardStage } from "./stage.ts";

const blocks = [{ slot: 5, hash: "h5", cursor: "c5", time: 1, finalSlot: 0 }];

function batchOf(mints: (number | null)[]): RowBatch {
  const builder = new TableBuilder(TRADES);
  for (const [i, mint] of mints.entries()) {
    builder.appendCells({
      slot: 5n,
      block_time: 1n,
      tx_index: i,
      event_index: 0,
      signature: new Uint8Array(64),
      instruction_path: "0",
      ordinal: 0,
      program: new Uint8Array(32),
      mint: mint === null ? null : new Uint8Array(32).fill(mint),
      kind: "buy_sell",
      user: new Uint8Array(32),
      price: 1n,
    });
  }
  return { blocks, tables: mints.length === 0 ? new Map() : new Map([["trades", builder.finish()]]) };
}

test("rows are conserved, ordered and in the lane of their mint", () => {
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.integer({ min: 0, max: 40 }), { nil: null })),
      fc.integer({ min: 2, max: 8 }),
      (mints, lanes) => {
        const out = new ShardStage(lanes).apply(batchOf(mints));
        expect(out.length).toBe(lanes);
        const seen: number[] = [];
        for (const [lane, rows] of out.entries()) {
          expect(rows.blocks).toEqual(blocks);
          const table = rows.tables.get("trades");
          if (table === undefined) continue;
          let last = -1;
          for (let row = 0; row < table.length; row++) {
            const index = table.column("tx_index").number(row);
            expect(index).toBeGreaterThan(last);
            last = index;
            seen.push(index);
            const mint = mints[index]!;
            expect(lane).toBe(mint === null ? 0 : laneOf(bs58.encode(new Uint8Array(32).fill(mint)), lanes));
          }
        }
        expect(seen.sort((a, b) => a - b)).toEqual(mints.map((_, i) => i));
      },
    ),
    { numRuns: 50 },
  );
});

test("one lane passes the batch on as it is", () => {
  const batch = batchOf([1, 2]);
  expect(new ShardStage(1).apply(batch)[0]).toBe(batch);
});
