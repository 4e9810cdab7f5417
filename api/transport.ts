/**
 * What takes over the requests to a path because they become sockets or endless answers. The server checks a request as it
 * checks every other, hands it over, and passes on what happens on the sockets that come of it: one server, one set of
 * socket handlers, as many transports as there are.
 */
import type { Audience } from "./routes/route.ts";

export type Socket = Bun.ServerWebSocket<unknown>;

/** Tokens are revoked and expire while clients are connected. Null: came without one. */
export type MayStay = (token: string | null) => boolean;
/** How often those who are connected are looked at, ms. */
export const GUARD_MS = 2_000;

/** How a transport is told of in the API's document, beside its path and audience. */
export interface TransportOperation {
  readonly tag: string;
  readonly summary: string;
  readonly description: string;
  readonly parameters: readonly object[];
  readonly responses: Readonly<Record<string, object>>;
  readonly [extension: `x-${string}`]: unknown;
}

export interface Transport {
  /** Of its requests, exactly. */
  readonly path: string;
  readonly audience: Audience;
  /** Absent: its protocol is none that OpenAPI has words for. */
  readonly operation?: TransportOperation;
  /** Called once, before the first request: tells whether a client that came with this token may stay. */
  guard(mayStay: MayStay): void;
  /** Undefined when the request has become a socket. */
  handle(request: Request, server: Bun.Server<unknown>): Promise<Response | undefined> | Response | undefined;
  /** Whether a socket is its own, by the data that it was upgraded with. */
  owns(data: unknown): boolean;
  readonly sockets: {
    open(socket: Socket): void;
    message(socket: Socket, message: string | Buffer): void;
    drain?(socket: Socket): void;
    close(socket: Socket, code: number, reason: string): void;
  };
  /** Ends all sockets and answers, and what feeds them. */
  stop(): Promise<void>;
}

/** Largest message that a client may send, bytes. Transports may have a lower limit of their own. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Bytes that wait for one client. A transport closes a slow client before that; this is the end of what memory may hold. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

/** The handlers of all transports as one. */
export function socketHandlers(transports: readonly Transport[]): Bun.WebSocketHandler<unknown> {
  const of = (socket: Socket) => transports.find((transport) => transport.owns(socket.data))?.sockets;
  return {
    maxPayloadLength: MESSAGE_BYTES_MAX,
    backpressureLimit: WAITING_BYTES_MAX,
    closeOnBackpressureLimit: true,
    idleTimeout: 120,
    sendPings: true,
    // Compressing for each client apart costs more than the loopback or a proxy's link is worth.
    perMessageDeflate: false,
    open: (socket) => of(socket)?.open(socket),
    message: (socket, message) => of(socket)?.message(socket, message),
    drain: (socket) => of(socket)?.drain?.(socket),
    close: (socket, code, reason) => of(socket)?.close(socket, code, reason),
  };
}

/** Path of a request's URL. */
export function pathOf(url: string): string {
  const start = url.indexOf("/", 8);
  const end = url.indexOf("?", start);
  return start < 0 ? "/" : url.slice(start, end < 0 ? undefined : end);
}
