/**
 * Goal: the command serves a recording where it says it does, to those who bring the token, and ends when told. Method: a
 * small simulation served in this process, read over HTTP/2 as far as the gRPC status, and the first line on stdout.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SluiceError } from "../pipeline/errors.ts";
import { parseFault } from "../pipeline/source/faults.ts";
import { writeSimulation } from "../simulator/index.ts";
import { BufferOutput } from "./output.ts";
import { type ServeOptions, serveRecording } from "./replay.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-replay-"));
const file = join(folder, "chain.zst");
let slots: { first: number; last: number };

beforeAll(async () => {
  const { chain } = await writeSimulation({ seed: 3, blocks: 10, output: "transactions", out: file });
  slots = { first: chain.firstSlot, last: chain.lastSlot };
});
afterAll(() => rmSync(folder, { recursive: true }));

const OPTIONS: Omit<ServeOptions, "file"> = {
  host: "127.0.0.1",
  port: 0,
  blocksPerSecond: 0,
  protocols: ["v4"],
  token: "let-me-in",
  gzip: false,
  endAtEof: true,
  chain: null,
  plan: [],
  json: true,
};

/** gRPC status of a call without a request; "" when none came. */
function grpcStatus(endpoint: string, path: string, headers: Record<string, string>): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const session = connect(endpoint);
  const call = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc+proto",
    ...headers,
  });
  const status = (h: Record<string, unknown>) => {
    if (h["grpc-status"] !== undefined) resolve(String(h["grpc-status"]));
  };
  call.on("response", status);
  call.on("trailers", status);
  call.on("close", () => resolve(""));
  call.resume();
  call.end();
  return promise.finally(() => session.destroy());
}

test("says where it listens, guards its token, speaks what it was told to, and ends", async () => {
  const [stdout, stderr] = [new BufferOutput(), new BufferOutput()];
  const stop = new AbortController();
  const serving = serveRecording({ ...OPTIONS, file }, { stdout, stderr }, stop.signal);
  while (stdout.text === "") await Bun.sleep(5);
  const ready = JSON.parse(stdout.text) as { endpoint: string; port: number };
  expect(ready).toMatchObject({ endpoint: `http://127.0.0.1:${ready.port}`, module: "map_transactions" });
  expect(ready).toMatchObject({ first: expect.any(Number), last: slots.last });
  const path = (version: string) => `/sf.substreams.rpc.${version}.Stream/Blocks`;
  expect(await grpcStatus(ready.endpoint, path("v4"), {})).toBe("16");
  expect(await grpcStatus(ready.endpoint, path("v3"), { authorization: "Bearer let-me-in" })).toBe("12");
  expect(["", "3"]).toContain(await grpcStatus(ready.endpoint, path("v4"), { authorization: "Bearer let-me-in" }));
  stop.abort();
  await serving;
  expect(stdout.text + stderr.text).not.toContain("let-me-in");
});

test("a recording that is not there", async () => {
  const io = { stdout: new BufferOutput(), stderr: new BufferOutput() };
  const serving = serveRecording({ ...OPTIONS, file: `${file}.nowhere` }, io, AbortSignal.abort());
  expect(await serving.catch((e: SluiceError) => e.code)).toBe("RECORDING_MISSING");
});

test("a fault that comes after the recording's end is said to be of no effect", async () => {
  const io = { stdout: new BufferOutput(), stderr: new BufferOutput() };
  const plan = ["stall@+2", "fork@+5000", `garbage@${slots.last + 1}`].map(parseFault);
  await serveRecording({ ...OPTIONS, plan, file }, io, AbortSignal.abort());
  expect(io.stderr.text).toContain("fork@+5000 will not strike");
  expect(io.stderr.text).toContain(`garbage@${slots.last + 1} will not strike`);
  expect(io.stderr.text).not.toContain("stall");
});
