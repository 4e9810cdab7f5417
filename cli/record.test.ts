/**
 * Goal: the command records what it was asked for, never over what is there, and says what it has. Method: a simulated chain,
 * served; recorded to a file that is served and compared in turn.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../pipeline/config.ts";
import { classify } from "../pipeline/errors.ts";
import { readResponses } from "../pipeline/source/recording.ts";
import { type Replay, serveReplay } from "../pipeline/source/replay.ts";
import { systemWorld } from "../pipeline/world.ts";
import { writeSimulation } from "../simulator/index.ts";
import { BufferOutput } from "./output.ts";
import { parseSize, type RecordOptions, recordToFile } from "./record.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-record-"));
const original = join(folder, "chain.zst");
let server: Replay;
beforeAll(async () => {
  await writeSimulation({ seed: 9, blocks: 60, output: "transactions", out: original });
  server = await serveReplay({
    ...{ recording: original, host: "127.0.0.1", port: 0, protocols: ["v4"], gzip: false, blocksPerSecond: 0 },
    ...{ endAtEof: true, requireToken: null, progressMs: 100, chain: null, world: systemWorld },
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

async function run(name: string, options: Partial<RecordOptions> = {}, flags: Record<string, string> = {}) {
  const io = { stdout: new BufferOutput(), stderr: new BufferOutput() };
  const endpoint = { "source.endpoint": `http://127.0.0.1:${server.port}`, "source.startBlock": "0" };
  const stop = { "source.stopBlock": String(server.last + 1), "source.finalBlocksOnly": "false" };
  const { values: config } = loadConfig({ flags: { ...endpoint, ...stop, ...flags } });
  const file = join(folder, name);
  const whole = { config, file, blocks: null, maxBytes: null, resume: false, force: false, json: true, ...options };
  const code = await recordToFile(whole, io, new AbortController().signal);
  return { code, file, stdout: io.stdout.text };
}

const blocksOf = async (path: string) => {
  const found: string[] = [];
  for await (const response of readResponses(path)) {
    if (response.message.case === "blockScopedData") found.push(Buffer.from(response.toBinary()).toString("base64"));
  }
  return found;
};

test("a range as it was served, told as JSON", async () => {
  const { code, file, stdout } = await run("whole.zst");
  const blocks = await blocksOf(original);
  expect(await blocksOf(file)).toEqual(blocks);
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { file, end: "range", blocks: blocks.length, attempts: 1 }]);
});

test("some blocks, for people; what is there is neither overwritten nor lost", async () => {
  const first = await run("some.zst", { blocks: 7, json: false });
  expect(first.stdout).toMatch(/some\.zst: 7 blocks.*it has its blocks\n$/);
  expect(await run("some.zst").catch((error) => classify(error).code)).toBe("RECORDING_EXISTS");
  expect((await blocksOf(first.file)).length).toBe(7);
  await run("some.zst", { resume: true, blocks: 12 });
  expect((await blocksOf(first.file)).length).toBe(12);
  await run("some.zst", { force: true, blocks: 3 });
  expect((await blocksOf(first.file)).length).toBe(3);
});

test("final blocks only, where forks are not asked for", async () => {
  const { stdout } = await run("final.zst", {}, { "source.finalBlocksOnly": "auto" });
  expect(JSON.parse(stdout)).toMatchObject({ undos: 0, end: "range" });
});

test("sizes", () => {
  expect([parseSize("1"), parseSize("20kb"), parseSize("500MB"), parseSize("2 GB")]).toEqual([1, 20e3, 500e6, 2e9]);
  for (const bad of ["0", "", "-1", "1.5GB", "5MiB", "many", "9999999TB"])
    expect(() => parseSize(bad)).toThrow("--max-size");
});
