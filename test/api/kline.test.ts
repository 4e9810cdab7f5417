/**
 * Goal: clients of the token API's Socket.IO namespace find it as they know it, on the server that also carries the live
 * feed and HTTP. Method: the official client over both transports, against a simulated market; what is pushed is held
 * against the candles that HTTP answers with afterwards.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import bs58 from "bs58";
import { io, type Socket } from "socket.io-client";
import { type Message, Terminal } from "./live-client.ts";
import { LiveMarket, until } from "./live-ground.ts";

let live: LiveMarket;
let url: string;
let caughtUp: () => Promise<void>;
let stop: () => Promise<void>;
let mint: string;
beforeAll(async () => {
  live = await LiveMarket.start({ seed: 9, lanes: 2, blocks: 90, rates: { firstTokens: 3, tokensMax: 3, undo: 0.1 } });
  ({ url, caughtUp, stop } = await live.serve());
  await live.go(25);
  // What it hears later it would push, beside the history.
  await caughtUp();
  const answer = (await (await fetch(`${url}/api/mints`)).json()) as Message;
  mint = answer.data.mints[0];
}, 300_000);
afterAll(async () => {
  await stop();
  await live.dispose();
});

interface Client {
  readonly socket: Socket;
  /** All messages, by event, in order. */
  of(event: string): Message[];
  readonly order: string[];
}

async function connect(transports = ["websocket"], namespace = "/kline"): Promise<Client> {
  const socket = io(`${url}${namespace}`, { transports, forceNew: true, reconnection: false });
  const seen = new Map<string, Message[]>();
  const order: string[] = [];
  socket.onAny((event: string, message: Message) => {
    order.push(event);
    seen.set(event, [...(seen.get(event) ?? []), message]);
  });
  await new Promise<void>((resolve, reject) => {
    socket.on("connect", () => resolve());
    socket.on("connect_error", reject);
  });
  return { socket, of: (event) => seen.get(event) ?? [], order };
}

const get = async (path: string) => ((await (await fetch(url + path)).json()) as Message).data;

test.each([[["websocket"]], [["polling"]], [["polling", "websocket"]]])(
  "greets, confirms, tells history, over %p",
  async (transports) => {
    const client = await connect(transports);
    await until(() => client.of("connection_success").length === 1);
    expect(client.of("connection_success")[0]).toEqual({
      client_id: client.socket.id,
      server_time: expect.any(Number),
      supported_symbols: [],
      supported_intervals: ["s1", "s30", "m5"],
    });
    client.socket.emit("subscribe", { symbol: mint, interval: "s1", subscription_id: "mine" });
    await until(() => client.of("subscription_confirmed").length === 1);
    expect(client.order).toEqual([
      "connection_success",
      "history_data",
      "history_event_data",
      "subscription_confirmed",
    ]);
    expect(client.of("subscription_confirmed")[0]).toMatchObject({
      ...{ symbol: mint, interval: "s1", subscription_id: "mine", success: true, message: expect.any(String) },
    });
    const { klines, total } = await get(`/api/kline?mint=${mint}&interval=s1&limit=100`);
    const [history] = client.of("history_data");
    expect(history).toMatchObject({ symbol: mint, interval: "s1", total_count: total, has_more: total > 100 });
    expect(history.data.map(({ update_type: _, ...candle }: Message) => candle)).toEqual(klines);
    const [events] = client.of("history_event_data");
    const listed = (await get(`/api/events?mint=${mint}&limit=300`)).events as Message[];
    expect(events.data.map(({ event_data }: Message) => event_data)).toEqual(listed);
    expect(events.data[0]).toMatchObject({
      symbol: mint,
      event_type: listed[0].event_type,
      timestamp: expect.any(Number),
    });
    client.socket.emit("history", { symbol: mint, interval: "s1", limit: 2 });
    await until(() => client.of("history_data").length === 2);
    expect(client.of("history_data")[1].data).toEqual(history.data.slice(0, 2));
    client.socket.emit("unsubscribe", { symbol: mint, interval: "s1", subscription_id: "mine" });
    await until(() => client.of("unsubscribe_confirmed").length === 1);
    expect(client.of("unsubscribe_confirmed")[0]).toEqual({
      ...{ symbol: mint, interval: "s1", subscription_id: "mine", success: true },
    });
    client.socket.close();
  },
  300_000,
);

test("bad requests have their codes, and the client stays", async () => {
  const client = await connect();
  const wrong: [event: string, message: unknown, code: number][] = [
    ["subscribe", { symbol: mint, interval: "s7" }, 1001],
    ["subscribe", { symbol: "short", interval: "s1" }, 1001],
    ["subscribe", { symbol: "0".repeat(40), interval: "s1" }, 1001],
    ["subscribe", null, 1001],
    ["subscribe", [[]], 1001],
    ["history", { interval: "s1" }, 1001],
    ["unsubscribe", "all", 1001],
  ];
  for (const [i, [event, message, code]] of wrong.entries()) {
    client.socket.emit(event, message);
    await until(() => client.of("error").length === i + 1);
    expect(client.of("error")[i]).toEqual({ code, message: expect.any(String) });
  }
  for (let n = 0; n < 101; n++) {
    const symbol = bs58.encode(new Uint8Array(32).fill(n + 1));
    client.socket.emit("subscribe", { symbol, interval: "m5" });
  }
  await until(() => client.of("error").length > wrong.length);
  expect(client.of("error").at(-1)).toEqual({ code: 1002, message: expect.stringContaining("100") });
  expect(client.of("subscription_confirmed").length).toBe(100);
  expect(client.socket.connected).toBe(true);
  client.socket.close();
}, 300_000);

test("the namespace / accepts and does nothing", async () => {
  const client = await connect(["websocket"], "/");
  client.socket.emit("subscribe", { symbol: mint, interval: "s1" });
  client.socket.emit("ping");
  await Bun.sleep(50);
  expect(client.order).toEqual([]);
  client.socket.close();
});

test("what is pushed is what happened: candles and events, each once, beside the live feed on the same port", async () => {
  // Whoever was there before is gone.
  while ((await get("/api/kline/subscriptions")).total_connections > 0) await Bun.sleep(5);
  const client = await connect();
  for (const interval of ["s1", "s30", "m5"]) client.socket.emit("subscribe", { symbol: mint, interval });
  await until(() => client.of("subscription_confirmed").length === 3);
  const before = Math.max(...client.of("history_event_data")[0].data.map((m: Message) => m.event_data.slot));
  const feed = new Terminal(url, [`events:${mint}`]);
  await feed.connect("socket");
  const status = await get("/api/kline/status");
  expect(status).toMatchObject({
    enabled: true,
    service_status: "running",
    stats: { total_subscriptions: 3, monitored_mints: 1 },
  });
  expect(status.stats.config).toEqual({
    connection_timeout: 60,
    max_subscriptions_per_client: 100,
    ping_interval: 25,
    ping_timeout: 60,
  });
  while (await live.go(10));
  const newest = async () => (await get(`/api/kline?mint=${mint}&interval=m5&limit=1`)).klines[0];
  const candle = await newest();
  const pushed = (interval: string) => client.of("kline_data").filter((m) => m.interval === interval);
  // An answer comes behind everything that was pushed before it.
  await caughtUp();
  client.socket.emit("history", { symbol: mint, interval: "m5", limit: 1 });
  await until(() => client.of("history_data").length === 4);
  expect(pushed("m5").at(-1)).toEqual({
    ...{ symbol: mint, interval: "m5", subscription_id: null, timestamp: expect.any(Number) },
    data: { ...candle, update_type: candle.is_final ? "final" : "realtime" },
  });
  expect(pushed("s1").some(({ data }) => data.is_final && data.update_type === "final")).toBe(true);
  // Every candle that was pushed last is as HTTP has it, but for those that an undo has removed.
  const klines = (await get(`/api/kline?mint=${mint}&interval=s1&limit=1000`)).klines as Message[];
  const last = new Map(pushed("s1").map(({ data }) => [data.time, data]));
  for (const kline of klines.filter(({ time }) => last.has(time))) {
    const { update_type: _, is_final: __, ...told } = last.get(kline.time);
    const { is_final: ___, ...held } = kline;
    expect(told).toEqual(held);
  }
  const pushedEvents = client.of("event_data").map(({ event_data }) => JSON.stringify(event_data));
  const listed = (await get(`/api/events?mint=${mint}&limit=1000&order_by=slot_asc`)).events as Message[];
  const since = listed.filter(({ slot }) => slot > before);
  expect(since.length).toBeGreaterThan(5);
  // Those of forks that were left are among what was pushed; what stayed was pushed once.
  const stayed = new Set(since.map((event) => JSON.stringify(event)));
  expect(pushedEvents.filter((event) => stayed.has(event))).toEqual(since.map((event) => JSON.stringify(event)));
  const held = await get("/api/kline/subscriptions");
  expect(held).toMatchObject({ total_connections: 1, total_rooms: 3 });
  expect(held.clients[0]).toMatchObject({
    socket_id: client.socket.id,
    subscription_count: 3,
    subscriptions: [`${mint}:s1`, `${mint}:s30`, `${mint}:m5`],
  });
  expect(held.clients[0].message_stats.kline_data_sent).toBe(client.of("kline_data").length);
  expect(held.rooms[0]).toEqual({
    room_name: `kline:${mint}:s1`,
    mint,
    interval: "s1",
    subscriber_count: 1,
    subscribers: [client.socket.id],
  });
  feed.disconnect();
  client.socket.close();
}, 300_000);
