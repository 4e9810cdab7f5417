/**
 * The page's one connection to the live feed (`/v1/live`, docs/live.md). It remembers the position of the last message: when
 * the connection breaks, it goes on from there without a gap. Where that is not possible, listeners hear `reset` and read the
 * state again.
 */
import type { CandleRow, MintAnswer, Ref, TradeAnswer } from "./answers.ts";

export interface Place extends Ref {
  readonly ordinal: number | null;
}

type At = { readonly at: Place };
export type CandleFix = { readonly mint: string; readonly interval: string } & (
  | { readonly row: CandleRow; readonly removed?: undefined }
  | { readonly time: number; readonly removed: true }
);

export type LiveMessage =
  | ({ readonly type: "trade"; readonly trade: TradeAnswer & { readonly mint: string } } & At)
  | ({ readonly type: "candle"; readonly mint: string; readonly interval: string; readonly row: CandleRow } & At)
  | ({ readonly type: "event"; readonly event: { readonly mint: string | null; readonly event: string } } & At)
  | ({ readonly type: "mint"; readonly mint: MintAnswer } & At)
  | ({ readonly type: "final"; readonly final_up_to: number } & At)
  | ({ readonly type: "undo"; readonly candles: readonly CandleFix[]; readonly removed_mints: readonly string[] } & At)
  | { readonly type: "subscribed"; readonly at: Place | null; readonly final_up_to: number }
  /** Something was missed: what is known must be read again. */
  | { readonly type: "reset" };

/** What else comes over the wire, and is dealt with here. */
type Wire =
  | LiveMessage
  | { readonly type: "gap"; readonly at: Place | null }
  | { readonly type: "heartbeat"; readonly at: Place | null }
  | { readonly type: "error"; readonly code: string };

/** up: told as it happens. down: trying to get there, again and again. */
export type LiveStatus = "connecting" | "up" | "down";
export type Listener = (message: LiveMessage) => void;

/** What carries the messages; calls back as they come. */
export interface Wiring {
  send(text: string): void;
  close(): void;
}
export interface WiringEvents {
  opened(): void;
  heard(text: string): void;
  closed(): void;
}

export interface LiveOptions {
  readonly connect: (events: WiringEvents) => Wiring;
  /** False while it is known to be in vain. */
  readonly mayConnect?: () => boolean;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
  /** Calls back once after `ms`; returns how to call it off. */
  readonly after?: (ms: number, action: () => void) => () => void;
}

/** What was read is so far ahead of what was told, slots (about 10 s): then it is not told as it happens. */
const BEHIND_SLOTS = 25;
const RETRY_MS_MAX = 5_000;
/** The feed sends a heartbeat every 15 s: after a silence of more than two the connection is taken for dead. */
const SILENCE_MS = 40_000;

const timer = (ms: number, action: () => void) => {
  const id = setTimeout(action, ms);
  return () => clearTimeout(id);
};

export class Live {
  status: LiveStatus = "connecting";
  private readonly o: Required<LiveOptions>;
  private readonly listeners = new Map<Listener, readonly string[]>();
  private readonly watchers = new Set<() => void>();
  private wire: Wiring | null = null;
  private place: Place | null = null;
  private failures = 0;
  private cancelRetry: (() => void) | null = null;
  private cancelSilence: (() => void) | null = null;

  constructor(options: LiveOptions) {
    this.o = { random: Math.random, after: timer, mayConnect: () => true, ...options };
  }

  /** Follows topics until the returned function is called. A listener hears every message of the connection. */
  follow(topics: readonly string[], listener: Listener): () => void {
    const known = this.topics();
    this.listeners.set(listener, topics);
    const added = topics.filter((topic) => !known.has(topic));
    if (this.wire === null) this.open();
    else if (this.status === "up" && added.length > 0) this.tell({ op: "subscribe", topics: added });
    return () => this.forget(listener);
  }

  /** Whether a state at this slot is told on as it happens: not while history is caught up with, which is no news. */
  tellsFrom(slot: number): boolean {
    return this.status === "up" && this.place !== null && slot - this.place.slot <= BEHIND_SLOTS;
  }

  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  private forget(listener: Listener): void {
    const gone = this.listeners.get(listener) ?? [];
    this.listeners.delete(listener);
    const wanted = this.topics();
    const unwanted = gone.filter((topic) => !wanted.has(topic));
    if (this.status === "up" && unwanted.length > 0) this.tell({ op: "unsubscribe", topics: unwanted });
  }

  private topics(): Set<string> {
    return new Set([...this.listeners.values()].flat());
  }

  private open(): void {
    this.cancelRetry?.();
    const wire = this.o.connect({
      opened: () => this.begin(),
      heard: (text) => this.hear(JSON.parse(text) as Wire),
      closed: () => this.lost(wire),
    });
    this.wire = wire;
    this.watchForSilence(wire);
  }

  private begin(): void {
    this.failures = 0;
    this.setStatus("up");
    const topics = [...this.topics()];
    if (topics.length > 0) this.tell({ op: "subscribe", topics, ...(this.place && { resume_from: this.place }) });
  }

  private lost(wire: Wiring): void {
    if (wire !== this.wire) return;
    this.wire = null;
    this.cancelSilence?.();
    this.setStatus("down");
    const base = Math.min(250 * 2 ** this.failures++, RETRY_MS_MAX);
    this.retryIn(base / 2 + (this.o.random() * base) / 2);
  }

  private retryIn(ms: number): void {
    this.cancelRetry = this.o.after(ms, () => {
      if (this.o.mayConnect()) this.open();
      else this.retryIn(RETRY_MS_MAX);
    });
  }

  private hear(message: Wire): void {
    if (this.wire !== null) this.watchForSilence(this.wire);
    if ("at" in message && message.at !== null) this.place = message.at;
    switch (message.type) {
      case "heartbeat":
        return;
      case "gap":
        this.announce({ type: "reset" });
        return;
      case "error":
        if (message.code === "POSITION_NOT_KEPT") this.beginAnew();
        return;
      default:
        this.announce(message);
    }
  }

  /** From the present: the position is not kept any more. */
  private beginAnew(): void {
    this.place = null;
    this.tell({ op: "subscribe", topics: [...this.topics()] });
    this.announce({ type: "reset" });
  }

  private announce(message: LiveMessage): void {
    for (const listener of [...this.listeners.keys()]) listener(message);
  }

  private tell(request: object): void {
    this.wire?.send(JSON.stringify(request));
  }

  private watchForSilence(wire: Wiring): void {
    this.cancelSilence?.();
    this.cancelSilence = this.o.after(SILENCE_MS, () => {
      wire.close();
      this.lost(wire);
    });
  }

  private setStatus(status: LiveStatus): void {
    if (this.status === status) return;
    this.status = status;
    for (const watcher of this.watchers) watcher();
  }
}

/** Over a WebSocket of the browser's, which can carry a token only as a protocol. */
export function overWebSocket(url: string, token: string | null): LiveOptions["connect"] {
  return ({ opened, heard, closed }) => {
    const socket = new WebSocket(url, token === null ? [] : ["sluice", `bearer.${token}`]);
    socket.onopen = opened;
    socket.onmessage = ({ data }) => heard(String(data));
    socket.onclose = closed;
    return { send: (text) => socket.send(text), close: () => socket.close() };
  };
}
