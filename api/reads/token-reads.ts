/**
 * What the API knows of tokens, as a contract: routes, the live feed and the dashboard read through it and know neither
 * SQLite nor Parquet. Rows come with the columns of their dataset (`pipeline/datasets/`), addresses as bytes, amounts as
 * bigint; every answer says how final it is and where it was read.
 *
 * Errors: `Transient` HOT_MISSING while the lane of a token is not on this host or not begun, LAKE_BUSY when too many old
 * ranges are read at once, READ_TIMEOUT.
 */
import type { CandleRow } from "../../pipeline/datasets/candles.ts";
import type { BlockRef } from "../../pipeline/position.ts";
import type { EventPoint, Found, HotEvent, OffsetPage, Page, Row } from "../../storage/hot/reader.ts";

export type { EventPoint, Found, HotEvent, OffsetPage, Page, Row };

/** `hot`: the lanes' SQLite files. `lake`: Parquet, for what has aged out of them. */
export type ReadSource = "hot" | "lake" | "lake+hot";

/** How far an answer reaches and how far it can still change. */
export interface Standing {
  /** Up to this slot nothing that was answered will change. */
  readonly finalUpTo: number;
  /** Candles that ended by this time (Unix seconds) will not change; null before the first final block. */
  readonly finalTime: number | null;
  /** The block up to which the chain was seen; null for an answer from the lake alone. */
  readonly asOf: BlockRef | null;
  readonly source: ReadSource;
}

export interface Answered<T> {
  readonly data: T;
  readonly standing: Standing;
}

/** A place in the list of tokens. */
export interface MintPoint {
  readonly firstSlot: number;
  readonly mint: Uint8Array;
}

/** By what tokens are ranked: trades of the last hour, or SOL swapped in the last day, up to the newest block. */
export type Ranking = "hot" | "volume";

export interface RankedMint {
  /** Row of `mints`. */
  readonly row: Row;
  /** In the hour up to the newest block. */
  readonly trades1h: number;
  /** SOL swapped in the day up to the newest block, lamports. */
  readonly volume24h: bigint;
}

/** Candles in [from, to), Unix seconds: the newest `limit` of them, oldest first. */
export interface CandleRange {
  /** Null: as far back as it takes to find `limit` candles. */
  readonly from: number | null;
  /** Null: up to the newest. */
  readonly to: number | null;
  readonly limit: number;
}

export interface Candles {
  readonly rows: readonly CandleRow[];
  /** There are older ones in the range. */
  readonly more: boolean;
}

export interface TokenReads {
  /** Changes whenever an answer about this token (null: about any) may change. Cheap: asked for each request. */
  version(mint: Uint8Array | null): string;
  /** Where the lane of this token stands (null: the lowest of all lanes). */
  standing(mint: Uint8Array | null): Standing;

  /** Row of `mints`; null for a token that was never seen. */
  mint(mint: Uint8Array): Answered<Row | null>;
  /** Rows of `mints`, in the order asked for; tokens that were never seen are left out. */
  details(mints: readonly Uint8Array[]): Answered<Row[]>;
  /** Rows of `mints` by the slot in which they were first seen. */
  mints(page: Page<MintPoint>): Answered<Row[]>;
  /** The best of a ranking; it is made anew every few seconds. */
  ranked(by: Ranking, page: { readonly limit: number; readonly offset: number }): Promise<Answered<RankedMint[]>>;
  /** Tokens by name or symbol: whole words first, then beginnings, then anywhere; those that trade most come first. */
  search(text: string, limit: number): Promise<Answered<RankedMint[]>>;

  /** Rows of `trades` in chain order, hot and old as one. */
  trades(mint: Uint8Array, page: Page<EventPoint>): Promise<Answered<Row[]>>;
  /** Candles of an interval (seconds), hot and old as one. */
  candles(mint: Uint8Array, interval: number, range: CandleRange): Promise<Answered<Candles>>;

  /** Events in chain order, of those that are still hot. */
  events(mint: Uint8Array, page: Page<EventPoint>): Answered<HotEvent[]>;
  eventCount(mint: Uint8Array): number;
  /** Hot candles by time; `after` is a candle's time. */
  candlePage(mint: Uint8Array, interval: number, page: Page<number>): Answered<Row[]>;
  candleCount(mint: Uint8Array, interval: number): number;
  /** Open orders of one side (`LONG`, `SHORT`) by the start of their price range. */
  orders(mint: Uint8Array, orderType: number, page: OffsetPage): Answered<Row[]>;
  orderCount(mint: Uint8Array, orderType: number): number;
  /** Open orders of a user by the time they were opened. */
  userOrders(user: Uint8Array, mint: Uint8Array | null, page: OffsetPage): Answered<Row[]>;
  userOrderCount(user: Uint8Array, mint: Uint8Array | null): number;
  /** Hot events that concern a user, with their content where it is held. */
  userEvents(user: Uint8Array, mint: Uint8Array | null, page: Page<EventPoint>): Answered<UserEvent[]>;
  userEventCount(user: Uint8Array, mint: Uint8Array | null): number;
  /**
   * Rows of `trades` of a user in chain order, hot and old as one. No index has them: a page may end before it is full, or empty,
   * and `looked` then says where to go on.
   */
  userTrades(user: Uint8Array, mint: Uint8Array | null, page: Page<EventPoint>): Promise<UserTrades>;

  stats(): ReadStats;
  close(): void;
}

export interface UserTrades extends Answered<Row[]> {
  /** Up to here was looked; null: `data` is a page as asked for, or the end. */
  readonly looked: EventPoint | null;
}

/** A row of `user_events` and the event it stands for. */
export interface UserEvent {
  readonly row: Row;
  /** Null when the event's dataset is not stored. */
  readonly event: HotEvent | null;
}

export interface ReadStats {
  /** Lanes that can be read on this host, of all. */
  readonly lanes: number;
  readonly lanesTotal: number;
  readonly mints: number;
  readonly bytes: number;
  /** Rows by dataset of events since the hot stores began. */
  readonly appended: ReadonlyMap<string, number>;
  /** Events of the minute up to the newest block. */
  readonly recentEvents: number;
  /** Greatest block time held, Unix seconds. */
  readonly headTime: number | null;
  /** Block time (Unix seconds) and program of the newest event. */
  readonly lastEvent: { readonly time: number; readonly program: Uint8Array } | null;
}
