/** A state dataset in a lane's file: its rows by key, as they are now, and how they come back (`undo.ts`). */
import type { Database, Statement } from "bun:sqlite";
import { type ColumnSpec, type ColumnType, columnIndex, type DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { keyCells, latin1, rowKey } from "../../pipeline/datasets/key.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { fromSql, type SqlValue, toSql } from "./codec.ts";
import { decodeRow, isMint, keyColumns, selectList, sqlColumns } from "./layout.ts";
import type { MintIds } from "./mint-ids.ts";
import type { Writes } from "./state.ts";
import type { Undo } from "./undo.ts";

/** How a state dataset is kept. Keys are those of `rowKey`. */
export interface StateKeeper {
  readonly spec: DatasetSpec;
  /** Whether it holds what is used in memory by itself, so that nobody else need. */
  readonly isCached: boolean;
  get(key: string): Record<string, Cell> | undefined;
  /** Writes or, for null, deletes rows. `undoSlot`: the block that does it, null when that is final. */
  writeAll(writes: Writes, undoSlot: number | null): void;
  /** Keys of rows that blocks above `slot` may have changed. */
  keysAbove(slot: number): string[];
  /** Puts back the rows as they were before the blocks above `slot`. */
  restore(slot: number): void;
  /** Drops what undo can no longer need. */
  pruneAt(finalSlot: number): void;
}

/** Cells of a row by column of its dataset. */
type CellOf = (column: number) => Cell | undefined;

export class StateTable implements StateKeeper {
  readonly spec: DatasetSpec;
  readonly isCached = false;
  private readonly mintIds: MintIds;
  private readonly undo: Undo;
  private readonly keySpecs: readonly ColumnSpec[];
  private readonly mintFirst: boolean;
  private readonly columns: readonly { readonly name: string; readonly type: ColumnType; readonly isToken: boolean }[];
  /** Where the key's columns stand among all. */
  private readonly keyAt: readonly number[];
  /** Values of the row that is being written. */
  private readonly params: SqlValue[];
  private readonly select: Statement;
  private readonly upsert: Statement;
  private readonly remove: Statement;

  /** `table`: its name in the file, as SQL has it. */
  constructor(db: Database, spec: DatasetSpec, mintIds: MintIds, table: string, undo: Undo) {
    this.spec = spec;
    this.mintIds = mintIds;
    this.undo = undo;
    const columns = sqlColumns(spec);
    const keyIs = keyColumns(spec).map((k) => `t.${k} = ?`);
    this.keySpecs = spec.key.map((name) => spec.columns[columnIndex(spec, name)]!);
    this.columns = spec.columns.map((column) => ({ name: column.name, type: column.type, isToken: isMint(column) }));
    this.keyAt = spec.key.map((name) => columnIndex(spec, name));
    this.params = spec.columns.map(() => null);
    this.mintFirst = isMint(this.keySpecs[0]!);
    if (!this.mintFirst && this.keySpecs.some(isMint))
      throw new TypeError(`${spec.name}: a mint must come first in a key`);
    this.select = db.prepare(`SELECT ${selectList(spec)} FROM ${table} t WHERE ${keyIs.join(" AND ")}`);
    this.upsert = db.prepare(
      `INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    );
    this.remove = db.prepare(`DELETE FROM ${table} AS t WHERE ${keyIs.join(" AND ")}`);
  }

  get(key: string): Record<string, Cell> | undefined {
    const params = this.keyParams(key);
    if (params === null) return undefined;
    const values = this.select.values(...params)[0];
    return values === undefined ? undefined : decodeRow(this.spec, values);
  }

  writeAll(writes: Writes, undoSlot: number | null): void {
    for (const [key, row] of writes) this.write(key, row, undoSlot);
  }

  write(key: string, row: object | null, undoSlot: number | null): void {
    const cells = row as Record<string, Cell | undefined> | null;
    this.writeCells(key, cells && ((i) => cells[this.columns[i]!.name]), undoSlot);
  }

  /** As `write`, of a row that is given by column. A block may write a row once. */
  writeCells(key: string, cellOf: CellOf | null, undoSlot: number | null): void {
    if (cellOf !== null) {
      this.fill(key, cellOf, undoSlot);
      const keyParams = this.keyAt.map((at) => this.params[at]!);
      if (undoSlot !== null) this.undo.keep(undoSlot, keyParams);
      this.upsert.run(...this.params);
      return;
    }
    const params = this.keyParams(key);
    if (params === null) return;
    if (undoSlot !== null) this.undo.keep(undoSlot, params);
    this.remove.run(...params);
  }

  keysAbove(slot: number): string[] {
    return this.undo.keysAbove(slot).map((values) => {
      const cells = this.keySpecs.map((column, i) => [column.name, fromSql(column, values[i]!)]);
      return rowKey(this.spec, Object.fromEntries(cells));
    });
  }

  restore(slot: number): void {
    this.undo.restore(slot);
  }

  pruneAt(finalSlot: number): void {
    this.undo.pruneAt(finalSlot);
  }

  /** The key's columns; null when its token has no number: then no row has that key. */
  keyParams(key: string): SqlValue[] | null {
    const cells: SqlValue[] = keyCells(this.spec, key).map((cell, i) => toSql(this.keySpecs[i]!.type, cell));
    if (this.mintFirst) {
      const id = this.mintIds.find(key.slice(0, 32));
      if (id === undefined) return null;
      cells[0] = id;
    }
    return cells;
  }

  /** Makes the row's values the parameters of `upsert`. */
  private fill(key: string, cellOf: CellOf, undoSlot: number | null): void {
    const { params, columns } = this;
    for (let i = 0; i < columns.length; i++) {
      const { name, type, isToken } = columns[i]!;
      const cell = cellOf(i);
      if (cell === undefined) throw new TypeError(`the row of ${this.spec.name} has no ${name}`);
      if (!isToken) params[i] = toSql(type, cell);
      else params[i] = this.mintIds.idOf(this.mintFirst ? key.slice(0, 32) : latin1(cell as Uint8Array), undoSlot);
    }
  }
}
