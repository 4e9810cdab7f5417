/**
 * Toy stages with the habits of the real ones: decode is stateless, the archive gathers what is not final and hands on
 * rolls that end further back. Rows are numbered, so that each can be followed to where it ends.
 */
import bs58 from "bs58";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { type BlockMeta, type Position, sameBlock } from "../../pipeline/position.ts";
import { laneOf } from "../../pipeline/shards.ts";
import type { BlockBatch, RowBatch } from "../../pipeline/wire/batch.ts";
import { rowCodec } from "../../pipeline/wire/message.ts";
import { TableBuilder } from "../../pipeline/wire/table.ts";
import type { Stage } from "../../stages/stage.ts";
import { MINTS, type Row } from "./network.ts";

export const PAYLOAD_TYPE = "sim.Rows";

const ROWS: DatasetSpec = {
  name: "rows",
  version: 1,
  doc: "Numbered rows.",
  columns: [
    { name: "slot", type: "u64", doc: "Slot of the block." },
    { name: "id", type: "u64", doc: "Number of the row." },
    { name: "mint", type: "bytes32", doc: "What the lane follows from." },
  ],
  key: ["id"],
  order: ["slot", "id"],
};

export const codec = rowCodec(new Map([[ROWS.name, ROWS]]));

const MINT_KEYS = Array.from({ length: MINTS }, (_, mint) => new Uint8Array(32).fill(mint + 1));

const MINT_NAMES = MINT_KEYS.map((key) => bs58.encode(key));

/** The lane of each mint, by its index. */
export function lanesOfMints(lanes: number): number[] {
  return MINT_NAMES.map((mint) => (lanes === 1 ? 0 : laneOf(mint, lanes)));
}

export function encodePayload(rows: readonly Row[]): Uint8Array {
  return rows.length === 0 ? new Uint8Array(0) : Buffer.from(JSON.stringify(rows));
}

export class ToyDecode implements Stage<BlockBatch, RowBatch> {
  readonly name = "decode";

  apply(batch: BlockBatch): RowBatch {
    const builder = new TableBuilder(ROWS);
    for (const [i, block] of batch.blocks.entries()) {
      const payload = batch.payloads[i]!;
      if (payload.length === 0) continue;
      for (const { id, mint } of JSON.parse(Buffer.from(payload).toString()) as Row[]) {
        builder.appendCells({ slot: BigInt(block.slot), id: BigInt(id), mint: MINT_KEYS[mint]! });
      }
    }
    return {
      blocks: batch.blocks,
      tables: builder.length === 0 ? new Map() : new Map([[ROWS.name, builder.finish()]]),
    };
  }
}

/** A lane's stage keeps nothing of its own here: the sink holds the rows. */
export class ToyLane implements Stage<RowBatch, RowBatch> {
  readonly name = "lane";

  apply(batch: RowBatch): RowBatch {
    return batch;
  }
}

/** A block with the numbers of its rows: what outputs keep. */
export interface Kept {
  readonly block: BlockMeta;
  readonly ids: readonly number[];
}

export function keptOf(batch: RowBatch): Kept[] {
  const table = batch.tables.get(ROWS.name);
  const ids = new Map<number, number[]>(batch.blocks.map((b) => [b.slot, []]));
  for (let row = 0; row < (table?.length ?? 0); row++) {
    ids.get(table!.column("slot").number(row))!.push(table!.column("id").number(row));
  }
  return batch.blocks.map((block) => ({ block, ids: ids.get(block.slot)! }));
}

/** Final blocks, at most `size` a roll; the rest waits. */
export class ToyArchive implements Stage<RowBatch, readonly Kept[]> {
  readonly name = "archive";
  private readonly size: number;
  private gathered: Kept[] = [];
  private finalSlot = 0;

  constructor(size: number) {
    this.size = size;
  }

  apply(batch: RowBatch): readonly Kept[] | null {
    this.gathered.push(...keptOf(batch));
    for (const block of batch.blocks) this.finalSlot = Math.max(this.finalSlot, block.finalSlot);
    return this.roll(this.size);
  }

  undo(to: Position): void {
    this.gathered = this.gathered.filter(({ block }) => block.slot < to.slot || sameBlock(block, to));
    this.finalSlot = Math.min(this.finalSlot, to.slot);
  }

  end(): readonly Kept[] | null {
    return this.roll(1);
  }

  private roll(least: number): readonly Kept[] | null {
    const final = this.gathered.filter(({ block }) => block.slot <= this.finalSlot).length;
    const size = least === 1 ? final : final - (final % this.size);
    if (size < least) return null;
    return this.gathered.splice(0, size);
  }
}
