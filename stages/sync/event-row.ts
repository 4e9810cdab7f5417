/** One row of a batch as an effect reads it. Bytes are copies: they may stay in state when the batch is long gone. */
import type { Table } from "../../pipeline/wire/table.ts";
import type { State } from "../stage.ts";

/** What an event of one dataset does to a lane's state. Must not throw for an order or token that was never seen. */
export type Effect = (event: EventRow, state: State) => void;

/** Effects by dataset; a preset brings its own. Datasets without effects are only stored. */
export type Effects = ReadonlyMap<string, Effect>;

export class EventRow {
  private readonly table: Table;
  private readonly row: number;

  constructor(table: Table, row: number) {
    this.table = table;
    this.row = row;
  }

  get dataset(): string {
    return this.table.spec.name;
  }

  isNull(column: string): boolean {
    return this.table.column(column).isNull(this.row);
  }

  bytes(column: string): Uint8Array {
    return this.table.column(column).bytes(this.row).slice();
  }

  bigint(column: string): bigint {
    return this.table.column(column).bigint(this.row);
  }

  number(column: string): number {
    return this.table.column(column).number(this.row);
  }

  string(column: string): string {
    return this.table.column(column).string(this.row);
  }
}
