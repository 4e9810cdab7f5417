/**
 * Goal: the source asks rightly in every version of the protocol, goes on exactly where it stood, and knows when a range
 * is complete. Method: scripted servers over real gRPC that note what they are asked.
 */

import { describe, expect, test } from "bun:test";
import { BinaryReader } from "@bufbuild/protobuf";
import { Request } from "@substreams/core/proto";
import { GrpcCode } from "./grpc-status.ts";
import { PackageRequest, PROTOCOLS, type Protocol } from "./rpc.ts";
import { cursorOf, openTestSource, testModule, testPackage, told, undoMessage } from "./testing.ts";
import { data, from, instant, ok, run, type Script, scripted, sends, session } from "./testing-client.ts";

describe("asking", () => {
  const options = { startBlock: "-100", stopBlock: "900", finalBlocksOnly: true, productionMode: true };

  test("v3 and v4: the whole package, and what to apply to it", async () => {
    for (const protocol of ["v3", "v4"] as const) {
      const module = { ...testModule, params: { map_filtered: "program:B" }, network: "devnet" };
      const { asked } = await run([sends([], ok)], { ...options, protocol, module });
      expect(asked.length).toBe(1);
      const request = PackageRequest.fromBinary(asked[0]!.request);
      expect(request).toMatchObject({
        startBlockNum: -100n,
        startCursor: "",
        stopBlockNum: 900n,
        finalBlocksOnly: true,
        productionMode: true,
        outputModule: "map_events",
        params: { map_filtered: "program:B" },
        network: "devnet",
      });
      expect(request.package?.toBinary()).toEqual(testPackage().toBinary());
    }
  });

  test("v2: the modules needed, with everything applied", async () => {
    const { asked } = await run([sends([], ok)], { ...options, protocol: "v2", productionMode: false });
    const request = Request.fromBinary(asked[0]!.request);
    expect(request).toMatchObject({
      startBlockNum: -100n,
      stopBlockNum: 900n,
      finalBlocksOnly: true,
      productionMode: false,
    });
    expect(request.modules?.toBinary()).toEqual(testModule.modules.toBinary());
  });

  test("a limit of processed blocks is field 12 of every version's request", async () => {
    for (const protocol of PROTOCOLS) {
      const { asked } = await run([sends([], ok)], { ...options, protocol, limitProcessedBlocks: 300 });
      const reader = new BinaryReader(asked[0]!.request);
      const found: unknown[] = [];
      while (reader.pos < reader.len) {
        const [field, type] = reader.tag();
        if (field === 12) found.push(Number(reader.uint64()));
        else reader.skip(type);
      }
      expect(found).toEqual([300]);
    }
  });

  test("the headers say gRPC, gzip where wanted, and who asks", async () => {
    const token = { credentials: { token: "a.b.c", apiKey: "other" } };
    const key = { credentials: { token: "", apiKey: "server_123" }, compression: "gzip" as const };
    const first = (await run([sends([], ok)], token)).asked[0]?.headers;
    expect(first).toMatchObject({ authorization: "Bearer a.b.c", te: "trailers", "grpc-accept-encoding": "identity" });
    expect(first?.["x-api-key"]).toBeUndefined();
    expect(first?.["content-type"]).toStartWith("application/grpc");
    const second = (await run([sends([], ok)], key)).asked[0]?.headers;
    expect(second).toMatchObject({ "x-api-key": "server_123", "grpc-accept-encoding": "gzip" });
    expect(second?.authorization).toBeUndefined();
    expect(second?.["x-substreams-parallel-workers"]).toBeUndefined();
    const few = (await run([sends([], ok)], { ...key, parallelJobs: 5 })).asked[0]?.headers;
    expect(few).toMatchObject({ "x-api-key": "server_123", "x-substreams-parallel-workers": "5" });
  });

  test("credentials are needed exactly for endpoints that are not on this machine", () => {
    const open =
      (endpoint: string, token = "") =>
      () =>
        openTestSource(0, { endpoint, credentials: { token, apiKey: "" } });
    for (const endpoint of ["http://127.0.0.1:1", "localhost:1", "https://[::1]:1", "http://127.8.8.8:1"])
      open(endpoint)();
    for (const endpoint of [
      "mainnet.sol.streamingfast.io:443",
      "http://10.0.0.1:9000",
      "https://127.0.0.1.example.com",
    ]) {
      expect(open(endpoint)).toThrow(
        expect.objectContaining({
          code: "SUBSTREAMS_AUTH",
          hint: expect.stringMatching(/SUBSTREAMS_JWT_TOKEN.*SUBSTREAMS_API_KEY/),
        }),
      );
      open(endpoint, "token")();
    }
    expect(open("x.example", "two words")).toThrow(expect.objectContaining({ code: "SUBSTREAMS_AUTH" }));
    expect(open("x.example", "two words")).not.toThrow(/two words/);
    for (const endpoint of [
      "",
      "http://",
      "a b:1",
      "host:99999",
      "https://host/path",
      "https://u:p@host",
      "ftp://host",
    ]) {
      expect(open(endpoint, "token")).toThrow(expect.objectContaining({ code: "ENDPOINT_INVALID" }));
    }
  });
});

describe("protocol versions", () => {
  const knows =
    (...versions: Protocol[]): Script =>
    (call, protocol) =>
      versions.includes(protocol)
        ? sends([data(5)], "disconnect")(call, protocol)
        : call.finish({ code: protocol === "v4" ? GrpcCode.unimplemented : GrpcCode.notFound, message: "no" });

  test("the newest that the server knows, without waiting, and remembered", async () => {
    const { world, slept } = instant();
    const { asked, out } = await run([knows("v2")], { world, stopBlock: "" }, null, 3);
    expect(asked.map((call) => call.protocol)).toEqual(["v4", "v3", "v2", "v2", "v2"]);
    expect(out.map(told)).toEqual(["block 5 hash5 final 3", "block 5 hash5 final 3", "block 5 hash5 final 3"]);
    expect(slept.length).toBe(2);
  });

  test("remembered also by the next reader of the same source", async () => {
    const server = await scripted(knows("v3"));
    const { source } = openTestSource(server.port, { world: instant().world });
    for (let i = 0; i < 2; i++) {
      const stop = new AbortController();
      for await (const _ of source.blocks(null, stop.signal)) break;
      stop.abort();
    }
    expect(server.asked.map((call) => call.protocol)).toEqual(["v4", "v3", "v3"]);
    await server.close();
  });

  test("a version that is set is the only one tried", async () => {
    for (const protocol of PROTOCOLS) {
      const { asked, error } = await run([knows()], { protocol });
      expect(asked.map((call) => call.protocol)).toEqual([protocol]);
      expect(error).toMatchObject({ code: "SUBSTREAMS_UNSUPPORTED", kind: "fatal" });
    }
  });

  test("a server that knows none is no Substreams endpoint", async () => {
    const { asked, error } = await run([knows()]);
    expect(asked.map((call) => call.protocol)).toEqual(["v4", "v3", "v2"]);
    expect(error).toMatchObject({ code: "SUBSTREAMS_UNSUPPORTED" });
  });

  test("not found after data is no matter of versions", async () => {
    const { asked, error } = await run([sends([session, data(5)], { code: GrpcCode.notFound, message: "gone" })]);
    expect(asked.length).toBe(1);
    expect(error).toMatchObject({ code: "SUBSTREAMS_UNSUPPORTED" });
  });
});

describe("going on", () => {
  test.each(PROTOCOLS.map((protocol) => [protocol]))(
    "%s: from the last block given out, each block with its cursor",
    async (protocol) => {
      const { asked, out, source } = await run(
        [sends([session, data(5), data(6), data(8)], "disconnect"), sends([session, data(9)], ok)],
        { protocol },
      );
      expect(out.map((signal) => (signal.kind === "block" ? signal.block.cursor : signal.kind))).toEqual(
        [5, 6, 8, 9].map((slot) => cursorOf(slot)).concat("end"),
      );
      expect(asked.map((call) => call.cursor)).toEqual(["", cursorOf(8)]);
      expect(source.status).toMatchObject({
        state: "ended",
        attempts: 2,
        reconnects: 1,
        blocks: 4,
        traceId: "trace-1",
        resolvedStart: 7,
        failures: 0,
      });
    },
  );

  test("from a position", async () => {
    const { asked } = await run([sends([], ok)], { startBlock: "3" }, from(70));
    expect(asked[0]).toMatchObject({ cursor: cursorOf(70) });
  });

  test("after an undo, from the block it went back to; it may come first and be for unknown blocks", async () => {
    const { asked, out } = await run(
      [
        sends([session, undoMessage(60), data(61)], "disconnect"),
        sends([undoMessage(59)], "disconnect"),
        sends([data(60)], ok),
      ],
      {},
      from(70),
    );
    expect(out.map(told)).toEqual([
      "undo to 60 hash60",
      "block 61 hash61 final 59",
      "undo to 59 hash59",
      "block 60 hash60 final 58",
      "end",
    ]);
    expect(out[0]).toMatchObject({ to: { cursor: cursorOf(60), moduleHash: testModule.hash }, finalSlot: 0 });
    expect(out[2]).toMatchObject({ finalSlot: 59 });
    expect(asked.map((call) => call.cursor)).toEqual([cursorOf(70), cursorOf(61), cursorOf(59)]);
  });

  test("a batch read in part is gone on from there by the position of the part", async () => {
    const first = await run([sends([data(5), data(6), data(7)])], {}, null, 2);
    expect(first.source.status.state).toBe("idle");
    const last = first.out.at(-1);
    expect(last?.kind === "block" && last.block.cursor).toBe(cursorOf(6));
  });

  test("empty blocks are blocks, with the module's type and no payload", async () => {
    const bare = data(5);
    if (bare.message.case === "blockScopedData") delete bare.message.value.output;
    const unnamed = data(6);
    if (unnamed.message.case === "blockScopedData") {
      unnamed.message.value.output!.name = "";
      delete unnamed.message.value.output!.mapOutput;
    }
    const { out } = await run([sends([bare, unnamed], ok)]);
    for (const signal of out.slice(0, 2))
      expect(signal).toMatchObject({ kind: "block", typeName: "test.Events", payload: new Uint8Array(0) });
    expect(out.length).toBe(3);
  });
});

describe("the end", () => {
  test("an end without error completes a bounded range, even below its stop block", async () => {
    const { out } = await run([sends([data(5)], ok)], { stopBlock: "1000" });
    expect(out.map(told)).toEqual(["block 5 hash5 final 3", "end"]);
  });

  test("servers that refuse an empty range mean its end", async () => {
    const message = "rpc: start block and stop block are the same (1000)";
    const { out } = await run([sends([], { code: GrpcCode.invalidArgument, message })], {}, from(999));
    expect(out).toEqual([{ kind: "end" }]);
  });

  test("a stream that follows the head is never complete", async () => {
    const { out, asked, source } = await run([sends([data(5)], ok), sends([data(6)])], { stopBlock: "" }, null, 2);
    expect(out.map(told)).toEqual(["block 5 hash5 final 3", "block 6 hash6 final 4"]);
    expect(asked[1]?.cursor).toBe(cursorOf(5));
    expect(source.status.lastError).toBe("the endpoint closed the stream");
  });

  test("a position at the end asks for nothing", async () => {
    const final = { finalBlocksOnly: true, stopBlock: "100" };
    expect(await run([sends([], ok)], final, from(99))).toMatchObject({ out: [{ kind: "end" }], asked: [] });
    expect((await run([sends([], ok)], final, from(98))).asked.length).toBe(1);
    expect(await run([sends([], ok)], { stopBlock: "100" }, from(100))).toMatchObject({
      out: [{ kind: "end" }],
      asked: [],
    });
    // Not final: the last block may have been undone.
    expect((await run([sends([], ok)], { stopBlock: "100" }, from(99))).asked.length).toBe(1);
  });
});
