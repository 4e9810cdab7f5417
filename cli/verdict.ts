/**
 * What a finished run stored, held against the simulator's truth. The lake is read by plain DuckDB over the files that its
 * manifest names, as anybody could, not by the code that wrote it.
 */
import { DuckDBInstance } from "@duckdb/node-api";
import type { Config } from "../pipeline/config.ts";
import { TRADES } from "../pipeline/datasets/trades.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import type { Truth } from "../simulator/index.ts";
import { laneFile } from "../storage/hot/file.ts";
import { HotReader } from "../storage/hot/reader.ts";
import type { ObjectStore } from "../storage/lake/store.ts";
import { folders } from "./folders.ts";
import { lakeStore } from "./lake.ts";
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

/** The lake alone: for what was filled without the hot stores. */
export async function holdLakeAgainst(config: Config, truth: Truth): Promise<readonly string[]> {
  const { catalog } = await decodersFor(config);
  return (await holdLake(config, catalog, truth)).differences.map(describeDifference);
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
  const files = await manifestFiles(await lakeStore(config));
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

async function manifestFiles(lake: ObjectStore): Promise<{ path: string; dataset: string; rows: number }[]> {
  const keys = (await lake.list("manifest/")).filter((key) => /^manifest\/\d+\.json$/.test(key));
  const entries = await Promise.all(
    keys.map(async (key) => JSON.parse(Buffer.from((await lake.get(key))!).toString())),
  );
  const files = entries.flatMap((entry: { files: { key: string; dataset: string; rows: number }[] }) => entry.files);
  const replaced = new Set(entries.flatMap((entry: { replaces: string[] }) => entry.replaces));
  const live = files.filter(({ key }) => !replaced.has(key));
  return Promise.all(
    live.map(async ({ key, dataset, rows }) => ({ path: (await lake.localPath(key)) ?? key, dataset, rows })),
  );
}

function describeDifference({ store, dataset, expectedRows, rows, content }: Difference): string {
  const what =
    content === undefined
      ? `${rows} rows instead of ${expectedRows}`
      : `${rows} rows as expected, but their content differs`;
  return `${store} ${dataset}: ${what}`;
}
