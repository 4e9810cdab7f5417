/** Walks the rows of several datasets in chain order: by slot, transaction, event. One walk for all who need that order. */
import { Fatal } from "../errors.ts";
import type { Column } from "./column.ts";
import type { Table } from "./table.ts";

/** Where a table's next unvisited row stands in the chain. */
class Cursor {
  readonly table: Table;
  readonly number: number;
  row = -1;
  slot = -1;
  txIndex = -1;
  eventIndex = -1;
  private readonly slots: Column;
  private readonly txIndexes: Column;
  private readonly eventIndexes: Column;

  constructor(table: Table, number: number) {
    this.table = table;
    this.number = number;
    this.slots = table.column("slot");
    this.txIndexes = table.column("tx_index");
    this.eventIndexes = table.column("event_index");
    this.next();
  }

  /** Slot is Infinity after the last row. */
  next(): void {
    const row = ++this.row;
    if (row >= this.table.length) {
      this.slot = Infinity;
      return;
    }
    const { slot, txIndex, eventIndex } = this;
    this.slot = this.slots.number(row);
    this.txIndex = this.txIndexes.number(row);
    this.eventIndex = this.eventIndexes.number(row);
    if (this.isBefore(slot, txIndex, eventIndex)) {
      throw new Fatal("ROW_ORDER", `row ${row} of ${this.table.spec.name} at slot ${this.slot} is out of chain order`, {
        hint: "The decoder that wrote this batch is at fault. Nothing of the batch was stored.",
      });
    }
  }

  isBefore(slot: number, txIndex: number, eventIndex: number): boolean {
    if (this.slot !== slot) return this.slot < slot;
    return this.txIndex !== txIndex ? this.txIndex < txIndex : this.eventIndex < eventIndex;
  }
}

export class ChainWalk {
  private readonly cursors: Cursor[];

  /** At the same place in the chain, rows of an earlier table come first. */
  constructor(tables: readonly Table[]) {
    this.cursors = tables.map((table, i) => new Cursor(table, i));
  }

  /**
   * Visits the rows of the block at `slot`; `table` is the table's number in the list. Blocks are asked for oldest first.
   * Throws `Fatal` when a row lies before the block: it belongs to none of the batch.
   */
  block(slot: number, visit: (table: number, row: number) => void): void {
    for (;;) {
      const first = this.first();
      if (first === undefined || first.slot > slot) return;
      if (first.slot < slot) throw orphan(first);
      visit(first.number, first.row);
      first.next();
    }
  }

  /** Throws `Fatal` when rows are left: they belong to no block of the batch. */
  end(): void {
    const first = this.first();
    if (first !== undefined && first.slot !== Infinity) throw orphan(first);
  }

  private first(): Cursor | undefined {
    let first: Cursor | undefined;
    for (const cursor of this.cursors) {
      if (first === undefined || cursor.isBefore(first.slot, first.txIndex, first.eventIndex)) first = cursor;
    }
    return first;
  }
}

function orphan(cursor: Cursor): Fatal {
  return new Fatal(
    "ROW_WITHOUT_BLOCK",
    `row ${cursor.row} of ${cursor.table.spec.name} is at slot ${cursor.slot}, of which the batch has no block`,
    { hint: "The producer of this batch is at fault. Nothing of the batch was stored." },
  );
}
