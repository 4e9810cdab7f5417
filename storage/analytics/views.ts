/**
 * The views that SQL sees: one for each dataset, over the lake's files and the hot rows above them, with every column as
 * people expect it (wide integers joined, exact). Built from the manifest: no folder is ever searched.
 */
import type { ColumnSpec, ColumnType, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { lakeNames, lakeTypes, quoteName, quoteText, viewColumn } from "../lake/columns.ts";
import { type EntryDataset, specOf } from "../lake/entry.ts";

/** Files that were written with the same columns. */
export interface FileGroup {
  readonly schema: EntryDataset;
  readonly paths: readonly string[];
}

/** Name of the table that holds a dataset's hot rows, in Parquet columns. No dataset's name begins with a space. */
export const hotTable = (dataset: string) => ` hot ${dataset}`;

/** A table for rows as `lakeColumns` lays them out, and whether each is final. */
export function createHotTable(spec: DatasetSpec): string {
  const columns = spec.columns.flatMap((column) => {
    const types = lakeTypes(column);
    return lakeNames(column).map((name, i) => `${quoteName(name)} ${types[i]}`);
  });
  return `CREATE TABLE ${quoteName(hotTable(spec.name))} (${[...columns, '" final" BOOLEAN'].join(", ")})`;
}

/**
 * The view of an event dataset: its columns, `date` (UTC, of the block time; a condition on it opens only the files of
 * those days) and `final`. `hot` says whether there is a table of hot rows.
 */
export function createEventView(spec: DatasetSpec, groups: readonly FileGroup[], hot: boolean): string {
  const dated = !spec.columns.some((c) => c.name === "date");
  const parts = groups.map(({ schema, paths }) => {
    const date = dated ? ["date"] : [];
    const columns = [...selectColumns(spec, specOf(schema)), ...date, "true AS final"];
    const files = `[${paths.map(quoteText).join(", ")}]`;
    const partitions = dated ? "hive_partitioning = true, hive_types = {'date': DATE}" : "hive_partitioning = false";
    return `SELECT ${columns.join(", ")} FROM read_parquet(${files}, ${partitions})`;
  });
  if (hot) {
    const date = dated ? [`(DATE '1970-01-01' + (block_time // 86400)::INTEGER) AS date`] : [];
    const columns = [...selectColumns(spec, spec), ...date, '" final" AS final'];
    parts.push(`SELECT ${columns.join(", ")} FROM ${quoteName(hotTable(spec.name))}`);
  }
  const empty = [...nullColumns(spec), ...(dated ? ["NULL::DATE AS date"] : []), "NULL::BOOLEAN AS final"];
  const rows = parts.length > 0 ? parts.join(" UNION ALL ") : `SELECT ${empty.join(", ")} WHERE false`;
  return `CREATE VIEW ${quoteName(spec.name)} AS ${rows}`;
}

/** The view of a dataset of state: what the hot stores hold now. */
export function createStateView(spec: DatasetSpec): string {
  const columns = selectColumns(spec, spec).join(", ");
  return `CREATE VIEW ${quoteName(spec.name)} AS SELECT ${columns} FROM ${quoteName(hotTable(spec.name))}`;
}

/** Stands for a view that a query does not name, or that cannot be read: it has the columns, and an error in place of rows. */
export function createStandIn(
  spec: DatasetSpec,
  isState: boolean,
  why = `name ${spec.name} in the query to read it`,
): string {
  const dated = !isState && !spec.columns.some((c) => c.name === "date");
  const columns = [
    ...nullColumns(spec),
    ...(dated ? ["NULL::DATE AS date"] : []),
    ...(isState ? [] : ["NULL::BOOLEAN AS final"]),
  ];
  return `CREATE VIEW ${quoteName(spec.name)} AS SELECT ${columns.join(", ")} WHERE error(${quoteText(why)})`;
}

/** `wanted` columns from rows that were written as `stored`: what those do not have is null. */
function selectColumns(wanted: DatasetSpec, stored: DatasetSpec): string[] {
  const known = new Map(stored.columns.map((c) => [c.name, c]));
  return wanted.columns.map((column) => {
    const own = known.get(column.name);
    return own === undefined ? nullColumn(column) : viewColumn(own);
  });
}

const nullColumns = (spec: DatasetSpec) => spec.columns.map(nullColumn);

function nullColumn(column: ColumnSpec): string {
  const types: Partial<Record<ColumnType, string>> = { u128: "UHUGEINT", i128: "HUGEINT" };
  return `NULL::${types[column.type] ?? lakeTypes(column)[0]} AS ${quoteName(column.name)}`;
}
