/**
 * Retention of a lane's hot store: events that are old enough, by block time, are deleted once the lake is proven to have
 * them, and then candles, which can be made again from the lake's trades. The clock here says only how often it is looked;
 * what goes follows from the chain.
 */
import { CANDLE_SECONDS } from "./datasets/candles.ts";
import { describe } from "./errors.ts";
import type { Log } from "./log.ts";
import type { World } from "./world.ts";

/** What is needed of a hot store. */
export interface AgingStore {
  /** Events older than so many seconds of block time: from which slot in each dataset, below which slot, how many rows. */
  aged(seconds: number): { readonly from: ReadonlyMap<string, number>; readonly before: number; readonly rows: number };
  /** Deletes rows below a slot, a piece at a time; returns how many. */
  expire(beforeSlot: number, rowsMax: number): number;
  /** Block time of the newest block, Unix seconds; null: nothing is stored. */
  headTime(): number | null;
  /** Deletes candles of one interval (seconds) that begin before `time`, a piece at a time; returns how many. */
  expireCandles(interval: number, time: number, rowsMax: number): number;
  /** How many those are. */
  countCandles(interval: number, time: number): number;
}

/** Says up to which slot everything that was asked for is in the lake, and why not further. */
export interface NextTier {
  prove(
    from: ReadonlyMap<string, number>,
    before: number,
  ): Promise<{ readonly before: number; readonly lacking: string | null }>;
}

export interface RetentionOptions {
  readonly store: AgingStore;
  readonly lake: () => Promise<NextTier>;
  readonly days: number;
  /** Of each interval; 0: all. */
  readonly candles: number;
  readonly dryRun: boolean;
  readonly world: Pick<World, "sleep">;
  readonly log: Log;
}

/** Not at once: after a start there is something better to do. */
const FIRST_AFTER_MS = 30_000;
const EVERY_MS = 10 * 60_000;
/** Rows of one transaction, and the pause after it: commits of the lane come between. */
const ROWS_MAX = 2_000;
const PAUSE_MS = 20;

/** Runs until `signal` aborts; what fails is tried again at the next look. */
export async function keepHotShort(options: RetentionOptions, signal: AbortSignal): Promise<void> {
  if (options.days === 0) return;
  const { world, log } = options;
  let told = "";
  for (let waitMs = FIRST_AFTER_MS; !signal.aborted; waitMs = EVERY_MS) {
    await world.sleep(waitMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const lacking = await expireOld(options, signal);
      if (lacking === null) await expireOldCandles(options, signal);
      if (lacking !== null && lacking !== told) log("warning", `old events stay in the hot store: ${lacking}`);
      told = lacking ?? "";
    } catch (error) {
      log("debug", "old events stay in the hot store for now", { reason: describe(error) });
    }
  }
}

/** Deletes what is old and in the lake; returns why something old has to stay. */
export async function expireOld(
  options: Omit<RetentionOptions, "candles">,
  signal: AbortSignal,
): Promise<string | null> {
  const { store, lake, days, dryRun, world, log } = options;
  const { from, before, rows } = store.aged(days * 86_400);
  if (rows === 0) return null;
  const proven = await (await lake()).prove(from, before);
  if (dryRun) {
    log("info", `retention.dryRun: ${rows} events below slot ${before} would be removed`, {
      inLakeBelow: proven.before,
    });
    return proven.lacking;
  }
  const removed = await inPieces(() => store.expire(proven.before, ROWS_MAX), world, signal);
  if (removed > 0)
    log("info", `${removed} rows older than ${days} days are in the lake alone now`, { before: proven.before });
  return proven.lacking;
}

/** Deletes candles that are old. All trades that are older than the days of events are in the lake by now. */
export async function expireOldCandles(options: RetentionOptions, signal: AbortSignal): Promise<void> {
  const { store, days, candles, dryRun, world, log } = options;
  const head = store.headTime();
  if (head === null || candles === 0) return;
  let rows = 0;
  for (const seconds of Object.values(CANDLE_SECONDS)) {
    const before = head - Math.max(days * 86_400, candles * seconds);
    if (dryRun) rows += store.countCandles(seconds, before);
    else rows += await inPieces(() => store.expireCandles(seconds, before, ROWS_MAX), world, signal);
  }
  if (rows === 0) return;
  const what = dryRun ? "would be removed (retention.dryRun)" : "are made of the lake's trades from now on";
  log("info", `${rows} candles of more than ${candles} intervals ago ${what}`);
}

/** Until a piece is empty; returns the sum. */
async function inPieces(piece: () => number, world: Pick<World, "sleep">, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for (let n = -1; n !== 0 && !signal.aborted; ) {
    n = piece();
    removed += n;
    await world.sleep(PAUSE_MS, signal).catch(() => undefined);
  }
  return removed;
}

/** What is needed of the copies that this host keeps of a bucket's files. */
export interface Copies {
  trim(seconds: number, dryRun: boolean): Promise<{ readonly removed: readonly { readonly bytes: number }[] }>;
}

/** Trims copies of old files until `signal` aborts. `days` 0: never. */
export async function keepCopiesFew(
  options: Pick<RetentionOptions, "days" | "dryRun" | "world" | "log"> & { readonly copies: Copies },
  signal: AbortSignal,
): Promise<void> {
  const { copies, days, dryRun, world, log } = options;
  if (days === 0) return;
  for (let waitMs = FIRST_AFTER_MS; !signal.aborted; waitMs = EVERY_MS) {
    await world.sleep(waitMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const { removed } = await copies.trim(days * 86_400, dryRun);
      const bytes = removed.reduce((sum, copy) => sum + copy.bytes, 0);
      const what = dryRun ? "would be removed (retention.dryRun)" : "are in the bucket alone now";
      if (removed.length > 0)
        log("info", `${removed.length} copies of files older than ${days} days ${what}`, { bytes });
    } catch (error) {
      log("debug", "copies of old files stay for now", { reason: describe(error) });
    }
  }
}
