/**
 * Reads a lane's file beside its writer, from this or any other process: what the API answers from, and what SQL adds to
 * the lake. Rows come with the columns of their dataset, addresses as bytes. Every method sees one committed state;
 * several see the same one inside `read`. Reading never blocks the writer, but a snapshot that is held long keeps its
 * write-ahead log from being emptied: read, let go, work.
 */
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { MINTS } from "../../pipeline/datasets/mints.ts";
import { ORDERS } from "../../pipeline/datasets/orders.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { USER_EVENTS } from "../../pipeline/datasets/user_events.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { tokenCandlesSql } from "./candle-table.ts";
import { fromSql, type SqlValue } from "./codec.ts";
import { canonicalDump } from "./dump.ts";
import { firstRowFrom } from "./event-tables.ts";
import { storedDatasets } from "./file.ts";
import { decodeRow, isState, quoted, selectList } from "./layout.ts";
import { LaneFileReader, type Row } from "./reader-base.ts";
import { sortSqliteError } from "./sqlite-error.ts";

export type { HotStand, Reach, Row } from "./reader-base.ts";

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

/** Rows found among those looked at, and where looking ended; null: at the end of the listing, or there was no room for more. */
export interface Found<Point> {
  readonly rows: Row[];
  readonly looked: Point | null;
}

export interface HotEvent {
  readonly dataset: string;
  /** The dataset as the file describes it: types and names of its columns. */
  readonly spec: DatasetSpec;
  readonly row: Row;
}

/** Rows of one piece of `tableRows`. */
const PIECE_ROWS = 4_096;

export class HotReader extends LaneFileReader {
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
        .query(`SELECT trades, volume_quote FROM ${tokenCandlesSql(interval, "?1", "AND time >= ?2")}`)
        .values(mintId, from),
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

  /**
   * Trades of a user above `slot`, of one token or of all, in chain order, among at most `rowsMax` rows: no index has them, every
   * row is looked at.
   */
  userTrades(
    user: Uint8Array,
    mint: Uint8Array | null,
    { order, limit, after }: Page<EventPoint>,
    slot: number,
    rowsMax: number,
  ): Found<EventPoint> {
    return this.read(() => {
      const [, spec] = this.stored(TRADES.name);
      const rowFrom = (from: number) => firstRowFrom(this.db, TRADES.name, from);
      const [lowest, highest] = [rowFrom(slot + 1), rowFrom(Number.MAX_SAFE_INTEGER) - 1];
      const isRising = order === "asc";
      const low = isRising && after !== undefined ? Math.max(lowest, rowFrom(after.slot)) : lowest;
      const high = !isRising && after !== undefined ? Math.min(highest, rowFrom(after.slot + 1) - 1) : highest;
      if (low > high) return { rows: [], looked: null };
      const last = isRising ? Math.min(high, low + rowsMax - 1) : Math.max(low, high - rowsMax + 1);
      const [beyond, direction] = sqlOrder({ order });
      const [ofMint, mintParams] = mintFilter(mint);
      const where = after === undefined ? "" : `AND (t.slot, t.tx_index, t.event_index) ${beyond} (?, ?, ?)`;
      const rows = this.rows(
        spec,
        `WHERE t._row BETWEEN ? AND ? AND t.user = ? AND t.mint_id IS NOT NULL ${ofMint} ${where}
         ORDER BY t._row ${direction} LIMIT ?`,
        [...(isRising ? [low, last] : [last, high]), user, ...mintParams, ...pointParams(after), limit],
      );
      const isWhole = rows.length >= limit || last === (isRising ? high : low);
      return { rows, looked: isWhole ? null : pointOf(this.rows(spec, "WHERE t._row = ?", [last])[0]!) };
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
    return this.count(tokenCandlesSql(interval, ID_OF_MINT), [mint]);
  }

  /** Candles of a token and interval (seconds) by time; `after` is a candle's time, Unix seconds. */
  candles(mint: Uint8Array, interval: number, page: Page<number>): Row[] {
    const [beyond, direction] = sqlOrder(page);
    const { after = null, limit, offset = 0 } = page;
    const isAfter = after === null ? "" : `AND time ${beyond} ?4`;
    const order = `ORDER BY time ${direction} LIMIT ?2 + ?3`;
    const params = [mint, limit, offset, ...(after === null ? [] : [after])];
    const from = tokenCandlesSql(interval, ID_OF_MINT, isAfter, order);
    return this.rows(CANDLES, `ORDER BY t.time ${direction} LIMIT ?2 OFFSET ?3`, params, from);
  }

  /**
   * All rows of a dataset in columns, piece by piece: events above `slot` in chain order; state whole. One
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

  private ledger(columns: string, which: string, mint: Uint8Array, page: Page<EventPoint>): SqlValue[][] {
    const [beyond, direction] = sqlOrder(page);
    const where = page.after === undefined ? "" : `AND (slot, tx_index, event_index) ${beyond} (?, ?, ?)`;
    const sql = `SELECT ${columns} FROM _events WHERE mint_id = (SELECT id FROM _mint_ids WHERE mint = ?) ${which} ${where}
       ORDER BY slot ${direction}, tx_index ${direction}, event_index ${direction}, dataset ${direction} LIMIT ? OFFSET ?`;
    return this.db.query(sql).values(mint, ...pointParams(page.after), page.limit, page.offset ?? 0);
  }
}

export function pointOf(row: Row): EventPoint {
  return {
    slot: Number(row["slot"]),
    txIndex: row["tx_index"] as number,
    eventIndex: row["event_index"] as number,
  };
}

/** The number of the token whose address is the first parameter. */
const ID_OF_MINT = "(SELECT id FROM _mint_ids WHERE mint = ?1)";

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
