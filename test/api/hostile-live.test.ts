/**
 * Goal: whatever clients of the live feed do with their sockets, they end only themselves: the server goes on, and who
 * listens beside them is told everything. Whoever loses the right to listen is no longer told. Method: frames that no
 * library would send, over raw sockets; forged positions; clients that come and go in a storm; tokens that are revoked and
 * that expire, over each carrier; beside them an honest terminal, which in the end holds what every other holds.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { io } from "socket.io-client";
import { TokenFile } from "../../api/access/tokens.ts";
import type { Scope } from "../../api/routes/route.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { type Message, Terminal } from "./live-client.ts";
import { LiveMarket, until } from "./live-ground.ts";

const MINUTES = 300_000;
const folder = mkdtempSync(join(tmpdir(), "sluice-hostile-"));
/** How far the clock of the tokens is ahead. */
let aheadMs = 0;
const tokens = new TokenFile(join(folder, "tokens.json"), { ...systemWorld, now: () => systemWorld.now() + aheadMs });
let live: LiveMarket;
let open: Awaited<ReturnType<LiveMarket["serve"]>>;
let guarded: typeof open;
beforeAll(async () => {
  live = await LiveMarket.start({ seed: 15, lanes: 1, blocks: 400 });
  open = await live.serve({ heartbeatMs: 100 });
  guarded = await live.serve({ heartbeatMs: 100 }, { tokens, access: { anonymous: "none" } });
  await live.go(10);
}, MINUTES);
afterAll(async () => {
  await open.stop();
  await guarded.stop();
  await live.dispose();
  rmSync(folder, { recursive: true });
});

const cleanup: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanup.splice(0).reverse()) await clean();
});

const UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
const KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/** A connection on which a test writes what it likes; what came, and when it was ended. */
function raw(url: string, headers: readonly string[]) {
  const { hostname, port, host } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  let received = "";
  socket.on("data", (bytes: Buffer) => void (received += bytes.toString("latin1")));
  // Being cut off is what is waited for.
  socket.on("error", () => socket.destroy());
  const ended = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  cleanup.push(() => socket.destroy());
  socket.write(["GET /v1/live HTTP/1.1", `Host: ${host}`, ...headers, "", ""].join("\r\n"));
  return { socket, ended, received: () => received };
}

/** A client's frame, masked with zeros. `size`: what it says of its length. */
function frame(first: number, payload: Uint8Array, size = payload.length): Buffer {
  const head = Buffer.alloc(14);
  head[0] = first;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(size), 2);
  return Buffer.concat([head, payload]);
}

const TEXT = 0x81;
const TEXT_BEGINS = 0x01;
const GOES_ON = 0x00;
const COMPRESSED = 0x40;

async function honest(): Promise<Terminal> {
  const terminal = new Terminal(open.url, ["trades", "events"]);
  cleanup.push(() => terminal.disconnect());
  await terminal.connect("socket");
  return terminal;
}

/** The chain goes on, and the terminal is told of it. */
async function goesOn(terminal: Terminal): Promise<void> {
  const before = terminal.entries.length;
  while (terminal.entries.length === before) {
    await live.go(1);
    await Bun.sleep(20);
  }
  expect({ closed: terminal.closed, errors: terminal.errors, gaps: terminal.gaps }).toEqual({
    closed: null,
    errors: [],
    gaps: 0,
  });
}

test.each([
  ["no key", UPGRADE],
  ["a key that is none", [...UPGRADE, "Sec-WebSocket-Key: x"]],
  ["a version that nobody speaks", [...UPGRADE.slice(0, 2), "Sec-WebSocket-Version: 1", KEY]],
])(
  "an upgrade with %s is no socket",
  async (_what, headers) => {
    const terminal = await honest();
    const client = raw(open.url, [...headers, "Connection: close"]);
    await until(() => client.received() !== "" || client.socket.destroyed);
    expect(client.received()).not.toStartWith("HTTP/1.1 101");
    expect(client.received()).not.toMatch(/HTTP\/1\.1 5|\.ts:|node_modules/);
    await goesOn(terminal);
  },
  MINUTES,
);

test.each<[string, (socket: Socket) => void]>([
  ["a frame that says it has 16 MiB", (s) => void s.write(frame(TEXT, Buffer.from("{"), 16 * 1024 * 1024))],
  ["a frame that says it has 2^62 bytes", (s) => void s.write(frame(TEXT, Buffer.from("{"), 2 ** 62))],
  ["a compressed frame that was not agreed upon", (s) => void s.write(frame(TEXT | COMPRESSED, Buffer.alloc(64)))],
  ["a frame of a kind that does not exist", (s) => void s.write(frame(0x8b, Buffer.alloc(4)))],
  ["a frame that goes on from none", (s) => void s.write(frame(0x80 | GOES_ON, Buffer.from("{}")))],
  [
    "a message in fragments that never ends",
    (socket) => {
      socket.write(frame(TEXT_BEGINS, Buffer.alloc(1_024, "x")));
      const more = frame(GOES_ON, Buffer.alloc(64 * 1024, "x"));
      for (let i = 0; i < 64; i++) socket.write(more);
    },
  ],
])(
  "%s ends that client only",
  async (_what, attack) => {
    const terminal = await honest();
    const client = raw(open.url, [...UPGRADE, KEY]);
    await until(() => client.received().startsWith("HTTP/1.1 101"));
    attack(client.socket);
    await client.ended;
    await goesOn(terminal);
  },
  MINUTES,
);

test(
  "forged positions are refused, the connection goes on, and nothing is told from a place that never was",
  async () => {
    const terminal = await honest();
    await goesOn(terminal);
    const { slot, hash } = terminal.at!;
    const forged: [unknown, string][] = [
      [{ slot: slot + 10_000, hash, ordinal: null }, "POSITION_NOT_KEPT"],
      [{ slot, hash: "1".repeat(44), ordinal: 1 }, "POSITION_NOT_KEPT"],
      [{ slot: 0, hash: "1".repeat(44), ordinal: null }, "POSITION_NOT_KEPT"],
      [{ slot: 2 ** 53, hash, ordinal: null }, "BAD_REQUEST"],
      [{ slot, hash: "'; DROP TABLE trades; --", ordinal: null }, "BAD_REQUEST"],
      [{ slot, hash, ordinal: -1 }, "BAD_REQUEST"],
      [{ slot: { valueOf: 1 }, hash: ["x"] }, "BAD_REQUEST"],
      [[slot, hash], "BAD_REQUEST"],
      ["1:2:3:4", "BAD_REQUEST"],
      [`${slot}:${hash}:99999999999999999999`, "BAD_REQUEST"],
    ];
    for (const [from, code] of forged) {
      const messages: Message[] = [];
      const socket = new WebSocket(`${open.url.replace("http", "ws")}/v1/live`);
      cleanup.push(() => socket.close());
      socket.onmessage = ({ data }) => void messages.push(JSON.parse(String(data)));
      socket.onopen = () => {
        socket.send(JSON.stringify({ op: "subscribe", topics: ["trades"], resume_from: from }));
        socket.send('{"op":"ping","id":1}');
      };
      const told = (type: string) => messages.filter((message) => message.type === type);
      await until(() => told("error").length === 1 && told("pong").length === 1);
      expect(told("error")[0]).toMatchObject({ code });
      expect(told("trade")).toEqual([]);
    }
    await goesOn(terminal);
  },
  MINUTES,
);

test(
  "five hundred clients that come at once, ask from the past, and are gone again, three times over",
  async () => {
    const terminal = await honest();
    const from = terminal.at;
    for (let round = 0; round < 3; round++) {
      const clients = Array.from({ length: 500 }, (_, i) => {
        const client = raw(open.url, [...UPGRADE, KEY]);
        const resume = i % 2 === 0 ? {} : { resume_from: from };
        client.socket.write(
          frame(TEXT, Buffer.from(JSON.stringify({ op: "subscribe", topics: ["trades"], ...resume }))),
        );
        return client;
      });
      await until(() => open.hub.connections > 400);
      await live.go(2);
      for (const { socket } of clients) socket.destroy();
      await until(() => open.hub.connections === 1);
    }
    await goesOn(terminal);
    expect(open.hub.waitingMost).toBeLessThan(1024 * 1024);
  },
  MINUTES,
);

const make = (name: string, expires?: number) =>
  tokens.create({ name, scopes: ["read", "live"] satisfies Scope[], ...(expires === undefined ? {} : { expires }) })
    .token;

/** Connects over each carrier with a token; how each was ended. */
async function everywhere(token: string) {
  const headers = { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`${guarded.url.replace("http", "ws")}/v1/live`, ["sluice", `bearer.${token}`]);
  const closed = new Promise<number>((resolve) => {
    socket.onclose = ({ code }) => resolve(code);
  });
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  socket.send('{"op":"subscribe","topics":["trades"]}');
  const stream = await fetch(`${guarded.url}/v1/live?topic=trades`, { headers });
  expect(stream.status).toBe(200);
  const told = stream.text();
  const client = io(`${guarded.url}/kline`, { transports: ["websocket"], reconnection: false, extraHeaders: headers });
  cleanup.push(
    () => client.close(),
    () => socket.close(),
  );
  const left = new Promise<string>((resolve) => client.on("disconnect", resolve));
  await new Promise<void>((resolve, reject) => {
    client.on("connect", resolve);
    client.on("connect_error", reject);
  });
  return { socket, ends: () => Promise.all([closed, told.then((text) => text.includes('"code":4001')), left]) };
}

test(
  "a token that is revoked ends what was opened with it, over each carrier; others stay",
  async () => {
    const kept = await everywhere(make("kept"));
    const revoked = await everywhere(make("revoked"));
    tokens.revoke("revoked");
    expect(await revoked.ends()).toEqual([4001, true, "io server disconnect"]);
    expect(kept.socket.readyState).toBe(WebSocket.OPEN);
    await until(() => guarded.hub.connections === 2);
    tokens.revoke("kept");
    expect(await kept.ends()).toEqual([4001, true, "io server disconnect"]);
  },
  MINUTES,
);

test(
  "a token that expires while it listens",
  async () => {
    const client = await everywhere(make("brief", Date.now() + 3_600_000));
    aheadMs = 3_600_000;
    expect(await client.ends()).toEqual([4001, true, "io server disconnect"]);
    expect((await fetch(`${guarded.url}/v1/live?topic=trades`)).status).toBe(401);
  },
  MINUTES,
);
