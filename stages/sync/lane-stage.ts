/**
 * The stage of a lane: applies each block's rows to the lane's state, in chain order, and hands the rows on to be stored.
 * Events first have their own effects (`sync`), trades then move price, volume and candles (`aggregate`), all in the one
 * transaction that the lane's sink commits.
 */

import { latin1 } from "../../pipeline/datasets/key.ts";
import { MINTS, type MintRow, newMint } from "../../pipeline/datasets/mints.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { ChainWalk } from "../../pipeline/wire/chain-order.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { TradeFold } from "../aggregate/trade-fold.ts";
import type { Stage, State } from "../stage.ts";
import { type Effects, EventRow } from "./event-row.ts";

/**
 * Every event of a token that nothing is known of begins its row, so that tokens of programs without effects of their own are
 * listed, too. `appeared`: those that this batch has looked up already.
 */
function appear(event: EventRow, state: State, appeared: Set<string>): void {
  const mint = event.bytes("mint");
  const key = latin1(mint);
  if (appeared.has(key)) return;
  appeared.add(key);
  if (state.get<MintRow>(MINTS.name, key) !== undefined) return;
  state.put<MintRow>(MINTS.name, key, newMint(mint, event.bigint("slot"), event.bigint("block_time")));
}

type Apply = (row: number) => void;

export class LaneStage implements Stage<RowBatch, RowBatch> {
  readonly name = "sync";
  private readonly state: State;
  private readonly effects: Effects;

  /** `effects`: those of all configured programs, by dataset. */
  constructor(state: State, effects: Effects) {
    this.state = state;
    this.effects = effects;
  }

  apply(batch: RowBatch): RowBatch {
    try {
      this.fold(batch);
    } catch (error) {
      this.state.discard();
      throw error;
    }
    return batch;
  }

  private fold(batch: RowBatch): void {
    const { state } = this;
    const finalSlot = batch.blocks.reduce((max, block) => Math.max(max, block.finalSlot), 0);
    const tables: Table[] = [];
    const appliers: Apply[] = [];
    const appeared = new Set<string>();
    for (const [dataset, table] of batch.tables) {
      if (dataset === TRADES.name) continue;
      const effect = this.effects.get(dataset) ?? ((event: EventRow) => appear(event, state, appeared));
      const mints = table.column("mint");
      tables.push(table);
      appliers.push((row) => {
        if (!mints.isNull(row)) effect(new EventRow(table, row), state);
      });
    }
    const trades = batch.tables.get(TRADES.name);
    const fold = trades === undefined ? null : new TradeFold(state, trades);
    if (trades !== undefined && fold !== null) {
      // Last, so that at the same place in the chain the event's own effect comes before its trade.
      tables.push(trades);
      appliers.push((row) => fold.add(row));
    }
    const walk = new ChainWalk(tables);
    for (const block of batch.blocks) {
      // What can be undone is put block by block; what is final, once a batch.
      if (block.slot > finalSlot) fold?.flush();
      state.atBlock(block, finalSlot);
      walk.block(block.slot, (table, row) => appliers[table]!(row));
    }
    walk.end();
    fold?.flush();
  }
}
