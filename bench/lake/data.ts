/**
 * Trades that three stores hold: Parquet as the lake has it after compaction (a day in files of a million rows, sorted by mint),
 * the same rows in the order of arrival, and SQLite with indexes. Every value is whole-number arithmetic on the row's number,
 * so DuckDB and SQLite make the same rows each by itself. A few mints have most of the trades, and traders come back.
 * Signatures are empty: no question reads them, and making them would take longest.
 */
import { Database } from "bun:sqlite";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import bs58 from "bs58";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { seededRandom } from "../../pipeline/world.ts";
import { quoteText } from "../../storage/lake/columns.ts";
import { Duck } from "../../storage/lake/duckdb.ts";
import { describeDataset, partitionOf } from "../../storage/lake/entry.ts";
import type { LakeFile } from "../../storage/lake/reader.ts";
import { SORTED_GROUP_ROWS } from "../../storage/lake/sorted-file.ts";

const MINTS = 20_000;
const TRADERS = 200_000;
const ROWS_PER_SLOT = 12;
export const START_SLOT = 370_500_000;
/** Midnight UTC. */
export const START_TIME = 1_759_276_800;
const DAY = 86_400;
/** Rows of a file, as compaction makes them of 128 MiB. */
const FILE_ROWS = 1_000_000;
/** DuckDB's default, for files that nobody has compacted. */
const DEFAULT_GROUP_ROWS = 122_880;

const PRIME = 2_147_483_647;
/** A number below 2^31 that looks like noise, from the row number `i`: exact in 64-bit integers of any SQL. */
function noise(k: number): string {
  const x = `((i * ${40_014 + 2 * k} + ${k * 1_000_003}) % ${PRIME})`;
  return `((${x} * (${x} % 65521) + i % 65537) % ${PRIME})`;
}

/** Columns by name, in SQL that both understand; `div` is the division of integers. */
function columns(div: "//" | "/"): Readonly<Record<string, string>> {
  // The lower the number of a mint, the more often it is traded: density falls with its root.
  const part = `(${noise(1)} % 1000000)`;
  const swap = `${noise(4)} % 5 < 4`;
  return {
    slot: `${START_SLOT} + i ${div} ${ROWS_PER_SLOT}`,
    block_time: `${START_TIME} + (i ${div} ${ROWS_PER_SLOT}) * 2 ${div} 5`,
    tx_index: `i % ${ROWS_PER_SLOT}`,
    mint_id: `(${part} * ${part} ${div} 1000000) * ${MINTS} ${div} 1000000`,
    kind: `CASE WHEN ${swap} THEN 'buy_sell' ELSE 'long_short' END`,
    user_id: `${noise(3)} % ${TRADERS}`,
    is_buy: `CASE WHEN ${swap} THEN ${noise(5)} % 2 END`,
    base_amount: `CASE WHEN ${swap} THEN ${noise(6)} * 1000 END`,
    quote_amount: `CASE WHEN ${swap} THEN ${noise(7)} END`,
    price: `1000000000 + ${noise(8)}`,
  };
}

/** Address of the n-th mint. */
export function mintAddress(n: number): string {
  return addresses(1, n + 1)[n]!;
}

function addresses(seed: number, count: number): string[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => bs58.encode(Uint8Array.from({ length: 32 }, () => random() * 256)));
}

/** Makes all three in `folder`. */
export async function prepare(folder: string, rows: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const [mints, traders] = [addresses(1, MINTS), addresses(2, TRADERS)];
  await prepareParquet(folder, rows, mints, traders);
  prepareSqlite(join(folder, "trades.sqlite"), rows, mints, traders);
}

async function prepareParquet(folder: string, rows: number, mints: string[], traders: string[]): Promise<void> {
  const duck = await Duck.open({ memoryMb: 4_096, threads: 2, spillDir: folder });
  for (const [name, all] of [
    ["mints", mints],
    ["traders", traders],
  ] as const) {
    const path = join(folder, `${name}.csv`);
    await writeFile(path, `${all.join("\n")}\n`);
    await duck.run(`CREATE TABLE ${name} AS SELECT row_number() OVER () - 1 AS id, column0 AS address
      FROM read_csv(${quoteText(path)}, header = false, columns = {column0: 'VARCHAR'}, parallel = false)`);
  }
  const c = columns("//");
  const files: { sorted: LakeFile[]; arrival: LakeFile[] } = { sorted: [], arrival: [] };
  const rowsPerDay = (DAY * ROWS_PER_SLOT * 5) / 2;
  for (let from = 0; from < rows; ) {
    const to = Math.min(rows, from + FILE_ROWS, (Math.floor(from / rowsPerDay) + 1) * rowsPerDay);
    await duck.run(`CREATE OR REPLACE TABLE piece AS
      SELECT (${c["slot"]})::UBIGINT AS slot, (${c["block_time"]})::BIGINT AS block_time, (${c["tx_index"]})::UINTEGER AS tx_index,
        0::UINTEGER AS event_index, '' AS signature, '2' AS instruction_path, 0::UINTEGER AS ordinal,
        'JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ' AS program, m.address AS mint, ${c["kind"]} AS kind, u.address AS "user",
        (${c["is_buy"]})::BOOLEAN AS is_buy, (${c["base_amount"]})::UBIGINT AS base_amount,
        (${c["quote_amount"]})::UBIGINT AS quote_amount, 0::UBIGINT AS price_hi, (${c["price"]})::UBIGINT AS price_lo, i
      FROM (SELECT range AS i FROM range(${from}, ${to})) r
        JOIN mints m ON m.id = ${c["mint_id"]} JOIN traders u ON u.id = ${c["user_id"]}`);
    const date = new Date((START_TIME + Math.floor(from / rowsPerDay) * DAY) * 1_000).toISOString().slice(0, 10);
    for (const [order, layout, groupRows] of [
      ["mint, slot, tx_index", "sorted", SORTED_GROUP_ROWS],
      ["i", "arrival", DEFAULT_GROUP_ROWS],
    ] as const) {
      const key = `${partitionOf(TRADES.name, date)}/${from}.parquet`;
      const path = join(folder, layout, key);
      await mkdir(join(path, ".."), { recursive: true });
      await duck.run(`COPY (SELECT * EXCLUDE (i) FROM piece ORDER BY ${order}) TO ${quoteText(path)}
        (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${groupRows})`);
      files[layout].push(await fileOf(duck, key, date, layout === "sorted"));
    }
    from = to;
  }
  for (const [layout, list] of Object.entries(files)) {
    await writeFile(join(folder, `${layout}.json`), JSON.stringify(list));
  }
  duck.close();
}

/** As a manifest would tell of the file; `told` false: with ranges that rule nothing out. */
async function fileOf(duck: Duck, key: string, date: string, told: boolean): Promise<LakeFile> {
  const [row] = await duck.rows(
    "SELECT count(*), min(slot), max(slot), min(block_time), max(block_time), min(mint), max(mint) FROM piece",
  );
  const [rows, slotMin, slotMax, timeMin, timeMax, mintMin, mintMax] = row!;
  const anything = { min: 0, max: Number.MAX_SAFE_INTEGER };
  return {
    ...{ key, dataset: TRADES.name, date, rows: Number(rows), bytes: 1, sha256: "0".repeat(64), source: "main" },
    slot: told ? { min: Number(slotMin), max: Number(slotMax) } : anything,
    blockTime: told ? { min: Number(timeMin), max: Number(timeMax) } : anything,
    mint: told ? { min: String(mintMin), max: String(mintMax) } : { min: "", max: "~" },
    schema: describeDataset(TRADES),
  };
}

/** Addresses by number, as one would have it there; indexes for what is asked: mint, time and trader. */
function prepareSqlite(path: string, rows: number, mints: string[], traders: string[]): void {
  const db = new Database(path, { create: true });
  db.exec(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA temp_store = MEMORY;
    CREATE TABLE mints (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE);
    CREATE TABLE traders (id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE);
    CREATE TABLE trades (slot INTEGER, block_time INTEGER, tx_index INTEGER, mint_id INTEGER, kind TEXT,
      user_id INTEGER, is_buy INTEGER, base_amount INTEGER, quote_amount INTEGER, price INTEGER)`);
  for (const [name, all] of [
    ["mints", mints],
    ["traders", traders],
  ] as const) {
    const insert = db.prepare(`INSERT INTO ${name} VALUES (?, ?)`);
    db.transaction(() => {
      for (const [id, address] of all.entries()) insert.run(id, address);
    })();
  }
  db.exec(`WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < ${rows - 1})
    INSERT INTO trades SELECT ${Object.values(columns("/")).join(", ")} FROM r`);
  db.exec(`CREATE INDEX by_mint ON trades (mint_id, slot, tx_index); CREATE INDEX by_time ON trades (block_time);
    CREATE INDEX by_user ON trades (user_id); ANALYZE`);
  db.close();
}
