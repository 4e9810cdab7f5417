/** A batch of rows of one dataset, in columns (see `column.ts`). */
import { columnIndex, type DatasetSpec } from "../datasets/dataset.ts";
import { type Cell, type Column, ColumnBuilder } from "./column.ts";

export class Table {
  readonly spec: DatasetSpec;
  readonly length: number;
  /** In the order of `spec.columns`. */
  readonly columns: readonly Column[];

  constructor(spec: DatasetSpec, length: number, columns: readonly Column[]) {
    this.spec = spec;
    this.length = length;
    this.columns = columns;
  }

  column(name: string): Column {
    return this.columns[columnIndex(this.spec, name)]!;
  }

  /** The row as an object keyed by column name. For tests, edges and small results: not for hot paths. */
  row(index: number): Record<string, Cell> {
    const out: Record<string, Cell> = {};
    for (const column of this.columns) out[column.spec.name] = column.cell(index);
    return out;
  }

  /** A new table with the given rows, in the given order. */
  take(rows: ArrayLike<number>): Table {
    const builder = new TableBuilder(this.spec, rows.length);
    for (let i = 0; i < rows.length; i++) builder.appendRow(this, rows[i]!);
    return builder.finish();
  }
}

/** Grows a table row by row: append to every column once, then call `finish`. */
export class TableBuilder {
  readonly spec: DatasetSpec;
  readonly columns: readonly ColumnBuilder[];

  constructor(spec: DatasetSpec, capacity = 64) {
    this.spec = spec;
    this.columns = spec.columns.map((c) => new ColumnBuilder(c, capacity));
  }

  get length(): number {
    return this.columns[0]!.length;
  }

  column(name: string): ColumnBuilder {
    return this.columns[columnIndex(this.spec, name)]!;
  }

  appendRow(table: Table, row: number): void {
    for (let c = 0; c < this.columns.length; c++) this.columns[c]!.appendFrom(table.columns[c]!, row);
  }

  /** Appends one row given by column name. Convenient, not fast. */
  appendCells(cells: Readonly<Record<string, Cell>>): void {
    for (const column of this.columns) column.cell(cells[column.spec.name] ?? null);
  }

  finish(): Table {
    const length = this.length;
    const columns = this.columns.map((builder) => {
      if (builder.length !== length) {
        throw new Error(`${this.spec.name}.${builder.spec.name} has ${builder.length} rows, expected ${length}`);
      }
      return builder.finish();
    });
    return new Table(this.spec, length, columns);
  }
}
