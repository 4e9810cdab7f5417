/**
 * From steps of the feed to messages in rooms: candles as a block leaves them, events in chain order, candles that an undo
 * has put back, and candles that have become final. Rows are made only for rooms in which somebody is.
 */
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { LiveCommit } from "../../pipeline/live-lane.ts";
import type { FeedStep } from "../../pipeline/live-merge.ts";
import { CANDLES_AT } from "../../pipeline/live-message.ts";
import { addressTexts, eventsAt, rowsAt } from "../live/items.ts";
import { intervalName } from "../live/topics.ts";
import type { Row } from "../reads/index.ts";
import { KLINE_INTERVALS } from "../routes/spin/kline.ts";
import { eventMessage, eventRoom, klineData, klineMessage, klineRoom } from "./messages.ts";

export interface Rooms {
  /** Whether nobody is in any. */
  readonly isEmpty: boolean;
  has(room: string): boolean;
  emit(room: string, event: string, message: unknown): void;
}

/** Candles that wait to become final, in all rooms together. */
const WAITING_MAX = 20_000;
/** Blocks whose times are remembered until they are final. */
const BLOCKS_MAX = 5_000;
const SENT_INTERVALS: readonly string[] = KLINE_INTERVALS;

interface Waiting {
  readonly symbol: string;
  readonly interval: string;
  readonly seconds: number;
  readonly row: Row;
}

export class KlinePush {
  private readonly rooms: Rooms;
  private readonly now: () => number;
  /** By mint, interval and time. */
  private readonly waiting = new Map<string, Waiting>();
  private unfinal: { readonly slot: number; readonly time: number }[] = [];
  private finalTime: number | null = null;

  constructor(rooms: Rooms, now: () => number) {
    this.rooms = rooms;
    this.now = now;
  }

  take(step: FeedStep): void {
    if (step.kind === "gap") return;
    const slot = step.kind === "block" ? step.block.slot : step.to.slot;
    this.unfinal = this.unfinal.filter((block) => block.slot < slot).slice(-BLOCKS_MAX);
    if (step.kind === "block") this.unfinal.push({ slot, time: step.time });
    for (const commit of this.rooms.isEmpty ? [] : step.commits) {
      this.candles(commit, slot);
      if (step.kind === "block") this.events(commit, slot);
    }
    this.finalize(step.finalSlot);
  }

  private candles({ tables }: LiveCommit, slot: number): void {
    const table = tables.get(CANDLES_AT.name);
    if (table === undefined) return;
    const [symbolOf, intervals] = [addressTexts(table.column("mint")), table.column("interval")];
    for (const row of rowsAt(table, slot)) {
      const seconds = intervals.number(row);
      const interval = intervalName(seconds);
      if (!SENT_INTERVALS.includes(interval)) continue;
      const symbol = symbolOf(row);
      if (this.rooms.has(klineRoom(symbol, interval))) this.send({ symbol, interval, seconds, row: table.row(row) });
    }
  }

  private send(candle: Waiting): void {
    const { symbol, interval, seconds, row } = candle;
    const data = klineData(row, seconds, this.finalTime);
    this.rooms.emit(klineRoom(symbol, interval), "kline_data", klineMessage(symbol, interval, data, this.now()));
    const key = `${symbol} ${interval} ${String(row["time"])}`;
    this.waiting.delete(key);
    if (data.is_final) return;
    this.waiting.set(key, candle);
    if (this.waiting.size > WAITING_MAX) this.waiting.delete(this.waiting.keys().next().value!);
  }

  private events({ tables }: LiveCommit, slot: number): void {
    for (const { dataset, table, row, mint } of eventsAt(tables, slot)) {
      if (dataset === TRADES.name || mint === null || !this.rooms.has(eventRoom(mint))) continue;
      const event = { dataset, spec: table.spec, row: table.row(row) };
      this.rooms.emit(eventRoom(mint), "event_data", eventMessage(event, this.now()));
    }
  }

  /** A candle is final once a final block is at or behind its end. */
  private finalize(finalSlot: number): void {
    const firstUnfinal = this.unfinal.findIndex(({ slot }) => slot > finalSlot);
    const final = firstUnfinal < 0 ? this.unfinal : this.unfinal.slice(0, firstUnfinal);
    const last = final.at(-1);
    if (last === undefined) return;
    this.unfinal = this.unfinal.slice(final.length);
    this.finalTime = Math.max(this.finalTime ?? 0, last.time);
    for (const [key, candle] of this.waiting) {
      if (Number(candle.row["time"]) + candle.seconds > this.finalTime) continue;
      if (this.rooms.has(klineRoom(candle.symbol, candle.interval))) this.send(candle);
      this.waiting.delete(key);
    }
  }
}
