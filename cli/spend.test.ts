/**
 * Goal: what is told of spend is what was counted, a used-up budget is an exit code, and an estimate from a sample comes near
 * what the range brings. Method: ledgers by hand; a simulated chain that is sampled and then read to its end.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../pipeline/config.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { estimate } from "../pipeline/source/estimate.ts";
import { serveReplay } from "../pipeline/source/replay.ts";
import { addSpend } from "../pipeline/spend.ts";
import { systemWorld } from "../pipeline/world.ts";
import { writeSimulation } from "../simulator/index.ts";
import { BufferOutput } from "./output.ts";
import { openSource } from "./source.ts";
import { printSpend } from "./spend.ts";

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
