/**
 * Goal: what an endpoint says of itself is read, its absence is no error, and what does not fit is named. Method: a replay
 * that offers it or not, over gRPC; the advice as a table.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemWorld } from "../world.ts";
import { endpointInfo, mismatches } from "./info.ts";
import type { ReplayOptions } from "./replay.ts";
import { codeOf, dataMessage, record, replay } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-info-"));
const recording = join(folder, "chain.zst");
beforeAll(() =>
  record(
    recording,
    [11, 12].map((slot) => dataMessage({ slot })),
  ),
);
afterAll(() => rmSync(folder, { recursive: true }));

async function ask(options: Partial<ReplayOptions>, token = "") {
  const server = await replay(recording, options);
  try {
    return await endpointInfo({
      endpoint: `http://127.0.0.1:${server.port}`,
      credentials: { token, apiKey: "" },
      timeoutMs: 10_000,
      world: systemWorld,
      signal: new AbortController().signal,
    });
  } finally {
    await server.close();
  }
}

test("chain, aliases and first slot", async () => {
  const info = await ask({ requireToken: "secret" }, "secret");
  expect(info).toEqual({ chain: "solana-mainnet-beta", aliases: ["solana", "sol"], firstSlot: 11 });
});

test("an endpoint that does not offer it", async () => {
  expect(await ask({ chain: null })).toBeNull();
});

test("refused credentials, without the credentials", async () => {
  const error = await codeOf(() => ask({ requireToken: "other" }, "hush"));
  expect([error.code, error.message.includes("hush")]).toEqual(["SUBSTREAMS_AUTH", false]);
});

test("nobody there", async () => {
  const server = await replay(recording);
  await server.close();
  const call = endpointInfo({
    endpoint: `http://127.0.0.1:${server.port}`,
    credentials: { token: "", apiKey: "" },
    timeoutMs: 10_000,
    world: systemWorld,
    signal: new AbortController().signal,
  });
  expect((await codeOf(() => call)).code).toBe("ENDPOINT_UNREACHABLE");
});

test("what does not fit", () => {
  const info = { chain: "solana-mainnet-beta", aliases: ["solana"], firstSlot: 100 };
  const told = (network: string, start: number) => mismatches(info, { name: "m", network }, start).length;
  expect([told("Solana", 100), told("", 0), told("solana", -10), told("devnet", 100), told("devnet", 99)]).toEqual([
    0, 0, 0, 1, 2,
  ]);
  expect(mismatches({ chain: "", aliases: [], firstSlot: 0 }, { name: "m", network: "solana" }, 5)).toEqual([]);
});
