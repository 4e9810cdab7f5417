/**
 * Old trades of one token or user, read from the lake's Parquet files: only files whose range of slots, times and tokens can hold
 * them are opened, newest days first, and reading stops when enough was found. One DuckDB, a few readers at a time.
 */
import type { DuckDBValue } from "@duckdb/node-api";
import type { CandleRow } from "../../pipeline/datasets/candles.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal, Transient } from "../../pipeline/errors.ts";
import { base58 } from "../../storage/lake/base58.ts";
import { cellOf, lakeNames, quoteName, quoteText, viewColumn } from "../../storage/lake/columns.ts";
import { Duck } from "../../storage/lake/duckdb.ts";
import { type LakeFile, LakeReader, type LakeSnapshot } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import type { EventPoint, Found, Page, Row } from "./token-reads.ts";

/** The lake's manifest is looked at again after this long, ms. Old rows do not change, only how far they reach. */
export const MANIFEST_MS = 5_000;
/** Files opened by one statement at most. */
const FILES_AT_ONCE = 64;
/** Rows that are looked through for a page of a user's trades before it is given as far as it came; whole days, and at least one. */
export const LOOKED_ROWS_MAX = 2_000_000;
/** Reads that may wait for their turn. */
const WAITING_MAX = 32;
const MEMORY_MB = 256;
/** The price as one number. */
const PRICE = viewColumn(TRADES.columns.find((column) => column.name === "price")!);

/** Candles that begin in from <= time < to (Unix seconds), of trades below a slot; null: without that bound. */
export interface OlderCandles {
  readonly from: number | null;
  readonly to: number | null;
  readonly belowSlot: number | null;
  /**
   * The candle of later trades that they end with, and the first to be told: it opens where they leave off, or is one with
   * the newest of them.
   */
  readonly shared: CandleRow | null;
}

export class LakeRows {
  private readonly store: ObjectStore;
  private readonly lookedRowsMax: number;
  private readonly source: string;
  private readonly manifest: LakeReader;
  private duck: Promise<Duck> | null = null;
  private queue: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private latest: { readonly at: number; readonly snapshot: Promise<LakeSnapshot> } | null = null;

  /** `source`: the one whose rows are read; others may share the lake. */
  constructor(store: ObjectStore, source: string, lookedRowsMax = LOOKED_ROWS_MAX) {
    this.lookedRowsMax = lookedRowsMax;
    this.store = store;
    this.source = source;
    this.manifest = new LakeReader(store);
  }

  /** The lake as it was at most `maxAgeMs` ago. */
  snapshot(now: number, maxAgeMs: number): Promise<LakeSnapshot> {
    if (this.latest !== null && now - this.latest.at <= maxAgeMs) return this.latest.snapshot;
    const snapshot = this.manifest.read();
    this.latest = { at: now, snapshot };
    // A failed look is not remembered.
    snapshot.catch(() => {
      if (this.latest?.snapshot === snapshot) this.latest = null;
    });
    return snapshot;
  }

  /** Looks whether the manifest is whole, also where it was read already. Throws `Fatal` LAKE_*. */
  async requireWhole(): Promise<void> {
    await this.manifest.requireWhole();
  }

  /** Slot up to which the lake holds the source's trades; -1 when it holds none. */
  lastSlot(lake: LakeSnapshot): number {
    const own = lake.lineages.filter(({ lineage: l }) => l.kind === "live" && l.source === this.source);
    const ofTrades = own.filter(({ lineage: l }) => l.dataset === "all" || l.dataset === TRADES.name);
    return Math.max(-1, ...ofTrades.map((l) => l.position.slot));
  }

  /**
   * The lake and the slot up to which it holds trades (-1: none), as it was a few seconds ago: or as it is now, where that is not as
   * far as `slot`. What has aged out of a hot store since we looked is in the lake as it is now.
   */
  async reaching(slot: number, now: number): Promise<{ readonly last: number; readonly lake: LakeSnapshot }> {
    for (let maxAgeMs = MANIFEST_MS; ; maxAgeMs = 0) {
      const lake = await this.snapshot(now, maxAgeMs);
      const last = this.lastSlot(lake);
      if (last < 0 || slot <= last || maxAgeMs === 0) return { last, lake };
    }
  }

  /** Trades of a token up to and including `lastSlot`, in chain order. */
  async trades(lake: LakeSnapshot, mint: Uint8Array, lastSlot: number, page: Page<EventPoint>): Promise<Row[]> {
    const files = this.filesOf(lake, mint);
    return (await this.tradesIn(files, `mint = ${textOf(mint)}`, lastSlot, page, Number.POSITIVE_INFINITY)).rows;
  }

  /** The same of a user, of one token or of all: no file can be left out by its name, so a page may end before it is full. */
  userTrades(
    lake: LakeSnapshot,
    user: Uint8Array,
    mint: Uint8Array | null,
    lastSlot: number,
    page: Page<EventPoint>,
  ): Promise<Found<EventPoint>> {
    const ofMint = mint === null ? "mint IS NOT NULL" : `mint = ${textOf(mint)}`;
    const which = `"user" = ${textOf(user)} AND ${ofMint}`;
    return this.tradesIn(this.filesOf(lake, mint), which, lastSlot, page, this.lookedRowsMax);
  }

  private async tradesIn(
    all: readonly LakeFile[],
    which: string,
    lastSlot: number,
    { order, limit, after }: Page<EventPoint>,
    rowsMax: number,
  ): Promise<Found<EventPoint>> {
    const files = all.filter((file) => {
      if (file.slot.min > lastSlot) return false;
      if (after === undefined) return true;
      return order === "asc" ? comparePlaces(placeAfter(file.slot.max), after) > 0 : file.slot.min <= after.slot;
    });
    const beyond = order === "asc" ? ">" : "<";
    const where = [which, `slot <= ${lastSlot}`];
    if (after !== undefined) {
      where.push(`(slot, tx_index, event_index) ${beyond} (${after.slot}, ${after.txIndex}, ${after.eventIndex})`);
    }
    const columns = TRADES.columns.flatMap(lakeNames).map(quoteName).join(", ");
    const direction = order === "asc" ? "ASC" : "DESC";
    const parts = windows(files, order, rowsMax);
    const rows: Row[] = [];
    let looked = 0;
    for (const [i, part] of parts.entries()) {
      const found = await this.rows(
        part,
        (from) => `SELECT ${columns} FROM ${from} WHERE ${where.join(" AND ")}
          ORDER BY slot ${direction}, tx_index ${direction}, event_index ${direction} LIMIT ${limit - rows.length}`,
      );
      rows.push(...found.map(tradeRow));
      looked += rowsOf(part);
      if (rows.length >= limit) break;
      if (looked >= rowsMax && i + 1 < parts.length) return { rows, looked: endOf(part, order) };
    }
    return { rows, looked: null };
  }

  /** Candles in a window, newest first, folded from trades exactly as the lanes do. */
  async candles(
    lake: LakeSnapshot,
    mint: Uint8Array,
    interval: number,
    { from, to, belowSlot, shared }: OlderCandles,
    limit: number,
  ): Promise<CandleRow[]> {
    const files = this.filesOf(lake, mint).filter((file) => {
      if (belowSlot !== null && file.slot.min >= belowSlot) return false;
      return (from === null || file.blockTime.max >= from) && (to === null || file.blockTime.min < to);
    });
    const where = [`mint = ${textOf(mint)}`];
    if (from !== null) where.push(`block_time >= ${from}`);
    if (to !== null) where.push(`block_time < ${to}`);
    if (belowSlot !== null) where.push(`slot < ${belowSlot}`);
    const candles: CandleRow[] = shared === null ? [] : [shared];
    for (const part of windows(files, "desc")) {
      const found = await this.rows(part, (files) => candleSql(files, where.join(" AND "), interval));
      for (const values of found) append(candles, candleRow(mint, interval, values));
      if (candles.length > limit) break;
    }
    // One more than asked for has told where the last of them opens.
    return candles.length > limit ? candles.slice(0, limit) : this.opened(lake, mint, candles);
  }

  /** The oldest candle opens at the price before it, which lies outside its window. */
  private async opened(lake: LakeSnapshot, mint: Uint8Array, candles: CandleRow[]): Promise<CandleRow[]> {
    const oldest = candles.at(-1);
    if (oldest === undefined) return candles;
    const files = this.filesOf(lake, mint).filter((file) => file.blockTime.min < Number(oldest.time));
    for (const part of windows(files, "desc")) {
      const [before] = await this.rows(
        part,
        (from) => `SELECT price_hi, price_lo FROM ${from} WHERE mint = ${textOf(mint)} AND block_time < ${oldest.time}
          ORDER BY slot DESC, tx_index DESC, event_index DESC LIMIT 1`,
      );
      if (before === undefined) continue;
      return [...candles.slice(0, -1), openedAt(oldest, wide(before[0], before[1]))];
    }
    return candles;
  }

  close(): void {
    const { duck } = this;
    this.duck = null;
    duck?.then((opened) => opened.close()).catch(() => undefined);
  }

  /** Runs one statement over the given files; statements take turns. */
  private async rows(files: readonly LakeFile[], sql: (from: string) => string): Promise<DuckDBValue[][]> {
    if (this.waiting >= WAITING_MAX) {
      throw new Transient("LAKE_BUSY", "too many old ranges are being read at once", {
        hint: "Ask again in a moment, or for a smaller range.",
      });
    }
    this.waiting++;
    const turn = this.queue.then(async () => {
      const paths = await Promise.all(files.map((file) => this.pathOf(file)));
      this.duck ??= Duck.open({ memoryMb: MEMORY_MB, threads: 1 });
      const from = `read_parquet([${paths.map(quoteText).join(", ")}], hive_partitioning = false)`;
      return (await this.duck).rows(sql(from));
    });
    this.queue = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.waiting--;
    }
  }

  /** The source's files of trades that may hold some of a token's (null: any). Base58 is ASCII: texts sort as DuckDB sorts them. */
  private filesOf(lake: LakeSnapshot, mint: Uint8Array | null): LakeFile[] {
    const own = (lake.files.get(TRADES.name) ?? []).filter((file) => file.source === this.source);
    if (mint === null) return own;
    const text = base58(mint, 0, 32);
    return own.filter((file) => file.mint !== null && file.mint.min <= text && text <= file.mint.max);
  }

  private async pathOf({ key }: LakeFile): Promise<string> {
    const path = await this.store.localPath(key);
    if (path !== null) return path;
    throw new Fatal("LAKE_FILE_MISSING", `${key} is in the manifest, but not in the lake`, {
      where: this.store.name,
      hint: "`sluice verify` tells what else is missing.",
    });
  }
}

/**
 * Files in groups that follow each other in time: all files of a day are in one group, and days of at most so many rows. Where block
 * time went back over midnight, two days share slots, and are one.
 */
function windows(files: readonly LakeFile[], order: "asc" | "desc", rowsMax = Number.POSITIVE_INFINITY): LakeFile[][] {
  const days = [...Map.groupBy(files, (file) => file.date)].sort(([a], [b]) => (a < b ? -1 : 1));
  if (order === "desc") days.reverse();
  const groups: LakeFile[][] = [];
  for (const [, ofDay] of days) {
    const last = groups.at(-1);
    if (last !== undefined && (isShared(last, ofDay) || isFew([...last, ...ofDay], rowsMax))) last.push(...ofDay);
    else groups.push([...ofDay]);
  }
  return groups;
}

const isFew = (files: readonly LakeFile[], rowsMax: number) =>
  files.length <= FILES_AT_ONCE && rowsOf(files) <= rowsMax;

function isShared(a: readonly LakeFile[], b: readonly LakeFile[]): boolean {
  const [x, y] = [slotsOf(a), slotsOf(b)];
  return x.min <= y.max && y.min <= x.max;
}

const rowsOf = (files: readonly LakeFile[]) => files.reduce((sum, file) => sum + file.rows, 0);

/** The place up to which files have been looked through. */
function endOf(files: readonly LakeFile[], order: "asc" | "desc"): EventPoint {
  const { min, max } = slotsOf(files);
  return placeAfter(order === "asc" ? max : min - 1);
}

function slotsOf(files: readonly LakeFile[]): { readonly min: number; readonly max: number } {
  return {
    min: Math.min(...files.map(({ slot }) => slot.min)),
    max: Math.max(...files.map(({ slot }) => slot.max)),
  };
}

export function comparePlaces(a: EventPoint, b: EventPoint): number {
  return a.slot - b.slot || a.txIndex - b.txIndex || a.eventIndex - b.eventIndex;
}

/** After all that a slot may have. */
export function placeAfter(slot: number): EventPoint {
  return { slot, txIndex: 0xffff_ffff, eventIndex: 0xffff_ffff };
}

const textOf = (address: Uint8Array) => quoteText(base58(address, 0, 32));

/** One row a bucket, newest first; `first` is the price after its first trade. */
function candleSql(from: string, where: string, interval: number): string {
  const inOrder = "ORDER BY slot, tx_index, event_index";
  return `SELECT (block_time // ${interval}) * ${interval} AS time,
      first(price ${inOrder})::VARCHAR, max(price)::VARCHAR, min(price)::VARCHAR, last(price ${inOrder})::VARCHAR,
      coalesce(sum(quote_amount), 0)::VARCHAR, coalesce(sum(base_amount), 0)::VARCHAR, count(*)
    FROM (SELECT *, ${PRICE} FROM ${from} WHERE ${where}) GROUP BY time ORDER BY time DESC`;
}

function candleRow(mint: Uint8Array, interval: number, values: readonly DuckDBValue[]): CandleRow {
  const [time, open, high, low, close, quote, base, trades] = values.map(String);
  return {
    mint,
    interval,
    time: BigInt(time!),
    open: BigInt(open!),
    high: BigInt(high!),
    low: BigInt(low!),
    close: BigInt(close!),
    volume_quote: BigInt(quote!),
    volume_base: BigInt(base!),
    trades: Number(trades),
  };
}

const larger = (a: bigint, b: bigint) => (b > a ? b : a);
const smaller = (a: bigint, b: bigint) => (b < a ? b : a);

/** A candle opens at the price before its first trade. */
function openedAt(candle: CandleRow, open: bigint): CandleRow {
  return { ...candle, open, high: larger(open, candle.high), low: smaller(open, candle.low) };
}

/** Adds an older candle: it says where the one after it opens. A bucket that two windows share is joined. */
function append(candles: CandleRow[], older: CandleRow): void {
  const newer = candles.at(-1);
  if (newer === undefined) {
    candles.push(older);
    return;
  }
  if (newer.time !== older.time) {
    candles[candles.length - 1] = openedAt(newer, older.close);
    candles.push(older);
    return;
  }
  candles[candles.length - 1] = {
    ...older,
    high: larger(newer.high, older.high),
    low: smaller(newer.low, older.low),
    close: newer.close,
    volume_quote: newer.volume_quote + older.volume_quote,
    volume_base: newer.volume_base + older.volume_base,
    trades: newer.trades + older.trades,
  };
}

/** A trade as the hot store gives it. */
function tradeRow(values: readonly DuckDBValue[]): Row {
  const row: Row = {};
  let at = 0;
  for (const column of TRADES.columns) {
    const width = lakeNames(column).length;
    row[column.name] = cellOf(column.type, values[at], width === 2 ? values[at + 1]! : null);
    at += width;
  }
  return row;
}

const wide = (hi: DuckDBValue | undefined, lo: DuckDBValue | undefined) =>
  (BigInt(hi as bigint) << 64n) | BigInt(lo as bigint);
