/**
 * A server for server-streaming gRPC methods in plain text, on loopback: what `serveReplay` and the tests stand on. Calls
 * are handed over raw: a handler writes whole frames, and may also break the connection in every way a network can.
 */
import { once } from "node:events";
import {
  constants,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { Fatal } from "../errors.ts";
import { isLoopback } from "./endpoint.ts";
import { GrpcPrefix, MessageReader } from "./framing.ts";
import { GrpcCode, type GrpcStatus, statusTrailers } from "./grpc-status.ts";

/** Requests hold a package. */
const REQUEST_BYTES_MAX = 128 * 1024 * 1024;
const FRAME_HEAD_BYTES = 5;

const compress = promisify(gzip);

/** A gRPC frame for a message of `length` bytes, which the caller writes from byte 5 on. */
export function newFrame(length: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + length);
  frame[0] = 0;
  frame.writeUInt32BE(length, 1);
  return frame;
}

export function frameOf(message: Uint8Array): Buffer {
  const frame = newFrame(message.length);
  frame.set(message, FRAME_HEAD_BYTES);
  return frame;
}

/** One call, until `finish` or until the client goes (`signal`). */
export class ServerCall {
  /** Aborts when the stream is closed, by whomever. */
  readonly signal: AbortSignal;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly request: Uint8Array;
  private readonly stream: ServerHttp2Stream;
  private readonly socket: Socket | null;
  private readonly gzip: boolean;
  private readonly closed = new AbortController();
  private status: GrpcStatus | null = null;
  /** Resolves the wait for room. */
  private wake: (() => void) | null = null;

  constructor(
    stream: ServerHttp2Stream,
    socket: Socket | null,
    headers: IncomingHttpHeaders,
    request: Uint8Array,
    allowGzip: boolean,
  ) {
    this.stream = stream;
    this.socket = socket;
    this.headers = headers;
    this.path = String(headers[":path"]);
    this.request = request;
    this.signal = this.closed.signal;
    this.gzip = allowGzip && String(headers["grpc-accept-encoding"] ?? "").includes("gzip");
    stream.on("drain", () => this.wake?.());
    stream.on("close", () => {
      this.closed.abort();
      this.wake?.();
    });
    stream.on("wantTrailers", () => {
      // Also asked of streams that are being reset; those must not end as if all were well.
      if (this.status !== null) stream.sendTrailers(statusTrailers(this.status));
    });
    stream.respond(
      {
        ":status": 200,
        "content-type": "application/grpc+proto",
        ...(this.gzip ? { "grpc-encoding": "gzip" } : {}),
      },
      { waitForTrailers: true },
    );
  }

  /** Sends a frame; resolves when there is room for the next, or when the call is over. */
  async send(frame: Buffer): Promise<void> {
    await this.sendRaw(this.gzip ? await this.compressed(frame) : frame);
  }

  /** Sends any bytes, be they half a frame. */
  async sendRaw(bytes: Uint8Array): Promise<void> {
    if (this.signal.aborted || this.stream.write(bytes)) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (this.signal.aborted) resolve();
    });
    this.wake = null;
  }

  /** Resolves when the client has what was sent, or when the call is over. */
  async delivered(): Promise<void> {
    const { session } = this.stream;
    await new Promise<void>((resolve) => {
      this.signal.addEventListener("abort", () => resolve(), { once: true });
      // Frames are read in order: who answers a ping has had what came before it.
      if (this.signal.aborted || session?.ping(() => resolve()) !== true) resolve();
    });
  }

  /** Resolves when the call is over, by whomever. */
  async gone(): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise<void>((resolve) => this.signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  /** Ends the call. Only the first status counts. */
  finish(status: GrpcStatus = { code: GrpcCode.ok, message: "" }): void {
    if (this.signal.aborted || this.status !== null) return;
    this.status = status;
    this.stream.end();
  }

  /** Resets the stream, without a status. */
  reset(code: number = constants.NGHTTP2_INTERNAL_ERROR): void {
    this.stream.close(code);
  }

  /** Says that the server goes away; without an error code the stream goes on to its end. */
  goAway(code: number = constants.NGHTTP2_NO_ERROR): void {
    this.stream.session?.goaway(code);
  }

  /** Breaks the connection without a word. */
  disconnect(): void {
    this.socket?.destroy();
  }

  private async compressed(frame: Buffer): Promise<Buffer> {
    const packed = frameOf(await compress(frame.subarray(FRAME_HEAD_BYTES), { level: 1 }));
    packed[0] = 1;
    return packed;
  }
}

export interface GrpcServerOptions {
  /** A loopback address: there is no TLS, and nothing here is made to face a network. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Runs one call. What it throws ends the call as `internal`. */
  readonly handle: (call: ServerCall) => Promise<void>;
  /** Compress answers for clients that accept it. */
  readonly gzip?: boolean;
  /** Speak TLS with this key and certificate (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface GrpcServer {
  readonly port: number;
  /** Ends all calls and stops listening. */
  close(): Promise<void>;
}

/** Throws `Fatal` SERVER_ADDRESS when it cannot listen there. */
export async function serveGrpc(options: GrpcServerOptions): Promise<GrpcServer> {
  const { host, port, tls } = options;
  if (!isLoopback(host)) {
    throw new Fatal("SERVER_ADDRESS", "only loopback addresses can be served", { where: host, hint: "Use 127.0.0.1." });
  }
  const server = tls === undefined ? createServer() : createSecureServer({ ...tls });
  /** By the client's port. Sessions hide their socket. */
  const sockets = new Map<number, Socket>();
  server.on("connection", (socket: Socket) => {
    const client = socket.remotePort ?? 0;
    sockets.set(client, socket);
    socket.on("close", () => sockets.delete(client));
  });
  server.on("session", (session: ServerHttp2Session) => session.on("error", () => session.destroy()));
  server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on("error", () => stream.destroy());
    void answer(stream, headers, sockets.get(stream.session?.socket.remotePort ?? 0) ?? null, options);
  });
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new Fatal("SERVER_ADDRESS", error instanceof Error ? error.message : String(error), {
      where: `${host}:${port}`,
      hint: "Another process may use this port; port 0 picks a free one.",
      cause: error,
    });
  }
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets.values()) socket.destroy();
      await closed;
    },
  };
}

/** Reads the request, runs the handler and sees to it that the call ends. */
async function answer(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  socket: Socket | null,
  { handle, gzip: allowGzip = false }: GrpcServerOptions,
): Promise<void> {
  let call: ServerCall | null = null;
  try {
    const reader = new MessageReader(new GrpcPrefix(), REQUEST_BYTES_MAX);
    const messages: Uint8Array[] = [];
    for await (const chunk of stream) messages.push(...reader.push(chunk as Uint8Array));
    call = new ServerCall(stream, socket, headers, messages[0] ?? new Uint8Array(0), allowGzip);
    await handle(call);
    call.finish();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (call === null) stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
    else call.finish({ code: GrpcCode.internal, message });
  }
}
