/**
 * Goal: whatever goes wrong ends in the right way: connecting again from the last cursor, later and later until data
 * comes, or an error that says what to do. Method: the table of statuses, then scripted servers that fail over real gRPC.
 */
import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Timestamp } from "@bufbuild/protobuf";
import { type BlockScopedData, Response } from "@substreams/core/proto";
import { systemWorld } from "../world.ts";
import { frameOf } from "./grpc-server.ts";
import { GrpcCode, type GrpcStatus } from "./grpc-status.ts";
import { judge, type Verdict } from "./retry.ts";
import { cursorOf, dataMessage, openTestSource, told } from "./testing.ts";
import { data, frameFor, instant, ok, progress, run, type Script, scripted, sends, session } from "./testing-client.ts";

describe("statuses", () => {
  const { ok: fine, ...codes } = GrpcCode;
  const fatal = ["unauthenticated", "permissionDenied", "invalidArgument", "failedPrecondition"];
  const version = ["unimplemented", "notFound"];

  test.each(Object.entries(codes))("%s", (name, code) => {
    const expected: Verdict = fatal.includes(name) ? "fatal" : version.includes(name) ? "fallback" : "retry";
    expect(judge({ code, message: "something" }, false)).toBe(expected);
    expect(judge({ code, message: "something" }, true)).toBe(expected === "fallback" ? "fatal" : expected);
  });

  test.each<[GrpcStatus, Verdict]>([
    [{ code: fine, message: "" }, "complete"],
    [{ code: 99, message: "" }, "retry"],
    [{ code: GrpcCode.resourceExhausted, message: "no free stream" }, "retry"],
    [{ code: GrpcCode.resourceExhausted, message: "monthly Quota exceeded for team" }, "fatal"],
    [{ code: GrpcCode.unavailable, message: "quota exceeded" }, "retry"],
    [{ code: GrpcCode.invalidArgument, message: "start block and stop block are the same" }, "complete"],
    [{ code: GrpcCode.internal, message: "start block and stop block are the same" }, "retry"],
  ])("%j: %s", (status, verdict) => expect(judge(status, true)).toBe(verdict));

  test.each<[number, string, string]>([
    [GrpcCode.unauthenticated, "SUBSTREAMS_AUTH", "SUBSTREAMS_JWT_TOKEN"],
    [GrpcCode.permissionDenied, "SUBSTREAMS_AUTH", "plan"],
    [GrpcCode.invalidArgument, "SUBSTREAMS_REQUEST", "cursor"],
    [GrpcCode.failedPrecondition, "SUBSTREAMS_REQUEST", "limit"],
  ])("%i ends the source with %s, the server's words and advice", async (code, expected, advice) => {
    const { error, asked, source } = await run([
      sends([session, data(5)], { code, message: "the server's 100% own words: ü" }),
    ]);
    expect(error).toMatchObject({
      kind: "fatal",
      code: expected,
      hint: expect.stringMatching(new RegExp(advice, "i")),
    });
    expect((error as Error).message).toContain("the server's 100% own words: ü");
    expect(asked.length).toBe(1);
    expect(source.status).toMatchObject({ state: "error", lastError: expect.stringContaining("own words") });
  });

  test("credentials that a server quotes are not repeated", async () => {
    const credentials = { token: "", apiKey: "server_0123456789" };
    const message = "x-api-key: server_0123456789 is unknown";
    const { error, lines } = await run(
      [sends([], { code: GrpcCode.unavailable, message }), sends([], { code: GrpcCode.unauthenticated, message })],
      { credentials },
    );
    expect((error as Error).message).toContain("x-api-key: *** is unknown");
    expect(JSON.stringify(lines)).toContain("x-api-key: *** is unknown");
    expect(JSON.stringify(lines)).not.toContain("server_0123456789");
  });
});

describe("back-off", () => {
  const unavailable = { code: GrpcCode.unavailable, message: "shutting down" };

  test("doubles with every failure and begins anew only after data", async () => {
    const { world, slept } = instant();
    const idle = sends([session, progress], unavailable);
    const busy = sends([session, data(5)], unavailable);
    const { source } = await run([idle, idle, idle, busy, idle, idle, sends([], ok)], { world });
    expect(slept).toEqual([500, 1000, 2000, 500, 1000, 2000]);
    expect(source.status).toMatchObject({ attempts: 7, reconnects: 6 });
  });

  test("is jittered over its whole length, between a floor and a cap", async () => {
    const { world, slept } = instant(0.01);
    await run([...Array.from({ length: 12 }, () => sends([], unavailable)), sends([], ok)], { world });
    expect(slept).toEqual([...Array.from({ length: 5 }, () => 100), 160, 320, 600, 600, 600, 600, 600]);
  });

  test("is told in log and status", async () => {
    const scripts = Array.from({ length: 6 }, () => sends([], unavailable));
    const { lines, source } = await run([...scripts, sends([], ok)], { world: instant(0.5).world });
    const broke = lines.filter((line) => line.message.startsWith("the stream broke"));
    expect(broke.map((line) => line.fields.delayMs)).toEqual([250, 500, 1000, 2000, 4000, 8000]);
    expect(broke[0]?.fields.reason).toBe("unavailable: shutting down");
    expect(lines.filter((line) => line.message.includes("check source.endpoint")).length).toBe(1);
    expect(source.status.retryAt).toBeGreaterThan(0);
  });

  test("a refused connection is a reason to wait, not to give up", async () => {
    const closed = await scripted(() => undefined);
    await closed.close();
    const stop = new AbortController();
    const { source, lines } = openTestSource(closed.port, {
      world: {
        ...systemWorld,
        sleep: (ms, signal) => (ms < 10_000 ? Promise.resolve(stop.abort()) : systemWorld.sleep(ms, signal)),
      },
    });
    expect(await Array.fromAsync(source.blocks(null, stop.signal))).toEqual([]);
    expect(lines.at(-1)?.fields.reason).toMatch(/unavailable.*ECONNREFUSED/);
    expect(source.status.state).toBe("idle");
  });
});

describe("a module that fails", () => {
  const value = {
    module: "map_filtered",
    reason: "panic at src/lib.rs",
    logs: ["first", "last words"],
    logsTruncated: true,
  };
  const failure = new Response({ message: { case: "fatalError", value } });
  const failed = { code: "SUBSTREAMS_MODULE_FAILED", kind: "fatal" };

  test("ends the source with module, reason and log", async () => {
    const { error, lines } = await run([
      sends([session, failure], { code: GrpcCode.invalidArgument, message: "(deterministic error)" }),
    ]);
    expect(error).toMatchObject(failed);
    for (const part of ["map_filtered", "panic at src/lib.rs", "first", "last words"])
      expect((error as Error).message).toContain(part);
    expect(lines.find((line) => line.level === "error")?.message).toContain("last words");
  });

  test("also when no status follows; never as the end of the range", async () => {
    const { error, out } = await run([sends([failure], ok)]);
    expect(error).toMatchObject(failed);
    expect(out).toEqual([]);
  });

  test("unless the status says that it may go over", async () => {
    const { error, asked } = await run([sends([failure], { code: GrpcCode.unavailable }), sends([], ok)]);
    expect({ error, calls: asked.length }).toEqual({ error: null, calls: 2 });
  });

  test("however much it logged", async () => {
    const logs = Array.from({ length: 10_000 }, (_, i) => `line ${i} ${"x".repeat(100)}`);
    const long = new Response({ message: { case: "fatalError", value: { ...value, logs } } });
    const { error } = await run([sends([long], ok)]);
    expect((error as Error).message.length).toBeLessThan(5_000);
    expect((error as Error).message).toContain("line 9999");
  });
});

describe("messages that make no sense", () => {
  const change = (edit: (block: BlockScopedData) => void): Response => {
    const message = data(5);
    if (message.message.case === "blockScopedData") edit(message.message.value);
    return message;
  };

  test.each<[string, Response, string]>([
    [
      "no cursor",
      change((b) => {
        b.cursor = "";
      }),
      "no cursor",
    ],
    [
      "no clock",
      change((b) => {
        delete b.clock;
      }),
      "no number",
    ],
    [
      "no block id",
      change((b) => {
        b.clock!.id = "";
      }),
      "no id",
    ],
    ["an endless block id", change((b) => void (b.clock!.id = "x".repeat(89))), "id of 89 characters"],
    ["an endless cursor", change((b) => void (b.cursor = "x".repeat(4_097))), "cursor of 4097 characters"],
    ["an endless type", change((b) => void (b.output!.mapOutput!.typeUrl = `a/${"x".repeat(512)}`)), "endless type"],
    ["a time before 1970", change((b) => void (b.clock!.timestamp = new Timestamp({ seconds: -1n }))), "the time -1"],
    [
      "a time that no calendar has",
      change((b) => void (b.clock!.timestamp = new Timestamp({ seconds: 253_402_300_800n }))),
      "the time 253402300800",
    ],
    [
      "a slot beyond 2^53",
      change((b) => {
        b.clock!.number = 2n ** 53n;
      }),
      "9007199254740992",
    ],
    [
      "a final height beyond 2^53",
      change((b) => {
        b.finalBlockHeight = 2n ** 64n - 1n;
      }),
      "final height",
    ],
    [
      "another module's output",
      change((b) => {
        b.output!.name = "map_other";
      }),
      "map_other",
    ],
    [
      "an undo to nowhere",
      new Response({ message: { case: "blockUndoSignal", value: { lastValidCursor: "c" } } }),
      "no number",
    ],
    [
      "an undo without a cursor",
      new Response({ message: { case: "blockUndoSignal", value: { lastValidBlock: { id: "x", number: 1n } } } }),
      "no cursor",
    ],
  ])("%s: the source stops before anything is built on it", async (_, message, words) => {
    const { error, out } = await run([sends([session, message], ok)]);
    expect(error).toMatchObject({ code: "SUBSTREAMS_PROTOCOL", kind: "fatal" });
    expect((error as Error).message).toContain(words);
    expect(out).toEqual([]);
  });

  test("bytes that are no message: again, from the last cursor", async () => {
    const garbled: Script = async (call, protocol) => {
      await call.send(frameFor(protocol, data(5)));
      await call.send(frameOf(new Uint8Array([0x1a, 0xff, 0x01, 0x00])));
      await Bun.sleep(50);
    };
    const { out, asked, source } = await run([garbled, sends([data(6)], ok)]);
    expect(out.map(told)).toEqual(["block 5 hash5 final 3", "block 6 hash6 final 4", "end"]);
    expect(asked.map((call) => call.cursor)).toEqual(["", cursorOf(5)]);
    expect(source.status.lastError).toContain("cannot be decoded");
  });

  test("kinds of messages that nobody knows are skipped", async () => {
    const unknown: Script = async (call, protocol) => {
      await call.send(frameOf(new Uint8Array([0x52, 2, 0x0a, 0]))); // 10: debug_snapshot_data
      await call.send(frameOf(new Uint8Array([0xa2, 0x06, 1, 0]))); // 100
      await call.send(frameOf(new Uint8Array(0)));
      await sends([data(5)], ok)(call, protocol);
    };
    expect((await run([unknown])).out.map(told)).toEqual(["block 5 hash5 final 3", "end"]);
  });

  test("a message over the limit names the setting that allows it", async () => {
    const large = dataMessage({ slot: 5, payload: new Uint8Array(100_000) });
    const { error, asked } = await run([sends([large], ok)], { maxMessageBytes: 100_000 });
    expect(error).toMatchObject({
      code: "GRPC_MESSAGE_TOO_LARGE",
      kind: "fatal",
      hint: expect.stringContaining("source.maxMessageBytes"),
    });
    expect(asked.length).toBe(1);
    expect((await run([sends([large], ok)], { maxMessageBytes: 101_000 })).out.length).toBe(2);
  });
});

describe("silence", () => {
  test("a server that says nothing is called again", async () => {
    const { out, source } = await run([sends([session]), sends([data(5)], ok)], {
      idleTimeoutMs: 2_000,
      world: systemWorld,
    });
    expect(out.map(told)).toEqual(["block 5 hash5 final 3", "end"]);
    expect(source.status).toMatchObject({ attempts: 2, lastError: "deadlineExceeded: nothing came for 2000 ms" });
  });

  test("progress is life", async () => {
    const preparing: Script = async (call, protocol) => {
      for (let i = 0; i < 30; i++) {
        await call.send(frameFor(protocol, progress));
        await Bun.sleep(100);
      }
      await sends([data(5)], ok)(call, protocol);
    };
    const { out, source } = await run([preparing], { idleTimeoutMs: 2_000, world: systemWorld });
    expect(out.map(told)).toEqual(["block 5 hash5 final 3", "end"]);
    expect(source.status.attempts).toBe(1);
  });

  test("a reader that takes its time is not silence of the server", async () => {
    const server = await scripted(sends([data(5), data(6), data(7)], ok));
    const { source } = openTestSource(server.port, { idleTimeoutMs: 2_000, stopBlock: "9" });
    const out: string[] = [];
    for await (const signal of source.blocks(null, new AbortController().signal)) {
      out.push(told(signal));
      if (out.length === 1) await Bun.sleep(2_500);
    }
    expect(out.length).toBe(4);
    expect(source.status.attempts).toBe(1);
    await server.close();
  });
});

describe("being stopped", () => {
  /** Stops the source when it is in `state`, and expects it to return without an error. */
  async function stopIn(
    state: string,
    scripts: Script[],
    options: Parameters<typeof openTestSource>[1] = {},
  ): Promise<void> {
    const server = await scripted(...scripts);
    const { source } = openTestSource(server.port, options);
    const stop = new AbortController();
    const reading = Array.fromAsync(source.blocks(null, stop.signal));
    while (source.status.state !== state) await Bun.sleep(2);
    stop.abort();
    expect((await reading).every((signal) => signal.kind === "block")).toBe(true);
    expect(source.status.state).toBe("idle");
    await server.close();
  }

  test("while waiting for data", () => stopIn("streaming", [sends([session, data(5)])]));
  test("while backing off", () => stopIn("backing-off", [sends([], { code: GrpcCode.unavailable })]));

  test("while connecting to nobody", async () => {
    const sockets: Socket[] = [];
    const mute = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
    await once(mute, "listening");
    const { source } = openTestSource((mute.address() as AddressInfo).port);
    const stop = new AbortController();
    const reading = Array.fromAsync(source.blocks(null, stop.signal));
    while (sockets.length === 0) await Bun.sleep(2);
    stop.abort();
    expect(await reading).toEqual([]);
    for (const socket of sockets) socket.destroy();
    mute.close();
  });

  test("before it began", async () => {
    const server = await scripted(sends([data(5)]));
    expect(await Array.fromAsync(openTestSource(server.port).source.blocks(null, AbortSignal.abort()))).toEqual([]);
    expect(server.asked).toEqual([]);
    await server.close();
  });

  test("by a reader that leaves: the server sees the call end", async () => {
    let ended: Promise<void> | null = null;
    const server = await scripted(async (call, protocol) => {
      ended = sends([data(5), data(6)])(call, protocol) as Promise<void>;
      await ended;
    });
    for await (const _ of openTestSource(server.port).source.blocks(null, new AbortController().signal)) break;
    await ended;
    await server.close();
  });
});
