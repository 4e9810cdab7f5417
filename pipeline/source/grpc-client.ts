/**
 * A server-streaming gRPC call over HTTP/2, made for long streams of large messages: one connection per call, memory
 * bounded by the flow-control window plus one message, keepalive pings, and every way of ending told as a gRPC status.
 *
 * Written by hand because the usual client keeps every received byte until its stream ends (each read is raced against
 * a promise that lives as long as the stream) and joins the pieces of a message in quadratic time.
 * Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Fatal } from "../errors.ts";
import type { World } from "../world.ts";
import { GrpcPrefix, MessageReader, MessageTooLarge } from "./framing.ts";
import { GrpcCode, type GrpcStatus, statusFromHeaders, statusFromHttp } from "./grpc-status.ts";

/**
 * Bytes that the server may send ahead of the reader. The protocol's default of 64 KiB would allow one such piece per
 * round trip: 1 MB/s from another continent.
 */
const WINDOW_BYTES = 8 * 1024 * 1024;

export interface GrpcCall {
  /** "https://host:port", or "http://host:port" for plain text. */
  readonly origin: string;
  /** "/package.Service/Method" */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly message: Uint8Array;
  /** What the server may compress with. */
  readonly compression: "gzip" | "none";
  /** Largest message accepted, compressed and uncompressed. */
  readonly messageBytesMax: number;
  /** A ping goes out so often; the call is given up when it is not answered by the next, or not connected by the first. */
  readonly keepaliveMs: number;
  /** Certificate authorities (PEM) to trust instead of the system's. */
  readonly ca?: string;
  readonly world: World;
  /** Ends the call with `canceled`. */
  readonly signal: AbortSignal;
}

/**
 * Yields the answer's messages, decompressed, and returns how the call ended; failures of the network are statuses too.
 * A slow reader holds the server back. Messages may be views of larger buffers. Throws `Fatal` GRPC_MESSAGE_TOO_LARGE.
 */
export async function* serverStream(call: GrpcCall): AsyncGenerator<Uint8Array, GrpcStatus> {
  if (call.signal.aborted) return { code: GrpcCode.canceled, message: "canceled" };
  const exchange = new Exchange(call);
  const prefix = new GrpcPrefix();
  const reader = new MessageReader(prefix, call.messageBytesMax);
  try {
    for await (const received of exchange.stream) {
      const chunk = received as Buffer<ArrayBuffer>;
      exchange.alive = true;
      for (const message of reader.push(chunk)) {
        yield prefix.compressed ? await decompress(message, call.messageBytesMax) : message;
      }
      if (!reader.lent) free(chunk);
    }
    if (reader.unfinished) exchange.fail(GrpcCode.unavailable, "the stream ended inside a message");
  } catch (error) {
    if (isTooLarge(error)) throw tooLarge(call, error);
    exchange.fail(GrpcCode.unavailable, error instanceof Error ? error.message : String(error));
  } finally {
    exchange.close();
  }
  return exchange.status();
}

/** One HTTP/2 connection with one stream, and what became of them. */
class Exchange {
  readonly stream: ClientHttp2Stream;
  private readonly session: ClientHttp2Session;
  private readonly closed = new AbortController();
  private readonly onAbort = () => this.give({ code: GrpcCode.canceled, message: "canceled" });
  /** Data, an answer to a ping, or the connection itself came since the last look. */
  alive = false;
  /** What the server said last. */
  private answer: GrpcStatus | null = null;
  /** The first thing that went wrong on our side of the wire. */
  private failure: GrpcStatus | null = null;

  constructor(call: GrpcCall) {
    this.session = connect(call.origin, {
      settings: { initialWindowSize: WINDOW_BYTES },
      ...(call.ca === undefined ? {} : { ca: call.ca }),
    });
    this.session.on("error", (error) => this.fail(GrpcCode.unavailable, error.message));
    this.session.on("connect", () => {
      this.alive = true;
      this.session.setLocalWindowSize(WINDOW_BYTES);
    });
    this.session.on("goaway", (code) => {
      if (code !== constants.NGHTTP2_NO_ERROR) this.fail(GrpcCode.unavailable, `the server went away, reason ${code}`);
    });
    this.stream = this.session.request({
      ":method": "POST",
      ":path": call.path,
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": `sluice bun/${Bun.version}`,
      "grpc-accept-encoding": call.compression === "gzip" ? "gzip" : "identity",
      ...call.headers,
    });
    this.stream.on("error", (error) => this.fail(GrpcCode.unavailable, error.message));
    this.stream.on("response", (headers) => {
      this.answer = statusFromHeaders(headers);
      const encoding = headers["grpc-encoding"] ?? "identity";
      const isGrpc = headers[":status"] === 200 && headers["content-type"]?.startsWith("application/grpc") === true;
      if (!isGrpc && this.answer === null) this.give(statusFromHttp(headers[":status"]));
      else if (encoding !== "gzip" && encoding !== "identity") {
        this.give({
          code: GrpcCode.internal,
          message: `the server compresses with ${encoding}, which was not asked for`,
        });
      }
    });
    this.stream.on("trailers", (headers) => {
      this.answer = statusFromHeaders(headers) ?? this.answer;
    });
    call.signal.addEventListener("abort", this.onAbort, { once: true });
    this.closed.signal.addEventListener("abort", () => call.signal.removeEventListener("abort", this.onAbort));
    const head = new Uint8Array(5);
    new DataView(head.buffer).setUint32(1, call.message.length);
    this.stream.write(head);
    this.stream.end(call.message);
    void this.keepAlive(call);
  }

  /** Notes what went wrong; only the first counts, the rest follows from it. */
  fail(code: number, message: string): void {
    this.failure ??= { code, message };
  }

  close(): void {
    this.closed.abort();
    if (!this.session.destroyed) this.session.destroy();
  }

  status(): GrpcStatus {
    // A status that came whole is what the server meant, even if the connection broke right after it.
    if (this.answer !== null && (this.failure === null || this.answer.code !== GrpcCode.ok)) return this.answer;
    return this.failure ?? { code: GrpcCode.unavailable, message: "the connection closed before the call ended" };
  }

  /** Ends the call from our side. */
  private give({ code, message }: GrpcStatus): void {
    this.fail(code, message);
    this.session.destroy();
  }

  private async keepAlive({ world, keepaliveMs }: GrpcCall): Promise<void> {
    try {
      for (;;) {
        await world.sleep(keepaliveMs, this.closed.signal);
        const message = `no sign of life for ${keepaliveMs} ms`;
        if (!this.alive) return this.give({ code: GrpcCode.unavailable, message });
        this.alive = false;
        this.session.ping((error) => {
          if (error === null) this.alive = true;
        });
      }
    } catch (error) {
      if (!this.closed.signal.aborted) this.give({ code: GrpcCode.internal, message: String(error) });
    }
  }
}

/**
 * Gives the memory of a chunk that was used up back at once: there are 60 for each megabyte, the collector feels their weight
 * too late, and a process that catches up peaks some 30 MB higher. Only where the memory is the chunk's own.
 */
function free({ buffer, byteLength }: Buffer<ArrayBuffer>): void {
  if (buffer.byteLength === byteLength) buffer.transfer(0);
}

const inflate = promisify(gunzip);

async function decompress(message: Uint8Array, maxOutputLength: number): Promise<Uint8Array> {
  return message.length === 0 ? message : await inflate(message, { maxOutputLength });
}

function isTooLarge(error: unknown): boolean {
  if (error instanceof MessageTooLarge) return true;
  return error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
}

function tooLarge(call: GrpcCall, cause: unknown): Fatal {
  return new Fatal("GRPC_MESSAGE_TOO_LARGE", `the endpoint sent a message of more than ${call.messageBytesMax} bytes`, {
    where: call.origin,
    hint: "Raise source.maxMessageBytes. One message can hold a batch of 100 blocks.",
    cause,
  });
}
