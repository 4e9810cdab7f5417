/**
 * Goal: hand-written message types agree with the wire format of the protos. Method: bytes written by hand or by the
 * generated v2 types are read by ours, and ours by the generated ones where both exist.
 */
import { describe, expect, test } from "bun:test";
import { Any, protoInt64, Timestamp } from "@bufbuild/protobuf";
import { BlockScopedData, Clock, MapModuleOutput, Package, Request, Response } from "@substreams/core/proto";
import { blocksPath, ModulesProgress, PackageRequest, responseType, SessionInit } from "./rpc.ts";

function block(slot: number): BlockScopedData {
  return new BlockScopedData({
    output: new MapModuleOutput({ name: "m", mapOutput: new Any({ typeUrl: "t/T", value: Uint8Array.of(1, 2, 3) }) }),
    clock: new Clock({ id: `id${slot}`, number: BigInt(slot), timestamp: new Timestamp({ seconds: 7n }) }),
    cursor: `c${slot}`,
    finalBlockHeight: BigInt(slot - 1),
  });
}

describe("requests", () => {
  test("fields 1 to 6 are those of v2", () => {
    const fields = {
      startBlockNum: protoInt64.parse(-100),
      startCursor: "cursor",
      stopBlockNum: 9n,
      finalBlocksOnly: true,
      productionMode: true,
      outputModule: "map_blocks",
    };
    const bytes = new PackageRequest(fields).toBinary();
    expect(bytes).toEqual(new Request(fields).toBinary());
  });

  test("package, params and network have the numbers of v3", () => {
    const request = new PackageRequest({
      package: new Package({ version: 1n }),
      params: { m: "v" },
      network: "solana",
    });
    const expected = [
      [0x3a, 2, 0x28, 1],
      [0x42, 6, 0x0a, 1, 0x6d, 0x12, 1, 0x76],
      [0x4a, 6, ...new TextEncoder().encode("solana")],
    ];
    expect(Array.from(request.toBinary())).toEqual(expected.flat());
  });

  test("paths", () => {
    expect(blocksPath("v4")).toBe("/sf.substreams.rpc.v4.Stream/Blocks");
    expect(blocksPath("v2")).toBe("/sf.substreams.rpc.v2.Stream/Blocks");
  });
});

describe("responses", () => {
  test("v2 and v3 answer one block a message", () => {
    const sent = new Response({ message: { case: "blockScopedData", value: block(5) } });
    for (const protocol of ["v2", "v3"] as const) {
      const { message } = responseType(protocol).fromBinary(sent.toBinary());
      expect(message.case).toBe("blockScopedData");
      if (message.case === "blockScopedData") expect(message.value.toBinary()).toEqual(block(5).toBinary());
    }
  });

  test("v4 answers a batch in field 3, each block with its own cursor", () => {
    const items = [block(5), block(6)].map((b) => b.toBinary());
    const batch = items.flatMap((item) => [0x0a, item.length, ...item]);
    const head = [0x1a, (batch.length & 0x7f) | 0x80, batch.length >> 7];
    const { message } = responseType("v4").fromBinary(Uint8Array.from([...head, ...batch]));
    expect(message.case).toBe("blockScopedDatas");
    if (message.case === "blockScopedDatas") expect(message.value.items.map((b) => b.cursor)).toEqual(["c5", "c6"]);
  });

  test("payload bytes are not copied", () => {
    expect.assertions(1);
    const bytes = new Response({ message: { case: "blockScopedData", value: block(5) } }).toBinary();
    const { message } = responseType("v2").fromBinary(bytes);
    if (message.case === "blockScopedData") expect(message.value.output?.mapOutput?.value.buffer).toBe(bytes.buffer);
  });

  test("newer fields of session and progress are read, unknown ones skipped", () => {
    const session = Uint8Array.from([0x0a, 2, 0x61, 0x62, 0x10, 7, 0x30, 99, 0x2a, 1, 0xff, 0x58, 1]);
    expect(SessionInit.fromBinary(session)).toMatchObject({
      traceId: "ab",
      resolvedStartBlock: 7n,
      chainHead: 99n,
    });
    const stage = [0x0a, 1, 0x6d, 0x12, 4, 0x10, 1, 0x18, 9, 0x18, 8];
    const job = [0x08, 1, 0x10, 2, 0x18, 30, 0x20, 4];
    const progress = [0x12, job.length, ...job, 0x22, stage.length, ...stage, 0x2a, 2, 0x08, 5, 0x30, 77];
    const read = ModulesProgress.fromBinary(Uint8Array.from(progress));
    expect(read.processedBlocks).toBe(77n);
    expect(read.runningJobs[0]).toMatchObject({ stage: 1, startBlock: 2n, stopBlock: 30n, progressBlocks: 4n });
    expect(read.stages[0]).toMatchObject({ modules: ["m"], readyUpToExclusive: 8n });
    expect(read.stages[0]?.completedRanges[0]).toMatchObject({ startBlock: 1n, endBlock: 9n });
  });
});
