/**
 * Old trades of one token, read from the lake's Parquet files: only files whose range of slots, times and tokens can hold
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
import type { EventPoint, Page, Row } from "./token-reads.ts";

/** Files opened by one statement at most. */
const FILES_AT_ONCE = 64;
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
  private readonly source: string;
  private readonly manifest: LakeReader;
  private duck: Promise<Duck> | null = null;
  private queue: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private latest: { readonly at: number; readonly snapshot: Promise<LakeSnapshot> } | null = null;

  /** `source`: the one whose rows are read; others may share the lake. */
  constructor(store: ObjectStore, source: string) {
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

  /** Trades of a token up to and including `lastSlot`, in chain order. */
  async trades(lake: LakeSnapshot, mint: Uint8Array, lastSlot: number, page: Page<EventPoint>): Promise<Row[]> {
    const { order, limit, after } = page;
    const files = this.filesOf(lake, mint).filter((file) => {
      if (file.slot.min > lastSlot) return false;
      return after === undefined || (order === "asc" ? file.slot.max >= after.slot : file.slot.min <= after.slot);
    });
    const beyond = order === "asc" ? ">" : "<";
    const where = [`slot <= ${lastSlot}`];
    if (after !== undefined) {
      where.push(`(slot, tx_index, event_index) ${beyond} (${after.slot}, ${after.txIndex}, ${after.eventIndex})`);
    }
    const columns = TRADES.columns.flatMap(lakeNames).map(quoteName).join(", ");
    const rows: Row[] = [];
    for (const part of windows(files, order)) {
      const direction = order === "asc" ? "ASC" : "DESC";
      const found = await this.rows(
        part,
        (from) => `SELECT ${columns} FROM ${from} WHERE mint = ${textOf(mint)} AND ${where.join(" AND ")}
          ORDER BY slot ${direction}, tx_index ${direction}, event_index ${direction} LIMIT ${limit - rows.length}`,
      );
      rows.push(...found.map(tradeRow));
      if (rows.length >= limit) break;
    }
    return rows;
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

  /** The source's files of trades that may hold some of a token's. Base58 is ASCII: texts sort as DuckDB sorts them. */
  private filesOf(lake: LakeSnapshot, mint: Uint8Array): LakeFile[] {
    const text = base58(mint, 0, 32);
    const own = (lake.files.get(TRADES.name) ?? []).filter((file) => file.source === this.source);
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

/** Files in groups that follow each other in time: all files of a day are in one group. */
function windows(files: readonly LakeFile[], order: "asc" | "desc"): LakeFile[][] {
  const days = [...Map.groupBy(files, (file) => file.date)].sort(([a], [b]) => (a < b ? -1 : 1));
  if (order === "desc") days.reverse();
  const groups: LakeFile[][] = [];
  for (const [, ofDay] of days) {
    const last = groups.at(-1);
    if (last !== undefined && last.length + ofDay.length <= FILES_AT_ONCE) last.push(...ofDay);
    else groups.push([...ofDay]);
  }
  return groups;
}

const textOf = (mint: Uint8Array) => quoteText(base58(mint, 0, 32));

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
