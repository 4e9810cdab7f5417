/**
 * How the rows of a state table come back when blocks are undone. Most tables keep images: before a block that can still be
 * undone changes a row, the row as it was (or that there was none) goes to a journal. Rows that are only ever added, by the
 * block that their column `slot` names, need none: undone with their block.
 */
import type { Database, Statement } from "bun:sqlite";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import type { SqlValue } from "./codec.ts";
import { journalOf, keyColumns, selectList, sqlColumns } from "./layout.ts";

export interface Undo {
  /** Before the block at `slot` writes or deletes the row of this key; once a block. */
  keep(slot: number, key: readonly SqlValue[]): void;
  /** Keys of the rows that blocks above `slot` changed: values of the key's columns, the token's address for its number. */
  keysAbove(slot: number): SqlValue[][];
  /** Puts back the rows as they were before the blocks above `slot`. */
  restore(slot: number): void;
  /** Drops what can no longer be needed. */
  pruneAt(finalSlot: number): void;
}

export class BeforeImages implements Undo {
  private readonly keepRow: Statement;
  private readonly keys: Statement;
  private readonly images: Statement;
  private readonly restoring: readonly Statement[];
  private readonly prune: Statement;

  /** `table`: its name in the file, as SQL has it. */
  constructor(db: Database, spec: DatasetSpec, table: string) {
    const journal = journalOf(table);
    const columns = sqlColumns(spec);
    const key = keyColumns(spec);
    const asked = key.map((k) => `? AS ${k}`).join(", ");
    const image = columns.map((c) => (key.includes(c) ? `k.${c}` : `t.${c}`)).join(", ");
    const same = key.map((k) => `t.${k} = k.${k}`).join(" AND ");
    const keyIs = key.map((k) => `t.${k} = ?`).join(" AND ");
    this.keepRow = db.prepare(
      `INSERT INTO ${journal} (_slot, _absent, ${columns.join(", ")})
       SELECT ?, t.${key[0]} IS NULL, ${image} FROM (SELECT ${asked}) k LEFT JOIN ${table} t ON ${same}`,
    );
    this.keys = db.prepare(`SELECT DISTINCT ${keySelect(spec)} FROM ${journal} t WHERE t._slot > ?`);
    this.images = db.prepare(
      `SELECT ${selectList(spec)} FROM ${journal} t WHERE t._slot > ? AND t._absent = 0 AND ${keyIs}`,
    );
    this.restoring = [
      `DELETE FROM ${table} WHERE (${key.join(", ")}) IN (SELECT ${key.join(", ")} FROM ${journal} WHERE _slot > ?)`,
      // The bare columns beside min() come from the row that has the minimum: the oldest image.
      `INSERT INTO ${table} (${columns.join(", ")}) SELECT ${columns.join(", ")} FROM
         (SELECT *, min(_slot) FROM ${journal} WHERE _slot > ? GROUP BY ${key.join(", ")}) WHERE _absent = 0`,
      `DELETE FROM ${journal} WHERE _slot > ?`,
    ].map((sql) => db.prepare(sql));
    this.prune = db.prepare(`DELETE FROM ${journal} WHERE _slot <= ?`);
  }

  keep(slot: number, key: readonly SqlValue[]): void {
    this.keepRow.run(slot, ...key);
  }

  keysAbove(slot: number): SqlValue[][] {
    return this.keys.values(slot);
  }

  /** A row as it was before each of the blocks above `slot` that changed it, where there was one. */
  imagesAbove(slot: number, key: readonly SqlValue[]): SqlValue[][] {
    return this.images.values(slot, ...key);
  }

  restore(slot: number): void {
    for (const statement of this.restoring) statement.run(slot);
  }

  pruneAt(finalSlot: number): void {
    this.prune.run(finalSlot);
  }
}

export class AddedRows implements Undo {
  private readonly slotAt: number;
  private readonly keys: Statement;
  private readonly remove: Statement;
  private readonly table: string;

  /** `table`: its name in the file, as SQL has it. Its key has the column `slot`. */
  constructor(db: Database, spec: DatasetSpec, table: string) {
    this.table = table;
    this.slotAt = spec.key.indexOf("slot");
    if (this.slotAt < 0)
      throw new TypeError(`${spec.name}: rows without a slot in their key cannot be told apart by block`);
    this.keys = db.prepare(`SELECT ${keySelect(spec)} FROM ${table} t WHERE t.slot > ?`);
    this.remove = db.prepare(`DELETE FROM ${table} WHERE slot > ?`);
  }

  keep(slot: number, key: readonly SqlValue[]): void {
    if (Number(key[this.slotAt]) === slot) return;
    throw new TypeError(`block ${slot} changes a row of ${this.table} that another block has added`);
  }

  keysAbove(slot: number): SqlValue[][] {
    return this.keys.values(slot);
  }

  restore(slot: number): void {
    this.remove.run(slot);
  }

  pruneAt(): void {
    // A row's own slot says it all.
  }
}

/** The key columns of table `t`, with the token's address instead of its number. */
function keySelect(spec: DatasetSpec): string {
  const columns = keyColumns(spec).map((k) =>
    k === "mint_id" ? "(SELECT mint FROM _mint_ids WHERE id = t.mint_id)" : `t.${k}`,
  );
  return columns.join(", ");
}
