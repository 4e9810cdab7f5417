/**
 * The part of a token's candles that the hot store has, and what of them is to be read from the lake: what has aged out,
 * and what happened before this deployment's hot stores began. The two meet at a time, or within a candle at a slot.
 */
import type { CandleRow } from "../../pipeline/datasets/candles.ts";
import type { MintRow } from "../../pipeline/datasets/mints.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { HotReader } from "../../storage/hot/reader.ts";
import type { OlderCandles } from "./lake-rows.ts";
import type { CandleRange } from "./token-reads.ts";

export interface HotCandles {
  /** Newest first; one more than asked for where there are more. */
  readonly rows: CandleRow[];
  /** What the lake has to add; null: nothing. */
  readonly older: OlderCandles | null;
}

/** To be called on one snapshot of the reader. */
export function hotCandles(reader: HotReader, mint: Uint8Array, interval: number, range: CandleRange): HotCandles {
  const { from, to, limit } = range;
  const page = { order: "desc", limit: limit + 1, ...(to === null ? {} : { after: to }) } as const;
  const rows = (reader.candles(mint, interval, page) as unknown as CandleRow[]).filter(
    ({ time }) => from === null || Number(time) >= from,
  );
  const [first] = reader.candles(mint, interval, { order: "asc", limit: 1 });
  const oldest = first === undefined ? null : Number(first["time"]);
  const goesOn = rows.length <= limit && (oldest === null || from === null || from <= oldest);
  const missing = goesOn ? missingOf(reader, mint, interval, oldest) : null;
  if (missing === null) return { rows, older: null };
  // The oldest one held opens where the lake leaves off, or is one with the lake's newest.
  const shared = rows.length > 0 && Number(rows.at(-1)!.time) === oldest ? rows.pop()! : null;
  const before = missing.to === null || to === null ? (missing.to ?? to) : Math.min(missing.to, to);
  return { rows, older: { from, to: before, belowSlot: missing.belowSlot, shared } };
}

/** Whether the hot store has seen the token from its beginning. */
export function wasCreatedIn(reader: HotReader, mint: Uint8Array): boolean {
  const row = reader.mint(mint) as unknown as MintRow | null;
  return row !== null && row.create_timestamp !== null;
}

/** Before which time, and below which slot, candles are missing; null: none are. `oldest`: time of the oldest one held. */
function missingOf(
  reader: HotReader,
  mint: Uint8Array,
  interval: number,
  oldest: number | null,
): Pick<OlderCandles, "to" | "belowSlot"> | null {
  const row = reader.mint(mint) as unknown as MintRow | null;
  if (row === null) return { to: null, belowSlot: null };
  const isCreated = row.create_timestamp !== null;
  const startOf = (time: number) => time - (time % interval);
  if (oldest === null) return isCreated && row.latest_price === null ? null : { to: null, belowSlot: null };
  if (oldest === startOf(Number(row.first_time))) {
    return isCreated ? null : { to: oldest + interval, belowSlot: Number(row.first_slot) };
  }
  const firstTrade = isCreated ? firstTradeTime(reader, mint, Number(row.first_slot)) : null;
  return firstTrade !== null && startOf(firstTrade) === oldest ? null : { to: oldest, belowSlot: null };
}

/** Block time of a token's first trade, Unix seconds; null where it has aged out. */
function firstTradeTime(reader: HotReader, mint: Uint8Array, firstSlot: number): number | null {
  const reach = reader.reach(TRADES.name);
  if (reach === null || (reach.expired && reach.slot >= firstSlot)) return null;
  const [trade] = reader.trades(mint, { order: "asc", limit: 1 });
  return trade === undefined ? null : Number(trade["block_time"]);
}
