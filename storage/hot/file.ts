/** A lane's SQLite file: opening it with the settings that durability rests on, and its schema. */
import { Database } from "bun:sqlite";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { ColumnSpec, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal, Transient } from "../../pipeline/errors.ts";
import type { DatasetCatalog } from "../../pipeline/wire/batch.ts";
import { candleTablesSql } from "./candle-table.ts";
import { LANE_TABLE, type LaneNumber, mustBeLane, writeLane } from "./lanes.ts";
import { addColumnSql, eventTableSql, STATE_TABLES, stateTableSql } from "./layout.ts";
import { schemaError } from "./sqlite-error.ts";

/** "Slce": tells a hot store from other SQLite files. */
const APPLICATION_ID = 0x536c6365;
/** Raised when Sluice's own tables change. A file of another version is rebuilt, not migrated: it is a view. */
const SCHEMA_VERSION = 3;

/** Rows are wide (addresses, a signature): twice the usual page takes a tenth off the cost of a commit. */
const PAGE_BYTES = 8192;
/**
 * Pages in the write-ahead log before they are moved into the file: 32 MiB. While catching up each commit touches the same
 * pages of candles and ledger again; the longer the log, the fewer times they are written.
 */
const CHECKPOINT_PAGES = 4096;

/** Sluice's own tables. `_events` is the ledger: the events of a token in chain order, and where their rows are. */
const OWN_TABLES = [
  LANE_TABLE,
  `CREATE TABLE _position (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, epoch INTEGER NOT NULL,
     slot INTEGER, hash TEXT, cursor TEXT, module_hash TEXT, final_slot INTEGER NOT NULL, input_seq INTEGER NOT NULL)
     STRICT`,
  "INSERT INTO _position VALUES (1, 0, 0, NULL, NULL, NULL, NULL, 0, 0)",
  "CREATE TABLE _blocks (slot INTEGER PRIMARY KEY, hash TEXT NOT NULL, time INTEGER) STRICT",
  // The file describes itself: readers need no configuration.
  "CREATE TABLE _datasets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL) STRICT",
  "CREATE TABLE _mint_ids (id INTEGER PRIMARY KEY, mint BLOB NOT NULL UNIQUE) STRICT",
  "CREATE TABLE _journal_mint_ids (slot INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (slot, id)) STRICT, WITHOUT ROWID",
  `CREATE TABLE _journal_rows (slot INTEGER NOT NULL, dataset INTEGER NOT NULL, first_row INTEGER NOT NULL,
     PRIMARY KEY (slot, dataset)) STRICT, WITHOUT ROWID`,
  `CREATE TABLE _events (mint_id INTEGER NOT NULL, slot INTEGER NOT NULL, tx_index INTEGER NOT NULL,
     event_index INTEGER NOT NULL, dataset INTEGER NOT NULL, row INTEGER NOT NULL, trade_row INTEGER,
     PRIMARY KEY (mint_id, slot, tx_index, event_index, dataset)) STRICT, WITHOUT ROWID`,
  "CREATE TABLE _outbox (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, slot INTEGER NOT NULL, hash TEXT NOT NULL, body BLOB NOT NULL) STRICT",
];

export function laneFile(folder: string, lane: number): string {
  return join(folder, `lane-${lane}.sqlite`);
}

export interface FileLimits {
  readonly busyTimeoutMs: number;
  readonly pageCacheBytes: number;
  /** Largest size of the file; null = as far as the disk goes. */
  readonly fileBytesMax: number | null;
}

/** Opens for writing, creates what is missing, and refuses a file that this program cannot keep right. */
export function openForWriting(file: string, lane: LaneNumber, catalog: DatasetCatalog, limits: FileLimits): Database {
  makeFolder(file);
  const db = new Database(file, { create: true, readwrite: true, safeIntegers: true, strict: true });
  try {
    db.run(`PRAGMA busy_timeout = ${limits.busyTimeoutMs}`);
    db.run(`PRAGMA page_size = ${PAGE_BYTES}`);
    const mode = db.prepare("PRAGMA journal_mode = WAL").values()[0]?.[0];
    if (mode !== "wal") {
      throw new Fatal("HOT_NO_WAL", "the hot store cannot keep a write-ahead log", {
        where: file,
        hint: "The file must lie on a local disk: network file systems do not have the shared memory that it needs.",
      });
    }
    // FULL: a committed block survives power loss. Batched, it costs about a third.
    db.run("PRAGMA synchronous = FULL");
    db.run(`PRAGMA cache_size = -${Math.ceil(limits.pageCacheBytes / 1024)}`);
    db.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    db.run("PRAGMA journal_size_limit = 67108864");
    db.run("PRAGMA temp_store = MEMORY");
    if (limits.fileBytesMax !== null) db.run(`PRAGMA max_page_count = ${Math.floor(limits.fileBytesMax / PAGE_BYTES)}`);
    inTransaction(db, () => prepareSchema(db, file, lane, catalog));
    return db;
  } catch (error) {
    db.close(true);
    throw error;
  }
}

function makeFolder(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
  } catch (cause) {
    throw new Fatal("HOT_UNWRITABLE", "the folder of the hot store cannot be made", {
      where: dirname(file),
      hint: "Check the path, that this user may write to it, and that it is not mounted read-only.",
      cause,
    });
  }
}

/** Opens for reading beside the writer; other processes may. Throws `Transient` while the lane has no file yet. */
export function openForReading(file: string, busyTimeoutMs: number): Database {
  if (!existsSync(file)) throw missing(file);
  const db = new Database(file, { readonly: true, safeIntegers: true, strict: true });
  try {
    db.run(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    if (checkVersion(db, file) === "empty") throw missing(file);
    return db;
  } catch (error) {
    db.close(true);
    throw error;
  }
}

export function inTransaction<T>(db: Database, action: () => T): T {
  db.run("BEGIN IMMEDIATE");
  try {
    const result = action();
    db.run("COMMIT");
    return result;
  } catch (error) {
    // SQLite has already rolled back by itself after some errors.
    if (db.inTransaction) db.run("ROLLBACK");
    throw error;
  }
}

/** Datasets that are stored as events: those of the catalog that are not state. `Fatal` when one has a state's name. */
export function eventDatasets(catalog: DatasetCatalog): DatasetSpec[] {
  const state = new Map(STATE_TABLES.map(({ spec }) => [spec.name, spec]));
  for (const spec of catalog.values()) {
    if (!state.has(spec.name) || state.get(spec.name) === spec) continue;
    throw new Fatal("DATASET_NAME", `the name ${spec.name} is taken by the lanes' state`, {
      hint: "Give the event's dataset another name.",
    });
  }
  return [...catalog.values()].filter((spec) => !state.has(spec.name));
}

function prepareSchema(db: Database, file: string, lane: LaneNumber, catalog: DatasetCatalog): void {
  if (checkVersion(db, file) === "empty") {
    db.run(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    for (const sql of OWN_TABLES) db.run(sql);
    writeLane(db, lane);
  }
  mustBeLane(db, file, lane);
  checkPosition(db, file);
  for (const table of STATE_TABLES) {
    prepareDataset(db, file, table.spec, table.spec === CANDLES ? candleTablesSql() : stateTableSql(table));
  }
  for (const spec of eventDatasets(catalog)) prepareDataset(db, file, spec, eventTableSql(spec));
}

function checkVersion(db: Database, file: string): "empty" | "ready" {
  const pragma = (name: string) => Number(db.prepare(`PRAGMA ${name}`).values()[0]?.[0]);
  const tables = Number(db.prepare("SELECT count(*) FROM sqlite_master").values()[0]?.[0]);
  if (tables === 0) return "empty";
  if (pragma("application_id") !== APPLICATION_ID) {
    throw schemaError("the file is not a hot store", file, "Set another folder for the lanes, or move this file away.");
  }
  const version = pragma("user_version");
  if (version > SCHEMA_VERSION) {
    const hint = "Run the newer version again, or move the file aside to have the lane rebuilt.";
    throw schemaError(
      `a newer version of Sluice wrote this file (schema ${version}, not ${SCHEMA_VERSION})`,
      file,
      hint,
    );
  }
  if (version < SCHEMA_VERSION)
    throw schemaError(`an older version of Sluice wrote this file (schema ${version})`, file);
  return "ready";
}

/** A position that disagrees with the blocks was not written by one commit: the file was restored in part, or edited. */
function checkPosition(db: Database, file: string): void {
  const stands = db.prepare("SELECT slot, hash FROM _position").values();
  const last = db.prepare("SELECT slot, hash FROM _blocks ORDER BY slot DESC LIMIT 1").values()[0] ?? [null, null];
  if (stands.length === 1 && stands[0]![0] === last[0] && stands[0]![1] === last[1]) return;
  throw schemaError(`its position (${stands[0]?.[0] ?? "none"}) is not its last block (${last[0] ?? "none"})`, file);
}

/** Datasets of a file, by their number in the ledger. */
export function storedDatasets(db: Database): Map<number, DatasetSpec> {
  const rows = db.prepare("SELECT id, spec FROM _datasets ORDER BY id").values();
  return new Map(rows.map(([id, spec]) => [Number(id), JSON.parse(String(spec)) as DatasetSpec]));
}

/** Creates the dataset's tables, or checks that they are the ones expected; nullable columns may have come at the end. */
function prepareDataset(db: Database, file: string, spec: DatasetSpec, create: readonly string[]): void {
  const row = db.prepare("SELECT spec FROM _datasets WHERE name = ?").values(spec.name)[0];
  const text = JSON.stringify(spec);
  if (row === undefined) {
    for (const sql of create) db.run(sql);
    db.prepare("INSERT INTO _datasets (name, spec) VALUES (?, ?)").run(spec.name, text);
    return;
  }
  if (row[0] === text) return;
  const old = JSON.parse(String(row[0])) as DatasetSpec;
  if (old.version > spec.version)
    throw schemaError(`dataset ${spec.name} is of a newer version (${old.version})`, file);
  const added = spec.columns.slice(old.columns.length);
  const same = old.columns.every((column, i) => sameColumn(column, spec.columns[i]));
  if (old.version < spec.version || !same || added.some((c) => c.nullable !== true)) {
    throw schemaError(`dataset ${spec.name} has changed since this file was written`, file);
  }
  for (const column of added) for (const sql of addColumnSql(spec, column)) db.run(sql);
  db.prepare("UPDATE _datasets SET spec = ? WHERE name = ?").run(text, spec.name);
}

function sameColumn(a: ColumnSpec, b: ColumnSpec | undefined): boolean {
  return a.name === b?.name && a.type === b.type && (a.nullable === true) === (b.nullable === true);
}

function missing(file: string): Transient {
  return new Transient("HOT_MISSING", "the lane has no hot store yet", {
    where: file,
    hint: "It appears when the lane's owner starts. Check that the lane runs on this machine and that the folder is right.",
  });
}
