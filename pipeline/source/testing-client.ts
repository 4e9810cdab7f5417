/** Scripted servers for the tests of the source: what a server does call by call, and what the source makes of it. */
import type { IncomingHttpHeaders } from "node:http2";
import { Request, Response } from "@substreams/core/proto";
import type { Position } from "../position.ts";
import { systemWorld, type World } from "../world.ts";
import type { SubstreamsOptions, SubstreamsSource } from "./client.ts";
import { frameOf, type GrpcServer, type ServerCall, serveGrpc } from "./grpc-server.ts";
import { GrpcCode } from "./grpc-status.ts";
import { messageFrame } from "./replay-frames.ts";
import { blocksPath, PackageRequest, PROTOCOLS, type Protocol } from "./rpc.ts";
import type { BlockSignal } from "./source.ts";
import { cursorOf, dataMessage, hashOf, openTestSource, testModule } from "./testing.ts";

export const session = new Response({
  message: { case: "session", value: { traceId: "trace-1", resolvedStartBlock: 7n } },
});
export const progress = new Response({ message: { case: "progress", value: { runningJobs: [] } } });
export const data = (slot: number): Response => dataMessage({ slot });
export const from = (slot: number): Position => ({
  slot,
  hash: hashOf(slot),
  cursor: cursorOf(slot),
  moduleHash: testModule.hash,
});

/** A frame with these messages as a version sends them: v4 puts blocks into one batch. */
export function frameFor(protocol: Protocol, ...messages: Response[]): Buffer {
  if (protocol !== "v4") return Buffer.concat(messages.map((message) => frameOf(message.toBinary())));
  const items = messages.flatMap(({ message }) => (message.case === "blockScopedData" ? [message.value] : []));
  const others = messages.filter(({ message }) => message.case !== "blockScopedData");
  const batch = items.length === 0 ? [] : [messageFrame({ case: "blockScopedDatas", value: { items } })];
  return Buffer.concat([...others.map((message) => frameOf(message.toBinary())), ...batch]);
}

/** Requests as the server saw them. */
export interface Asked {
  readonly protocol: string;
  readonly cursor: string;
  readonly headers: IncomingHttpHeaders;
  readonly request: Uint8Array;
}

/** A server whose n-th call is played by the n-th script; the last script plays all further calls. */
export async function scripted(
  ...scripts: ((call: ServerCall, protocol: Protocol) => Promise<void> | void)[]
): Promise<GrpcServer & { readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = await serveGrpc({
    host: "127.0.0.1",
    port: 0,
    async handle(call) {
      const script = scripts[Math.min(asked.length, scripts.length - 1)];
      const protocol = PROTOCOLS.find((version) => blocksPath(version) === call.path) ?? "v4";
      const { startCursor } =
        protocol === "v2" ? Request.fromBinary(call.request) : PackageRequest.fromBinary(call.request);
      asked.push({ protocol, cursor: startCursor, headers: call.headers, request: call.request });
      await script?.(call, protocol);
    },
  });
  return { ...server, asked };
}

export type Script = (call: ServerCall, protocol: Protocol) => Promise<void> | void;

/** A script that sends these messages in one frame each kind, and then ends with a status, or not at all. */
export function sends(
  messages: readonly Response[],
  end: { code: number; message?: string } | "open" | "disconnect" = "open",
): Script {
  return async (call, protocol) => {
    await call.send(frameFor(protocol, ...messages));
    if (end === "disconnect") {
      // What was sent must arrive first; both ends live in this process, so that turns of its loop count, not time.
      for (let turn = 0; turn < 20; turn++) await Bun.sleep(1);
      call.disconnect();
    } else if (end !== "open") call.finish({ message: "", ...end });
    if (end === "open") await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
  };
}

export const ok = { code: GrpcCode.ok };

export interface Run {
  readonly out: BlockSignal[];
  readonly asked: readonly Asked[];
  readonly source: SubstreamsSource;
  readonly lines: ReturnType<typeof openTestSource>["lines"];
  readonly error: unknown;
}

/** Reads from scripted calls until the end, an error, or `take` signals. */
export async function run(
  scripts: Script[],
  options: Partial<SubstreamsOptions> = {},
  start: Position | null = null,
  take = 1000,
): Promise<Run> {
  const server = await scripted(...scripts);
  const { source, lines } = openTestSource(server.port, { world: instant().world, stopBlock: "1000", ...options });
  const stop = new AbortController();
  const out: BlockSignal[] = [];
  let error: unknown = null;
  try {
    for await (const signal of source.blocks(start, stop.signal)) {
      out.push(signal);
      if (out.length === take) break;
    }
  } catch (thrown) {
    error = thrown;
  } finally {
    stop.abort();
    await server.close();
  }
  return { out, asked: server.asked, source, lines, error };
}

/** Sleeps below ten seconds are over at once and noted; longer ones are real, and none of these tests waits for them. */
export function instant(random = 0.999999): { world: World; slept: number[] } {
  const slept: number[] = [];
  const world: World = {
    ...systemWorld,
    random: () => random,
    async sleep(ms, signal) {
      if (ms >= 10_000) return systemWorld.sleep(ms, signal);
      slept.push(ms);
    },
  };
  return { world, slept };
}
