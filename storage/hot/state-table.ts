/**
 * One state table and its journal. Before a block that can still be undone changes a row, the row as it was (or that
 * there was none) goes to the journal; undo puts the oldest such image of each row back.
 */
import type { Database, Statement } from "bun:sqlite";
import { type ColumnSpec, type ColumnType, columnIndex, type DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { keyCells, latin1, rowKey } from "../../pipeline/datasets/key.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { fromSql, type SqlValue, toSql } from "./codec.ts";
import { decodeRow, isMint, journalName, keyColumns, quoted, selectList, sqlColumns } from "./layout.ts";
import type { MintIds } from "./mint-ids.ts";

export class StateTable {
  readonly spec: DatasetSpec;
  private readonly mintIds: MintIds;
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
  private readonly keep: Statement;
  private readonly undoneKeys: Statement;
  private readonly undo: readonly Statement[];
  private readonly prune: Statement;

  constructor(db: Database, spec: DatasetSpec, mintIds: MintIds) {
    this.spec = spec;
    this.mintIds = mintIds;
    const table = quoted(spec.name);
    const journal = journalName(spec);
    const columns = sqlColumns(spec);
    const key = keyColumns(spec);
    const keyIs = (of: string) => key.map((k) => `${of}.${k} = ?`).join(" AND ");
    this.keySpecs = spec.key.map((name) => spec.columns[columnIndex(spec, name)]!);
    this.columns = spec.columns.map((column) => ({ name: column.name, type: column.type, isToken: isMint(column) }));
    this.keyAt = spec.key.map((name) => columnIndex(spec, name));
    this.params = spec.columns.map(() => null);
    this.mintFirst = isMint(this.keySpecs[0]!);
    if (!this.mintFirst && this.keySpecs.some(isMint))
      throw new TypeError(`${spec.name}: a mint must come first in a key`);
    this.select = db.prepare(`SELECT ${selectList(spec)} FROM ${table} t WHERE ${keyIs("t")}`);
    this.upsert = db.prepare(
      `INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    );
    this.remove = db.prepare(`DELETE FROM ${table} AS t WHERE ${keyIs("t")}`);
    const asked = key.map((k) => `? AS ${k}`).join(", ");
    const image = columns.map((c) => (key.includes(c) ? `k.${c}` : `t.${c}`)).join(", ");
    const same = key.map((k) => `t.${k} = k.${k}`).join(" AND ");
    this.keep = db.prepare(
      `INSERT INTO ${journal} (_slot, _absent, ${columns.join(", ")})
       SELECT ?, t.${key[0]} IS NULL, ${image} FROM (SELECT ${asked}) k LEFT JOIN ${table} t ON ${same}`,
    );
    this.undoneKeys = db.prepare(`SELECT DISTINCT ${keySelect(spec)} FROM ${journal} t WHERE t._slot > ?`);
    this.undo = [
      `DELETE FROM ${table} WHERE (${key.join(", ")}) IN (SELECT ${key.join(", ")} FROM ${journal} WHERE _slot > ?)`,
      // The bare columns beside min() come from the row that has the minimum: the oldest image.
      `INSERT INTO ${table} (${columns.join(", ")}) SELECT ${columns.join(", ")} FROM
         (SELECT *, min(_slot) FROM ${journal} WHERE _slot > ? GROUP BY ${key.join(", ")}) WHERE _absent = 0`,
      `DELETE FROM ${journal} WHERE _slot > ?`,
    ].map((sql) => db.prepare(sql));
    this.prune = db.prepare(`DELETE FROM ${journal} WHERE _slot <= ?`);
  }

  get(key: string): Record<string, Cell> | undefined {
    const params = this.keyParams(key);
    if (params === null) return undefined;
    const values = this.select.values(...params)[0];
    return values === undefined ? undefined : decodeRow(this.spec, values);
  }

  /** Writes or, for null, deletes a row. `undoSlot`: the block that does it, null when that is final. */
  write(key: string, row: object | null, undoSlot: number | null): void {
    if (row !== null) {
      this.fill(key, row as Record<string, Cell>, undoSlot);
      if (undoSlot !== null) this.keep.run(undoSlot, ...this.keyAt.map((at) => this.params[at]!));
      this.upsert.run(...this.params);
      return;
    }
    const params = this.keyParams(key);
    if (params === null) return;
    if (undoSlot !== null) this.keep.run(undoSlot, ...params);
    this.remove.run(...params);
  }

  /** Keys of the rows that blocks above `slot` changed. */
  keysAbove(slot: number): string[] {
    return this.undoneKeys.values(slot).map((values) => {
      const cells = this.keySpecs.map((column, i) => [column.name, fromSql(column, values[i]!)]);
      return rowKey(this.spec, Object.fromEntries(cells));
    });
  }

  /** Puts back the rows as they were before the blocks above `slot`. */
  restore(slot: number): void {
    for (const statement of this.undo) statement.run(slot);
  }

  /** Drops the images that can no longer be needed. */
  pruneAt(finalSlot: number): void {
    this.prune.run(finalSlot);
  }

  /** Null when the key's token has no number: then no row has that key. */
  private keyParams(key: string): SqlValue[] | null {
    const cells: SqlValue[] = keyCells(this.spec, key).map((cell, i) => toSql(this.keySpecs[i]!.type, cell));
    if (this.mintFirst) {
      const id = this.mintIds.find(key.slice(0, 32));
      if (id === undefined) return null;
      cells[0] = id;
    }
    return cells;
  }

  /** Makes the row's values the parameters of `upsert`. */
  private fill(key: string, row: Record<string, Cell>, undoSlot: number | null): void {
    const { params, columns } = this;
    for (let i = 0; i < columns.length; i++) {
      const { name, type, isToken } = columns[i]!;
      const cell = row[name];
      if (cell === undefined) throw new TypeError(`the row of ${this.spec.name} has no ${name}`);
      if (!isToken) params[i] = toSql(type, cell);
      else params[i] = this.mintIds.idOf(this.mintFirst ? key.slice(0, 32) : latin1(cell as Uint8Array), undoSlot);
    }
  }
}

/** The key columns of table `t`, with the token's address instead of its number. */
function keySelect(spec: DatasetSpec): string {
  const columns = keyColumns(spec).map((k) =>
    k === "mint_id" ? "(SELECT mint FROM _mint_ids WHERE id = t.mint_id)" : `t.${k}`,
  );
  return columns.join(", ");
}
