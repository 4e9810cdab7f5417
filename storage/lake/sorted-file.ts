/** Rows that a query gives as one sorted file of the lake: written, read back, stored under the name made from its content. */
import { rm, stat } from "node:fs/promises";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { copyOptions, type FileLabel, lakeNames, quoteName, quoteText } from "./columns.ts";
import type { Duck } from "./duckdb.ts";
import { type FileEntry, fileKey } from "./entry.ts";
import { putFile, sha256File, syncFile } from "./files.ts";
import { duplicatesIn, type FileFacts, inspectParquet } from "./parquet.ts";
import type { ObjectStore } from "./store.ts";

/**
 * Small groups: a look-up of one token reads one group of a file, whose other columns it must unpack whole. Against DuckDB's
 * default of 122,880 twice as fast, for the same size and a tenth of the speed of scans (`bench/RESULTS.md`).
 */
export const SORTED_GROUP_ROWS = 16_384;

export interface SortedFile {
  readonly store: ObjectStore;
  readonly duck: Duck;
  readonly spec: DatasetSpec;
  /** UTC date of all rows. */
  readonly date: string;
  /** A query or table expression with the dataset's Parquet columns. */
  readonly rows: string;
  /** Where it is written before it is stored; removed afterwards. */
  readonly path: string;
  readonly label: FileLabel;
  /** What is wrong with what was written; null: nothing. */
  readonly check: (found: FileFacts | null) => string | null;
}

/** Throws `Fatal` LAKE_FILE_WRONG when the file does not hold what it should; nothing is stored then. */
export async function storeSorted(file: SortedFile): Promise<FileEntry> {
  const { store, duck, spec, date, rows, path, label, check } = file;
  const order = spec.order
    .flatMap((name) => lakeNames(spec.columns.find((c) => c.name === name)!))
    .map((name) => `${quoteName(name)} NULLS LAST`);
  await rm(path, { force: true });
  await duck.run(`
    COPY (FROM (${rows}) ORDER BY ${order.join(", ")})
    TO ${quoteText(path)} (${copyOptions(spec, label, SORTED_GROUP_ROWS)})`);
  await syncFile(path);
  const { facts, misplaced } = await inspectParquet(duck, spec, path);
  const twice = await duplicatesIn(duck, spec, [path]);
  const wrong = misplaced > 0 ? "rows out of order" : twice > 0 ? `${twice} rows twice` : check(facts);
  if (wrong !== null || facts === null) {
    throw new Fatal("LAKE_FILE_WRONG", `writing rows of ${spec.name} anew went wrong: ${wrong ?? "no rows"}`, {
      where: store.name,
      hint: "Nothing was committed. `sluice verify --deep` tells whether the files they were read from are sound.",
    });
  }
  const sha256 = await sha256File(path);
  const { slot, blockTime, mint } = facts;
  const key = fileKey(spec.name, date, slot, sha256);
  const { size: bytes } = await stat(path);
  await putFile(store, key, path, sha256);
  await rm(path, { force: true });
  return { key, dataset: spec.name, date, rows: facts.rows, bytes, sha256, slot, blockTime, mint };
}

/** A table expression: the rows of lake files as they are, whatever folder they lie in. */
export function parquetOf(...paths: readonly string[]): string {
  return `read_parquet([${paths.map(quoteText).join(", ")}], hive_partitioning = false)`;
}
