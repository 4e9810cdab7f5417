/**
 * Goal: whatever parameters, cursors, headers and bodies a client makes up for any route, it gets an answer that the route
 * declares: never a 5xx, never a stack, a path or SQL, and the server goes on. Method: requests are made from the OpenAPI
 * document that the server itself publishes, half of them valid by its schemas and half hostile; then the tables of
 * attacks that have worked elsewhere. The server is the real one, on a real market.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Value } from "@sinclair/typebox/value";
import fc from "fast-check";
import { FakeBackend } from "../../api/fixture.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { allRoutes } from "../../api/routes/index.ts";
import type { Route } from "../../api/routes/route.ts";
import { type RunningApi, startApi } from "../../api/server.ts";
import { Market, SOURCE } from "./market.ts";

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required: boolean;
  readonly schema: Schema;
}
interface Schema {
  readonly type?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}
interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: object;
  readonly "x-scope": string;
}

const backend = new FakeBackend();
let market: Market;
let reads: JoinedReads;
let api: RunningApi;
let routes: Route[];
let mints: string[];
beforeAll(async () => {
  market = await Market.make({ seed: 5, blocks: 120, lanes: 2 });
  mints = market.truth.mints.map((row) => row.mint);
  reads = new JoinedReads({ folder: market.folder, lanes: 2, source: SOURCE, lake: market.lake });
  const options = { backend, reads, version: "0.1.0", obeyWithinMs: 0 };
  routes = await allRoutes(options);
  api = await startApi({ ...options, host: "127.0.0.1", port: 0, log: () => undefined });
}, 300_000);
afterAll(async () => {
  await api.stop();
  reads.close();
  await market.dispose();
});

const LEAKS = /at \w+ \(|\.ts:\d|\.sqlite|SELECT |FROM _|node_modules|\/tmp\/|bun:/;

/** Answers, and checks what must hold of every answer. Returns the status. */
async function ask(path: string, init: RequestInit = {}): Promise<number> {
  const response = await fetch(api.url + path, init);
  const text = await response.text();
  const told = { path: path.slice(0, 300), status: response.status };
  expect({ ...told, isServerError: response.status >= 500 }).toEqual({ ...told, isServerError: false });
  expect({ ...told, leak: LEAKS.exec(text)?.[0] ?? null }).toEqual({ ...told, leak: null });
  return response.status;
}

async function operations(): Promise<[path: string, method: string, operation: Operation][]> {
  const document = (await (await fetch(`${api.url}/v1/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Operation>>;
  };
  const all = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [path, method, operation] as [string, string, Operation]),
  );
  return all.filter(([, , operation]) => operation["x-scope"] !== "control");
}

/** A value that the schema allows. */
function valid({ name, schema }: Parameter): fc.Arbitrary<string> {
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.type === "integer") {
    return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1_000, 2_000_000_000) }).map(String);
  }
  if (name === "mint" || name === "user") {
    return fc.oneof(fc.constantFrom(...mints), fc.constant("So11111111111111111111111111111111111111112"));
  }
  return fc.stringMatching(/^[a-zA-Z0-9 ]{1,40}$/);
}

const HOSTILE = [
  ...[
    "",
    " ",
    "0",
    "-1",
    "1e309",
    "NaN",
    "Infinity",
    "99999999999999999999",
    "1.5",
    "0x10",
    "null",
    "undefined",
    "true",
  ],
  ...[
    "__proto__",
    "constructor",
    "toString",
    "../../etc/passwd",
    "%00",
    "\u0000",
    "'; DROP TABLE mints; --",
    "1 OR 1=1",
  ],
  ...["$7*7", "<script>", "\ud800", "Ａ".repeat(40), "a".repeat(5_000), "(a+)+$".repeat(50), "mt:9999999999:x", "AAAA"],
  ...["OjA6MA", "LTE6LTE6LTE", "MToyOjM6NA", "z".repeat(44), "1".repeat(32), "1".repeat(44), "é".repeat(10)],
];
const hostile = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ maxLength: 60, unit: "binary" }));

test("requests made from the document: what is valid is answered as declared, what is not is refused", async () => {
  for (const [path, method, { parameters = [], requestBody }] of await operations()) {
    if (requestBody !== undefined) continue;
    const route = routes.find(
      (r) => r.path.replaceAll(/:(\w+)/g, "{$1}") === path && r.method.toLowerCase() === method,
    )!;
    const given = (value: (parameter: Parameter) => fc.Arbitrary<string>) =>
      fc.record(
        Object.fromEntries(parameters.map((p) => [p.name, p.required ? value(p) : fc.option(value(p), { nil: null })])),
      );
    const url = (values: Record<string, string | null>) => {
      let filled = path;
      const query = new URLSearchParams();
      for (const { name, in: place } of parameters) {
        const value = values[name] ?? null;
        if (value === null) continue;
        if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(value.toWellFormed()) || "%20");
        else query.append(name, value);
      }
      return `${filled}?${query}`;
    };
    let answered = 0;
    const withoutCursor = parameters.filter((p) => p.name !== "cursor" && p.name !== "format").length > 0;
    await fc.assert(
      fc.asyncProperty(given(valid), async (values) => {
        // A cursor is opaque: made-up ones are for the hostile half.
        const { cursor: _cursor, format: _format, ...rest } = values;
        const response = await fetch(api.url + url(rest));
        const told = { url: url(rest), status: response.status };
        expect([200, 400, 404]).toContain(response.status);
        const text = await response.text();
        if (response.status === 200) answered++;
        if (response.status !== 200 || route.answers?.[200] === undefined) return;
        expect({ ...told, errors: [...Value.Errors(route.answers[200], JSON.parse(text))] }).toEqual({
          ...told,
          errors: [],
        });
      }),
      { numRuns: withoutCursor ? 12 : 2 },
    );
    expect({ path, isAnswered: answered > 0 || path === "/health" || path === "/ready" }).toEqual({
      path,
      isAnswered: true,
    });
    if (parameters.length === 0) continue;
    await fc.assert(
      fc.asyncProperty(
        given(() => hostile),
        async (values) => void (await ask(url(values))),
      ),
      { numRuns: 25 },
    );
  }
}, 300_000);

test("the table of hostile values, in every parameter of every route", async () => {
  for (const [path, , { parameters = [], requestBody }] of await operations()) {
    if (requestBody !== undefined) continue;
    const base = path.replaceAll(/\{\w+\}/g, mints[0]!);
    for (const { name, in: place } of parameters) {
      for (const value of HOSTILE) {
        const text = encodeURIComponent(value.toWellFormed());
        await ask(place === "query" ? `${base}?${name}=${text}` : path.replace(`{${name}}`, text || "%20"));
      }
    }
  }
}, 300_000);

test("bodies of /api/details", async () => {
  const headers = { "content-type": "application/json" };
  const bodies = [
    ...["", "[]", "null", "1", '"x"', "{}", '{"mints":null}', '{"mints":{}}', '{"mints":[null]}', '{"mints":[{}]}'],
    ...[
      '{"mints":[[]]}',
      '{"mints":["__proto__"]}',
      '{"__proto__":{"mints":["x"]}}',
      '{"constructor":{"prototype":{}}}',
    ],
    ...[`{"mints":${"[".repeat(20_000)}`, `{"mints":["${"1".repeat(60_000)}"]}`, '{"mints":[1e309]}', "\ufeff{}"],
  ];
  for (const body of bodies) expect(await ask("/api/details", { method: "POST", headers, body })).toBe(400);
  await fc.assert(
    fc.asyncProperty(fc.json(), async (body) => {
      expect([200, 400]).toContain(await ask("/api/details", { method: "POST", headers, body }));
    }),
    { numRuns: 100 },
  );
  expect(({} as { mints?: unknown }).mints).toBeUndefined();
});

test("headers that would be believed elsewhere, and caches that would be tricked", async () => {
  const path = `/v1/mints/${mints[0]}`;
  const honest = await (await fetch(api.url + path)).text();
  const tricks: Record<string, string>[] = [
    { "x-forwarded-host": "evil.example" },
    { "x-original-url": "/api/indexer/stop", "x-rewrite-url": "/api/indexer/stop" },
    { "x-http-method-override": "POST" },
    { "if-none-match": '"'.repeat(4_000) },
    { "if-none-match": `${'W/"x",'.repeat(500)}*x` },
    { accept: "text/html,<script>" },
    { range: "bytes=0-1" },
    { "accept-encoding": "gzip;q=1e309" },
    { "x-request-start-time": "-9".repeat(100), date: "not a date" },
    { cookie: "admin=1; __proto__=x" },
  ];
  for (const headers of tricks) {
    const response = await fetch(api.url + path, { headers });
    expect({ headers, status: response.status, text: await response.text() }).toEqual({
      headers,
      status: 200,
      text: honest,
    });
  }
  // Another URL is another answer, however alike.
  expect(await (await fetch(`${api.url}${path}?`)).text()).toBe(honest);
  for (const other of [`${path}?x=1`, `${path}?mint=${mints[1]}`, `${path}?__proto__=x`]) {
    expect(await ask(other)).toBe(400);
  }
  expect(backend.wishes).toEqual([]);
});

test("three hundred stalled connections and half requests take nothing from others", async () => {
  const port = Number(new URL(api.url).port);
  const sockets = await Promise.all(
    Array.from({ length: 300 }, async (_, n) => {
      const socket = await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: { data: () => undefined, error: () => undefined },
      });
      socket.write(
        n % 2 === 0
          ? "GET /health HTTP/1.1\r\nHost: loc"
          : "POST /api/details HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{",
      );
      return socket;
    }),
  );
  for (let n = 0; n < 20; n++) expect(await ask("/v1/mints?limit=3")).toBe(200);
  for (const socket of sockets) socket.end();
  const query = Array.from({ length: 1_000 }, (_, n) => `p${n}=1`).join("&");
  expect([200, 400, 414, 431]).toContain(await ask(`/v1/mints?${query}`));
  expect([400, 414, 431]).toContain(await ask(`/v1/mints?q=${"x".repeat(100_000)}`));
});
