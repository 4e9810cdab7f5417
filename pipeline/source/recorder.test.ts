/**
 * Goal: a recording of a recording is the same recording, also when it was cut into runs, by limits, stops, crashes and
 * bytes lost at the end. Method: a served chain with a fork, recorded; messages compared with those that were served.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, existsSync, mkdtempSync, renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transient } from "../errors.ts";
import type { Position } from "../position.ts";
import { systemWorld } from "../world.ts";
import { type Recorded, type RecorderOptions, type RecordingEnd, record, recordingExists } from "./recorder.ts";
import { readResponses } from "./recording.ts";
import type { Replay } from "./replay.ts";
import type { SignalMessage } from "./rpc.ts";
import type { Source } from "./source.ts";
import { codeOf, dataMessage, openTestSource, replay, record as serveable, undoMessage } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-recorder-"));
const original = join(folder, "original.zst");
const chain = [
  ...[10, 11, 13, 14].map((slot) => dataMessage({ slot, finalSlot: 9 })),
  undoMessage(11),
  ...[12, 15, 16, 17, 18].map((slot) => dataMessage({ slot, fork: "b", finalSlot: slot - 5 })),
];
let server: Replay;
beforeAll(async () => {
  await serveable(original, chain);
  server = await replay(original, { endAtEof: true });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

type Options = Partial<RecorderOptions>;

async function recordTo(
  name: string,
  options: Options = {},
  spoil: (source: Source) => Source = (source) => source,
): Promise<Recorded & { end: RecordingEnd; path: string }> {
  const path = join(folder, name);
  let last: SignalMessage | null = null;
  const tap = (message: SignalMessage) => {
    last = message;
  };
  const { source } = openTestSource(server.port, { tap, stopBlock: "19" });
  const stop = new AbortController();
  const whole = { path, resume: false, maxBytes: null, maxBlocks: null, world: systemWorld, ...options };
  return { ...(await record({ source: spoil(source), message: () => last! }, whole, stop.signal)), path };
}

const encoded = async (path: string) => {
  const found: string[] = [];
  for await (const message of readResponses(path)) found.push(Buffer.from(message.toBinary()).toString("hex"));
  return found;
};
const all = chain.map((message) => Buffer.from(message.toBinary()).toString("hex"));

/** Blocks that no undo takes back. Who resumes on a fork that was abandoned meanwhile is not sent the rest of it. */
async function standing(path: string): Promise<string[]> {
  let blocks: { slot: number; id: string }[] = [];
  for await (const { message } of readResponses(path)) {
    if (message.case === "blockScopedData") {
      blocks.push({ slot: Number(message.value.clock?.number), id: message.value.clock?.id ?? "" });
    } else if (message.case === "blockUndoSignal") {
      const last = Number(message.value.lastValidBlock?.number);
      blocks = blocks.filter(({ slot }) => slot <= last);
    }
  }
  return blocks.map(({ id }) => id);
}
const surviving = ["hash10", "hash11", "hash12b", "hash15b", "hash16b", "hash17b", "hash18b"];

/** Ends the stream with an error after so many signals. */
function breaking(after: number): (source: Source) => Source {
  return (source) => ({
    name: source.name,
    moduleHash: source.moduleHash,
    async *blocks(from: Position | null, signal: AbortSignal) {
      let count = 0;
      for await (const item of source.blocks(from, signal)) {
        if (count++ === after) throw new Transient("TEST", "broken");
        yield item;
      }
    },
  });
}

test("the whole range, forks and undo signals included", async () => {
  const { path, ...recorded } = await recordTo("whole.zst");
  expect(await encoded(path)).toEqual(all);
  const fileBytes = statSync(path).size;
  expect(recorded).toEqual({ end: "range", blocks: 9, undos: 1, firstSlot: 10, lastSlot: 18, fileBytes });
  expect(existsSync(`${path}.part`)).toBe(false);
});

test("what was recorded can be served and recorded again", async () => {
  const { path } = await recordTo("again.zst");
  const second = await replay(path, { endAtEof: true });
  expect([second.first, second.last, second.module]).toEqual([10, 18, "map_events"]);
  await second.close();
});

test("limits end it in good order, resuming goes on to the same chain", async () => {
  for (const maxBlocks of [1, 3, 4, 5, 8]) {
    const name = `limited-${maxBlocks}.zst`;
    const { end, path, blocks } = await recordTo(name, { maxBlocks });
    expect([end, blocks]).toEqual(["blocks", maxBlocks]);
    expect((await encoded(path)).length).toBeGreaterThanOrEqual(maxBlocks);
    expect((await recordTo(name, { resume: true, maxBlocks })).end).toBe("blocks");
    await recordTo(name, { resume: true });
    expect(await standing(path)).toEqual(surviving);
  }
});

test("a limit of bytes counts what is on disk", async () => {
  const { end, blocks, path } = await recordTo("bytes.zst", { maxBytes: 400, checkpointBytes: 1 });
  expect(end).toBe("bytes");
  expect(blocks).toBeLessThan(9);
  expect(statSync(path).size).toBeGreaterThanOrEqual(400);
});

test("a source that fails leaves what came; resuming goes on", async () => {
  for (const after of [0, 2, 5]) {
    const name = `broken-${after}.zst`;
    expect((await codeOf(() => recordTo(name, {}, breaking(after)))).code).toBe("TEST");
    expect(existsSync(join(folder, name))).toBe(false);
    if (after > 0) expect(recordingExists(join(folder, name))).toBe(true);
    const { path } = await recordTo(name, { resume: true });
    expect(await standing(path)).toEqual(surviving);
  }
});

test("a crash costs what came since the last checkpoint, and the rest of the file is whole", async () => {
  const name = "crashed.zst";
  const { path } = await recordTo(name, { checkpointBytes: 1, maxBlocks: 6 });
  const bytes = statSync(path).size;
  for (const damage of [() => truncateSync(`${path}.part`, bytes - 3), () => appendFileSync(`${path}.part`, "junk")]) {
    if (existsSync(path)) renameSync(path, `${path}.part`);
    damage();
    await recordTo(name, { resume: true });
    expect(await encoded(path)).toEqual(all);
  }
});

test("starting anew drops what was there", async () => {
  const name = "anew.zst";
  await codeOf(() => recordTo(name, {}, breaking(3)));
  const { path } = await recordTo(name);
  expect(await encoded(path)).toEqual(all);
});

test("blocks that are sent again are left out", async () => {
  const twice = (source: Source): Source => ({
    ...source,
    name: source.name,
    moduleHash: source.moduleHash,
    async *blocks(from: Position | null, signal: AbortSignal) {
      for await (const item of source.blocks(from, signal)) {
        yield item;
        if (item.kind === "block") yield item;
      }
    },
  });
  const { path } = await recordTo("twice.zst", {}, twice);
  expect(await encoded(path)).toEqual(all);
  const skipping = (source: Source): Source => ({
    name: source.name,
    moduleHash: source.moduleHash,
    async *blocks(from: Position | null, signal: AbortSignal) {
      for await (const item of source.blocks(from, signal)) if (item.kind !== "undo") yield item;
    },
  });
  expect((await codeOf(() => recordTo("no-undo.zst", {}, skipping))).code).toBe("SOURCE_ORDER");
});

test("a recording of another module is not continued", async () => {
  const path = join(folder, "other.zst");
  const other = dataMessage({ slot: 10 });
  if (other.message.case === "blockScopedData") other.message.value.output!.name = "map_other";
  await serveable(path, [other]);
  expect((await codeOf(() => recordTo("other.zst", { resume: true }))).code).toBe("RECORDING_MODULE");
  expect((await encoded(`${path}.part`)).length).toBe(1);
});
