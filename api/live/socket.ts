/** The feed over WebSocket: each message is a JSON object in a text frame. The protocol is described in docs/live.md. */
import { classify } from "../../pipeline/errors.ts";
import type { Log } from "../../pipeline/log.ts";
import type { World } from "../../pipeline/world.ts";
import { refused } from "../errors.ts";
import type { Socket } from "../transport.ts";
import type { LiveHub } from "./hub.ts";
import type { Frame } from "./items.ts";
import { readPlace } from "./place.ts";
import { errorMessage, refusalOf } from "./refusal.ts";
import { CLOSE, type CloseCode, type Outlet, type Session } from "./session.ts";
import { readTopic } from "./topics.ts";

/** Longest message of a client, bytes. */
const MESSAGE_BYTES_MAX = 16 * 1024;
/** Messages that a client may send at once, and how many it may send again each second. */
const MESSAGES_BURST = 40;
const MESSAGES_PER_SECOND = 10;
/** A client that does not take the reason either is cut off after so long, ms. */
const GRACE_MS = 5_000;

/** Sends frames of one turn with one system call. */
class SocketOutlet implements Outlet {
  readonly gone = new AbortController();
  private readonly socket: Socket;
  private readonly world: Pick<World, "sleep">;

  constructor(socket: Socket, world: Pick<World, "sleep">) {
    this.socket = socket;
    this.world = world;
  }

  get waiting(): number {
    return this.socket.getBufferedAmount();
  }

  send(frames: readonly Frame[]): void {
    const { socket } = this;
    socket.cork(() => {
      for (const { text } of frames) socket.send(text);
    });
  }

  close(code: CloseCode, reason: string): void {
    this.socket.close(code, reason);
    this.world.sleep(GRACE_MS, this.gone.signal).then(
      () => this.socket.terminate(),
      () => undefined,
    );
  }
}

export interface SocketClientOptions {
  readonly hub: LiveHub;
  readonly world: Pick<World, "sleep" | "monotonic">;
  readonly log: Log;
  /** That it came with. */
  readonly token: string | null;
}

/** One client on a socket. */
export class SocketClient {
  private readonly hub: LiveHub;
  private readonly world: Pick<World, "sleep" | "monotonic">;
  private readonly log: Log;
  private readonly token: string | null;
  private session: Session | null = null;
  private outlet: SocketOutlet | null = null;
  private allowance = MESSAGES_BURST;
  private allowedAt: number;

  constructor({ hub, world, log, token }: SocketClientOptions) {
    this.hub = hub;
    this.world = world;
    this.log = log;
    this.token = token;
    this.allowedAt = world.monotonic();
  }

  open(socket: Socket): void {
    this.outlet = new SocketOutlet(socket, this.world);
    this.session = this.hub.open(this.outlet, this.token);
    if (this.session === null) socket.close(CLOSE.goingAway, "there is no room for another client");
  }

  message(text: string | Buffer): void {
    const { session } = this;
    if (session === null || session.state === "closed") return;
    if (!this.isAllowed()) {
      session.close(CLOSE.tooManyMessages, "too many messages");
      return;
    }
    this.obey(session, text).catch((error) => {
      // Nobody is there to be told.
      if (session.state !== "closed")
        this.log("error", "a client could not be answered", { reason: classify(error).message });
    });
  }

  drain(): void {
    this.session?.hasDrained();
  }

  close(): void {
    this.outlet?.gone.abort();
    this.session?.end();
  }

  private async obey(session: Session, text: string | Buffer): Promise<void> {
    let request: unknown;
    try {
      const asked = readRequest(text);
      request = asked.id;
      await this.run(session, asked);
    } catch (error) {
      const refusal = await refusalOf(error, this.hub);
      if (session.state !== "closed") session.outlet.send([{ id: "", text: errorMessage(refusal, request, this.log) }]);
    }
  }

  private async run(session: Session, asked: Request): Promise<void> {
    const { op, topics, resume_from: from, id } = asked;
    switch (op) {
      case "subscribe":
        if (from != null && session.state !== "idle") {
          throw refused("BAD_REQUEST", "resume_from belongs to the first subscribe of a connection");
        }
        return this.hub.subscribe(session, this.topicsOf(topics), from == null ? null : readPlace(from));
      case "unsubscribe":
        return this.hub.unsubscribe(session, this.topicsOf(topics));
      case "ping":
        return session.send({ type: "pong", ...(id === undefined ? {} : { id }) });
      default:
        throw refused("BAD_REQUEST", "op must be subscribe, unsubscribe or ping");
    }
  }

  private topicsOf(given: unknown): string[] {
    if (!Array.isArray(given) || given.length === 0) throw refused("BAD_REQUEST", "topics must be a list of texts");
    if (given.length > this.hub.limits.topics) {
      throw refused("BAD_REQUEST", `a connection may have ${this.hub.limits.topics} topics`);
    }
    return [...new Set(given.map((topic) => readTopic(topic, this.hub.eventTypes)))];
  }

  /** A bucket that is refilled steadily. */
  private isAllowed(): boolean {
    const now = this.world.monotonic();
    const refilled = ((now - this.allowedAt) / 1000) * MESSAGES_PER_SECOND;
    this.allowance = Math.min(MESSAGES_BURST, this.allowance + refilled) - 1;
    this.allowedAt = now;
    return this.allowance >= 0;
  }
}

interface Request {
  readonly op?: unknown;
  readonly topics?: unknown;
  readonly resume_from?: unknown;
  readonly id?: unknown;
}

function readRequest(text: string | Buffer): Request {
  if (typeof text !== "string") throw refused("BAD_REQUEST", "messages are JSON in text frames");
  if (Buffer.byteLength(text) > MESSAGE_BYTES_MAX) {
    throw refused("BODY_TOO_LARGE", `a message may have ${MESSAGE_BYTES_MAX} bytes`);
  }
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    throw refused("BAD_REQUEST", "the message is not JSON");
  }
  if (typeof request !== "object" || request === null || Array.isArray(request)) {
    throw refused("BAD_REQUEST", "a message is a JSON object");
  }
  const { id } = request as Request;
  if (id !== undefined && typeof id !== "number" && (typeof id !== "string" || id.length > 64)) {
    throw refused("BAD_REQUEST", "id must be a number or a short text");
  }
  return request as Request;
}
