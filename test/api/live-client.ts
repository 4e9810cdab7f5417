/**
 * A client of the live feed for tests, written from docs/live.md alone: it keeps what it is told as a trading terminal
 * would, over WebSocket or Server-Sent Events, and goes on from its last position when it comes back. Whatever the
 * protocol forbids makes it fail.
 */
import { connect } from "node:net";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { FRAMES } from "../../api/live/described.ts";

export interface Place {
  readonly slot: number;
  readonly hash: string;
  readonly ordinal: number | null;
}

// biome-ignore lint/suspicious/noExplicitAny: messages are read as they come
export type Message = any;

/** A WebSocket client that asks and then reads nothing until it is told to; then it reads what there is, to the end. */
export function stalledSocket(url: string, topics: readonly string[]) {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const head = `GET /v1/live HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
  socket.write(`${head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
  // A client's frames are masked; with zeros here.
  const ask = Buffer.from(JSON.stringify({ op: "subscribe", topics }));
  const frame = Buffer.from([0x81, 0x80 | 126, ask.length >> 8, ask.length & 0xff, 0, 0, 0, 0]);
  socket.write(Buffer.concat([frame, ask]));
  socket.pause();
  return {
    async readAll(): Promise<{ texts: string[]; close: { code: number; reason: string } | null }> {
      const pieces: Buffer[] = [];
      socket.on("data", (piece: Buffer) => void pieces.push(piece));
      const ended = new Promise((resolve) => socket.on("close", resolve));
      socket.resume();
      await ended;
      return framesOf(Buffer.concat(pieces));
    },
  };
}

function framesOf(bytes: Buffer): { texts: string[]; close: { code: number; reason: string } | null } {
  const texts: string[] = [];
  let at = bytes.indexOf("\r\n\r\n") + 4;
  while (at + 2 <= bytes.length) {
    const opcode = bytes[at]! & 0x0f;
    const short = bytes[at + 1]!;
    const [size, skip] =
      short === 126
        ? [bytes.readUInt16BE(at + 2), 4]
        : short === 127
          ? [Number(bytes.readBigUInt64BE(at + 2)), 10]
          : [short, 2];
    const payload = bytes.subarray(at + skip, at + skip + size);
    at += skip + size;
    if (at > bytes.length) break;
    if (opcode === 1) texts.push(payload.toString());
    if (opcode === 8)
      return { texts, close: { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() } };
  }
  return { texts, close: null };
}

export class Terminal {
  /** Where it stands. */
  at: Place | null = null;
  /** Rows of trades and events, oldest first. */
  entries: { kind: string; at: Place; row: Message }[] = [];
  /** Greatest revision that was told on this connection, by candle. */
  private readonly revisions = new Map<string, number>();
  /** By mint, interval and time. */
  readonly candles = new Map<string, { slot: number; revision: number; row: readonly string[] }>();
  mints: { mint: string; slot: number }[] = [];
  finalUpTo = 0;
  undos = 0;
  gaps = 0;
  readonly errors: Message[] = [];
  closed: { code: number; reason: string } | null = null;
  private close: (() => void) | null = null;

  constructor(
    readonly url: string,
    readonly topics: readonly string[],
  ) {}

  /** Resolves when it is subscribed, or refused. */
  async connect(carrier: "socket" | "events"): Promise<void> {
    this.closed = null;
    // A reading that begins further back tells of finality as it was there, and of candles.
    this.finalUpTo = 0;
    this.revisions.clear();
    const { promise, resolve } = Promise.withResolvers<void>();
    const take = (text: string) => {
      const message = this.hear(text);
      if (message.type === "subscribed" || message.type === "error") resolve();
    };
    if (carrier === "socket") this.openSocket(take, resolve);
    else await this.openEvents(take, resolve);
    await promise;
  }

  /** Takes one message. */
  hear(text: string): Message {
    mustBeDescribed(text);
    const message = parse(text);
    this.take(message);
    return message;
  }

  disconnect(): void {
    this.close?.();
    this.close = null;
  }

  private openSocket(take: (text: string) => void, ended: () => void): void {
    const socket = new WebSocket(`${this.url.replace("http", "ws")}/v1/live`);
    let isOurs = true;
    socket.onopen = () => {
      const from = this.at === null ? {} : { resume_from: this.at };
      socket.send(JSON.stringify({ op: "subscribe", topics: this.topics, ...from }));
    };
    socket.onmessage = ({ data }) => isOurs && take(String(data));
    socket.onclose = ({ code, reason }) => {
      if (isOurs) this.closed = { code, reason };
      ended();
    };
    this.close = () => {
      isOurs = false;
      socket.close();
    };
  }

  private async openEvents(take: (text: string) => void, ended: () => void): Promise<void> {
    const query = new URLSearchParams(this.topics.map((topic): [string, string] => ["topic", topic]));
    const { at } = this;
    const id = at === null ? null : [at.slot, at.hash, ...(at.ordinal === null ? [] : [at.ordinal])].join(":");
    const headers = id === null ? {} : { "last-event-id": id };
    const response = await fetch(`${this.url}/v1/live?${query}`, { headers });
    if (response.status !== 200) {
      this.errors.push(await response.json());
      ended();
      return;
    }
    const reader = response.body!.getReader();
    let isOurs = true;
    this.close = () => {
      isOurs = false;
      void reader.cancel();
    };
    void this.readEvents(reader, (text) => isOurs && take(text));
  }

  private async readEvents(
    reader: { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> },
    take: (text: string) => void,
  ): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const parts = (rest + decoder.decode(next.value, { stream: true })).split("\n\n");
      rest = parts.pop()!;
      for (const part of parts) take(part.slice(part.indexOf("data: ") + 6));
    }
  }

  private take(message: Message): void {
    const before = this.at;
    switch (message.type) {
      case "trade":
      case "event":
        this.entries.push({ kind: message.type, at: placeOf(message.at), row: message[message.type] });
        break;
      case "candle":
        this.putCandle(message, Number(message.at.slot));
        break;
      case "mint":
        this.mints.push({ mint: message.mint.mint, slot: Number(message.at.slot) });
        break;
      case "undo":
        this.undo(message);
        break;
      case "final":
        if (Number(message.final_up_to) <= this.finalUpTo) throw new Error("finality went back");
        this.finalUpTo = Number(message.final_up_to);
        break;
      case "gap":
        this.gaps++;
        break;
      case "error":
        this.errors.push(message);
        return;
      default:
        if (!["subscribed", "heartbeat", "pong", "closed"].includes(message.type)) throw new Error(message.type);
    }
    if (message.at === undefined || message.at === null) return;
    const at = placeOf(message.at);
    if (["trade", "event", "candle", "mint"].includes(message.type)) mustFollow(before, at);
    this.at = at;
  }

  private undo(message: Message): void {
    this.undos++;
    const { slot } = message.at;
    const { hash } = message.at;
    const stays = (at: Place) => at.slot < Number(slot) || (at.slot === Number(slot) && at.hash === hash);
    this.entries = this.entries.filter((entry) => stays(entry.at));
    this.mints = this.mints.filter(({ mint }) => !message.removed_mints.includes(mint));
    for (const candle of message.candles) this.putCandle(candle, Number(slot));
  }

  private putCandle(told: Message, slot: number): void {
    const { mint, interval, revision, row, removed } = told;
    const key = `${mint} ${interval} ${removed === true ? told.time : row[0]}`;
    const latest = this.revisions.get(key) ?? 0;
    if (Number(revision) < latest) throw new Error(`revision ${revision} of ${key} after ${latest}`);
    this.revisions.set(key, Number(revision));
    const held = this.candles.get(key);
    if (held !== undefined && Number(revision) < held.revision) return;
    if (removed === true) this.candles.delete(key);
    else this.candles.set(key, { slot, revision: Number(revision), row });
  }
}

const CHECKS = new Map(FRAMES.map((schema) => [schema.properties["type"]!.const, TypeCompiler.Compile(schema)]));

/** As the API's document says, and nothing that it does not say. */
function mustBeDescribed(text: string): void {
  const message = JSON.parse(text);
  const check = CHECKS.get(message.type);
  const wrong = check === undefined ? "no such type" : check.Errors(message).First();
  const members = Object.keys(
    FRAMES.find(({ properties }) => properties["type"]!.const === message.type)?.properties ?? {},
  );
  const more = Object.keys(message).filter((name) => !members.includes(name));
  if (wrong !== undefined || more.length > 0) {
    throw new Error(`not as described: ${JSON.stringify(wrong)} ${more.join(", ")} in ${text}`);
  }
}

/** Numbers stay as they are written: every digit counts. */
function parse(text: string): Message {
  const reviver = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" ? (context?.source ?? String(value)) : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown);
}

function placeOf({ slot, hash, ordinal }: Message): Place {
  return { slot: Number(slot), hash, ordinal: ordinal === null ? null : Number(ordinal) };
}

/** Nothing comes twice, and nothing comes before what belongs before it. */
function mustFollow(before: Place | null, at: Place): void {
  if (before === null || at.ordinal === null) return;
  const isLater =
    at.slot > before.slot || (at.hash === before.hash && before.ordinal !== null && at.ordinal > before.ordinal);
  if (!isLater) throw new Error(`${JSON.stringify(at)} after ${JSON.stringify(before)}`);
}
