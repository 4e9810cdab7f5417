/**
 * How datasets lie in a lane's file. Event datasets are append-only tables in chain order, numbered by `_row`; state
 * datasets are tables clustered by their key. A column `mint` is stored as `mint_id`, a number from the lane's list of
 * tokens (`_mint_ids`), because ledger, candles and orders are clustered by it. Names of Sluice's own tables and columns
 * begin with `_`, which no dataset's name can.
 */
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import { type ColumnSpec, columnIndex, type DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { MINTS } from "../../pipeline/datasets/mints.ts";
import { ORDERS } from "../../pipeline/datasets/orders.ts";
import { USER_EVENTS } from "../../pipeline/datasets/user_events.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { fromSql, type SqlValue, sqlType } from "./codec.ts";

export interface StateTableSpec {
  readonly spec: DatasetSpec;
  /** Columns of each secondary index. */
  readonly indexes: readonly (readonly string[])[];
  /** Rows are only ever added, by the block that their column `slot` names. */
  readonly isAddedTo?: boolean;
}

/** The state datasets: what stages change through `State`. */
export const STATE_TABLES: readonly StateTableSpec[] = [
  { spec: MINTS, indexes: [["first_slot"]] },
  {
    spec: ORDERS,
    indexes: [
      ["mint", "order_type", "lock_lp_start_price"],
      ["user", "start_time"],
    ],
  },
  { spec: USER_EVENTS, indexes: [["slot"]], isAddedTo: true },
  { spec: CANDLES, indexes: [] },
];

/** Whether a dataset is state; every other one that a lane stores is a dataset of events. */
export function isState(name: string): boolean {
  return STATE_TABLES.some(({ spec }) => spec.name === name);
}

const NAME = /^[a-z][a-z0-9_]{0,126}$/;

export function isMint(column: ColumnSpec): boolean {
  return column.name === "mint" && column.type === "bytes32";
}

/** The quoted name of a column in the file. */
export function sqlColumn(column: ColumnSpec): string {
  return isMint(column) ? "mint_id" : quoted(column.name);
}

export function quoted(name: string): string {
  if (!NAME.test(name)) throw new TypeError(`"${name}" is no name of a dataset or column`);
  return `"${name}"`;
}

export function sqlColumns(spec: DatasetSpec): string[] {
  return spec.columns.map(sqlColumn);
}

export function keyColumns(spec: DatasetSpec): string[] {
  return spec.key.map((name) => sqlColumn(spec.columns[columnIndex(spec, name)]!));
}

/** What to select from table `t` to read rows of `spec`: addresses instead of token numbers. */
export function selectList(spec: DatasetSpec): string {
  const columns = spec.columns.map((column) =>
    isMint(column) ? "(SELECT mint FROM _mint_ids WHERE id = t.mint_id)" : `t.${sqlColumn(column)}`,
  );
  return columns.join(", ");
}

/** A row as `selectList` gives it, by column name. */
export function decodeRow(spec: DatasetSpec, values: readonly SqlValue[]): Record<string, Cell> {
  const row: Record<string, Cell> = {};
  for (let i = 0; i < spec.columns.length; i++) row[spec.columns[i]!.name] = fromSql(spec.columns[i]!, values[i]!);
  return row;
}

export function eventTableSql(spec: DatasetSpec): string[] {
  const columns = spec.columns.map((c) => `${sqlColumn(c)} ${typeSql(c)}`);
  return [`CREATE TABLE ${quoted(spec.name)} (_row INTEGER PRIMARY KEY, ${columns.join(", ")}) STRICT`];
}

/** `table`: its name in the file, where that is not the dataset's. */
export function stateTableSql({ spec, indexes, isAddedTo }: StateTableSpec, table = quoted(spec.name)): string[] {
  const key = keyColumns(spec).join(", ");
  const columns = spec.columns.map((c) => `${sqlColumn(c)} ${typeSql(c)}`).join(", ");
  // Images: the row as it was before the block at `_slot`, or only its key when there was none.
  const images = spec.columns.map((c) => `${sqlColumn(c)} ${columnType(c)}`).join(", ");
  const journal = `CREATE TABLE ${journalOf(table)} (_slot INTEGER NOT NULL, _absent INTEGER NOT NULL, ${images},
      PRIMARY KEY (_slot, ${key})) STRICT, WITHOUT ROWID`;
  return [
    `CREATE TABLE ${table} (${columns}, PRIMARY KEY (${key})) STRICT, WITHOUT ROWID`,
    ...(isAddedTo === true ? [] : [journal]),
    ...indexes.map((names, i) => {
      const on = names.map((name) => sqlColumn(spec.columns[columnIndex(spec, name)]!)).join(", ");
      return `CREATE INDEX "_${spec.name}_${i}" ON ${table} (${on})`;
    }),
  ];
}

export function addColumnSql(spec: DatasetSpec, column: ColumnSpec): string[] {
  const table = quoted(spec.name);
  const state = STATE_TABLES.find((other) => other.spec.name === spec.name);
  const tables = state === undefined || state.isAddedTo === true ? [table] : [table, journalOf(table)];
  return tables.map((table) => `ALTER TABLE ${table} ADD COLUMN ${sqlColumn(column)} ${columnType(column)}`);
}

/** The quoted name of the journal of a table, whose name is given as it is quoted. */
export function journalOf(table: string): string {
  return `"_journal_${table.replace(/^"_?|"$/g, "")}"`;
}

function columnType(column: ColumnSpec): string {
  return isMint(column) ? "INTEGER" : sqlType(column.type);
}

/** REAL columns may hold NULL whatever the dataset says: it stands for NaN. */
function typeSql(column: ColumnSpec): string {
  const type = columnType(column);
  return column.nullable === true || type === "REAL" ? type : `${type} NOT NULL`;
}
