/**
 * Goal: what is told of spend is what was counted, a used-up budget is an exit code, and an estimate from a sample comes near
 * what the range brings. Method: ledgers by hand; a simulated chain that is sampled and then read to its end.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../pipeline/config.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { estimate } from "../pipeline/source/estimate.ts";
import { frameOf, type ServerCall, serveGrpc } from "../pipeline/source/grpc-server.ts";
import { GrpcCode } from "../pipeline/source/grpc-status.ts";
import { serveReplay } from "../pipeline/source/replay.ts";
import { ESTIMATE_PATH, EstimateRequest, EstimateResponse, ProviderEstimate } from "../pipeline/source/rpc.ts";
import { addSpend } from "../pipeline/spend.ts";
import { systemWorld } from "../pipeline/world.ts";
import { writeSimulation } from "../simulator/index.ts";
import { BufferOutput } from "./output.ts";
import { openSource } from "./source.ts";
import { estimateRange, printSpend } from "./spend.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-spend-"));
afterAll(() => rmSync(folder, { recursive: true }));

const AT = Date.UTC(2026, 10, 21, 12);
const ledger = addSpend(addSpend(null, AT - 86_400_000, { blocks: 1_000, bytes: 5_000_000 }), AT, {
  blocks: 500,
  bytes: 2_500_000,
});

test("a table for people, JSON for programs, and an exit code when nothing is left", () => {
  const told = (flags: Record<string, string>, json: boolean) => {
    const stdout = new BufferOutput();
    const { values: config } = loadConfig({ flags });
    return [printSpend([{ config, ledger }], 1, json, AT, { stdout }), stdout.text] as const;
  };
  const [code, text] = told({}, false);
  expect(code).toBe(0);
  expect(text).toMatch(/2026-11-21 +500 +2\.5\n/);
  expect(text).not.toContain("2026-11-20");
  expect(text).toMatch(/this month +1,500 +7\.5\n/);
  expect(text).toContain("no budget is set");
  const [full, json] = told({ "spend.maxBlocksPerMonth": "1500" }, true);
  expect(full).toBe(1);
  expect(JSON.parse(json)).toMatchObject([{ source: "main", budget: { percent: 100, what: "blocks of the month" } }]);
});

test("an estimate from twenty blocks comes near what the range brings", async () => {
  const recording = join(folder, "chain.zst");
  const { chain } = await writeSimulation({ seed: 5, blocks: 300, output: "transactions", out: recording });
  const options = { host: "127.0.0.1", port: 0, protocols: ["v4" as const], gzip: false, blocksPerSecond: 0 };
  const replay = await serveReplay({
    ...options,
    ...{ recording, endAtEof: false, requireToken: null, progressMs: 100, chain: null, world: systemWorld },
  });
  const flags = { "source.endpoint": `http://127.0.0.1:${replay.port}`, "source.startBlock": "0" };
  const open = (stop: number) => {
    const { values } = loadConfig({ flags: { ...flags, "source.stopBlock": String(stop) } });
    return openSource(values, systemWorld, () => undefined);
  };
  try {
    const stop = chain.lastSlot + 1;
    const found = await estimate(await open(stop), { start: 0, stop }, 20);
    expect(found).toMatchObject({ firstSlot: chain.firstSlot, lastSlot: chain.lastSlot, sampleBlocks: 20 });
    const whole = await open(stop);
    for await (const _ of whole.blocks(null, new AbortController().signal));
    const { blocks, receivedBytes } = whole.status;
    expect(Math.abs(found.blocks - blocks) / blocks).toBeLessThan(0.2);
    expect(Math.abs(found.bytes - receivedBytes) / receivedBytes).toBeLessThan(0.5);
    const empty = estimate(await open(chain.firstSlot), { start: 0, stop: chain.firstSlot }, 20);
    expect(await empty.catch((error: SluiceError) => error.code)).toBe("ESTIMATE_EMPTY");
  } finally {
    await replay.close();
  }
});

describe("a provider that estimates", () => {
  const estimate = new ProviderEstimate({
    ...{ resolvedStartBlock: 1_000n, resolvedStopBlock: 1_001_000n, blocksToProcess: 2_000_000n },
    ...{ estimatedEgressBytes: 7_000_000_000n, estimatedMessageCount: 40_000n },
    sampling: { sampledBlocks: 1_000n, sampledBytes: 5_000_000n },
  });

  async function asked(handle: (call: ServerCall) => Promise<void>, more: Record<string, string> = {}) {
    const server = await serveGrpc({ host: "127.0.0.1", port: 0, gzip: false, handle });
    const range = { "source.startBlock": "1000", "source.stopBlock": "+1000000" };
    const { values } = loadConfig({
      flags: { "source.endpoint": `http://127.0.0.1:${server.port}`, "source.maxAttempts": "1", ...range, ...more },
    });
    try {
      return await estimateRange(values, 500);
    } finally {
      await server.close();
    }
  }

  test("is asked for a share of the range, and its last word counts", async () => {
    const requests: EstimateRequest[] = [];
    const found = await asked(async (call) => {
      expect(call.path).toBe(ESTIMATE_PATH);
      requests.push(EstimateRequest.fromBinary(call.request));
      // Progress: a message in field 1, which nobody here reads.
      await call.send(frameOf(Uint8Array.of(0x0a, 2, 8, 1)));
      await call.send(frameOf(new EstimateResponse({ estimate }).toBinary()));
      call.finish();
    });
    expect(requests[0]).toMatchObject({ startBlockNum: 1_000n, stopBlockNum: 1_001_000n, samplePercentage: 0.05 });
    expect([requests[0]!.outputModule, requests[0]!.package?.modules?.modules.length]).not.toContain("");
    expect(found).toEqual({
      ...{ firstSlot: 1_000, lastSlot: 1_000_999, slots: 1_000_000, blocks: 40_000, bytes: 7_000_000_000 },
      ...{
        by: "provider",
        blocksToProcess: 2_000_000,
        blocksToPrepare: 0,
        sampleBlocks: 1_000,
        sampleBytes: 5_000_000,
      },
    });
  });

  test.each([
    ["whose stores do not cover the range", { code: GrpcCode.failedPrecondition, message: "stores must cover it" }],
    ["that does not know the method", { code: GrpcCode.unimplemented, message: "what?" }],
    ["that says nothing", { code: GrpcCode.ok, message: "" }],
  ])("one %s: a sample instead", async (_, status) => {
    const paths: string[] = [];
    const call = asked(async (one) => {
      paths.push(one.path);
      one.finish(one.path === ESTIMATE_PATH ? status : { code: GrpcCode.permissionDenied, message: "no" });
    });
    expect(await call.catch((error: SluiceError) => error.code)).toBe("SUBSTREAMS_AUTH");
    expect(paths[0]).toBe(ESTIMATE_PATH);
    expect(paths.some((path) => path.endsWith("Stream/Blocks"))).toBe(true);
  });

  test("credentials that are refused are no reason to try again", async () => {
    const paths: string[] = [];
    const call = asked(async (one) => {
      paths.push(one.path);
      one.finish({ code: GrpcCode.unauthenticated, message: "who?" });
    });
    expect(await call.catch((error: SluiceError) => error.code)).toBe("SUBSTREAMS_AUTH");
    expect(paths).toEqual([ESTIMATE_PATH]);
  });
});
