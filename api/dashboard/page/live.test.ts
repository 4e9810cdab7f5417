/**
 * Goal: the connection goes on where it broke, says when something was missed, and asks for nothing twice. Method: a feed by
 * hand in place of the WebSocket, and a clock that moves when told.
 */
import { beforeEach, expect, test } from "bun:test";
import { Live, type LiveMessage, type LiveOptions, type WiringEvents } from "./live.ts";

interface Socket {
  readonly events: WiringEvents;
  readonly sent: unknown[];
  closed: boolean;
}

let sockets: Socket[];
let timers: { at: number; action: () => void }[];
let now: number;
let live: Live;
let heard: LiveMessage[];

beforeEach(() => {
  [sockets, timers, now, heard] = [[], [], 0, []];
  live = new Live(options());
});

function options(): LiveOptions {
  return {
    random: () => 0.5,
    connect(events) {
      const socket: Socket = { events, sent: [], closed: false };
      sockets.push(socket);
      return { send: (text) => void socket.sent.push(JSON.parse(text)), close: () => void (socket.closed = true) };
    },
    after(ms, action) {
      const timer = { at: now + ms, action };
      timers.push(timer);
      return () => void (timers = timers.filter((other) => other !== timer));
    },
  };
}

function pass(ms: number): void {
  now += ms;
  const due = timers.filter((timer) => timer.at <= now);
  timers = timers.filter((timer) => timer.at > now);
  for (const { action } of due) action();
}

const listen = (message: LiveMessage) => void heard.push(message);
const tell = (socket: Socket, message: object) => socket.events.heard(JSON.stringify(message));
const AT = { slot: 7, hash: "h7", ordinal: 3 };

test("topics are asked for once the connection stands, and new ones as they come", () => {
  live.follow(["mints"], listen);
  const [socket] = sockets;
  expect(socket!.sent).toEqual([]);
  socket!.events.opened();
  live.follow(["mints", "trades:a"], listen);
  expect(socket!.sent).toEqual([
    { op: "subscribe", topics: ["mints"] },
    { op: "subscribe", topics: ["trades:a"] },
  ]);
});

test("a topic is given up when nobody follows it any more", () => {
  const first = live.follow(["mints"], listen);
  sockets[0]!.events.opened();
  const second = live.follow(["mints", "trades:a"], () => undefined);
  second();
  first();
  expect(sockets[0]!.sent.slice(2)).toEqual([
    { op: "unsubscribe", topics: ["trades:a"] },
    { op: "unsubscribe", topics: ["mints"] },
  ]);
});

test("a connection that breaks goes on behind the last message that came", () => {
  live.follow(["mints"], listen);
  sockets[0]!.events.opened();
  tell(sockets[0]!, { type: "final", at: AT, final_up_to: 4 });
  sockets[0]!.events.closed();
  expect(live.status).toBe("down");
  pass(250);
  sockets[1]!.events.opened();
  expect(live.status).toBe("up");
  expect(sockets[1]!.sent).toEqual([{ op: "subscribe", topics: ["mints"], resume_from: AT }]);
  expect(heard.map(({ type }) => type)).toEqual(["final"]);
});

test("attempts become rarer, and never stop", () => {
  live.follow(["mints"], listen);
  for (let i = 0; i < 12; i++) {
    sockets.at(-1)!.events.closed();
    pass(5_000);
    expect(sockets.length).toBe(i + 2);
  }
  sockets.at(-1)!.events.closed();
  pass(2_000);
  expect(sockets.length).toBe(13);
});

test("a position that is not kept any more: from the present on, and everyone reads again", () => {
  live.follow(["mints"], listen);
  sockets[0]!.events.opened();
  tell(sockets[0]!, { type: "heartbeat", at: AT });
  sockets[0]!.events.closed();
  pass(250);
  sockets[1]!.events.opened();
  tell(sockets[1]!, { type: "error", code: "POSITION_NOT_KEPT" });
  expect(sockets[1]!.sent.at(-1)).toEqual({ op: "subscribe", topics: ["mints"] });
  expect(heard).toEqual([{ type: "reset" }]);
});

test("a gap makes everyone read again", () => {
  live.follow(["mints"], listen);
  sockets[0]!.events.opened();
  tell(sockets[0]!, { type: "gap", at: AT });
  expect(heard).toEqual([{ type: "reset" }]);
});

test("a connection that says nothing, not even a heartbeat, is given up", () => {
  live.follow(["mints"], listen);
  sockets[0]!.events.opened();
  pass(30_000);
  tell(sockets[0]!, { type: "heartbeat", at: AT });
  pass(30_000);
  expect(sockets[0]!.closed).toBe(false);
  pass(10_000);
  expect([sockets[0]!.closed, live.status]).toEqual([true, "down"]);
  // Its own end, which comes late, is not that of the next one.
  pass(250);
  sockets[1]!.events.opened();
  sockets[0]!.events.closed();
  expect(live.status).toBe("up");
});

test("what was read is told on from where the feed stands; not while it is down, or lies far behind as in a catch-up", () => {
  live.follow(["mints"], listen);
  const [socket] = sockets;
  expect(live.tellsFrom(0)).toBe(false);
  socket!.events.opened();
  expect(live.tellsFrom(0)).toBe(false);
  tell(socket!, { type: "subscribed", at: AT, final_up_to: 0 });
  expect([0, AT.slot, AT.slot + 25, AT.slot + 26].map((slot) => live.tellsFrom(slot))).toEqual([
    true,
    true,
    true,
    false,
  ]);
  tell(socket!, { type: "heartbeat", at: { ...AT, slot: AT.slot + 9 } });
  expect(live.tellsFrom(AT.slot + 26)).toBe(true);
  socket!.events.closed();
  expect(live.tellsFrom(AT.slot)).toBe(false);
});

test("no connection is tried while it is known to be in vain", () => {
  let may = false;
  live = new Live({ ...options(), mayConnect: () => may });
  live.follow(["mints"], listen);
  sockets[0]!.events.closed();
  for (let i = 0; i < 20; i++) pass(5_000);
  expect(sockets.length).toBe(1);
  may = true;
  pass(5_000);
  expect(sockets.length).toBe(2);
});
