/**
 * What a finished run stored, held against the simulator's truth. The lake is read by plain DuckDB over the files that its
 * manifest names, as anybody could, not by the code that wrote it.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import type { Config } from "../pipeline/config.ts";
import { TRADES } from "../pipeline/datasets/trades.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import type { Truth } from "../simulator/index.ts";
import { laneFile } from "../storage/hot/file.ts";
import { HotReader } from "../storage/hot/reader.ts";
import { folders } from "./folders.ts";
import { decodersFor } from "./programs.ts";
import { compareHot, compareLake, type Difference } from "./truth.ts";

export interface Verdict {
  /** Everything that differs, for people; empty when hot stores and lake hold exactly the truth. */
  readonly differences: readonly string[];
  /** Event rows (trades apart) in the hot stores, and rows of all datasets in the lake. */
  readonly hotRows: number;
  readonly lakeRows: number;
  readonly lakeFiles: number;
  readonly candles: number;
}

export async function holdAgainst(config: Config, truth: Truth): Promise<Verdict> {
  const { catalog } = await decodersFor(config);
  const hot = holdHot(config, catalog, truth);
  const lake = await holdLake(config, catalog, truth);
  return {
    differences: [...hot.differences, ...lake.differences].map(describeDifference),
    hotRows: hot.rows,
    candles: hot.candles,
    lakeRows: lake.rows,
    lakeFiles: lake.files,
  };
}

function holdHot(config: Config, catalog: DatasetCatalog, truth: Truth) {
  const readers = Array.from({ length: config.lanes }, (_, lane) => new HotReader(laneFile(folders(config).hot, lane)));
  try {
    const count = (dataset: string) =>
      readers.reduce((sum, r) => sum + r.tableRows(dataset).reduce((rows, table) => rows + table.length, 0), 0);
    const events = [...catalog.keys()].filter((name) => name !== TRADES.name);
    return {
      differences: compareHot(truth, catalog, readers),
      rows: events.reduce((sum, name) => sum + count(name), 0),
      candles: count("candles"),
    };
  } finally {
    for (const reader of readers) reader.close();
  }
}

async function holdLake(config: Config, catalog: DatasetCatalog, truth: Truth) {
  const files = await manifestFiles(folders(config).lake);
  const instance = await DuckDBInstance.create(":memory:", { threads: "1", memory_limit: "512MB" });
  const connection = await instance.connect();
  try {
    for (const spec of catalog.values()) {
      const own = files
        .filter((file) => file.dataset === spec.name)
        .map((file) => `'${file.path.replaceAll("'", "''")}'`);
      const columns = spec.columns.map((c) =>
        c.type === "u128"
          ? `("${c.name}_hi"::UHUGEINT * 18446744073709551616::UHUGEINT + "${c.name}_lo") AS "${c.name}"`
          : `"${c.name}"`,
      );
      const rows = `SELECT ${columns.join(", ")} FROM read_parquet([${own.join(", ")}], hive_partitioning = false)`;
      const empty = `SELECT ${spec.columns.map((c) => `NULL AS "${c.name}"`).join(", ")} WHERE false`;
      await connection.run(`CREATE VIEW "${spec.name}" AS ${own.length === 0 ? empty : rows}`);
    }
    const query = async (sql: string) => (await connection.runAndReadAll(sql)).getRowObjects();
    const differences = await compareLake(truth, catalog, query);
    return { differences, rows: files.reduce((sum, file) => sum + file.rows, 0), files: files.length };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function manifestFiles(lake: string): Promise<{ path: string; dataset: string; rows: number }[]> {
  const folder = join(lake, "manifest");
  if (!existsSync(folder)) return [];
  const names = (await readdir(folder)).filter((name) => /^\d+\.json$/.test(name)).sort();
  const entries = await Promise.all(names.map(async (name) => JSON.parse(await readFile(join(folder, name), "utf8"))));
  return entries
    .flatMap((entry: { files: { key: string; dataset: string; rows: number }[] }) => entry.files)
    .map(({ key, dataset, rows }) => ({ path: join(lake, key), dataset, rows }));
}

function describeDifference({ store, dataset, expectedRows, rows, content }: Difference): string {
  const what =
    content === undefined
      ? `${rows} rows instead of ${expectedRows}`
      : `${rows} rows as expected, but their content differs`;
  return `${store} ${dataset}: ${what}`;
}
