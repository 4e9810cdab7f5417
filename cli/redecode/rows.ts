/** Rows that were decoded anew, on their way to the lake: those of one program, gathered to files of some size. */
import { join } from "node:path";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { concat } from "../../stages/archive/concat.ts";
import type { Duck } from "../../storage/lake/duckdb.ts";
import { writeParquet } from "../../storage/lake/parquet.ts";

/** Rows of a dataset gathered before they are written. */
const GATHERED_ROWS = 50_000;

export class RowFiles {
  /** Files by dataset. */
  readonly parts = new Map<string, string[]>();
  rows = 0;
  private readonly duck: Duck;
  private readonly folder: string;
  private readonly name: string;
  private readonly gathered = new Map<string, { tables: Table[]; rows: number }>();
  private files = 0;

  /** `name`: tells its files from others in the folder. */
  constructor(duck: Duck, folder: string, name: string) {
    this.duck = duck;
    this.folder = folder;
    this.name = name;
  }

  async add(tables: RowBatch["tables"]): Promise<void> {
    for (const [dataset, table] of tables) {
      if (table.length === 0) continue;
      const held = this.gathered.get(dataset) ?? { tables: [], rows: 0 };
      held.tables.push(table);
      held.rows += table.length;
      this.rows += table.length;
      this.gathered.set(dataset, held);
      if (held.rows >= GATHERED_ROWS) await this.write(dataset);
    }
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    for (const dataset of [...this.gathered.keys()]) await this.write(dataset);
  }

  private async write(dataset: string): Promise<void> {
    const held = this.gathered.get(dataset);
    this.gathered.delete(dataset);
    if (held === undefined) return;
    const table = concat(held.tables.map((part) => ({ table: part, start: 0, end: part.length })));
    const path = join(this.folder, `${this.name}-${this.files++}.parquet`);
    await writeParquet(
      this.duck,
      table,
      Uint32Array.from({ length: table.length }, (_, i) => i),
      path,
    );
    this.parts.set(dataset, [...(this.parts.get(dataset) ?? []), path]);
  }
}

/** The rows of one program. */
export function ofProgram(tables: RowBatch["tables"], program: Uint8Array): Map<string, Table> {
  const own = new Map<string, Table>();
  for (const [dataset, table] of tables) {
    const column = table.column("program");
    const rows = Array.from({ length: table.length }, (_, i) => i).filter(
      (row) => Buffer.compare(column.bytes(row), program) === 0,
    );
    if (rows.length === table.length) own.set(dataset, table);
    else if (rows.length > 0) own.set(dataset, table.take(rows));
  }
  return own;
}
