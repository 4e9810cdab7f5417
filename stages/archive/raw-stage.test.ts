/**
 * Goal: raw blocks leave when they are final and not before, whole, with what is needed to decode them; blocks without output
 * count as covered. Method: batches with forks, held against what was put in.
 */
import { expect, test } from "bun:test";
import type { BlockMeta } from "../../pipeline/position.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { RawArchiveStage } from "./raw-stage.ts";

const block = (slot: number, finalSlot: number, fork = ""): BlockMeta => ({
  ...{ slot, hash: `${slot}${fork}`, cursor: `c${slot}${fork}`, time: 1_700_000_000 + slot, finalSlot },
});
const batchOf = (blocks: readonly BlockMeta[]) => ({
  ...{ blocks, typeName: "t.Blocks" },
  payloads: blocks.map(({ slot }) => new Uint8Array(slot % 3 === 0 ? 0 : slot).fill(slot)),
});

test("final blocks with their output; what was taken back never leaves", () => {
  const stage = new RawArchiveStage();
  expect(stage.apply(batchOf([block(4, 0), block(5, 0, "x"), block(6, 0, "x")]))).toBeNull();
  stage.undo({ ...block(4, 0), moduleHash: "m" });
  expect(stage.apply(batchOf([block(5, 4), block(6, 5), block(7, 6)]))).toBeNull();
  const { segments } = stage.end()!;
  expect(segments.map(({ first, last, blocks }) => [first.hash, last.hash, blocks])).toEqual([["4", "6", 3]]);
  const [table] = [...segments[0]!.tables] as [Table];
  expect(Array.from({ length: table.length }, (_, i) => table.row(i))).toEqual(
    [4, 5].map((slot) => ({
      ...{ slot: BigInt(slot), block_time: BigInt(1_700_000_000 + slot), hash: `${slot}`, type: "t.Blocks" },
      payload: new Uint8Array(slot).fill(slot),
    })),
  );
  expect(stage.pendingFinal()).toEqual({ blocks: 1, rows: 1 });
});

test("a stream that fills up is relieved: what is final goes out at once", () => {
  const stage = new RawArchiveStage();
  expect(stage.apply(batchOf([block(4, 0), block(5, 4)]))).toBeNull();
  expect(stage.flush()).toBeNull();
  stage.requestEarlyRoll();
  expect(stage.flush()?.segments.map(({ last }) => last.slot)).toEqual([4]);
  expect(stage.pendingFinal().blocks).toBe(1);
});
