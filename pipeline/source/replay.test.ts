/**
 * Goal: a recording served again is what was recorded, from every starting point and in every version of the protocol, and
 * the source reads it as it reads a provider's endpoint. Method: the project's own client against the replay server over
 * real gRPC on loopback; another gRPC implementation reads it too.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Response } from "@substreams/core/proto";
import { SluiceError } from "../errors.ts";
import type { Position } from "../position.ts";
import { systemWorld } from "../world.ts";
import type { SubstreamsOptions } from "./client.ts";
import type { ReplayOptions } from "./replay.ts";
import { PROTOCOLS } from "./rpc.ts";
import type { BlockSignal } from "./source.ts";
import {
  cursorOf,
  dataMessage,
  hashOf,
  openTestSource,
  record,
  replay,
  testModule,
  told,
  undoMessage,
} from "./testing.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "replay-test-"));
  await record(recording(), messages);
});
afterAll(() => rm(folder, { recursive: true }));
const recording = () => join(folder, "forks.zst");

/**
 * 10 11 12 | 13b 15b | undo to 12 | 13 14 | 16c | undo to 14 | 16 17, final 15 at the end. Slot 15 of the chain was
 * skipped or filtered out.
 */
const messages: readonly Response[] = [
  ...[10, 11, 12].map((slot) => dataMessage({ slot, finalSlot: slot - 2 })),
  ...[13, 15].map((slot) => dataMessage({ slot, fork: "b", finalSlot: 10 })),
  undoMessage(12),
  ...[13, 14].map((slot) => dataMessage({ slot, finalSlot: 12 })),
  dataMessage({ slot: 16, fork: "c", finalSlot: 12 }),
  undoMessage(14),
  ...[16, 17].map((slot) => dataMessage({ slot, finalSlot: 15 })),
];
const lines = [
  "block 10 hash10 final 8",
  "block 11 hash11 final 9",
  "block 12 hash12 final 10",
  "block 13 hash13b final 10",
  "block 15 hash15b final 10",
  "undo to 12 hash12",
  "block 13 hash13 final 12",
  "block 14 hash14 final 12",
  "block 16 hash16c final 12",
  "undo to 14 hash14",
  "block 16 hash16 final 15",
  "block 17 hash17 final 15",
];

function at(slot: number, fork = ""): Position {
  return { slot, hash: hashOf(slot, fork), cursor: cursorOf(slot, fork), moduleHash: testModule.hash };
}

interface Case {
  readonly server?: Partial<ReplayOptions>;
  readonly client?: Partial<SubstreamsOptions>;
  readonly from?: Position | null;
  /** Stop reading after so many. */
  readonly take?: number;
}

/** Serves the recording, reads it with the source and returns what it yielded. */
async function read({ server = {}, client = {}, from = null, take = 100 }: Case): Promise<BlockSignal[]> {
  const endpoint = await replay(recording(), { endAtEof: true, ...server });
  const { source } = openTestSource(endpoint.port, client);
  const stop = new AbortController();
  const out: BlockSignal[] = [];
  try {
    for await (const signal of source.blocks(from, stop.signal)) {
      out.push(signal);
      if (out.length === take) break;
    }
  } finally {
    stop.abort();
    await endpoint.close();
  }
  return out;
}

const readLines = async (c: Case) => (await read(c)).map(told);

describe("what is sent", () => {
  test.each(PROTOCOLS.map((protocol) => [protocol]))("%s: everything as recorded, then the end", async (protocol) => {
    const client = { protocol, stopBlock: "1000" };
    expect(await readLines({ client })).toEqual([...lines, "end"]);
    expect(await readLines({ client: { ...client, compression: "gzip" }, server: { gzip: true } })).toEqual([
      ...lines,
      "end",
    ]);
  });

  test("a block arrives with all that the pipeline needs", async () => {
    const [first] = await read({ take: 1 });
    expect(first).toEqual({
      kind: "block",
      block: { slot: 10, hash: "hash10", cursor: "cursor-10", time: 1_700_000_010, finalSlot: 8 },
      typeName: "test.Events",
      payload: new TextEncoder().encode("payload 10"),
    });
    const [undo] = await read({ from: at(15, "b"), take: 1 });
    expect(undo).toEqual({ kind: "undo", to: at(12), finalSlot: 0 });
  });

  test("only the versions that are enabled are spoken, and the client finds them", async () => {
    for (const protocols of [["v3", "v2"], ["v2"]] as const) {
      expect(await readLines({ server: { protocols }, client: { stopBlock: "1000" } })).toEqual([...lines, "end"]);
    }
    const refused = readLines({ server: { protocols: ["v2"] }, client: { protocol: "v4" } });
    await expect(refused).rejects.toMatchObject({ code: "SUBSTREAMS_UNSUPPORTED" });
    await refused.catch((error) => expect(error.message).toContain("sf.substreams.rpc.v4.Stream/Blocks"));
  });
});

describe("where it begins and ends", () => {
  test.each<[string, string, string[]]>([
    ["0", "", lines],
    ["10", "", lines],
    ["13", "", ["block 13 hash13b final 10", ...lines.slice(4)]],
    ["14", "", ["block 15 hash15b final 10", "undo to 12 hash12", ...lines.slice(7)]],
    ["-1", "", ["block 16 hash16c final 12", ...lines.slice(9)]],
    ["-1000", "", lines],
    ["99", "200", ["end"]],
    ["0", "12", [...lines.slice(0, 2), "end"]],
    ["0", "15", [...lines.slice(0, 4), "end"]],
    ["0", "16", [...lines.slice(0, 8), "end"]],
    ["11", "+1", [lines[1]!, "end"]],
    ["11", "11", ["end"]],
  ])("start %s, stop %s", async (startBlock, stopBlock, expected) => {
    const client = { startBlock, stopBlock };
    expect(await readLines({ client, take: expected.length, server: { endAtEof: stopBlock !== "" } })).toEqual(
      expected,
    );
  });

  test("a cursor wins over the start block", async () => {
    for (const [i, line] of lines.entries()) {
      if (!/ hash\d+ /.test(line)) continue;
      const slot = Number(line.split(" ")[1]);
      const client = { startBlock: "10", stopBlock: "1000" };
      // After an undo to a block, that block's cursor stands behind the undo: the fork is not shown again.
      const next = { 12: 6, 14: 10 }[slot] ?? i + 1;
      expect(await readLines({ from: at(slot), client })).toEqual([...lines.slice(next), "end"]);
    }
  });

  test("a cursor of an abandoned fork is answered with the undo that abandons it", async () => {
    const client = { stopBlock: "1000" };
    expect(await readLines({ from: at(13, "b"), client })).toEqual([...lines.slice(5), "end"]);
    expect(await readLines({ from: at(15, "b"), client })).toEqual([...lines.slice(5), "end"]);
    expect(await readLines({ from: at(16, "c"), client })).toEqual([...lines.slice(9), "end"]);
  });

  test("other cursors are refused", async () => {
    for (const cursor of ["cursor-9", "x", "\u0000"]) {
      await expect(readLines({ from: { ...at(9), cursor } })).rejects.toMatchObject({ code: "SUBSTREAMS_REQUEST" });
    }
  });
});

describe("final blocks only", () => {
  const finals = [10, 11, 12, 13, 14].map((slot) => `block ${slot} hash${slot} final ${slot}`);

  test.each(PROTOCOLS.map((protocol) => [protocol]))(
    "%s: the chain up to finality, no forks, no undo",
    async (protocol) => {
      const client = { protocol, finalBlocksOnly: true, stopBlock: "1000" };
      expect(await readLines({ client })).toEqual([...finals, "end"]);
      expect(await readLines({ client, from: at(11) })).toEqual([...finals.slice(2), "end"]);
      expect(await readLines({ client: { ...client, startBlock: "12" } })).toEqual([...finals.slice(2), "end"]);
      expect(await readLines({ client, from: at(17) })).toEqual(["end"]);
    },
  );

  test("payloads are untouched by the new final height", async () => {
    const signals = await read({ client: { finalBlocksOnly: true, stopBlock: "1000" } });
    const texts = signals.map((s) => (s.kind === "block" ? new TextDecoder().decode(s.payload) : s.kind));
    expect(texts).toEqual([...[10, 11, 12, 13, 14].map((slot) => `payload ${slot}`), "end"]);
  });

  test("auto: for bounded ranges", async () => {
    const client = { finalBlocksOnly: "auto" as const };
    expect(await readLines({ client: { ...client, stopBlock: "13" } })).toEqual([...finals.slice(0, 3), "end"]);
    expect(await readLines({ client, take: lines.length })).toEqual(lines);
  });

  test("a cursor of a fork cannot be gone on from", async () => {
    const reading = readLines({ from: at(13, "b"), client: { finalBlocksOnly: true, stopBlock: "1000" } });
    await expect(reading).rejects.toMatchObject({ code: "SUBSTREAMS_REQUEST" });
  });
});

describe("following", () => {
  test("after the last block a stream without a stop block lives on by progress messages", async () => {
    const endpoint = await replay(recording());
    const { source, lines: log } = openTestSource(endpoint.port, { idleTimeoutMs: 2_000 });
    const stop = new AbortController();
    const out: string[] = [];
    const reading = (async () => {
      for await (const signal of source.blocks(null, stop.signal)) out.push(told(signal));
    })();
    const messages = () => source.status.messages;
    while (out.length < lines.length) await Bun.sleep(5);
    const before = messages();
    // One each 20 ms: longer than silence would be borne.
    while (messages() < before + 120) await Bun.sleep(20);
    expect(source.status).toMatchObject({ state: "streaming", attempts: 1, traceId: "replay-0", resolvedStart: 10 });
    expect(source.status.progress).toEqual({
      runningJobs: 0,
      processedBlocks: 10,
      stages: [{ modules: ["map_events"], completedRanges: [[10, 17]], readyUpToExclusive: 18 }],
    });
    expect(log.map((line) => line.message)).toEqual(["Substreams session"]);
    stop.abort();
    await reading;
    expect(out).toEqual(lines);
    await endpoint.close();
  });

  test("at a given pace, progress in between", async () => {
    let now = 0;
    // Only waiting takes time.
    const world = { ...systemWorld, monotonic: () => now, sleep: async (ms: number) => void (now += ms) };
    const endpoint = await replay(recording(), { blocksPerSecond: 25, progressMs: 10, endAtEof: true, world });
    const { source } = openTestSource(endpoint.port, { stopBlock: "1000" });
    expect((await Array.fromAsync(source.blocks(null, new AbortController().signal))).map(told)).toEqual([
      ...lines,
      "end",
    ]);
    await endpoint.close();
    const blocks = lines.filter((line) => line.startsWith("block")).length;
    expect(now).toBe((blocks - 1) * 40);
    // The session, then each block as a message of its own, and in each gap progress every 10 ms.
    expect(source.status.messages).toBe(1 + lines.length + (blocks - 1) * 3);
  });
});

describe("who may", () => {
  test("a token is asked for when one is set", async () => {
    const server = { requireToken: "open-sesame" };
    const refused = readLines({ server });
    await expect(refused).rejects.toMatchObject({ code: "SUBSTREAMS_AUTH" });
    for (const credentials of [
      { token: "open-sesame", apiKey: "" },
      { token: "", apiKey: "open-sesame" },
    ]) {
      expect((await readLines({ server, client: { credentials }, take: 1 })).length).toBe(1);
    }
  });

  test("another module than the recorded one is refused by name", async () => {
    const reading = readLines({ client: { module: { ...testModule, name: "map_other" } } });
    await expect(reading).rejects.toMatchObject({ code: "SUBSTREAMS_REQUEST" });
    await reading.catch((error) =>
      expect(error.message).toContain('"map_other" is not recorded here, "map_events" is'),
    );
  });

  test("only loopback is served, and a taken port is named", async () => {
    await expect(replay(recording(), { host: "0.0.0.0" })).rejects.toMatchObject({ code: "SERVER_ADDRESS" });
    const first = await replay(recording());
    await expect(replay(recording(), { port: first.port })).rejects.toMatchObject({ code: "SERVER_ADDRESS" });
    await first.close();
  });
});

describe("recordings", () => {
  test("leave nothing behind in the scratch folder", async () => {
    const scratchFolder = await mkdtemp(join(folder, "scratch-"));
    const endpoint = await replay(recording(), { scratchFolder });
    expect(await readdir(scratchFolder)).toEqual([]);
    await endpoint.close();
    const nowhere = join(folder, "nowhere");
    await expect(replay(recording(), { scratchFolder: nowhere })).rejects.toMatchObject({
      code: "REPLAY_SCRATCH",
      where: nowhere,
    });
  });

  test.each<[string, Response[]]>([
    ["a block below the one before, without an undo", [dataMessage({ slot: 5 }), dataMessage({ slot: 4 })]],
    ["two blocks of one slot", [dataMessage({ slot: 5 }), dataMessage({ slot: 5, fork: "b" })]],
  ])("%s: refused", async (_, bad) => {
    const path = join(folder, "bad.zst");
    await record(path, bad);
    const opening = replay(path);
    await expect(opening).rejects.toBeInstanceOf(SluiceError);
    await expect(opening).rejects.toMatchObject({ code: "RECORDING_CORRUPT", where: path });
    await opening.catch(() => undefined);
  });

  test("may be empty, and may begin with an undo", async () => {
    const path = join(folder, "odd.zst");
    await record(path, []);
    const empty = await replay(path, { endAtEof: true });
    expect(empty).toMatchObject({ first: 0, last: 0, module: "" });
    const stop = new AbortController().signal;
    expect(await Array.fromAsync(openTestSource(empty.port, { stopBlock: "9" }).source.blocks(null, stop))).toEqual([
      { kind: "end" },
    ]);
    await empty.close();

    await record(path, [undoMessage(3), dataMessage({ slot: 4 })]);
    const undone = await replay(path, { endAtEof: true });
    const { source } = openTestSource(undone.port, { stopBlock: "9" });
    expect((await Array.fromAsync(source.blocks(at(3), stop))).map(told)).toEqual(["block 4 hash4 final 2", "end"]);
    await undone.close();
  });

  test("faults see every message and decide about it", async () => {
    const seen: string[] = [];
    const out = await readLines({
      server: {
        faults: (outgoing) => {
          seen.push(`${outgoing.call}.${outgoing.message} ${outgoing.kind} ${outgoing.slots.join(",")}`);
          return outgoing.kind !== "undo";
        },
      },
      client: { stopBlock: "14" },
    });
    expect(seen).toEqual(["0.0 session ", "0.1 blocks 10,11,12,13"]);
    expect(out).toEqual([...lines.slice(0, 4), "end"]);
  });
});
