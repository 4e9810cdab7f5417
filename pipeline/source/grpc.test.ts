/**
 * Goal: the gRPC transport carries any size within bounded memory, and never takes a broken
 * stream for a whole one. Method: client and server against each other over real sockets, and over a line that dies.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { constants, createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { frameOf, newFrame } from "./grpc-server.ts";
import { GrpcCode } from "./grpc-status.ts";
import { call, closeAll, drain, type Handle, later, listen, MIB, serve } from "./testing-grpc.ts";

afterEach(closeAll);

const OK = { code: GrpcCode.ok, message: "" };

describe("sizes", () => {
  test("from nothing to 20 MB, whole and in order", async () => {
    const sizes = [0, 1, 16_384, 100_000, 20_000_000, 5];
    const hashes: number[] = [];
    const sent = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
    const { port } = await serve(async (c) => {
      for (const message of sent) await c.send(frameOf(message));
    });
    const stream = call(port);
    for (const message of sent) {
      const { value } = await stream.next();
      expect(Bun.hash(value as Uint8Array)).toBe(Bun.hash(message));
      hashes.push(1);
    }
    expect(await stream.next()).toEqual({ done: true, value: OK });
    expect(hashes.length).toBe(sizes.length);
  });

  test("a large request arrives whole", async () => {
    const message = new Uint8Array(20_000_000).map((_, i) => i * 7);
    const { port } = await serve((c) => c.send(frameOf(new TextEncoder().encode(String(Bun.hash(c.request))))));
    const { value } = await call(port, { message }).next();
    expect(new TextDecoder().decode(value as Uint8Array)).toBe(String(Bun.hash(message)));
  });

  test("compressed and not, by what the client accepts", async () => {
    const sizes = [0, 10, 3_000_000];
    const { port } = await serve(
      async (c) => {
        for (const size of sizes) await c.send(newFrame(size).fill(7, 5));
      },
      { gzip: true },
    );
    for (const compression of ["gzip", "none"] as const)
      expect(await drain(call(port, { compression }))).toEqual({ sizes, status: OK });
  });

  test("over the limit it stops before making room, also for what unpacks to more", async () => {
    const large = frameOf(new Uint8Array(2 * MIB));
    const announced = newFrame(0);
    announced.writeUInt32BE(0xffff_ffff, 1);
    const before = process.memoryUsage().rss;
    for (const [frame, gzip] of [
      [large, false],
      [large, true],
      [announced, false],
    ] as const) {
      const { port } = await serve((c) => c.send(frame), { gzip });
      const reading = drain(call(port, { messageBytesMax: MIB, compression: "gzip" }));
      await expect(reading).rejects.toMatchObject({ code: "GRPC_MESSAGE_TOO_LARGE" });
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * MIB);
  });
});

describe("back-pressure", () => {
  test("a reader that pauses holds the server back; 50,000 messages then arrive", async () => {
    const count = 50_000;
    let sent = 0;
    const { port } = await serve(async (c) => {
      for (; sent < count && !c.signal.aborted; sent++) await c.send(newFrame(2_000).fill(sent & 0xff, 5));
    });
    const stream = call(port);
    let received = 0;
    for (; received < 10; received++) await stream.next();
    let before = -1;
    while (sent !== before) {
      before = sent;
      await Bun.sleep(100);
    }
    // Both sides' buffers and the 8 MiB window: far from the 100 MB of the whole stream.
    expect(sent * 2_000).toBeLessThan(24 * MIB);
    for (let wrong = 0; ; received++) {
      const next = await stream.next();
      if (next.done === true) {
        expect({ received, wrong, status: next.value }).toEqual({ received: count, wrong: 0, status: OK });
        return;
      }
      if (next.value.length !== 2_000 || next.value[0] !== (received & 0xff)) wrong++;
    }
  });

  test("what was read is not kept: a long stream takes no more memory than a short one", async () => {
    const frame = newFrame(MIB);
    const { port } = await serve(async (c) => {
      for (let i = 0; i < 600 && !c.signal.aborted; i++) await c.send(frame);
    });
    let early = 0;
    let received = 0;
    for await (const _ of call(port)) {
      if (++received === 100) {
        Bun.gc(true);
        early = process.memoryUsage().rss;
      }
    }
    Bun.gc(true);
    expect(received).toBe(600);
    expect(process.memoryUsage().rss - early).toBeLessThan(200 * MIB);
  }, 300_000);
});

describe("ends", () => {
  const some = newFrame(100);
  const half = newFrame(100).subarray(0, 50);

  test.each<[string, Handle, number, RegExp, number]>([
    [
      "a status",
      (c) => c.finish({ code: GrpcCode.resourceExhausted, message: "50% of ünits" }),
      GrpcCode.resourceExhausted,
      /^50% of ünits$/,
      0,
    ],
    [
      "a status after messages",
      async (c) => {
        await c.send(some);
        c.finish({ code: GrpcCode.aborted, message: "" });
      },
      GrpcCode.aborted,
      /^$/,
      1,
    ],
    [
      "a handler that throws",
      () => {
        throw new Error("oops");
      },
      GrpcCode.internal,
      /oops/,
      0,
    ],
    [
      "an end inside a message",
      async (c) => {
        await c.sendRaw(half);
        c.finish();
      },
      GrpcCode.unavailable,
      /inside a message/,
      0,
    ],
    [
      "a reset",
      async (c) => {
        await c.send(some);
        await c.delivered();
        c.reset(constants.NGHTTP2_ENHANCE_YOUR_CALM);
        await c.gone();
      },
      GrpcCode.unavailable,
      /ENHANCE_YOUR_CALM/,
      1,
    ],
    [
      "a broken line",
      async (c) => {
        await c.send(some);
        await c.delivered();
        c.disconnect();
        await c.gone();
      },
      GrpcCode.unavailable,
      /closed before/,
      1,
    ],
    [
      "a broken line inside a message",
      async (c) => {
        await c.sendRaw(half);
        await c.delivered();
        c.disconnect();
        await c.gone();
      },
      GrpcCode.unavailable,
      /inside a message/,
      0,
    ],
    [
      "GOAWAY with an error",
      async (c) => {
        await c.send(some);
        await c.delivered();
        c.goAway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
        await c.delivered();
      },
      GrpcCode.unavailable,
      /went away, reason 11/,
      1,
    ],
  ])("%s", async (_, handle, code, message, messages) => {
    const { port } = await serve(handle);
    const { sizes, status } = await drain(call(port));
    expect({ code: status.code, messages: sizes.length }).toEqual({ code, messages });
    expect(status.message).toMatch(message);
  });

  test("GOAWAY without an error lets the stream come to its end", async () => {
    const { port } = await serve(async (c) => {
      await c.send(some);
      c.goAway();
      await c.delivered();
      for (let i = 0; i < 5; i++) await c.send(some);
    });
    expect(await drain(call(port))).toEqual({ sizes: Array.from({ length: 6 }, () => 100), status: OK });
  });

  test("flags that gRPC does not have are an error, not a message", async () => {
    const { port } = await serve((c) => c.sendRaw(Uint8Array.of(9, 0, 0, 0, 0)));
    expect(await drain(call(port))).toMatchObject({ sizes: [], status: { code: GrpcCode.unavailable } });
  });

  test.each<[number, string, number]>([
    [200, "text/html", GrpcCode.unknown],
    [403, "text/html", GrpcCode.permissionDenied],
    [404, "text/plain", GrpcCode.unimplemented],
    [503, "text/html", GrpcCode.unavailable],
  ])("an HTTP answer %i that is not gRPC's", async (status, type, code) => {
    const server = createHttp2Server();
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": status, "content-type": type });
      stream.end("<html>not what you think</html>");
    });
    const reading = await drain(call(await listen(server)));
    expect(reading).toMatchObject({ sizes: [], status: { code } });
  });

  test("a compression that nobody asked for", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-encoding": "s2" });
      stream.end(Uint8Array.of(1, 0, 0, 0, 1, 9));
    });
    const { status } = await drain(call(await listen(server), { compression: "gzip" }));
    expect(status.code).toBe(GrpcCode.internal);
    expect(status.message).toContain("s2");
  });

  test("being canceled, at any time", async () => {
    const { port } = await serve(async (c) => {
      await c.send(some);
      await new Promise((resolve) => c.signal.addEventListener("abort", resolve));
    });
    const stop = new AbortController();
    const stream = call(port, { signal: stop.signal });
    await stream.next();
    setTimeout(() => stop.abort(), 20);
    expect(await drain(stream)).toMatchObject({ status: { code: GrpcCode.canceled } });
    expect(await drain(call(port, { signal: AbortSignal.abort() }))).toMatchObject({
      status: { code: GrpcCode.canceled },
    });
  });
});

describe("keepalive", () => {
  /** Passes everything on, both ways, until it is frozen: then the line is dead and nobody says so. */
  async function line(target: number): Promise<{ port: number; freeze(): void }> {
    let frozen = false;
    const sockets: Socket[] = [];
    const proxy = createServer((client) => {
      const server = connect(target, "127.0.0.1");
      sockets.push(client, server);
      for (const [a, b] of [
        [client, server],
        [server, client],
      ] as const) {
        a.on("data", (chunk) => frozen || b.write(chunk));
        a.on("error", () => b.destroy());
        a.on("close", () => b.destroy());
      }
    });
    const port = await listen(proxy);
    later(() => sockets.forEach((socket) => void socket.destroy()));
    return { port, freeze: () => (frozen = true) };
  }

  const idle: Handle = (c) => new Promise((resolve) => c.signal.addEventListener("abort", () => resolve()));

  test("a dead line is noticed, also one that never came up", async () => {
    const { port, freeze } = await line((await serve(idle)).port);
    const stream = drain(call(port, { keepaliveMs: 100 }));
    await Bun.sleep(250);
    freeze();
    expect((await stream).status).toEqual({ code: GrpcCode.unavailable, message: "no sign of life for 100 ms" });

    const mute = createServer(() => undefined);
    const silent = await drain(call(await listen(mute), { keepaliveMs: 100 }));
    expect(silent.status.message).toBe("no sign of life for 100 ms");
  });

  test("an idle line that answers is left alone", async () => {
    const { port } = await serve(async (c) => {
      await Bun.sleep(4_500);
      await c.send(newFrame(1));
    });
    expect(await drain(call(port, { keepaliveMs: 2_000 }))).toEqual({ sizes: [1], status: OK });
  });
});
