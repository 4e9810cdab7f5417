/**
 * The event tables of a lane and their ledger. Rows are appended in chain order and numbered, so undo cuts a table at a
 * row number and expiry cuts it at the other end, and no table needs a secondary index: "the events of a token, in
 * order" is what the ledger `_events` is clustered by.
 */
import type { Database, Statement } from "bun:sqlite";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { BatchAppend, EventTable, Ledger } from "./event-append.ts";
import { storedDatasets } from "./file.ts";
import { isState, quoted } from "./layout.ts";
import type { MintIds } from "./mint-ids.ts";

/** Rows that have aged. */
export interface Aged {
  /** Slot of the oldest of them, by dataset. */
  readonly from: ReadonlyMap<string, number>;
  /** They lie below this slot. */
  readonly before: number;
  readonly rows: number;
}

export class EventTables {
  private readonly db: Database;
  private readonly mintIds: MintIds;
  private readonly tables = new Map<string, EventTable>();
  private readonly ledger: Ledger;
  private readonly keep: Statement;
  private readonly prune: Statement;

  constructor(db: Database, datasets: readonly DatasetSpec[], mintIds: MintIds) {
    this.db = db;
    this.mintIds = mintIds;
    this.ledger = new Ledger(db);
    this.keep = db.prepare("INSERT INTO _journal_rows (slot, dataset, first_row) VALUES (?, ?, ?)");
    this.prune = db.prepare("DELETE FROM _journal_rows WHERE slot <= ?");
    for (const [id, { name }] of storedDatasets(db)) {
      const spec = datasets.find((d) => d.name === name);
      if (spec !== undefined) this.tables.set(name, new EventTable(db, spec, id));
    }
  }

  begin(batch: RowBatch): BatchAppend {
    const { tables, ledger, mintIds, keep } = this;
    return new BatchAppend({ tables, ledger, mintIds, keep }, batch);
  }

  /** Takes back the rows of the blocks above `slot`, also of datasets that are no longer configured. */
  restore(slot: number): void {
    const cuts = this.db.prepare(
      `SELECT d.id, d.name, min(j.first_row) FROM _journal_rows j JOIN _datasets d ON d.id = j.dataset
       WHERE j.slot > ? GROUP BY d.id`,
    );
    for (const [id, name, firstRow] of cuts.values(slot)) {
      this.deleteRows(Number(id), String(name), "_row >= ?", Number(firstRow));
      const table = this.tables.get(String(name));
      if (table !== undefined) table.next = Number(firstRow);
    }
    this.db.prepare("DELETE FROM _journal_rows WHERE slot > ?").run(slot);
  }

  pruneAt(finalSlot: number): void {
    this.prune.run(finalSlot);
  }

  /**
   * What is older than `time` (Unix seconds) and may go: the slot below which it lies, how many rows it is, and where it
   * begins in each dataset. The newest row of a dataset stays, however old: its number says how many there have been.
   */
  aged(time: number): Aged {
    const from = new Map<string, number>();
    let [before, rows] = [0, 0];
    for (const { name } of storedDatasets(this.db).values()) {
      if (isState(name)) continue;
      const { first, last } = rowBounds(this.db, name);
      const end = Math.min(firstRowFrom(this.db, name, time, "block_time"), last);
      if (end <= first) continue;
      const slotOf = this.db.prepare(`SELECT slot FROM ${quoted(name)} WHERE _row < ? ORDER BY _row DESC LIMIT 1`);
      from.set(name, Number(slotOf.values(first + 1)[0]![0]));
      before = Math.max(before, Number(slotOf.values(end)[0]![0]) + 1);
      rows += end - first;
    }
    return { from, before, rows };
  }

  /** Deletes up to `rowsMax` rows below `slot`, oldest first, and returns how many there were; the newest of each dataset stays. */
  expire(slot: number, rowsMax: number): number {
    let left = rowsMax;
    for (const [id, { name }] of storedDatasets(this.db)) {
      if (left === 0) break;
      if (isState(name)) continue;
      const { first, last } = rowBounds(this.db, name);
      const end = Math.min(firstRowFrom(this.db, name, slot), last);
      const rows = Math.min(left, Math.max(0, end - first));
      if (rows === 0) continue;
      this.deleteRows(id, name, "_row < ?", first + rows);
      left -= rows;
    }
    return rowsMax - left;
  }

  private deleteRows(dataset: number, name: string, which: string, bound: number): void {
    const table = quoted(name);
    const places = `SELECT mint_id, slot, tx_index, event_index, ${dataset} FROM ${table} WHERE ${which}`;
    this.db
      .prepare(`DELETE FROM _events WHERE (mint_id, slot, tx_index, event_index, dataset) IN (${places})`)
      .run(bound);
    this.db.prepare(`DELETE FROM ${table} WHERE ${which}`).run(bound);
  }
}

/** Numbers of the first and the last row held; 1 and 0 without any. Asked for together in one SELECT, SQLite reads them all. */
function rowBounds(db: Database, name: string): { readonly first: number; readonly last: number } {
  const end = (which: string) => db.prepare(`SELECT ${which}(_row) FROM ${quoted(name)}`).values()[0]![0];
  return { first: Number(end("min") ?? 1), last: Number(end("max") ?? 0) };
}

/** Number of the first row at or above a slot (or block time): rows lie in chain order, so it is found by halving. One past the last if none. */
export function firstRowFrom(
  db: Database,
  name: string,
  value: number,
  column: "slot" | "block_time" = "slot",
): number {
  const table = quoted(name);
  const { first, last } = rowBounds(db, name);
  const at = db.prepare(`SELECT ${column} FROM ${table} WHERE _row >= ? ORDER BY _row LIMIT 1`);
  let low = first;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (Number(at.values(middle)[0]![0]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
