/**
 * Goal: every route is open to those it says and to nobody else, whatever a request claims to be. Method: the real server
 * with real tokens; all routes are enumerated from the table, so a new one cannot be forgotten.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemWorld } from "../../pipeline/world.ts";
import { FakeBackend } from "../fixture.ts";
import { JoinedReads } from "../reads/index.ts";
import { allRoutes } from "../routes/index.ts";
import { type Route, SCOPES, type Scope } from "../routes/route.ts";
import { type RunningApi, startApi } from "../server.ts";
import type { AccessSettings } from "./access.ts";
import { TokenFile } from "./tokens.ts";

const folder = mkdtempSync(join(tmpdir(), "access-"));
const tokens = new TokenFile(join(folder, "tokens.json"), systemWorld);
const backend = new FakeBackend();
const reads = new JoinedReads({ folder, lanes: 1, source: "main" });
const table = { backend, reads, version: "0.1.0", obeyWithinMs: 0 };
const started: RunningApi[] = [];
const texts = new Map<string, string>();
let routes: Route[];

const serve = async (settings: Partial<AccessSettings> = {}, host = "127.0.0.1", withTokens = true) => {
  const access = { rateLimit: 1_000_000, tokenRateLimit: 1_000_000, ...settings };
  const own = withTokens ? { tokens } : {};
  const api = await startApi({ ...table, ...own, host, port: 0, access, log: () => undefined });
  started.push(api);
  // Listening on all addresses, it is reached by loopback's.
  return api.url.replace("0.0.0.0", "127.0.0.1");
};

beforeAll(async () => {
  routes = await allRoutes(table);
  for (const scope of SCOPES) texts.set(scope, tokens.create({ name: scope, scopes: [scope] }).token);
  texts.set("all", tokens.create({ name: "all", scopes: SCOPES }).token);
});
afterAll(async () => {
  for (const api of started) await api.stop();
  reads.close();
  rmSync(folder, { recursive: true });
});

const bearer = (name: string) => ({ authorization: `Bearer ${texts.get(name)}` });
const pathOf = ({ path }: Route) => path.replaceAll(/:\w+/g, "So11111111111111111111111111111111111111112");

async function ask(url: string, route: Route, headers: Record<string, string> = {}) {
  const response = await fetch(url + pathOf(route), { method: route.method, headers });
  const text = await response.text();
  return { status: response.status, code: /"code":"(\w+)"/.exec(text)?.[1] ?? null, headers: response.headers };
}
/** Statuses by which a request was turned away rather than answered. */
const turnedAway = (status: number) => status === 401 || status === 403 || status === 429;

test("every route says who may use it, and what changes something needs control", async () => {
  for (const { audience, method, path } of routes) {
    expect(["anyone", ...SCOPES]).toContain(audience);
    if (method !== "GET" && path !== "/api/details") expect({ path, audience }).toEqual({ path, audience: "control" });
  }
  const open = routes.filter((route) => route.audience === "anyone").map((route) => route.path);
  expect(open.toSorted()).toEqual([
    "/",
    "/api-docs/openapi.json",
    "/api/cluster/health",
    "/assets/:name",
    "/docs",
    "/health",
    "/ready",
    "/swagger-ui",
    "/v1/openapi.json",
  ]);
});

describe("where others can come in", () => {
  test("nothing is open without a token but what is for anyone", async () => {
    const url = await serve({}, "0.0.0.0");
    for (const route of routes) {
      const { status, headers } = await ask(url, route);
      const isOpen = route.audience === "anyone";
      expect({ path: route.path, away: turnedAway(status) }).toEqual({ path: route.path, away: !isOpen });
      if (!isOpen) expect([status, headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="sluice"']);
    }
  });

  test("each scope opens its own routes and no others", async () => {
    const url = await serve({}, "0.0.0.0");
    for (const scope of [...SCOPES, "all"]) {
      for (const route of routes) {
        const { status } = await ask(url, route, bearer(scope));
        const may = route.audience === "anyone" || scope === "all" || route.audience === scope;
        expect({ scope, path: route.path, status: turnedAway(status) ? status : 200 }).toEqual({
          scope,
          path: route.path,
          status: may ? 200 : 403,
        });
      }
    }
  });

  test("anything but the token itself is refused", async () => {
    const url = await serve({}, "0.0.0.0");
    const token = texts.get("read")!;
    const claims: string[] = ["", "Bearer", `Bearer  ${token}`, token, `Basic ${token}`, `Bearer ${token}x`];
    claims.push(`Bearer ${token.slice(0, -1)}`, `Bearer ${token} ${token}`, `Bearer ${token}, Bearer ${token}`);
    claims.push("Bearer eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImNvbnRyb2wifQ.", `Bearer ${"a".repeat(10_000)}`);
    for (const authorization of claims) {
      const response = await fetch(`${url}/v1/mints`, { headers: { authorization } });
      expect({ authorization: authorization.slice(0, 80), status: response.status }).toMatchObject({ status: 401 });
      const text = await response.text();
      expect(text).not.toContain(token);
      // Who forgot the scheme is not sent to look for another token.
      const isClaim = /^bearer [\w-]{1,256}$/i.test(authorization);
      expect(text).toContain(isClaim ? "unknown, revoked or expired" : 'must be \\"Bearer\\" and a token');
    }
    for (const place of [`?token=${token}`, `?authorization=Bearer%20${token}`, `?access_token=${token}`]) {
      expect((await fetch(`${url}/v1/mints${place}`)).status).toBe(401);
    }
    // The scheme's name is not case-sensitive (RFC 9110).
    expect((await fetch(`${url}/v1/stages`, { headers: { authorization: `bearer ${token}` } })).status).toBe(200);
  });

  test("`anonymous: read` lets anyone read and nobody steer", async () => {
    const url = await serve({ anonymous: "read" }, "0.0.0.0");
    for (const route of routes) {
      const { status } = await ask(url, route);
      const may = route.audience === "anyone" || route.audience === "read" || route.audience === "live";
      expect({ path: route.path, away: turnedAway(status) }).toEqual({ path: route.path, away: !may });
    }
  });

  test("a revoked token is refused within a second", async () => {
    const url = await serve({}, "0.0.0.0");
    const { token } = tokens.create({ name: "brief", scopes: ["read"] });
    const status = async () =>
      (await fetch(`${url}/v1/stages`, { headers: { authorization: `Bearer ${token}` } })).status;
    await waitFor(async () => (await status()) === 200);
    tokens.revoke("brief");
    await waitFor(async () => (await status()) === 401);
  });
});

async function waitFor(done: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_200; tries++) {
    if (await done()) return;
    await systemWorld.sleep(50);
  }
  throw new Error("it did not come to pass");
}

describe("on loopback", () => {
  const control: Scope = "control";

  test("without tokens, this host's own programs may do everything", async () => {
    const url = await serve({}, "127.0.0.1", false);
    for (const route of routes) expect(turnedAway((await ask(url, route)).status)).toBe(false);
  });

  test("with tokens, steering needs one", async () => {
    const url = await serve();
    for (const route of routes) {
      const { status, code } = await ask(url, route);
      const needs = route.audience === control;
      expect({ path: route.path, away: turnedAway(status) }).toEqual({ path: route.path, away: needs });
      if (needs) expect(code).toBe("TOKEN_NEEDED");
      expect(turnedAway((await ask(url, route, bearer("all"))).status)).toBe(false);
    }
  });

  test("what a proxy has forwarded is not this host's own", async () => {
    const url = await serve({}, "127.0.0.1", false);
    for (const header of ["x-forwarded-for", "forwarded", "x-real-ip"]) {
      for (const route of routes) {
        const { status } = await ask(url, route, { [header]: "127.0.0.1" });
        expect(turnedAway(status)).toBe(route.audience !== "anyone");
      }
    }
  });
});

describe("rate limits", () => {
  const many = async (url: string, count: number, headers: Record<string, string> = {}) =>
    Promise.all(Array.from({ length: count }, () => fetch(`${url}/v1/stages`, { headers })));

  test("sixty by default, exactly, however many come at once; then 429 says when to come back", async () => {
    const url = await serve({ anonymous: "read", rateLimit: 60 }, "0.0.0.0");
    const answers = await many(url, 100);
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(60);
    const refused = answers.filter((answer) => answer.status === 429);
    expect(refused).toHaveLength(40);
    const last = answers.filter((answer) => answer.headers.get("ratelimit") === '"address";r=0');
    expect(last.map((answer) => answer.headers.get("ratelimit-policy"))).toEqual(['"address";q=60;w=60']);
    const wait = Number(refused[0]!.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(60);
    expect(await refused[0]!.json()).toMatchObject({ status: 429, code: "RATE_LIMITED" });
    // Probes are not counted, and a token has a limit of its own.
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await many(url, 1, bearer("read")))[0]!.status).toBe(200);
  });

  test("per token, each its own", async () => {
    const url = await serve({}, "0.0.0.0");
    const { token } = tokens.create({ name: "slow", scopes: ["read"], rateLimit: 3 });
    await systemWorld.sleep(1_100);
    const answers = await many(url, 5, { authorization: `Bearer ${token}` });
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 200, 200, 429, 429]);
    expect((await many(url, 1, bearer("read")))[0]!.status).toBe(200);
  });

  test("an address is the caller's own only where a proxy may say it", async () => {
    const spoofed = (n: number) => ({ "x-forwarded-for": `10.0.0.${n}` });
    const trusting = await serve({ anonymous: "read", rateLimit: 2, trustProxy: true }, "0.0.0.0");
    const direct = await serve({ anonymous: "read", rateLimit: 2 }, "0.0.0.0");
    const statuses = async (url: string) => {
      const found: number[] = [];
      for (let n = 0; n < 4; n++) found.push((await fetch(`${url}/v1/stages`, { headers: spoofed(n) })).status);
      return found;
    };
    expect(await statuses(trusting)).toEqual([200, 200, 200, 200]);
    expect(await statuses(direct)).toEqual([200, 200, 429, 429]);
  });

  test("guessing tokens is counted", async () => {
    const url = await serve({ rateLimit: 2 }, "0.0.0.0");
    const guess = { authorization: `Bearer slc_${"0".repeat(12)}_${"0".repeat(64)}` };
    const answers: number[] = [];
    for (let n = 0; n < 4; n++) answers.push((await fetch(`${url}/v1/stages`, { headers: guess })).status);
    expect(answers).toEqual([401, 401, 429, 429]);
  });
});

describe("pages of other origins", () => {
  const origin = "https://app.example";
  const headersOf = async (settings: Partial<AccessSettings>, init: RequestInit, path = "/v1/stages") => {
    const response = await fetch((await serve(settings)) + path, init);
    return { status: response.status, headers: response.headers };
  };

  test("may read nothing unless they are named", async () => {
    const { headers } = await headersOf({}, { headers: { origin } });
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
  });

  test("named ones with credentials, any without", async () => {
    const named = await headersOf({ corsOrigins: [origin] }, { headers: { origin } });
    expect(named.headers.get("access-control-allow-origin")).toBe(origin);
    expect(named.headers.get("access-control-allow-credentials")).toBe("true");
    expect(named.headers.get("vary")).toBe("origin");
    const other = await headersOf({ corsOrigins: [origin] }, { headers: { origin: "https://evil.example" } });
    expect(other.headers.get("access-control-allow-origin")).toBeNull();
    const any = await headersOf({ corsOrigins: ["*"] }, { headers: { origin } });
    expect(any.headers.get("access-control-allow-origin")).toBe("*");
    expect(any.headers.get("access-control-allow-credentials")).toBeNull();
  });

  test("a preflight is answered once a day", async () => {
    const init = { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST" } };
    const { status, headers } = await headersOf({ corsOrigins: [origin] }, init, "/api/details");
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-methods")).toBe("GET, POST, PUT, DELETE, OPTIONS, HEAD, PATCH");
    expect(headers.get("access-control-max-age")).toBe("86400");
  });

  test("even any origin may not steer without a token", async () => {
    const url = await serve({ corsOrigins: ["*"] }, "127.0.0.1", false);
    const stop = (headers: Record<string, string>) =>
      fetch(`${url}/api/indexer/stop`, { method: "POST", headers: { origin, ...headers } });
    const before = backend.wishes.length;
    expect((await stop({})).status).toBe(403);
    expect(backend.wishes).toHaveLength(before);
    const withTokens = await serve({ corsOrigins: ["*"] });
    const response = await fetch(`${withTokens}/api/indexer/stop`, {
      method: "POST",
      headers: { origin, ...bearer("control") },
    });
    expect(response.status).toBe(200);
  });
});

test("every answer has an id: the client's own where it is a plain one", async () => {
  const url = await serve();
  const idOf = async (id?: string) =>
    (await fetch(`${url}/v1/stages`, id === undefined ? {} : { headers: { "x-request-id": id } })).headers.get(
      "x-request-id",
    );
  expect(await idOf("req-1:a.b")).toBe("req-1:a.b");
  for (const id of [undefined, "", "a b", "x".repeat(65), "<script>"])
    expect(await idOf(id)).toMatch(/^[0-9a-f-]{36}$/);
});
