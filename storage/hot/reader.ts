/**
 * Reads a lane's file beside its writer, from this or any other process: what the API answers from, and what SQL adds to
 * the lake. Rows come with the columns of their dataset, addresses as bytes. Every method sees one committed state;
 * several see the same one inside `read`. Reading never blocks the writer, but a snapshot that is held long keeps its
 * write-ahead log from being emptied: read, let go, work.
 */
import type { Database } from "bun:sqlite";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { MINTS } from "../../pipeline/datasets/mints.ts";
import { ORDERS } from "../../pipeline/datasets/orders.ts";
import { USER_EVENTS } from "../../pipeline/datasets/user_events.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Position } from "../../pipeline/position.ts";
import { type Cell, type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import type { SqlValue } from "./codec.ts";
import { canonicalDump } from "./dump.ts";
import { firstRowFrom } from "./event-tables.ts";
import { openForReading, storedDatasets } from "./file.ts";
import { decodeRow, isState, quoted, selectList } from "./layout.ts";
import { finalTimeOf, readPosition } from "./position.ts";
import { sortSqliteError } from "./sqlite-error.ts";

export type Row = Record<string, Cell>;

/** Where a lane stands, for readers. */
export interface HotStand {
  readonly position: Position;
  readonly finalSlot: number;
  /** Greatest block time of final blocks, Unix seconds: a candle that ended by then will not change any more. */
  readonly finalTime: number | null;
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
}

/** A page of a listing of what is open now: it changes anyway, so pages are counted. */
export interface OffsetPage {
  readonly order: "asc" | "desc";
  readonly limit: number;
  readonly offset: number;
}

export interface HotEvent {
  readonly dataset: string;
  readonly row: Row;
}

/** Rows of one piece of `tableRows`. */
const PIECE_ROWS = 4_096;

export class HotReader {
  private readonly db: Database;
  private readonly file: string;
  private depth = 0;

  /** Throws `Transient` (HOT_MISSING) while the lane has no file. */
  constructor(file: string, options: { readonly busyTimeoutMs: number } = { busyTimeoutMs: 2_000 }) {
    this.file = file;
    this.db = this.guard(() => openForReading(file, options.busyTimeoutMs));
  }

  close(): void {
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
      return { position: stands.position, finalSlot: stands.finalSlot, finalTime: finalTimeOf(this.db) };
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

  /** Events of a token in chain order. A trade is listed as such only where its event was not stored. */
  events(mint: Uint8Array, page: Page<EventPoint>): HotEvent[] {
    return this.read(() => {
      const datasets = storedDatasets(this.db);
      return this.ledger("dataset, row", "", mint, page).map(([dataset, row]) => {
        const spec = datasets.get(Number(dataset))!;
        return { dataset: spec.name, row: this.rows(spec, "WHERE t._row = ?", [row!])[0]! };
      });
    });
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
       ORDER BY t.slot ${direction}, t.tx_index ${direction}, t.event_index ${direction} LIMIT ?`,
      [user, ...mintParams, ...pointParams(page.after), page.limit],
    );
  }

  /** Candles of a token and interval (seconds) by time; `after` is a candle's time, Unix seconds. */
  candles(mint: Uint8Array, interval: number, page: Page<number>): Row[] {
    const [beyond, direction] = sqlOrder(page);
    const where = page.after === undefined ? "" : `AND t.time ${beyond} ?`;
    return this.rows(
      CANDLES,
      `WHERE t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) AND t.interval = ? ${where}
       ORDER BY t.time ${direction} LIMIT ?`,
      [mint, interval, ...(page.after === undefined ? [] : [page.after]), page.limit],
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
       ORDER BY slot ${direction}, tx_index ${direction}, event_index ${direction}, dataset ${direction} LIMIT ?`;
    return this.db.query(sql).values(mint, ...pointParams(page.after), page.limit);
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

function sqlOrder(page: { readonly order: "asc" | "desc" }): [beyond: ">" | "<", direction: "ASC" | "DESC"] {
  return page.order === "asc" ? [">", "ASC"] : ["<", "DESC"];
}

function mintFilter(mint: Uint8Array | null): [sql: string, params: Uint8Array[]] {
  return mint === null ? ["", []] : ["AND t.mint_id = (SELECT id FROM _mint_ids WHERE mint = ?)", [mint]];
}

function pointParams(point: EventPoint | undefined): number[] {
  return point === undefined ? [] : [point.slot, point.txIndex, point.eventIndex];
}
