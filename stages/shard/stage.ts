/**
 * Rows to lanes: a row goes to the lane of its mint. Every lane gets every batch, empty ones too. Rows that name no mint
 * go to lane 0. With one lane the batch passes through untouched, not even decoded.
 */
import bs58 from "bs58";
import { laneOf } from "../../pipeline/shards.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import type { Stage } from "../stage.ts";

/** Mints whose lane is remembered; beyond it the memory starts anew (the lane is cheap to compute again). */
const REMEMBERED_MINTS_MAX = 100_000;

/** One row batch for each lane, in the order of lanes. */
export type LaneBatches = readonly RowBatch[];

export class ShardStage implements Stage<RowBatch, LaneBatches> {
  readonly name = "shard";
  private readonly lanes: number;
  private readonly known = new Map<string, number>();

  constructor(lanes: number) {
    this.lanes = lanes;
  }

  apply(batch: RowBatch): LaneBatches {
    if (this.lanes === 1) return [batch];
    const tables = Array.from({ length: this.lanes }, () => new Map<string, Table>());
    for (const [name, table] of batch.tables) {
      for (const [lane, rows] of this.rowsByLane(table).entries()) {
        if (rows.length > 0) tables[lane]!.set(name, table.take(rows));
      }
    }
    return tables.map((laneTables) => ({ blocks: batch.blocks, tables: laneTables }));
  }

  private rowsByLane(table: Table): number[][] {
    const rows: number[][] = Array.from({ length: this.lanes }, () => []);
    const mints = table.column("mint");
    for (let row = 0; row < table.length; row++) {
      rows[mints.isNull(row) ? 0 : this.lane(mints.bytes(row))]!.push(row);
    }
    return rows;
  }

  private lane(mint: Uint8Array): number {
    const key = Buffer.from(mint.buffer, mint.byteOffset, mint.byteLength).toString("latin1");
    let lane = this.known.get(key);
    if (lane === undefined) {
      if (this.known.size >= REMEMBERED_MINTS_MAX) this.known.clear();
      lane = laneOf(bs58.encode(mint), this.lanes);
      this.known.set(key, lane);
    }
    return lane;
  }
}
