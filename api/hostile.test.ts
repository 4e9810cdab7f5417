/**
 * Goal: nothing that a client sends makes the API leak, change state for a stranger, or fall over. Method: the real server
 * gets hostile requests, over `fetch` and over raw sockets where `fetch` is too polite; after each attack it must still
 * answer, and no answer may contain what was planted in an error.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Fatal, Transient } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import { FakeBackend } from "./fixture.ts";
import { allRoutes } from "./routes/index.ts";
import { type RunningApi, startApi } from "./server.ts";

const backend = new FakeBackend();
const logged: { message: string; fields: Record<string, unknown> }[] = [];
const log: Log = (_level, message, fields = {}) => void logged.push({ message, fields });
let api: RunningApi;

beforeAll(async () => {
  api = await startApi({ host: "127.0.0.1", port: 0, backend, log, version: "0.1.0", obeyWithinMs: 0 });
});
afterAll(() => api.stop());

/** Sends bytes as they are and gives what comes back until the server closes. */
async function raw(text: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: Number(new URL(api.url).port),
    socket: {
      data: (_socket, bytes) => void (received += bytes.toString("latin1")),
      close: () => resolve(received),
      error: () => resolve(received),
    },
  });
  socket.write(text);
  const timer = setTimeout(() => socket.end(), 30_000);
  const answer = await promise;
  clearTimeout(timer);
  return answer;
}

const request = (line: string, host: string, ...headers: string[]) =>
  raw([`${line} HTTP/1.1`, `Host: ${host}`, "Connection: close", ...headers, "", ""].join("\r\n"));

/** Status and code of an error, which must have exactly one of the two shapes and nothing more. */
async function errorOf(response: Response): Promise<{ status: number; code: string }> {
  const body = (await response.json()) as { code?: string; error?: { code: string } };
  const id = expect.stringMatching(/^[0-9a-f-]{36}$/);
  const text = expect.any(String);
  if (response.headers.get("content-type") === "application/problem+json") {
    const { status } = response;
    expect(body as object).toEqual({ type: "about:blank", title: text, status, detail: text, code: text, id });
    return { status, code: body.code! };
  }
  expect(body as object).toEqual({ success: false, error: { code: text, message: text, id } });
  return { status: response.status, code: body.error!.code };
}

async function isAlive(): Promise<void> {
  expect((await fetch(`${api.url}/health`)).status).toBe(200);
}

describe("names and origins", () => {
  for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]", ""]) {
    test(`Host "${host}" is refused on every route`, async () => {
      for (const route of await allRoutes({ backend, version: "0.1.0" })) {
        const answer = await request(`${route.method} ${route.path}`, host);
        expect(answer).toMatch(host === "" ? /^HTTP\/1\.1 40[03] / : /^HTTP\/1\.1 403 /);
      }
    });
  }

  for (const host of ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "[::1]:8787", "[::1]"]) {
    test(`Host "${host}" is this host`, async () => {
      expect(await request("GET /health", host)).toStartWith("HTTP/1.1 200 ");
    });
  }

  const port = () => new URL(api.url).port;
  const strangers: (() => string[])[] = [
    () => ["Origin: https://evil.example"],
    () => ["Origin: null"],
    () => ["Origin: http://localhost:1"],
    () => [`Origin: http://localhost:${port()}`],
    () => ["Sec-Fetch-Site: cross-site"],
    () => ["Sec-Fetch-Site: same-site"],
  ];
  test("no other site may post, not even another port of this host", async () => {
    for (const headers of strangers) {
      const answer = await request("POST /api/indexer/stop", `127.0.0.1:${port()}`, ...headers(), "Content-Length: 0");
      expect(answer).toStartWith("HTTP/1.1 403 ");
      expect(answer).toContain("ORIGIN_NOT_ALLOWED");
    }
    expect(backend.wishes).toEqual([]);
  });

  test("our own page and programs may", async () => {
    const own = [`Origin: ${api.url}`, "Sec-Fetch-Site: same-origin", "Content-Length: 0"];
    expect(await request("POST /api/indexer/start", `127.0.0.1:${port()}`, ...own)).toStartWith("HTTP/1.1 200 ");
    expect(await request("POST /api/indexer/start", `127.0.0.1:${port()}`, "Content-Length: 0")).toStartWith(
      "HTTP/1.1 200 ",
    );
  });

  for (const host of ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "127.0.0.1.evil.example", "1270.0.0.1"]) {
    test(`listening on "${host}" is refused`, async () => {
      const start = startApi({ host, port: 0, backend, log, version: "0.1.0" });
      expect(
        await start.then(
          (a) => a.stop().then(() => "started"),
          (e) => (e as Fatal).code,
        ),
      ).toBe("API_HOST");
    });
  }
});

describe("bodies", () => {
  const post = (body: string | ReadableStream, type = "application/json") =>
    fetch(`${api.url}/api/indexer/start`, { method: "POST", headers: { "content-type": type }, body });

  for (const body of ["{bad", "[".repeat(60_000), '{"a":', "\u0000", "NaN"]) {
    test(`not JSON: ${JSON.stringify(body.slice(0, 8))}`, async () => {
      expect(await errorOf(await post(body))).toEqual({ status: 400, code: "BAD_REQUEST" });
      await isAlive();
    });
  }

  test("64 KiB is all that is read, with or without a length", async () => {
    expect((await post("x".repeat(64 * 1024 + 1), "text/plain")).status).toBe(413);
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(16 * 1024)),
    });
    // Answered, or cut off: both end it.
    expect([413, "cut"]).toContain(
      await post(endless, "text/plain").then(
        (r) => r.status,
        () => "cut" as const,
      ),
    );
    await isAlive();
  });

  test("__proto__ pollutes nothing", async () => {
    await post('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}');
    await fetch(`${api.url}/v1/stages?__proto__[polluted]=1&constructor.prototype.polluted=1`);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    await isAlive();
  });
});

describe("paths and methods", () => {
  for (const path of [
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/dashboard/index.html",
    "/assets/",
    "/assets/../server.ts",
    "/assets/%2e%2e/assets.ts",
    "/assets/format.test.ts",
    "/assets/tsconfig.json",
    "/api/server.ts",
    "/%00",
    "/%zz",
    "/%c0%ae%c0%ae/etc/passwd",
    "/api/indexer",
    "/api/indexer/command",
    "/indexer/command",
    "/v1/indexer/status",
    "/__proto__",
  ]) {
    test(`${path} is nothing`, async () => {
      const answer = await request(`GET ${path}`, "localhost");
      expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
      expect(answer).not.toContain("root:");
    });
  }

  test("other methods change nothing", async () => {
    expect(await request("OPTIONS /api/indexer/stop", "localhost", "Content-Length: 0")).toStartWith("HTTP/1.1 204 ");
    for (const method of ["PUT", "DELETE", "PATCH", "TRACE", "GET"]) {
      expect(await request(`${method} /api/indexer/stop`, "localhost", "Content-Length: 0")).toMatch(
        /^HTTP\/1\.1 (400|404|405) /,
      );
    }
    expect(backend.wishes).toEqual([]);
  });

  test("HEAD is GET without the body", async () => {
    const answer = await request("HEAD /health", "localhost");
    expect(answer).toStartWith("HTTP/1.1 200 ");
    expect(answer.slice(answer.indexOf("\r\n\r\n"))).toBe("\r\n\r\n");
  });

  test("malformed and oversized requests are refused", async () => {
    const both = ["Content-Length: 3", "Transfer-Encoding: chunked"];
    expect(await request("POST /api/indexer/start", "localhost", ...both)).toStartWith("HTTP/1.1 400 ");
    expect(await request("GET /health", "localhost", `X-Long: ${"x".repeat(100_000)}`)).toStartWith("HTTP/1.1 431 ");
    expect(await raw("GARBAGE\r\n\r\n")).toMatch(/^(HTTP\/1\.1 400 |$)/);
    await isAlive();
  });
});

describe("errors", () => {
  const planted = "SELECT secret FROM /var/lib/sluice/lane-0.sqlite";
  const failures: [Error, number, string][] = [
    [new Error(planted), 500, "UNEXPECTED"],
    [new Fatal("HOT_STORE", planted, { where: planted, hint: planted, cause: new Error(planted) }), 500, "HOT_STORE"],
    [new Transient("BROKER_SILENT", planted), 503, "BROKER_SILENT"],
  ];
  for (const [failure, status, code] of failures) {
    test(`${failure.name} ${code}: the text goes to the log, the client gets its number`, async () => {
      backend.failure = failure;
      logged.length = 0;
      for (const path of ["/api/indexer/status", "/v1/stages", "/health", "/metrics"]) {
        const response = await fetch(api.url + path);
        expect(await response.clone().text()).not.toMatch(/secret|SELECT|\.sqlite|\.ts|at \w+ \(/);
        if (path === "/health" || path === "/metrics") continue;
        expect(await errorOf(response.clone() as Response)).toEqual({ status, code });
        const told = (await response.json()) as { id?: string; error?: { id: string } };
        const id = told.id ?? told.error?.id;
        expect(logged.find((entry) => entry.fields["id"] === id)?.message).toContain(planted);
      }
      backend.failure = null;
      await isAlive();
    });
  }

  test("every answer says that it is not to be stored or sniffed", async () => {
    for (const path of ["/", "/health", "/metrics", "/v1/stages", "/nothing"]) {
      const { headers } = await fetch(api.url + path);
      expect([headers.get("cache-control"), headers.get("x-content-type-options")]).toEqual(["no-store", "nosniff"]);
    }
  });
});
