/**
 * Goal: logs can be read and the sync watched and pushed over HTTP, at every address that clients know, with the documented
 * bodies. Method: a real server over a fake backend and a real ring of log lines; answers are checked against the schemas.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Value } from "@sinclair/typebox/value";
import { Transient } from "../pipeline/errors.ts";
import { silentLog } from "../pipeline/log.ts";
import { deploymentLogs } from "../pipeline/log-exchange.ts";
import { LogRing } from "../pipeline/log-ring.ts";
import { FakeBackend, HEAD_SLOT } from "./fixture.ts";
import { allRoutes, type RouteOptions } from "./routes/index.ts";
import { type RunningApi, startApi } from "./server.ts";

let backend: FakeBackend;
let api: RunningApi;
let options: RouteOptions;
const ring = new LogRing(10);
ring.add({ time: 1, level: "info", component: "ingest", message: "indexer started", fields: {} });
ring.add({ time: 2, level: "error", component: "lane", message: "no space", fields: { code: "HOT_DISK_FULL" } });

beforeEach(async () => {
  backend = new FakeBackend();
  const nobody = { requestMany: () => Promise.reject(new Error("closed")) };
  options = {
    backend,
    version: "0.1.0",
    logs: (query) => deploymentLogs(nobody, "sluice", { node: "api", ring }, query),
    obeyWithinMs: 1_000,
    // Time passes when it is looked at, so that no test waits.
    world: { now: () => (backend.now += 1), sleep: async (ms) => void (backend.now += ms) },
  };
  api = await startApi({ ...options, host: "127.0.0.1", port: 0, log: silentLog });
});
afterEach(() => api.stop());

interface Told {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function call(method: "GET" | "POST", path: string): Promise<Told> {
  const response = await fetch(api.url + path, { method });
  const body = (await response.json()) as Record<string, unknown>;
  const route = (await allRoutes(options)).find((r) => r.method === method && r.path === path.split("?")[0]);
  const schema = route?.answers?.[response.status];
  if (schema !== undefined) expect([...Value.Errors(schema, body)]).toEqual([]);
  return { status: response.status, body };
}

describe("logs", () => {
  const messages = ({ body }: Told) => (body["logs"] as { message: string }[]).map((line) => line.message);

  test("the latest lines, with what belongs to them; of the API alone when the broker is away", async () => {
    const { status, body } = await call("GET", "/api/indexer/logs");
    expect(status).toBe(200);
    expect(body).toMatchObject({ success: true, nodes: ["api"], complete: false });
    expect((body["logs"] as object[])[1]).toEqual({
      time: 2,
      level: "error",
      component: "lane",
      node: "api",
      message: "no space",
      fields: { code: "HOT_DISK_FULL" },
    });
  });

  test("by number, level, component and words", async () => {
    expect(messages(await call("GET", "/api/indexer/logs?lines=1"))).toEqual(["no space"]);
    expect(messages(await call("GET", "/api/indexer/logs?level=warning"))).toEqual(["no space"]);
    expect(messages(await call("GET", "/api/indexer/logs?component=ingest"))).toEqual(["indexer started"]);
    expect(messages(await call("GET", "/api/indexer/logs?search=INDEXER"))).toEqual(["indexer started"]);
  });

  test.each(["lines=0", "lines=x", "lines=100000", "level=loud", "component=", "lines=1&lines=2"])(
    "%s is refused",
    async (query) => {
      const { status, body } = await call("GET", `/api/indexer/logs?${query}`);
      expect({ status, body }).toMatchObject({ status: 400, body: { success: false, error: { code: "BAD_REQUEST" } } });
    },
  );
});

describe("sync", () => {
  test("status: how far, how far behind, and what holds it back", async () => {
    const { body } = await call("GET", "/api/sync/status");
    expect(body).toMatchObject({
      success: true,
      source: "main",
      status: "synced",
      running: true,
      lastBlock: HEAD_SLOT,
    });
    expect(body["blocksBehind"]).toBeLessThan(100);
    expect(body).not.toHaveProperty("sources");
  });

  test.each([
    ["stopped", () => void (backend.desired = { running: false, at: 1 })],
    ["failed", () => backend.change("lane.main.1", { state: "failed" })],
    ["waiting", () => void (backend.nodes = [])],
    ["syncing", () => backend.change("ingest.main", { metrics: { blockTime: 1_700_000_000 } })],
  ])("status: %s", async (status, arrange) => {
    arrange();
    expect((await call("GET", "/api/sync/status")).body).toMatchObject({ status });
  });

  test("trigger starts what is stopped, and has what failed tried again", async () => {
    backend.desired = { running: false, at: 1 };
    backend.change("ingest.main", { state: "paused" });
    expect((await call("POST", "/api/sync/trigger")).body).toMatchObject({ message: "Sync triggered", running: true });
    backend.change("lane.main.0", { state: "failed" });
    await call("POST", "/api/sync/trigger");
    expect(backend.wishes.map((wish) => wish.running)).toEqual([true, true]);
    await call("POST", "/api/sync/trigger?source=main");
  });

  test("trigger says when nobody is there to hear it; an unknown source is none", async () => {
    backend.nodes = [];
    const { status, body } = await call("POST", "/api/sync/trigger");
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { success: false, error: { code: "INDEXER_NOT_STARTED" } },
    });
    expect((await call("GET", "/api/sync/status?source=other")).status).toBe(404);
  });
});

describe("other addresses", () => {
  test("every route of the indexer is at both of them, and answers the same", async () => {
    const paths = (await allRoutes(options)).map((route) => `${route.method} ${route.path}`);
    const homes = paths.filter((path) => path.includes(" /api/indexer/"));
    expect(homes.length).toBeGreaterThan(5);
    for (const other of ["/indexer/", "/v1/api/indexer/"]) {
      expect(paths).toEqual(expect.arrayContaining(homes.map((path) => path.replace("/api/indexer/", other))));
      expect((await call("GET", `${other}status`)).body).toMatchObject({ running: true, lastBlock: HEAD_SLOT });
      expect((await call("POST", `${other}stop`)).body).toEqual({
        success: true,
        message: "Indexer stopped successfully",
      });
      expect((await call("POST", `${other}start`)).status).toBe(200);
    }
  });

  test("errors have one shape at all of them", async () => {
    backend.failure = new Transient("BROKER_SILENT", "gone");
    for (const home of ["/api/indexer/", "/indexer/", "/v1/api/indexer/"]) {
      const { status, body } = await call("GET", `${home}status`);
      expect({ status, body }).toMatchObject({
        status: 503,
        body: { success: false, error: { code: "BROKER_SILENT" } },
      });
    }
  });
});
