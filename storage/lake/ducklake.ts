/**
 * A DuckLake catalogue over the lake's files as a script for DuckDB: every dataset becomes a table, every file is registered where it
 * lies, nothing is copied. See https://ducklake.select (`ducklake_add_data_files`). The catalogue is of one manifest entry; a
 * later one wants a new catalogue.
 */
import { lakeColumns, quoteName, quoteText } from "./columns.ts";
import { type EntryDataset, specOf } from "./entry.ts";
import type { LakeFile, LakeSnapshot } from "./reader.ts";

export interface CatalogueOptions {
  readonly lake: LakeSnapshot;
  /** Where the lake is, as DuckDB finds it: an absolute folder or s3://bucket/prefix, without a slash at the end. */
  readonly root: string;
  /** File of the catalogue to be made. */
  readonly catalogue: string;
  /** SQL that lets DuckDB reach the lake, for example a secret; empty for none. */
  readonly access?: string;
}

/** The script, or null for a lake without files. */
export function duckLakeScript({ lake, root, catalogue, access = "" }: CatalogueOptions): string | null {
  if (lake.head === null || lake.files.size === 0) return null;
  const attach = (more: string) => `ATTACH ${quoteText(`ducklake:${catalogue}`)} AS lake (${more});`;
  return [
    `-- A DuckLake catalogue of the lake at manifest entry ${lake.head.number} (${lake.head.sha256}).`,
    "-- Run it once, with DuckDB 1.4 or later: duckdb < this file. Then, wherever the catalogue is used:",
    `--   ${attach("READ_ONLY")}`,
    "-- Read only: DuckLake takes registered files for its own, and merging or cleaning up would delete them from the lake.",
    "INSTALL ducklake;",
    "LOAD ducklake;",
    ...(access === "" ? [] : [access]),
    // What DuckLake itself might write must not end up between the lake's files.
    attach(`DATA_PATH ${quoteText(`${catalogue}.files/`)}`),
    "BEGIN;",
    ...[...lake.files].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, files]) => tableOf(name, files, root)),
    "COMMIT;",
    "",
  ].join("\n");
}

function tableOf(name: string, files: readonly LakeFile[], root: string): string[] {
  const columns = columnsOf(files.map(({ schema }) => schema));
  const list = [...columns].map(([column, type]) => `${quoteName(column)} ${type}`).join(", ");
  return [
    `CREATE TABLE lake.${quoteName(name)} (${list});`,
    ...files.map(({ key }) => {
      const options = "allow_missing => true, hive_partitioning => false";
      return `CALL ducklake_add_data_files('lake', ${quoteText(name)}, ${quoteText(`${root}/${key}`)}, ${options});`;
    }),
  ];
}

/** Of all versions that the files have, in the order in which they came. */
function columnsOf(schemas: readonly EntryDataset[]): ReadonlyMap<string, string> {
  const columns = new Map<string, string>();
  for (const schema of new Set(schemas)) {
    for (const { name, type } of lakeColumns(specOf(schema))) columns.set(name, type.toString());
  }
  return columns;
}
