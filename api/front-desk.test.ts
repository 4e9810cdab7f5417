/**
 * Goal: what people do wrong with a request is told to them: the method, the names of parameters, the body; and every answer
 * has an id by which it is found again. Method: a real server on loopback; statuses, headers and whole messages.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { FakeBackend } from "./fixture.ts";
import type { TokenReads } from "./reads/index.ts";
import { type RunningApi, startApi } from "./server.ts";
import type { Transport } from "./transport.ts";

const logged: { readonly id?: unknown; readonly code?: unknown }[] = [];
const backend = new FakeBackend();
let api: RunningApi;
beforeAll(async () => {
  const failing = new Proxy({} as TokenReads, {
    get: () => () => {
      throw new TypeError("planted");
    },
  });
  const log = (_level: string, _message: string, fields: object = {}) => void logged.push(fields);
  api = await startApi({ host: "127.0.0.1", port: 0, backend, reads: failing, log, version: "0.1.0" });
});
afterAll(() => api.stop());

interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly code: string;
  readonly message: string;
  readonly id: string;
}

async function ask(path: string, init: RequestInit = {}): Promise<Told> {
  const { status, headers, ...response } = await fetch(api.url + path, init).then(async (answer) => ({
    status: answer.status,
    headers: answer.headers,
    body: (await answer.json()) as Record<string, string> & { error?: Record<string, string> },
  }));
  const { code, detail, message = detail, id } = response.body.error ?? response.body;
  return { status, headers, code: code!, message: message!, id: id! };
}

describe("methods", () => {
  test("one that a path does not have is told, with those that it has", async () => {
    for (const [method, path, allow] of [
      ["POST", "/v1/stages", "GET, HEAD, OPTIONS"],
      ["DELETE", "/v1/mints/11111111111111111111111111111111", "GET, HEAD, OPTIONS"],
      ["GET", "/api/details", "POST, OPTIONS"],
      ["GET", "/api/indexer/stop", "POST, OPTIONS"],
      ["PUT", "/", "GET, HEAD, OPTIONS"],
    ] as const) {
      const { status, headers, code } = await ask(path, { method });
      expect({ method, path, status, code, allow: headers.get("allow") }).toEqual({
        ...{ method, path, status: 405, code: "METHOD_NOT_ALLOWED", allow },
      });
      expect((await fetch(api.url + path, { method: "OPTIONS" })).headers.get("allow")).toBe(allow);
    }
    expect(backend.wishes).toEqual([]);
  });

  test("a path that is not there is not there for any method", async () => {
    for (const method of ["GET", "POST", "DELETE"]) {
      const { status, headers, code } = await ask("/v1/nothing", { method });
      expect([status, code, headers.get("allow")]).toEqual([404, "NOT_FOUND", null]);
    }
  });
});

describe("parameters that are not there", () => {
  test("are refused under /v1, with those that are", async () => {
    for (const [path, message] of [
      ["/v1/mints?Limit=1", 'there is no parameter "Limit" here; there are limit, order, cursor'],
      ["/v1/stages?x=", 'there is no parameter "x" here; there are source'],
      ["/v1/openapi.json?a=1", 'there is no parameter "a" here; there are none'],
      [
        `/v1/mints?${"n".repeat(99)}=1`,
        `there is no parameter "${"n".repeat(32)}..." here; there are limit, order, cursor`,
      ],
      ["/v1/mints?__proto__=1", 'there is no parameter "__proto__" here; there are limit, order, cursor'],
    ] as const) {
      expect(await ask(path)).toMatchObject({ status: 400, code: "BAD_REQUEST", message });
    }
    // One that stands in the path is none of the query's.
    const mint = "11111111111111111111111111111111";
    const { message } = await ask(`/v1/mints/${mint}?mint=${mint}`);
    expect(message).toBe('there is no parameter "mint" here; there are none');
  });

  test("are passed over where existing clients may send them", async () => {
    for (const path of ["/api/time?x=1", "/ready?x=1", "/v1/api/indexer/status?x=1"])
      expect((await fetch(api.url + path)).status).toBe(200);
  });
});

describe("bodies", () => {
  const post = (body: string, type = "application/json") =>
    ask("/api/details", { method: "POST", body, headers: { "content-type": type } });

  test("are JSON, whatever they are called; what is not says so in the route's own shape", async () => {
    expect(await post('{"mints":')).toMatchObject({
      status: 400,
      message: expect.stringMatching(/^the body is not JSON: /),
    });
    for (const type of ["application/json", "application/x-www-form-urlencoded", "text/plain", "x/y"])
      expect(await post('{"mints":[]}', type)).toMatchObject({
        status: 400,
        message: "mints parameter cannot be empty",
      });
    const none = await fetch(`${api.url}/api/details`, { method: "POST" });
    expect(await none.json()).toEqual({
      ...{ success: false, data: { details: [], total: 0 }, message: 'the body must be {"mints": [address, ...]}' },
    });
  });
});

describe("the id of a request", () => {
  test("is one in header, body and log", async () => {
    const { status, headers, id } = await ask("/v1/mints");
    expect(status).toBe(500);
    expect(headers.get("x-request-id")).toBe(id);
    expect(logged.map((entry) => entry.id)).toContain(id);
  });

  test("is the client's own where it is one", async () => {
    const own = async (sent: string) => (await ask("/v1/nothing", { headers: { "x-request-id": sent } })).id;
    expect(await own("terminal-7:42")).toBe("terminal-7:42");
    for (const bad of ["a b", "x".repeat(65), "<script>"]) expect(await own(bad)).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe("a page of another origin", () => {
  const ORIGIN = "https://terminal.example";
  const stream: Transport = {
    ...{ path: "/feed", audience: "live", guard: () => undefined, owns: () => false },
    sockets: { open: () => undefined, message: () => undefined, close: () => undefined },
    handle: () => new Response("told"),
    stop: async () => undefined,
  };

  test("may ask beforehand, without a token, whether it may come to a feed with one; another may not", async () => {
    const settings = { corsOrigins: [ORIGIN], anonymous: "none" } as const;
    const about = { host: "127.0.0.1", port: 0, backend, log: () => undefined, version: "0.1.0" };
    const own = await startApi({ ...about, access: settings, transports: [stream] });
    const preflight = (origin: string, path: string) =>
      fetch(own.url + path, {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "GET",
          "access-control-request-headers": "authorization",
        },
      });
    for (const path of ["/feed", "/feed?topic=trades", "/v1/stages"]) {
      const { status, headers } = await preflight(ORIGIN, path);
      expect([path, status, headers.get("access-control-allow-origin")]).toEqual([path, 204, ORIGIN]);
      expect(headers.get("access-control-allow-headers")).toContain("authorization");
      expect((await preflight("https://evil.example", path)).headers.get("access-control-allow-origin")).toBeNull();
    }
    expect((await fetch(`${own.url}/feed`)).status).toBe(401);
    await own.stop();
  });
});
