/**
 * Goal: the gRPC transport is understood by others, in plain text and over TLS. Method: our client against Connect's
 * server and our server against Connect's client, over real sockets.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createServer as createHttp2Server } from "node:http2";
import { Code, ConnectError, type ConnectRouter, createPromiseClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { Request, Stream } from "@substreams/core/proto";
import { frameOf, newFrame } from "./grpc-server.ts";
import { GrpcCode } from "./grpc-status.ts";
import { dataMessage } from "./testing.ts";
import { selfSignedCertificate } from "./testing-certificate.ts";
import { call, closeAll, drain, listen, MIB, serve } from "./testing-grpc.ts";

afterEach(closeAll);

const OK = { code: GrpcCode.ok, message: "" };

describe("TLS", () => {
  test("with an authority that is trusted, and not without", async () => {
    const tls = selfSignedCertificate();
    const { port } = await serve((c) => c.send(newFrame(MIB)), { tls });
    const origin = `https://localhost:${port}`;
    expect(await drain(call(port, { origin, ca: tls.cert }))).toEqual({ sizes: [MIB], status: OK });
    const untrusted = await drain(call(port, { origin }));
    expect(untrusted.status.code).toBe(GrpcCode.unavailable);
    expect(untrusted.status.message).toMatch(/certificate|self.signed/i);
  });
});

describe("another implementation", () => {
  const path = "/sf.substreams.rpc.v2.Stream/Blocks";
  const large = dataMessage({ slot: 7, payload: new Uint8Array(3 * MIB).fill(9) });

  test("its client reads our server", async () => {
    const { port } = await serve(async (c) => {
      expect(c.path).toBe(path);
      expect(Request.fromBinary(c.request).startBlockNum).toBe(5n);
      await c.send(frameOf(large.toBinary()));
      c.finish({ code: GrpcCode.resourceExhausted, message: "50% of ünits" });
    });
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "2" });
    const slots: (bigint | undefined)[] = [];
    const reading = (async () => {
      for await (const { message } of createPromiseClient(Stream, transport).blocks(
        new Request({ startBlockNum: 5n }),
      )) {
        if (message.case === "blockScopedData") slots.push(message.value.clock?.number);
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: Code.ResourceExhausted, rawMessage: "50% of ünits" });
    expect(slots).toEqual([7n]);
  });

  test("our client reads its server, compressed and not", async () => {
    const routes = (router: ConnectRouter) =>
      router.service(Stream, {
        async *blocks(request: Request) {
          yield large;
          yield large;
          if (request.stopBlockNum > 0n) throw new ConnectError("50% of ünits", Code.Unavailable);
        },
      });
    const port = await listen(createHttp2Server(connectNodeAdapter({ routes })));
    const size = large.toBinary().length;
    for (const compression of ["gzip", "none"] as const) {
      expect(await drain(call(port, { path, compression }))).toEqual({ sizes: [size, size], status: OK });
    }
    const message = new Request({ stopBlockNum: 1n }).toBinary();
    const failed = await drain(call(port, { path, message }));
    expect(failed).toEqual({ sizes: [size, size], status: { code: GrpcCode.unavailable, message: "50% of ünits" } });
    const unknown = await drain(call(port, { path: "/sf.substreams.rpc.v4.Stream/Blocks" }));
    expect(unknown.status.code).toBe(GrpcCode.unimplemented);
  });
});
