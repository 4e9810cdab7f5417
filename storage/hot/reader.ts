/**
 * Reads a lane's file beside its writer, from this or any other process: what the API answers from, and what SQL adds to
 * the lake. Rows come with the columns of their dataset, addresses as bytes. Every method sees one committed state;
 * several see the same one inside `read`. Reading never blocks the writer, but a snapshot that is held long keeps its
 * write-ahead log from being emptied: read, let go, work.
 */
import type { Database, Statement } from "bun:sqlite";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { MINTS } from "../../pipeline/datasets/mints.ts";
import { ORDERS } from "../../pipeline/datasets/orders.ts";
import { USER_EVENTS } from "../../pipeline/datasets/user_events.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Position } from "../../pipeline/position.ts";
import { type Cell, type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { fromSql, type SqlValue } from "./codec.ts";
import { canonicalDump } from "./dump.ts";
import { firstRowFrom } from "./event-tables.ts";
import { openForReading, storedDatasets } from "./file.ts";
import { decodeRow, isState, quoted, selectList } from "./layout.ts";
import { finalTimeOf, headTimeOf, readPosition } from "./position.ts";
import { sortSqliteError } from "./sqlite-error.ts";

export type Row = Record<string, Cell>;

/** Where a lane stands, for readers. */
export interface HotStand {
  readonly position: Position;
  readonly finalSlot: number;
  /** Greatest block time of final blocks, Unix seconds: a candle that ended by then will not change any more. */
  readonly finalTime: number | null;
  /** Greatest block time held, Unix seconds; null before the first block. */
  readonly headTime: number | null;
  /** Tells this state of the file from every other: changes with each commit and undo. */
  readonly version: string;
}

/** How far back the rows of a dataset reach. */
export interface Reach {
  /** Slot and block time of the oldest row. */
  readonly slot: number;
  readonly time: number;
  /** Rows before it have aged out. */
  readonly expired: boolean;
}

/** What ranking and search need to know of a token. */
export interface MintBrief {
  /** Its number in this lane. */
  readonly id: number;
  readonly mint: Uint8Array;
  readonly name: string | null;
  readonly symbol: string | null;
  /** Unix seconds; null before the first trade. */
  readonly latestTradeTime: number | null;
}

/** A place in the chain, as the ledger orders events. */
export interface EventPoint {
  readonly slot: number;
  readonly txIndex: number;
  readonly eventIndex: number;
}

/** A page of a listing: `after` is the last entry of the page before, in the order asked for. */
export interface Page<Point> {
  readonly order: "asc" | "desc";
  readonly limit: number;
  readonly after?: Point;
  /** Entries to leave out at the beginning. */
  readonly offset?: number;
}

/** A page of a listing of what is open now: it changes anyway, so pages are counted. */
export interface OffsetPage {
  readonly order: "asc" | "desc";
  readonly limit: number;
  readonly offset: number;
}

export interface HotEvent {
  readonly dataset: string;
  /** The dataset as the file describes it: types and names of its columns. */
  readonly spec: DatasetSpec;
  readonly row: Row;
}

/** Rows of one piece of `tableRows`. */
const PIECE_ROWS = 4_096;

export class HotReader {
  private readonly db: Database;
  private readonly file: string;
  private readonly versionRow: Statement;
  private depth = 0;

  /** Throws `Transient` (HOT_MISSING) while the lane has no file. */
  constructor(file: string, options: { readonly busyTimeoutMs: number } = { busyTimeoutMs: 2_000 }) {
    this.file = file;
    this.db = this.guard(() => openForReading(file, options.busyTimeoutMs));
    this.versionRow = this.db.prepare("SELECT version, hash FROM _position");
  }

  close(): void {
    this.versionRow.finalize();
    this.db.close(true);
  }

  /** Runs `action` on one snapshot. It must not wait for anything. */
  read<T>(action: () => T): T {
    return this.guard(() => {
      this.enter();
      try {
        return action();
      } finally {
        this.leave();
      }
    });
  }

  /** Null while the lane is empty. */
  stand(): HotStand | null {
    return this.read(() => {
      const stands = readPosition(this.db);
      if (stands === null) return null;
      const { position, finalSlot } = stands;
      const finalTime = finalTimeOf(this.db);
      return { position, finalSlot, finalTime, headTime: headTimeOf(this.db), version: this.version() };
    });
  }

  /** Tells this state of the file from every other; a microsecond, so that it can be asked for each request. */
  version(): string {
    try {
      const [version, hash] = this.versionRow.values()[0]!;
      return `${version}-${String(hash ?? "").slice(0, 8)}`;
    } catch (error) {
      throw sortSqliteError(error, this.file);
    }
  }

  /** Null while no row of the dataset is held. */
  reach(dataset: string): Reach | null {
    return this.read(() => {
      this.stored(dataset);
      const sql = `SELECT _row, slot, block_time FROM ${quoted(dataset)} ORDER BY _row LIMIT 1`;
      const first = this.db.query(sql).values()[0];
      if (first === undefined) return null;
      return { slot: Number(first[1]), time: Number(first[2]), expired: first[0] !== 1n };
    });
  }

  mint(address: Uint8Array): Row | null {
    return this.rows(MINTS, "WHERE t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?)", [address])[0] ?? null;
  }

  /** Tokens in the order in which they were first seen. */
  mints(page: Page<{ readonly firstSlot: number; readonly mint: Uint8Array }>): Row[] {
    const [beyond, direction] = sqlOrder(page);
    const { after } = page;
    const where = after === undefined ? "" : `WHERE (t.first_slot, m.mint) ${beyond} (?, ?)`;
    return this.rows(
      MINTS,
      `JOIN _mint_ids m ON m.id = t.mint_id ${where} ORDER BY t.first_slot ${direction}, m.mint ${direction} LIMIT ?`,
      [...(after === undefined ? [] : [after.firstSlot, after.mint]), page.limit],
    );
  }

  /** Tokens by their number, after `id`: to go through all of them piece by piece. */
  briefs(id: number, limit: number): MintBrief[] {
    const sql = `SELECT t.mint_id, m.mint, t.name, t.symbol, t.latest_trade_time FROM mints t
       JOIN _mint_ids m ON m.id = t.mint_id WHERE t.mint_id > ? ORDER BY t.mint_id LIMIT ?`;
    const rows = this.guard(() => this.db.query(sql).values(id, limit));
    return rows.map(([number, mint, name, symbol, time]) => ({
      id: Number(number),
      mint: mint as Uint8Array,
      name: name as string | null,
      symbol: symbol as string | null,
      latestTradeTime: time === null ? null : Number(time),
    }));
  }

  /** Trades and volume (lamports) of a token in its candles of `interval` that begin at `from` or later. */
  activity(mintId: number, interval: number, from: number): { trades: number; volume: bigint } {
    const rows = this.guard(() =>
      this.db
        .query("SELECT trades, volume_quote FROM candles WHERE mint_id = ? AND interval = ? AND time >= ?")
        .values(mintId, interval, from),
    );
    const quote = CANDLES.columns.find((c) => c.name === "volume_quote")!;
    let trades = 0;
    let volume = 0n;
    for (const [count, sum] of rows) {
      trades += Number(count);
      volume += fromSql(quote, sum!) as bigint;
    }
    return { trades, volume };
  }

  /** Events of a token in chain order. A trade is listed as such only where its event was not stored. */
  events(mint: Uint8Array, page: Page<EventPoint>): HotEvent[] {
    return this.read(() => {
      const datasets = storedDatasets(this.db);
      return this.ledger("dataset, row", "", mint, page).map(([dataset, row]) => {
        const spec = datasets.get(Number(dataset))!;
        return { dataset: spec.name, spec, row: this.rows(spec, "WHERE t._row = ?", [row!])[0]! };
      });
    });
  }

  /** The newest rows of a dataset of events, newest first. */
  newest(dataset: string, limit: number): Row[] {
    return this.read(() => this.rows(this.stored(dataset)[1], "ORDER BY t._row DESC LIMIT ?", [limit]));
  }

  /** How many events of a token are held. */
  eventCount(mint: Uint8Array): number {
    return this.count("_events WHERE mint_id = (SELECT id FROM _mint_ids WHERE mint = ?)", [mint]);
  }

  /** The events at one place; nothing when they have aged out. */
  eventsAt(mint: Uint8Array, point: EventPoint): HotEvent[] {
    const page = { order: "asc", limit: 2, after: { ...point, eventIndex: point.eventIndex - 1 } } as const;
    return this.events(mint, page).filter(({ row }) => isAt(row, point));
  }

  /** Trades of a token in chain order. */
  trades(mint: Uint8Array, page: Page<EventPoint>): Row[] {
    return this.read(() => {
      const [id, spec] = this.stored("trades");
      const isTrade = `AND (trade_row IS NOT NULL OR dataset = ${id})`;
      const rows = this.ledger("coalesce(trade_row, row)", isTrade, mint, page);
      return rows.map(([row]) => this.rows(spec, "WHERE t._row = ?", [row!])[0]!);
    });
  }

  /** Open orders of one side of a token, by the start of their price range. */
  orders(mint: Uint8Array, orderType: number, page: OffsetPage): Row[] {
    const [, direction] = sqlOrder(page);
    return this.rows(
      ORDERS,
      `WHERE t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) AND t.order_type = ?
       ORDER BY t.lock_lp_start_price ${direction}, t.order_pda ${direction} LIMIT ? OFFSET ?`,
      [mint, orderType, page.limit, page.offset],
    );
  }

  orderCount(mint: Uint8Array, orderType: number): number {
    const which = "t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) AND t.order_type = ?";
    return this.count(`orders t WHERE ${which}`, [mint, orderType]);
  }

  userOrderCount(user: Uint8Array, mint: Uint8Array | null): number {
    const [ofMint, mintParams] = mintFilter(mint);
    return this.count(`orders t WHERE t.user = ? ${ofMint}`, [user, ...mintParams]);
  }

  /** Open orders of a user, of one token or of all, by the time they were opened. */
  userOrders(user: Uint8Array, mint: Uint8Array | null, page: OffsetPage): Row[] {
    const [, direction] = sqlOrder(page);
    const [ofMint, mintParams] = mintFilter(mint);
    return this.rows(
      ORDERS,
      `WHERE t.user = ? ${ofMint} ORDER BY t.start_time ${direction}, t.order_pda ${direction} LIMIT ? OFFSET ?`,
      [user, ...mintParams, page.limit, page.offset],
    );
  }

  /** Events that concern a user, of one token or of all, in chain order; `events` has their content. */
  userEvents(user: Uint8Array, mint: Uint8Array | null, page: Page<EventPoint>): Row[] {
    const [beyond, direction] = sqlOrder(page);
    const [ofMint, mintParams] = mintFilter(mint);
    const where = page.after === undefined ? "" : `AND (t.slot, t.tx_index, t.event_index) ${beyond} (?, ?, ?)`;
    return this.rows(
      USER_EVENTS,
      `WHERE t.user = ? ${ofMint} ${where}
       ORDER BY t.slot ${direction}, t.tx_index ${direction}, t.event_index ${direction} LIMIT ? OFFSET ?`,
      [user, ...mintParams, ...pointParams(page.after), page.limit, page.offset ?? 0],
    );
  }

  userEventCount(user: Uint8Array, mint: Uint8Array | null): number {
    const [ofMint, mintParams] = mintFilter(mint);
    return this.count(`user_events t WHERE t.user = ? ${ofMint}`, [user, ...mintParams]);
  }

  candleCount(mint: Uint8Array, interval: number): number {
    const which = "t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) AND t.interval = ?";
    return this.count(`candles t WHERE ${which}`, [mint, interval]);
  }

  /** Rows appended to each dataset of events since the file was made, those that have aged out included. */
  appended(): Map<string, number> {
    return this.read(() => {
      const events = [...storedDatasets(this.db).values()].filter(({ name }) => !isState(name));
      return new Map(
        events.map(({ name }) => [
          name,
          Number(this.db.query(`SELECT coalesce(max(_row), 0) FROM ${quoted(name)}`).values()[0]![0]),
        ]),
      );
    });
  }

  /** Block time (Unix seconds) and program of the newest event held; null when none is. */
  lastEvent(): { readonly time: number; readonly program: Uint8Array } | null {
    return this.read(() => {
      const events = [...storedDatasets(this.db).values()].filter(({ name }) => !isState(name));
      const newest = events.flatMap(({ name }) => {
        const sql = `SELECT block_time, program FROM ${quoted(name)} ORDER BY _row DESC LIMIT 1`;
        return this.db.query(sql).values();
      });
      const [time, program] = newest.sort(([a], [b]) => Number(b) - Number(a))[0] ?? [];
      return time === undefined ? null : { time: Number(time), program: program as Uint8Array };
    });
  }

  /** Rows of a dataset of events whose block time is `time` or later. */
  countSince(dataset: string, time: number): number {
    return this.read(() => {
      const last = this.db.query(`SELECT coalesce(max(_row), 0) FROM ${quoted(dataset)}`).values()[0]![0];
      return Number(last) + 1 - firstRowFrom(this.db, dataset, time, "block_time");
    });
  }

  /** Tokens held, and bytes of the file. */
  size(): { readonly mints: number; readonly bytes: number } {
    return this.read(() => {
      const of = (sql: string) => Number(this.db.query(sql).values()[0]![0]);
      const bytes = of("PRAGMA page_count") * of("PRAGMA page_size");
      return { mints: of("SELECT count(*) FROM mints"), bytes };
    });
  }

  /** Candles of a token and interval (seconds) by time; `after` is a candle's time, Unix seconds. */
  candles(mint: Uint8Array, interval: number, page: Page<number>): Row[] {
    const [beyond, direction] = sqlOrder(page);
    const where = page.after === undefined ? "" : `AND t.time ${beyond} ?`;
    return this.rows(
      CANDLES,
      `WHERE t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) AND t.interval = ? ${where}
       ORDER BY t.time ${direction} LIMIT ? OFFSET ?`,
      [mint, interval, ...(page.after === undefined ? [] : [page.after]), page.limit, page.offset ?? 0],
    );
  }

  /**
   * All rows of a dataset in columns, piece by piece: events above `slot` in chain order; state whole, by key. One
   * snapshot for all pieces, let go when the iteration ends or is left.
   */
  *tableRows(dataset: string, slot = -1): Generator<Table> {
    this.enter();
    try {
      const [, spec] = this.stored(dataset);
      const table = `SELECT ${selectList(spec)} FROM ${quoted(dataset)} t`;
      const rows = isState(dataset)
        ? this.db.prepare(table).iterate()
        : this.db
            .prepare(`${table} WHERE t._row >= ? ORDER BY t._row`)
            .iterate(firstRowFrom(this.db, dataset, slot + 1));
      let builder = new TableBuilder(spec, PIECE_ROWS);
      for (const row of rows as Iterable<Record<string, SqlValue>>) {
        builder.appendCells(decodeRow(spec, Object.values(row)));
        if (builder.length < PIECE_ROWS) continue;
        yield builder.finish();
        builder = new TableBuilder(spec, PIECE_ROWS);
      }
      if (builder.length > 0) yield builder.finish();
    } catch (error) {
      throw sortSqliteError(error, this.file);
    } finally {
      this.leave();
    }
  }

  /** The content as lines in canonical form (see `dump.ts`): equal content, equal lines. One snapshot. */
  *dump(): Generator<string> {
    this.enter();
    try {
      yield* canonicalDump(this.db);
    } finally {
      this.leave();
    }
  }

  /** What is wrong with the file, as SQLite's own check finds it; empty when sound. Reads the whole file. */
  problems(): string[] {
    const found = this.guard(() => this.db.query("PRAGMA integrity_check").values());
    return found.map(([problem]) => String(problem)).filter((problem) => problem !== "ok");
  }

  private ledger(columns: string, which: string, mint: Uint8Array, page: Page<EventPoint>): SqlValue[][] {
    const [beyond, direction] = sqlOrder(page);
    const where = page.after === undefined ? "" : `AND (slot, tx_index, event_index) ${beyond} (?, ?, ?)`;
    const sql = `SELECT ${columns} FROM _events WHERE mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) ${which} ${where}
       ORDER BY slot ${direction}, tx_index ${direction}, event_index ${direction}, dataset ${direction} LIMIT ? OFFSET ?`;
    return this.db.query(sql).values(mint, ...pointParams(page.after), page.limit, page.offset ?? 0);
  }

  private count(what: string, params: readonly SqlValue[]): number {
    return this.guard(() => Number(this.db.query(`SELECT count(*) FROM ${what}`).values(...params)[0]![0]));
  }

  private rows(spec: DatasetSpec, rest: string, params: readonly SqlValue[]): Row[] {
    return this.guard(() => {
      const sql = `SELECT ${selectList(spec)} FROM ${quoted(spec.name)} t ${rest}`;
      return this.db
        .query(sql)
        .values(...params)
        .map((values) => decodeRow(spec, values));
    });
  }

  private stored(dataset: string): [id: number, spec: DatasetSpec] {
    for (const [id, spec] of storedDatasets(this.db)) if (spec.name === dataset) return [id, spec];
    throw new Fatal("HOT_DATASET", `the hot store has no dataset "${dataset}"`, {
      where: this.file,
      hint: "Check the name, and that its program is configured.",
    });
  }

  private enter(): void {
    if (this.depth === 0) this.db.run("BEGIN");
    this.depth++;
  }

  private leave(): void {
    if (--this.depth === 0) this.db.run("COMMIT");
  }

  private guard<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw sortSqliteError(error, this.file);
    }
  }
}

function isAt(row: Row, { slot, txIndex, eventIndex }: EventPoint): boolean {
  return Number(row["slot"]) === slot && row["tx_index"] === txIndex && row["event_index"] === eventIndex;
}

function sqlOrder(page: { readonly order: "asc" | "desc" }): [beyond: ">" | "<", direction: "ASC" | "DESC"] {
  return page.order === "asc" ? [">", "ASC"] : ["<", "DESC"];
}

function mintFilter(mint: Uint8Array | null): [sql: string, params: Uint8Array[]] {
  return mint === null ? ["", []] : ["AND t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?)", [mint]];
}

function pointParams(point: EventPoint | undefined): number[] {
  return point === undefined ? [] : [point.slot, point.txIndex, point.eventIndex];
}
