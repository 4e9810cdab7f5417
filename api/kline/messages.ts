/** Messages of the `/kline` namespace, as clients of the token API know them, and what is wrong with what they send. */
import { CANDLE_SECONDS } from "../../pipeline/datasets/candles.ts";
import { numberText } from "../json.ts";
import { addressBytes } from "../params.ts";
import type { HotEvent, Row } from "../reads/index.ts";
import { KLINE_INTERVALS, type KlineInterval, klineBody } from "../routes/spin/kline.ts";
import { addressText, eventBody } from "../routes/spin/rows.ts";

export const KLINE_CONFIG = {
  /** Seconds without an answer to a ping. */
  connection_timeout: 60,
  max_subscriptions_per_client: 100,
  ping_interval: 25,
  ping_timeout: 60,
} as const;

/** Codes of `error` messages. */
export const KLINE_ERROR = { invalid: 1001, refused: 1002, history: 1003 } as const;

export const HISTORY_DEFAULT = 100;
export const HISTORY_MAX = 1_000;
export const EVENTS_HISTORY = 300;

export interface Wanted {
  readonly symbol: string;
  readonly interval: KlineInterval;
  readonly mint: Uint8Array;
  readonly seconds: number;
  readonly subscriptionId: string | null;
  readonly limit: number;
}

/** What is asked for, or in words why it cannot be. */
export function readWanted(given: unknown): Wanted | string {
  if (typeof given !== "object" || given === null) return "the message must be an object with symbol and interval";
  const { symbol, interval, subscription_id: id = null, limit = HISTORY_DEFAULT } = given as Record<string, unknown>;
  const known = KLINE_INTERVALS.find((name) => name === interval);
  if (known === undefined) return `interval must be one of: ${KLINE_INTERVALS.join(", ")}`;
  const mint = typeof symbol === "string" && symbol.length >= 32 && symbol.length <= 44 ? addressBytes(symbol) : null;
  if (mint === null) return "symbol must be a mint: a base58 address of 32 to 44 characters";
  if (id !== null && (typeof id !== "string" || id.length > 128)) return "subscription_id must be a short text";
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) return "limit must be a whole number from 1";
  return {
    symbol: symbol as string,
    interval: known,
    mint,
    seconds: CANDLE_SECONDS[known],
    subscriptionId: id,
    limit: Math.min(limit as number, HISTORY_MAX),
  };
}

export function klineRoom(symbol: string, interval: string): string {
  return `kline:${symbol}:${interval}`;
}

/** One room for a token's events, whatever intervals are followed: nobody is told twice. */
export function eventRoom(symbol: string): string {
  return `event:${symbol}`;
}

/** A candle of a history or of a push. */
export function klineData(row: Row, seconds: number, finalTime: number | null) {
  const { is_final, ...rest } = klineBody(row, seconds, finalTime);
  return { ...rest, is_final, update_type: is_final ? ("final" as const) : ("realtime" as const) };
}

export function klineMessage(symbol: string, interval: string, data: ReturnType<typeof klineData>, now: number) {
  return { symbol, interval, subscription_id: null, data, timestamp: now };
}

export function eventMessage(event: HotEvent, now: number) {
  const body = eventBody(event);
  return {
    symbol: addressText(event.row["mint"] as Uint8Array),
    event_type: body["event_type"],
    event_data: writable(body),
    timestamp: now,
  };
}

/** Wide integers as JSON numbers with all their digits: the encoder knows no bigint. */
function writable(body: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(body).map(([name, value]) => [
    name,
    typeof value === "bigint" ? numberText(String(value)) : value,
  ]);
  return Object.fromEntries(entries);
}
