/** What the tests of the gRPC transport share: servers, calls, and closing them all. */
import { type EventEmitter, once } from "node:events";
import type { AddressInfo } from "node:net";
import { systemWorld } from "../world.ts";
import { type GrpcCall, serverStream } from "./grpc-client.ts";
import { type GrpcServer, type ServerCall, serveGrpc } from "./grpc-server.ts";
import type { GrpcStatus } from "./grpc-status.ts";

const closing: (() => unknown)[] = [];

/** Have it closed by `closeAll`. */
export function later(close: () => unknown): void {
  closing.push(close);
}

/** For `afterEach`: closes what a test opened, the last first. */
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

export type Handle = (call: ServerCall) => Promise<void> | void;

export async function serve(
  handle: Handle,
  options: Partial<Parameters<typeof serveGrpc>[0]> = {},
): Promise<GrpcServer> {
  const server = await serveGrpc({ host: "127.0.0.1", port: 0, handle: async (call) => handle(call), ...options });
  later(() => server.close());
  return server;
}

export const MIB = 1024 * 1024;

export function call(port: number, options: Partial<GrpcCall> = {}): ReturnType<typeof serverStream> {
  return serverStream({
    origin: `http://127.0.0.1:${port}`,
    path: "/test.Service/Method",
    headers: {},
    message: new Uint8Array(0),
    compression: "none",
    messageBytesMax: 128 * MIB,
    keepaliveMs: 30_000,
    world: systemWorld,
    signal: new AbortController().signal,
    ...options,
  });
}

/** Reads to the end: sizes of the messages, and the status. */
export async function drain(stream: ReturnType<typeof serverStream>): Promise<{ sizes: number[]; status: GrpcStatus }> {
  const sizes: number[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done === true) return { sizes, status: next.value };
    sizes.push(next.value.length);
  }
}

export async function listen(
  server: { listen(port: number, host: string): unknown; address(): unknown; close(): unknown } & EventEmitter,
): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  later(() => server.close());
  return (server.address() as AddressInfo).port;
}
