/**
 * The Socket.IO namespace `/kline`: who is there, what they follow, and what they are told. Messages, rooms, limits and
 * codes are those that existing clients of the token API know.
 *
 * A client that listens and says nothing stays: whether it is alive is for Engine.IO's ping to find out.
 */
import { Server as Engine } from "@socket.io/bun-engine";
import { type Namespace, Server, type Socket } from "socket.io";
import { classify } from "../../pipeline/errors.ts";
import type { Log } from "../../pipeline/log.ts";
import type { World } from "../../pipeline/world.ts";
import { tokenIn } from "../access/access.ts";
import type { LiveHub } from "../live/index.ts";
import type { TokenReads } from "../reads/index.ts";
import { KLINE_INTERVALS } from "../routes/spin/kline.ts";
import { GUARD_MS, type MayStay } from "../transport.ts";
import {
  EVENTS_HISTORY,
  eventMessage,
  eventRoom,
  KLINE_CONFIG,
  KLINE_ERROR,
  klineData,
  klineRoom,
  readWanted,
  type Wanted,
} from "./messages.ts";
import { KlinePush } from "./push.ts";

const PAYLOAD_BYTES_MAX = 1024 * 1024;
/** Bytes, or messages of a client that polls, that may wait before a client is closed. */
const WAITING_BYTES_MAX = 1024 * 1024;
const WAITING_MESSAGES_MAX = 1_000;
const CLIENTS_MAX = 1_000;
const REPORT_MS = 60_000;

export interface KlineClient {
  /** Rooms by what was subscribed: "MINT:INTERVAL". */
  readonly subscriptions: Map<string, Wanted>;
  readonly since: number;
  activeAt: number;
  klineSent: number;
  historySent: number;
  totalSent: number;
}

export interface KlineOptions {
  readonly hub: Pick<LiveHub, "listen">;
  /** Asked for at each use: it changes with the generation that is served. */
  readonly reads: () => Pick<TokenReads, "candlePage" | "candleCount" | "events" | "eventCount">;
  readonly world: Pick<World, "now" | "sleep">;
  readonly log: Log;
}

export class KlineService {
  readonly engine: Engine;
  readonly clients = new Map<string, KlineClient>();
  private readonly o: KlineOptions;
  private readonly io: Server;
  private readonly kline: Namespace;
  private readonly stopping = new AbortController();
  private unlisten: (() => void) | null = null;
  private mayStay: MayStay = () => true;

  constructor(options: KlineOptions) {
    this.o = options;
    this.engine = new Engine({
      path: "/socket.io/",
      pingInterval: KLINE_CONFIG.ping_interval * 1_000,
      pingTimeout: KLINE_CONFIG.ping_timeout * 1_000,
      maxHttpBufferSize: PAYLOAD_BYTES_MAX,
      allowRequest: async () => {
        if (this.clients.size >= CLIENTS_MAX) return Promise.reject("there is no room for another client");
      },
    });
    this.io = new Server({ serveClient: false });
    // The engine speaks Engine.IO's protocol, but is not derived from its class.
    this.io.bind(this.engine as unknown as Parameters<Server["bind"]>[0]);
    this.kline = this.io.of("/kline");
    this.kline.on("connection", (socket) => this.greet(socket));
  }

  start(): void {
    const { hub, world } = this.o;
    const { clients } = this;
    const rooms = {
      get isEmpty() {
        return clients.size === 0;
      },
      has: (room: string) => this.kline.adapter.rooms.has(room),
      emit: (room: string, event: string, message: unknown) => this.tell(room, event, message),
    };
    const push = new KlinePush(rooms, () => world.now());
    this.unlisten = hub.listen(({ step }) => {
      push.take(step);
      this.closeSlow();
    });
    void this.report();
    void this.keepGuard();
  }

  /** Tells who may stay: looked at again and again. */
  guard(mayStay: MayStay): void {
    this.mayStay = mayStay;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.unlisten?.();
    this.kline.disconnectSockets(true);
    this.engine.close();
  }

  /** Clients by room. */
  rooms(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.kline.adapter.rooms;
  }

  private greet(socket: Socket): void {
    const now = this.o.world.now();
    const counts = { klineSent: 0, historySent: 0, totalSent: 0 };
    this.clients.set(socket.id, { subscriptions: new Map(), since: now, activeAt: now, ...counts });
    socket.on("disconnect", () => this.clients.delete(socket.id));
    this.send(socket, "connection_success", {
      client_id: socket.id,
      server_time: Math.floor(now / 1000),
      supported_symbols: [],
      supported_intervals: KLINE_INTERVALS,
    });
    const on = (event: string, act: (client: KlineClient, wanted: Wanted) => void) =>
      socket.on(event, (given: unknown) => this.obey(socket, given, act));
    on("subscribe", (client, wanted) => this.subscribe(socket, client, wanted));
    on("unsubscribe", (client, wanted) => this.unsubscribe(socket, client, wanted));
    on("history", (_, wanted) => this.sendHistory(socket, wanted));
  }

  private obey(socket: Socket, given: unknown, act: (client: KlineClient, wanted: Wanted) => void): void {
    const client = this.clients.get(socket.id);
    if (client === undefined) {
      this.refuse(socket, KLINE_ERROR.refused, "unknown client");
      return;
    }
    client.activeAt = this.o.world.now();
    const wanted = readWanted(given);
    if (typeof wanted === "string") this.refuse(socket, KLINE_ERROR.invalid, wanted);
    else act(client, wanted);
  }

  private subscribe(socket: Socket, client: KlineClient, wanted: Wanted): void {
    const { symbol, interval, subscriptionId } = wanted;
    const key = `${symbol}:${interval}`;
    const max = KLINE_CONFIG.max_subscriptions_per_client;
    if (!client.subscriptions.has(key) && client.subscriptions.size >= max) {
      this.refuse(socket, KLINE_ERROR.refused, `a client may have ${max} subscriptions`);
      return;
    }
    client.subscriptions.set(key, wanted);
    // First the room, then the history: what comes in between is told, if anything twice.
    void socket.join([klineRoom(symbol, interval), eventRoom(symbol)]);
    this.sendHistory(socket, wanted);
    this.sendEvents(socket, wanted);
    const message = `Subscribed to ${symbol} ${interval}`;
    this.send(socket, "subscription_confirmed", {
      ...{ symbol, interval, subscription_id: subscriptionId, success: true, message },
    });
  }

  private unsubscribe(socket: Socket, client: KlineClient, { symbol, interval, subscriptionId }: Wanted): void {
    client.subscriptions.delete(`${symbol}:${interval}`);
    void socket.leave(klineRoom(symbol, interval));
    const others = [...client.subscriptions.values()].some((other) => other.symbol === symbol);
    if (!others) void socket.leave(eventRoom(symbol));
    this.send(socket, "unsubscribe_confirmed", { symbol, interval, subscription_id: subscriptionId, success: true });
  }

  private sendHistory(socket: Socket, { symbol, interval, mint, seconds, limit }: Wanted): void {
    this.reading(socket, (reads) => {
      const { data, standing } = reads.candlePage(mint, seconds, { order: "desc", limit });
      const total = reads.candleCount(mint, seconds);
      const rows = data.map((row) => klineData(row, seconds, standing.finalTime));
      const client = this.clients.get(socket.id);
      if (client !== undefined) client.historySent++;
      this.send(socket, "history_data", {
        ...{ symbol, interval, data: rows, has_more: total > rows.length, total_count: total },
      });
    });
  }

  private sendEvents(socket: Socket, { symbol, mint }: Wanted): void {
    this.reading(socket, (reads) => {
      const { data } = reads.events(mint, { order: "desc", limit: EVENTS_HISTORY });
      const total = reads.eventCount(mint);
      const now = this.o.world.now();
      const events = data.map((event) => eventMessage(event, now));
      this.send(socket, "history_event_data", {
        ...{ symbol, data: events, has_more: total > events.length, total_count: total },
      });
    });
  }

  private reading(socket: Socket, read: (reads: ReturnType<KlineOptions["reads"]>) => void): void {
    try {
      read(this.o.reads());
    } catch (error) {
      const { code, message } = classify(error);
      this.o.log("warning", "a history cannot be read", { code, reason: message });
      this.refuse(socket, KLINE_ERROR.history, "the history cannot be read right now");
    }
  }

  private refuse(socket: Socket, code: number, message: string): void {
    this.send(socket, "error", { code, message });
  }

  private send(socket: Socket, event: string, message: object): void {
    const client = this.clients.get(socket.id);
    if (client !== undefined) client.totalSent++;
    socket.emit(event, message);
  }

  /** To everybody in a room; encoded once. */
  private tell(room: string, event: string, message: unknown): void {
    this.kline.to(room).emit(event, message);
    for (const id of this.kline.adapter.rooms.get(room) ?? []) {
      const client = this.clients.get(id);
      if (client === undefined) continue;
      client.totalSent++;
      if (event === "kline_data") client.klineSent++;
    }
  }

  /** Nobody waits for a client that does not take what it is sent. */
  private closeSlow(): void {
    for (const socket of this.kline.sockets.values()) {
      // The engine's own objects: Socket.IO's types know only those of its other engine.
      const conn = socket.conn as unknown as EngineConnection;
      const waiting = conn.transport.socket?.getBufferedAmount?.() ?? 0;
      if (waiting > WAITING_BYTES_MAX || conn.writeBuffer.length > WAITING_MESSAGES_MAX) socket.disconnect(true);
    }
  }

  private async keepGuard(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      for (const socket of this.kline.sockets.values()) {
        const { headers } = socket.handshake;
        const token = tokenIn({ get: (name) => (headers[name] as string | undefined) ?? null });
        if (!this.mayStay(token)) socket.disconnect(true);
      }
      await this.o.world.sleep(GUARD_MS, signal).catch(() => undefined);
    }
  }

  private async report(): Promise<void> {
    const { world, log } = this.o;
    const { signal } = this.stopping;
    for (;;) {
      await world.sleep(REPORT_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      const bySymbol = new Map<string, number>();
      for (const { subscriptions } of this.clients.values()) {
        for (const { symbol } of subscriptions.values()) bySymbol.set(symbol, (bySymbol.get(symbol) ?? 0) + 1);
      }
      const top = [...bySymbol].sort(([, a], [, b]) => b - a).slice(0, 5);
      log("debug", "kline clients", {
        connections: this.clients.size,
        mints: bySymbol.size,
        top: Object.fromEntries(top),
      });
    }
  }
}

interface EngineConnection {
  readonly writeBuffer: readonly unknown[];
  readonly transport: { readonly socket?: { getBufferedAmount?(): number } };
}
