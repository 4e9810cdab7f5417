/**
 * Goal: whoever follows the live feed knows, at the end, exactly what happened, however often the connection broke and
 * wherever it was: in the middle of a block, on a fork that was left, longer ago than memory reaches. Method: simulated
 * markets with forks in one lane and in several, over real NATS, HTTP and sockets; terminals that break off at random and
 * come back, to another server too; what they hold is held against the simulator's truth.
 */
import { afterEach, expect, test } from "bun:test";
import type { Followed, LiveLimits } from "../../api/live/index.ts";
import { sameBlock } from "../../pipeline/position.ts";
import { seededRandom } from "../../pipeline/world.ts";
import type { Truth } from "../../simulator/index.ts";
import { type Message, stalledSocket, Terminal } from "./live-client.ts";
import { LiveMarket, until } from "./live-ground.ts";

const EVERYTHING = ["trades", "events", "mints", "candles:*:s1", "candles:*:s30", "candles:*:m5"];

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanup.reverse()) await clean();
  cleanup.length = 0;
});

async function market(options: Parameters<typeof LiveMarket.start>[0]): Promise<LiveMarket> {
  const started = await LiveMarket.start(options);
  cleanup.push(() => started.dispose());
  return started;
}

async function serve(live: LiveMarket, ...[limits, feed]: [limits?: Partial<LiveLimits>, feed?: Followed["feed"]]) {
  const served = await live.serve(limits, {}, feed);
  cleanup.push(() => served.stop());
  return served;
}

function terminal(url: string, topics: readonly string[] = EVERYTHING): Terminal {
  const made = new Terminal(url, topics);
  cleanup.push(() => made.disconnect());
  return made;
}

const fieldsOf = (truth: Truth, dataset: string) => truth.lines![dataset]!.map((line) => line.split("|"));
const sorted = (rows: readonly string[]) => rows.toSorted();

/** An exact decimal as the integer that the truth has. */
function units(decimal: string, digits: number): string {
  const [whole = "", fraction = ""] = decimal.split(".");
  return BigInt(whole + fraction.padEnd(digits, "0")).toString();
}

/** Everything that a terminal holds, against the truth. */
function holdAgainst(held: Terminal, truth: Truth): void {
  const trades = held.entries.filter(({ kind }) => kind === "trade").map(({ row }) => row);
  const told = trades.map((t) =>
    [
      t.slot,
      t.time,
      t.signature,
      t.instruction_path,
      t.ordinal,
      t.mint,
      t.kind,
      t.user,
      t.base_amount ?? "",
      t.quote_amount ?? "",
      units(t.price, 28),
    ].join("|"),
  );
  const happened = fieldsOf(truth, "trades").map((f) => [...f.slice(0, 5), ...f.slice(6, 9), ...f.slice(10)].join("|"));
  expect(sorted(told)).toEqual(sorted(happened));
  const events = held.entries.filter(({ kind }) => kind === "event").map(({ row }) => row);
  for (const type of Object.keys(truth.lines!).filter((name) => events.some((e) => e.event === name))) {
    const mine = events
      .filter((e) => e.event === type)
      .map((e) => [e.slot, e.signature, e.instruction_path, e.ordinal].join("|"));
    expect(sorted(mine)).toEqual(sorted(fieldsOf(truth, type).map((f) => [f[0], f[2], f[3], f[4]].join("|"))));
  }
  for (const interval of ["s1", "s30", "m5"]) {
    const mine = [...held.candles].filter(([key]) => key.split(" ")[1] === interval);
    const rows = mine.map(([key, { row }]) => {
      const [time, ...prices] = row as string[];
      return [
        time,
        key.split(" ")[0],
        ...prices.slice(0, 4).map((p) => units(p, 28)),
        units(prices[4]!, 9),
        prices[5],
      ].join("|");
    });
    const candles = fieldsOf(truth, `candles_${interval}`).map((f) => [...f.slice(0, 6), f[7], f[8]].join("|"));
    expect({ interval, rows: sorted(rows) }).toEqual({ interval, rows: sorted(candles) });
  }
  expect(sorted(held.mints.map(({ mint }) => mint))).toEqual(sorted(truth.mints.map(({ mint }) => mint)));
}

test.each([
  { seed: 1, lanes: 1 },
  { seed: 2, lanes: 3 },
  { seed: 3, lanes: 1 },
])(
  "terminals that break off anywhere know in the end what happened: seed $seed, $lanes lanes",
  async ({ seed, lanes }) => {
    const live = await market({ seed, lanes, blocks: 50, rates: { undo: 0.2, undoTwice: 0.3 } });
    // The last blocks may hold nothing to tell: heartbeats say how far the feed has come.
    const limits = { heartbeatMs: 100 };
    const servers = [await serve(live, limits), await serve(live, { ...limits, windowSteps: 4 })];
    const random = seededRandom(seed);
    const steady = terminal(servers[0]!.url);
    await steady.connect("socket");
    const restless = Array.from({ length: 3 }, () => terminal(servers[0]!.url));
    for (const one of restless) await one.connect("socket");
    for (let going = true; going; ) {
      going = await live.go(1 + Math.floor(random() * 6));
      for (const one of restless) {
        if (random() < 0.5) continue;
        one.disconnect();
        // Some stay away for longer than the second server's memory reaches.
        if (random() < 0.3) going = going && (await live.go(Math.floor(random() * 20)));
        Object.assign(one, { url: servers[Math.floor(random() * 2)]!.url });
        await one.connect(random() < 0.5 ? "socket" : "events");
        expect(one.errors).toEqual([]);
      }
    }
    const end = live.truth!.chain.lastHash;
    await until(() => [steady, ...restless].every(({ at }) => at?.hash === end && at.ordinal === null));
    expect(live.truth!.chain.undos).toBeGreaterThan(3);
    expect(steady.undos).toBeGreaterThan(3);
    for (const one of [steady, ...restless]) {
      expect(one.gaps).toBe(0);
      expect(one.closed).toBeNull();
      holdAgainst(one, live.truth!);
    }
  },
  300_000,
);

const MINUTES = 300_000;

test.each([1, 3])(
  "who breaks off before anything was told goes on from the beginning, on any server: %i lanes",
  async (lanes) => {
    const live = await market({ seed: 1, lanes, blocks: 30 });
    const { url } = await serve(live);
    const steady = terminal(url);
    await steady.connect("socket");
    const ways = (["socket", "events"] as const).map((carrier) => ({ carrier, one: terminal(url) }));
    for (const { one, carrier } of ways) {
      await one.connect(carrier);
      expect(one.at).toEqual({ slot: 0, hash: "beginning", ordinal: null });
      one.disconnect();
    }
    const away = terminal(url);
    await away.connect("socket");
    away.disconnect();
    await live.go(1);
    await until(() => steady.at?.slot !== 0 && steady.at?.ordinal === null);
    for (const { one, carrier } of ways) await one.connect(carrier);
    await live.go(12);
    // This one begins to read behind the first block, and remembers little.
    const late = await serve(live, { windowSteps: 2 });
    await until(() => late.hub.window.end > 0);
    Object.assign(away, { url: late.url });
    await away.connect("events");
    while (await live.go(10));
    const all = [steady, away, ...ways.map(({ one }) => one)];
    const end = live.truth!.chain.lastHash;
    await until(() => all.every(({ at }) => at?.hash === end && at.ordinal === null));
    for (const one of all) {
      expect(one.errors).toEqual([]);
      expect(one.gaps).toBe(0);
      holdAgainst(one, live.truth!);
    }
  },
  MINUTES,
);

test(
  "a server that is late to read tells everything since it answered, and does not answer before it knows from where",
  async () => {
    const live = await market({ seed: 1, lanes: 1, blocks: 30, rates: { undo: 0 } });
    const gate = () => Promise.withResolvers<void>();
    const [looks, reads] = [gate(), gate()];
    const feed = live.feed();
    const held = (looking: Promise<void>, reading: Promise<void>) => ({
      oldest: () => feed.oldest(),
      isEmpty: () => looking.then(() => feed.isEmpty()),
      async *read(...args: Parameters<typeof feed.read>) {
        await reading;
        yield* feed.read(...args);
      },
    });
    const limits = { heartbeatMs: 50 };
    const knows = terminal((await serve(live, limits, held(Promise.resolve(), reads.promise))).url);
    const blind = await socketTo((await serve(live, limits, held(looks.promise, Promise.resolve()))).url);
    blind.socket.send(JSON.stringify({ op: "subscribe", topics: ["trades"] }));
    await knows.connect("events");
    // More than a reading that begins with what is recent goes back.
    await live.go(12);
    await until(() => blind.messages.length > 2);
    expect(blind.messages.map(({ type, at, feed }) => ({ type, at, feed }))).toContainEqual({
      type: "heartbeat",
      at: null,
      feed: "down",
    });
    expect(blind.messages.every(({ type }) => type === "heartbeat")).toBe(true);
    reads.resolve();
    looks.resolve();
    const answer = () => blind.messages.find(({ type }) => type === "subscribed");
    await until(() => answer() !== undefined);
    while (await live.go(10));
    const { chain, lines } = live.truth!;
    await until(() => knows.at?.hash === chain.lastHash && blind.messages.at(-1)!.at.hash === chain.lastHash);
    holdAgainst(knows, live.truth!);
    const since = lines!.trades!.filter((line) => Number(line.split("|")[0]) > answer()!.at.slot);
    const told = blind.messages.filter(({ type }) => type === "trade");
    expect(since.length).toBeGreaterThan(0);
    expect(told.map(({ trade }) => trade.signature).toSorted()).toEqual(since.map((l) => l.split("|")[2]!).toSorted());
  },
  MINUTES,
);

test(
  "a server that has heard less tells a fork that was left once more: whoever comes from another knows all the same",
  async () => {
    const live = await market({ seed: 1, lanes: 1, blocks: 50, rates: { undo: 0.2 } });
    const feed = live.feed();
    const goesOn = Promise.withResolvers<void>();
    const late = {
      oldest: () => feed.oldest(),
      isEmpty: () => feed.isEmpty(),
      async *read(...args: Parameters<typeof feed.read>) {
        for await (const step of feed.read(...args)) {
          if (step.kind === "undo") await goesOn.promise;
          yield step;
        }
      },
    };
    const beat = { heartbeatMs: 100 };
    const [first, second] = [await serve(live, beat), await serve(live, beat, late)];
    const one = terminal(first.url);
    await one.connect("socket");
    while (one.undos === 0) {
      await live.go(1);
      await first.caughtUp();
      await until(() => sameBlock(one.at, live.at));
    }
    await until(() => second.hub.window.end === first.hub.window.end - 1);
    one.disconnect();
    const before = one.entries.length;
    Object.assign(one, { url: second.url });
    await one.connect("socket");
    await until(() => one.entries.length > before);
    goesOn.resolve();
    while (await live.go(10));
    await until(() => one.at?.hash === live.truth!.chain.lastHash && one.at.ordinal === null);
    expect([one.undos, one.gaps, one.errors]).toEqual([live.truth!.chain.undos + 1, 0, []]);
    holdAgainst(one, live.truth!);
  },
  MINUTES,
);

async function socketTo(url: string): Promise<{ socket: WebSocket; messages: Message[]; closed: Promise<CloseEvent> }> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/live`);
  const messages: Message[] = [];
  socket.onmessage = ({ data }) => void messages.push(JSON.parse(String(data)));
  const closed = new Promise<CloseEvent>((resolve) => {
    socket.onclose = resolve;
  });
  cleanup.push(() => socket.close());
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  return { socket, messages, closed };
}

test(
  "what is wrong is said in one message, and the connection goes on",
  async () => {
    const live = await market({ seed: 5, lanes: 1, blocks: 30 });
    const { url } = await serve(live, { topics: 3 });
    await live.go(20);
    const { socket, messages } = await socketTo(url);
    const wrong: [text: string, code: string, says: RegExp][] = [
      ["not json", "BAD_REQUEST", /not JSON/],
      ["[]", "BAD_REQUEST", /object/],
      ['{"op":"drop"}', "BAD_REQUEST", /op must be/],
      ['{"op":"subscribe"}', "BAD_REQUEST", /list/],
      ['{"op":"subscribe","topics":["prices"]}', "BAD_REQUEST", /"prices" is no topic/],
      ['{"op":"subscribe","topics":[{"__proto__":1}]}', "BAD_REQUEST", /topic/],
      ['{"op":"subscribe","topics":["trades:short"]}', "BAD_REQUEST", /address/],
      ['{"op":"subscribe","topics":["candles:*:s7"]}', "BAD_REQUEST", /s1, s30/],
      ['{"op":"subscribe","topics":["events:*:nothing"]}', "BAD_REQUEST", /token_created/],
      ['{"op":"subscribe","topics":["trades","events","mints","candles:*:s1"]}', "BAD_REQUEST", /3 topics/],
      ['{"op":"subscribe","topics":["trades"],"resume_from":{"slot":-1}}', "BAD_REQUEST", /position/],
      [
        '{"op":"subscribe","topics":["trades"],"resume_from":{"slot":1,"hash":"x"}}',
        "POSITION_NOT_KEPT",
        /cannot go on/,
      ],
      [`{"op":"ping","id":"${"x".repeat(99)}"}`, "BAD_REQUEST", /id/],
      [`{"op":"ping","pad":"${"x".repeat(20_000)}"}`, "BODY_TOO_LARGE", /bytes/],
    ];
    for (const [i, [text, code, says]] of wrong.entries()) {
      socket.send(text);
      await until(() => messages.length > i);
      expect(messages[i]).toMatchObject({ type: "error", code, message: expect.stringMatching(says) });
      expect(JSON.stringify(messages[i])).not.toMatch(/api\/|node_modules|at /);
    }
    socket.send('{"op":"ping","id":7}');
    await until(() => messages.length > wrong.length);
    expect(messages.at(-1)).toEqual({ type: "pong", id: 7 });
    expect(messages.find(({ code }) => code === "POSITION_NOT_KEPT")).toMatchObject({
      head: { slot: expect.any(Number), hash: expect.any(String), ordinal: null },
    });
  },
  MINUTES,
);

test(
  "frames that no client sends, and too many of them, end that client only",
  async () => {
    const live = await market({ seed: 5, lanes: 1, blocks: 30 });
    const { url } = await serve(live);
    await live.go(5);
    const good = terminal(url);
    await good.connect("socket");
    const huge = await socketTo(url);
    huge.socket.send("x".repeat(2 * 1024 * 1024));
    expect((await huge.closed).code).not.toBe(1000);
    const binary = await socketTo(url);
    binary.socket.send(new Uint8Array([1, 2, 3]));
    await until(() => binary.messages.length === 1);
    expect(binary.messages[0]).toMatchObject({ type: "error", code: "BAD_REQUEST" });
    const flood = await socketTo(url);
    for (let i = 0; i < 1_000; i++) flood.socket.send('{"op":"subscribe","topics":["trades"]}');
    expect(await flood.closed).toMatchObject({ code: 4029, reason: "too many messages" });
    while (await live.go(10));
    const end = good.entries.length;
    await until(() => good.entries.length >= end && good.at !== null);
    expect(good.closed).toBeNull();
  },
  MINUTES,
);

test(
  "a reader that stops reading is closed with a reason at a bounded buffer; the others get everything; it resumes",
  async () => {
    const live = await market({ seed: 6, lanes: 1, blocks: 400, rates: { transactions: [60, 80], firstTokens: 8 } });
    const { url, hub } = await serve(live, { bufferBytes: 256 * 1024, heartbeatMs: 100 });
    await live.go(3);
    const good = terminal(url);
    await good.connect("socket");
    const stalled = stalledSocket(url, EVERYTHING);
    await until(() => hub.connections === 2);
    let most = 0;
    while (hub.connections === 2 && (await live.go(2))) most = Math.max(most, hub.waitingMost);
    // The hub may be some blocks behind the market.
    await until(() => hub.connections === 1);
    // One block more than what closes it may be waiting.
    expect(most).toBeLessThan(2 * 1024 * 1024);
    const told = await stalled.readAll();
    expect(told.close).toMatchObject({ code: 4008, reason: expect.stringContaining("resume from your last position") });
    const back = terminal(url);
    for (const text of told.texts) back.hear(text);
    await back.connect("socket");
    await live.go(2);
    await until(() => back.at?.hash === good.at?.hash && back.at?.ordinal === good.at?.ordinal);
    const rows = (one: Terminal) => one.entries.map(({ at }) => `${at.hash} ${at.ordinal}`);
    expect(rows(back)).toEqual(rows(good).slice(rows(good).indexOf(rows(back)[0]!)));
  },
  MINUTES,
);

test("no more clients than there is room for, and they are told", async () => {
  const live = await market({ seed: 5, lanes: 1, blocks: 10 });
  const { url } = await serve(live, { connections: 1 });
  const first = terminal(url, ["trades"]);
  await first.connect("socket");
  const second = await fetch(`${url}/v1/live?topic=trades`);
  expect(second.status).toBe(503);
  expect(await second.json()).toMatchObject({ code: "TOO_MANY_CONNECTIONS" });
  first.disconnect();
});

test("Server-Sent Events: what cannot be served is an HTTP error", async () => {
  const live = await market({ seed: 5, lanes: 1, blocks: 30 });
  const { url } = await serve(live);
  await live.go(5);
  const get = async (query: string, headers = {}) => {
    const response = await fetch(`${url}/v1/live${query}`, { headers });
    return { status: response.status, body: (await response.json()) as Message };
  };
  expect(await get("")).toMatchObject({ status: 400, body: { detail: expect.stringContaining("?topic=") } });
  expect(await get("?topic=nothing")).toMatchObject({ status: 400 });
  expect(await get("?topic=trades&resume_from=x")).toMatchObject({ status: 400 });
  expect(await get("?topic=trades", { "last-event-id": "1:gone" })).toMatchObject({ status: 410 });
  expect((await fetch(`${url}/v1/live`, { method: "DELETE" })).status).toBe(405);
  const foreign = { connection: "Upgrade", upgrade: "websocket", origin: "http://evil.example" };
  expect((await fetch(`${url}/v1/live`, { headers: foreign })).status).toBe(403);
});
