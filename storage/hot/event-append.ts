/** Appends a batch's rows to the event tables, block by block, and enters each in the ledger of its token. */
import type { Database, Statement } from "bun:sqlite";
import { columnIndex, type DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { addressKeys } from "../../pipeline/wire/address-keys.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { ChainWalk } from "../../pipeline/wire/chain-order.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { columnToSql, type SqlValue } from "./codec.ts";
import { quoted, sqlColumns } from "./layout.ts";
import type { MintIds } from "./mint-ids.ts";

type Reader = (row: number) => SqlValue;

/** One event table: its number and where the next row goes. */
export class EventTable {
  readonly id: number;
  readonly mintAt: number;
  next: number;
  private readonly insert: Statement;
  private readonly params: SqlValue[];

  constructor(db: Database, spec: DatasetSpec, id: number) {
    this.id = id;
    this.mintAt = columnIndex(spec, "mint");
    const columns = ["_row", ...sqlColumns(spec)];
    this.params = columns.map(() => null);
    this.insert = db.prepare(
      `INSERT INTO ${quoted(spec.name)} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    );
    this.next = Number(db.prepare(`SELECT coalesce(max(_row), 0) FROM ${quoted(spec.name)}`).values()[0]![0]) + 1;
  }

  /** Returns the number of the new row. */
  append(readers: readonly Reader[], row: number, mintId: number | null): number {
    const { params, mintAt } = this;
    const number = this.next++;
    params[0] = number;
    for (let c = 0; c < readers.length; c++) params[c + 1] = c === mintAt ? mintId : readers[c]!(row);
    this.insert.run(...params);
    return number;
  }
}

/** Writes to `_events`, one row behind: the next row may be the trade of the one before. */
export class Ledger {
  private readonly insert: Statement;
  private open: {
    place: readonly [mintId: number, slot: number, tx: number, event: number];
    to: [number, number];
  } | null = null;

  constructor(db: Database) {
    this.insert = db.prepare("INSERT INTO _events VALUES (?, ?, ?, ?, ?, ?, ?)");
  }

  enter(place: readonly [number, number, number, number], dataset: number, row: number, isTrade: boolean): void {
    const before = this.open?.place;
    if (isTrade && before?.every((value, i) => value === place[i])) {
      this.write(row);
      return;
    }
    this.flush();
    this.open = { place, to: [dataset, row] };
  }

  flush(): void {
    if (this.open !== null) this.write(null);
  }

  private write(tradeRow: number | null): void {
    const { place, to } = this.open!;
    this.insert.run(...place, ...to, tradeRow);
    this.open = null;
  }
}

interface Source {
  readonly table: Table;
  readonly into: EventTable;
  readonly readers: readonly Reader[];
  readonly mint: Column;
  readonly mintKey: (row: number) => string;
  readonly txIndex: Column;
  readonly eventIndex: Column;
  readonly isTrade: boolean;
}

export interface AppendTargets {
  readonly tables: ReadonlyMap<string, EventTable>;
  readonly ledger: Ledger;
  readonly mintIds: MintIds;
  /** Notes the first row that a block adds to a table, for undo. */
  readonly keep: Statement;
}

/** Appends one batch. */
export class BatchAppend {
  private readonly to: AppendTargets;
  private readonly sources: readonly Source[];
  private readonly walk: ChainWalk;

  constructor(to: AppendTargets, batch: RowBatch) {
    this.to = to;
    const sources = [...batch.tables].map(([name, table]) => sourceOf(to, name, table));
    // Trades last: at the same place a trade follows the event whose ledger row it shares.
    this.sources = sources.sort((a, b) => Number(a.isTrade) - Number(b.isTrade));
    this.walk = new ChainWalk(this.sources.map((s) => s.table));
  }

  /** Appends the rows of one block; called for each block of the batch, oldest first. `undoSlot`: null when it is final. */
  block(slot: number, undoSlot: number | null): void {
    const first = this.sources.map(({ into }) => into.next);
    this.walk.block(slot, (source, row) => this.append(this.sources[source]!, row, slot, undoSlot));
    this.to.ledger.flush();
    if (undoSlot === null) return;
    this.sources.forEach(({ into }, i) => {
      if (into.next > first[i]!) this.to.keep.run(undoSlot, into.id, first[i]!);
    });
  }

  /** Throws when rows are left that belong to no block. */
  end(): void {
    this.walk.end();
  }

  private append(source: Source, row: number, slot: number, undoSlot: number | null): void {
    const { into, mint, mintKey } = source;
    const mintId = mint.isNull(row) ? null : this.to.mintIds.idOf(mintKey(row), undoSlot);
    const number = into.append(source.readers, row, mintId);
    if (mintId === null) return;
    const place = [mintId, slot, source.txIndex.number(row), source.eventIndex.number(row)] as const;
    this.to.ledger.enter(place, into.id, number, source.isTrade);
  }
}

function sourceOf(to: AppendTargets, name: string, table: Table): Source {
  const into = to.tables.get(name);
  if (into === undefined) {
    throw new Fatal("HOT_DATASET", `the hot store has no table for the dataset "${name}"`, {
      hint: "The lane was started with another set of programs than the stage that wrote this batch.",
    });
  }
  const mint = table.column("mint");
  return {
    table,
    into,
    readers: table.columns.map(columnToSql),
    mint,
    mintKey: addressKeys(mint),
    txIndex: table.column("tx_index"),
    eventIndex: table.column("event_index"),
    isTrade: name === TRADES.name,
  };
}
