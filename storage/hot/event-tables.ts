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

  /** Deletes up to `rowsMax` rows below `slot`, oldest first, and returns how many there were. */
  expire(slot: number, rowsMax: number): number {
    let left = rowsMax;
    for (const [id, { name }] of storedDatasets(this.db)) {
      if (left === 0) break;
      if (isState(name)) continue;
      const end = firstRowFrom(this.db, name, slot);
      const first = Number(this.db.prepare(`SELECT coalesce(min(_row), 1) FROM ${quoted(name)}`).values()[0]![0]);
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

/** Number of the first row at or above a slot (or block time): rows lie in chain order, so it is found by halving. One past the last if none. */
export function firstRowFrom(
  db: Database,
  name: string,
  value: number,
  column: "slot" | "block_time" = "slot",
): number {
  const table = quoted(name);
  const [min, max] = db.prepare(`SELECT coalesce(min(_row), 1), coalesce(max(_row), 0) FROM ${table}`).values()[0]!;
  const at = db.prepare(`SELECT ${column} FROM ${table} WHERE _row >= ? ORDER BY _row LIMIT 1`);
  let low = Number(min);
  let high = Number(max) + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (Number(at.values(middle)[0]![0]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
