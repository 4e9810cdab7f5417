/**
 * Goal: every route answers with exactly the documented bodies. Method: a real server on loopback over a fake backend with
 * fixed reports; whole bodies are compared, and every JSON answer is checked against the schema that the route declares.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { FormatRegistry } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { Transient } from "../pipeline/errors.ts";
import { silentLog } from "../pipeline/log.ts";
import { FakeBackend, HEAD_SLOT, healthyUnits, NOW, node } from "./fixture.ts";
import { parseExposition } from "./prometheus-check.ts";
import { allRoutes } from "./routes/index.ts";
import type { Answer, Route } from "./routes/route.ts";
import { type RunningApi, startApi } from "./server.ts";

FormatRegistry.Set("date-time", (text) => !Number.isNaN(Date.parse(text)));

let backend: FakeBackend;
let api: RunningApi;

beforeEach(async () => {
  backend = new FakeBackend();
  api = await startApi({
    host: "127.0.0.1",
    port: 0,
    backend,
    log: silentLog,
    version: "0.1.0",
    // Time passes when it is looked at, so that no test waits.
    world: { now: () => (backend.now += 1), sleep: async (ms) => void (backend.now += ms) },
  });
});
afterEach(() => api.stop());

async function call(method: "GET" | "POST", path: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(api.url + path, { method });
  return { status: response.status, body: await response.json() };
}

const get = (path: string) => call("GET", path);
const post = (path: string) => call("POST", path);

describe("/api/indexer", () => {
  test("start answers with where the indexer stands, and asks nobody when it runs", async () => {
    expect(await post("/api/indexer/start")).toEqual({
      status: 200,
      body: {
        success: true,
        message: "Indexer started successfully",
        status: { running: true, startedAt: NOW - 3_600_000, lastBlock: HEAD_SLOT, totalBlocks: 100 },
      },
    });
    expect(backend.wishes).toEqual([]);
  });

  test("stop records the wish once; stopping again changes nothing", async () => {
    const stopped = { status: 200, body: { success: true, message: "Indexer stopped successfully" } };
    expect(await post("/api/indexer/stop")).toEqual(stopped);
    expect(await post("/api/indexer/stop")).toEqual(stopped);
    expect(backend.wishes).toEqual([{ running: false, at: expect.any(Number), blocksBefore: 0 }]);
    expect((await get("/api/indexer/status")).body).toMatchObject({ running: false, totalBlocks: 100 });
  });

  test("start after stop resumes, and counts blocks from there", async () => {
    await post("/api/indexer/stop");
    const { body } = await post("/api/indexer/start");
    const [, start] = backend.wishes;
    expect(start).toEqual({ running: true, at: expect.any(Number), blocksBefore: 100 });
    const resumed = { running: true, startedAt: start!.at, lastBlock: HEAD_SLOT };
    expect(body).toMatchObject({ success: true, status: { ...resumed, totalBlocks: 0 } });
    backend.change("ingest.main", { metrics: { sentBlocks: 142 } });
    expect((await get("/api/indexer/status")).body).toMatchObject({ ...resumed, totalBlocks: 42 });
    await post("/api/indexer/stop");
    expect((await get("/api/indexer/status")).body).toMatchObject({ running: false, totalBlocks: 42 });
  });

  test("start is no success when nobody follows it: no process, a failed one, a deaf one", async () => {
    const error = (code: string, message: string) => ({
      status: 503,
      body: { success: false, error: { code, message, id: expect.any(String) } },
    });
    backend.obeys = false;
    backend.desired = { running: false, at: NOW };
    backend.change("ingest.main", { state: "paused" });
    expect(await post("/api/indexer/start")).toEqual(
      error("INDEXER_NOT_STARTED", "recorded, but ingest is still paused"),
    );
    const failure = { at: NOW, code: "TOKEN_MISSING", message: "the endpoint needs a token" };
    backend.change("ingest.main", { state: "failed", errors: [failure] });
    expect(await post("/api/indexer/start")).toEqual(
      error("INDEXER_FAILED", "ingest has failed: TOKEN_MISSING: the endpoint needs a token"),
    );
    backend.nodes = [];
    expect(await post("/api/indexer/start")).toEqual(
      error("INDEXER_NOT_STARTED", "recorded, but no live process runs ingest: start `sluice stages`"),
    );
    expect(backend.desired.running).toBe(true);
  });

  test("start, asked while another unit has failed: a new wish, which that unit hears; what was counted stays", async () => {
    backend.desired = { running: true, at: NOW - 5_000, blocksBefore: 40 };
    const before = ((await get("/api/indexer/status")).body as { totalBlocks: number }).totalBlocks;
    await post("/api/indexer/start");
    expect(backend.desired.at).toBe(NOW - 5_000);
    backend.change("archive.main", { state: "failed" });
    expect((await post("/api/indexer/start")).status).toBe(200);
    expect(backend.desired.at).toBeGreaterThanOrEqual(NOW);
    expect((await get("/api/indexer/status")).body).toMatchObject({ running: true, totalBlocks: before });
  });

  test("status, running: the slowest lane is the last block", async () => {
    backend.change("lane.main.1", { metrics: { position: { slot: HEAD_SLOT - 7, hash: "h" } } });
    const { status, body } = await get("/api/indexer/status");
    const { uptime } = body as { uptime: number };
    expect(status).toBe(200);
    expect(uptime).toBeGreaterThanOrEqual(3_600_000);
    expect(body).toEqual({
      running: true,
      startedAt: NOW - 3_600_000,
      lastBlock: HEAD_SLOT - 7,
      totalBlocks: 100,
      uptime,
      uptimeFormatted: "1h 0m",
      health: "healthy",
      blocksBehind: 12,
      spend: null,
      connection: null,
      errors: [],
    });
  });

  test("status, with errors: newest first, with where and which unit", async () => {
    const error = (at: number, code: string) => ({ at, code, message: `message of ${code}`, hint: "a hint" });
    backend.change("decode.main", { errors: [error(NOW - 9, "OLD"), { ...error(NOW - 1, "NEW"), where: "BLOCKS" }] });
    backend.change("archive.main", { errors: [error(NOW - 5, "MIDDLE")] });
    expect((await get("/api/indexer/status")).body).toMatchObject({
      errors: [
        { time: NOW - 1, code: "NEW", message: "message of NEW", where: "BLOCKS", unit: "decode.main" },
        { time: NOW - 5, code: "MIDDLE", message: "message of MIDDLE", where: "archive.main", unit: "archive.main" },
        { time: NOW - 9, code: "OLD", message: "message of OLD", where: "decode.main", unit: "decode.main" },
      ],
    });
  });

  test("status, nobody alive: the stored positions still tell the last block", async () => {
    backend.nodes = [];
    const standing = (slot: number) => ({
      position: { slot, hash: "h", cursor: "c", moduleHash: "m" },
      finalSlot: 0,
      inputSeq: 1,
      at: NOW,
    });
    backend.standings.set("lane.main.0", standing(900)).set("lane.main.1", standing(800));
    expect((await get("/api/indexer/status")).body).toEqual({
      running: false,
      startedAt: null,
      lastBlock: 800,
      totalBlocks: 0,
      uptime: 0,
      uptimeFormatted: "0h 0m",
      health: "syncing",
      blocksBehind: null,
      spend: null,
      connection: null,
      errors: [],
    });
  });

  test("status, of the connection: what was tried, when it last worked, and whether it has given up", async () => {
    const source = {
      state: "backing-off",
      attempts: 7,
      failedAttempts: 6,
      reconnects: 2,
      lastError: "unavailable: busy",
    };
    const times = { lastAttemptAt: NOW - 5, lastMessageAt: NOW - 900, retryAt: NOW + 60 };
    backend.change("ingest.main", { details: { source: { ...source, ...times } } });
    expect((await get("/api/indexer/status")).body).toMatchObject({
      connection: { ...source, lastAttempt: NOW - 5, lastSuccess: NOW - 900, retryAt: NOW + 60 },
    });
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toMatch(/^sluice_source_failed_attempts_total\{.*\} 6$/m);
    expect(metrics).toMatch(
      new RegExp(`^sluice_source_last_success_timestamp_seconds\\{.*\\} ${(NOW - 900) / 1000}$`, "m"),
    );
    expect(metrics).toMatch(/^sluice_source_state\{.*state="backing-off".*\} 1$/m);
    expect(metrics).not.toContain("sluice_source_token_expiry");
    backend.change("ingest.main", { state: "failed", details: { source: { ...source, state: "error" } } });
    expect((await get("/api/indexer/status")).body).toMatchObject({
      running: false,
      connection: { state: "error", retryAt: null, lastSuccess: null },
    });
  });

  test("status, of what was spent", async () => {
    const spend = {
      today: { blocks: 1, bytes: 10 },
      month: { blocks: 2, bytes: 20 },
      projectedMonth: { blocks: 3, bytes: 30 },
      budget: { percent: 50, what: "blocks of the month", used: 2, limit: 4 },
    };
    backend.change("ingest.main", { details: { spend } });
    expect((await get("/api/indexer/status")).body).toMatchObject({ spend });
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toContain('sluice_source_spend_bytes{source="main",period="projected_month"} 30');
    expect(metrics).toContain('sluice_source_budget_used_ratio{source="main"} 0.5');
  });

  test("status, near the head or not: fewer than a hundred blocks behind is healthy", async () => {
    const behind = async (blocks: number) => {
      backend.change("ingest.main", { metrics: { blockTime: NOW / 1000 - blocks * 0.4 } });
      const { health, blocksBehind } = (await get("/api/indexer/status")).body as Record<string, unknown>;
      return [health, blocksBehind];
    };
    expect([await behind(99), await behind(100)]).toEqual([
      ["healthy", 99],
      ["syncing", 100],
    ]);
  });

  test("health", async () => {
    const { status, body } = await get("/api/indexer/health");
    const uptime = (body as { status: { uptime: number } }).status.uptime;
    expect(status).toBe(200);
    expect(uptime).toBeGreaterThanOrEqual(3_600_000);
    expect(body).toEqual({ healthy: true, status: { running: true, uptime } });
    backend.change("lane.main.0", { state: "failed" });
    expect((await get("/api/indexer/health")).body).toMatchObject({ healthy: false, status: { running: true } });
    backend.nodes = [];
    expect((await get("/api/indexer/health")).body).toEqual({ healthy: false, status: { running: false, uptime: 0 } });
  });

  test("metrics: names, HELP, TYPE and content type", async () => {
    const response = await fetch(`${api.url}/api/indexer/metrics`);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    const text = await response.text();
    expect(text).toContain(
      "# HELP substreams_indexer_running Whether the indexer is running\n" +
        "# TYPE substreams_indexer_running gauge\nsubstreams_indexer_running 1\n",
    );
    const { help, type, samples } = parseExposition(text);
    expect(help.get("substreams_indexer_uptime_seconds")).toBe("Indexer uptime in seconds");
    expect(help.get("substreams_indexer_last_block")).toBe("Last indexed block number");
    expect(samples.get("substreams_indexer_uptime_seconds")).toBe(3600);
    expect(samples.get("substreams_indexer_last_block")).toBe(HEAD_SLOT);
    expect(samples.get("substreams_indexer_total_blocks")).toBe(100);
    expect(samples.get("substreams_indexer_errors_total")).toBe(0);
    expect(type.get("substreams_indexer_errors_total")).toBe("counter");
  });
});

describe("/health and /ready", () => {
  test("healthy: every check, since when, and nothing in the way of readiness", async () => {
    const { status, body } = await get("/health");
    expect(status).toBe(200);
    const since = (body as { checks: { since: number }[] }).checks[0]!.since;
    expect(body).toEqual({
      server_id: "sluice",
      status: "healthy",
      timestamp: `${new Date(since).toISOString().slice(0, 19)}Z`,
      version: "0.1.0",
      healthy: true,
      running: true,
      uptime: expect.any(Number),
      // There is no such thing here, and none is pretended; no hot store is on this host.
      features: { wasm: false, zk_proof: false, databases: false, d1: false, kv: true, durable_objects: false },
      active_connections: expect.any(Number),
      rocksdb_status: "unavailable",
      solana_listener_status: "connected",
      mint_count: 0,
      recent_events_count: 0,
      checks: [
        { name: "broker", ok: true, detail: "answers", since },
        { name: "stages", ok: true, detail: "1 live process", since },
        { name: "units", ok: true, detail: "6 units", since },
        { name: "source", ok: true, detail: "ingest is running", since },
        { name: "lanes", ok: true, detail: "2 of 2 running", since },
        { name: "positions", ok: true, detail: `all at or after slot ${HEAD_SLOT}`, since },
        { name: "streams", ok: true, detail: "no stream is full", since },
        { name: "lag", ok: true, detail: "5 blocks (about 2 s) behind the head", since },
        { name: "decoders", ok: true, detail: "0 programs", since },
        { name: "lake", ok: true, detail: "nothing waits", since },
      ],
    });
    expect(await get("/ready")).toEqual({ status: 200, body: { ready: true, reasons: [] } });
  });

  test("since keeps the time of the change, not of the request", async () => {
    const streams = async () => {
      const { body } = await get("/health");
      return (body as { checks: { name: string; ok: boolean; since: number }[] }).checks.find(
        (c) => c.name === "streams",
      )!;
    };
    const first = await streams();
    backend.now += 10_000;
    expect(await streams()).toEqual(first);
    backend.change("shard.main", { blocked: true });
    const changed = await streams();
    expect(changed.ok).toBe(false);
    expect(changed.since).toBeGreaterThan(first.since + 10_000);
    expect(await streams()).toEqual(changed);
  });

  test("degraded and not ready, with all reasons", async () => {
    backend.change("lane.main.1", { state: "waiting", metrics: { position: null } });
    backend.change("ingest.main", { blocked: true, metrics: { blockTime: NOW / 1000 - 3600 } });
    const health = await get("/health");
    expect(health.status).toBe(200);
    expect(health.body).toMatchObject({ status: "degraded" });
    expect(await get("/ready")).toEqual({
      status: 503,
      body: {
        ready: false,
        reasons: [
          "lanes: not running: lane.main.1",
          "positions: nothing stored yet: lane.main.1",
          "streams: waiting for room in a full stream: ingest.main",
          "lag: a lane holds nothing yet",
        ],
      },
    });
  });

  test("the source must stream, or have come to its end", async () => {
    const reasons = async () => ((await get("/ready")).body as { reasons: string[] }).reasons;
    const source = { state: "backing-off", lastError: "connection refused" };
    backend.change("ingest.main", { details: { source } });
    expect(await reasons()).toEqual(["source: backing-off: connection refused"]);
    backend.change("ingest.main", { details: { source: { ...source, state: "streaming" } } });
    expect(await reasons()).toEqual([]);
    backend.change("ingest.main", { state: "backing-off" });
    expect(await reasons()).toEqual(["source: ingest is backing-off"]);
    // Long ago, but complete: there is no head to be behind of.
    backend.change("ingest.main", { state: "running", ended: true, metrics: { blockTime: 1 } });
    expect(await reasons()).toEqual([]);
    backend.desired = { running: false, at: NOW };
    expect(await reasons()).toEqual(["source: stopped on request"]);
  });

  test("unhealthy: a failed unit, no process, a silent broker", async () => {
    backend.change("decode.main", { state: "failed" });
    expect(await get("/health")).toMatchObject({ status: 503, body: { status: "unhealthy" } });
    backend.nodes = [];
    expect(await get("/health")).toMatchObject({ status: 503, body: { status: "unhealthy" } });
    backend.failure = new Transient("BROKER_SILENT", "nats://secret@host does not answer");
    const silent = await get("/health");
    expect(silent).toMatchObject({
      status: 503,
      body: { status: "unhealthy", checks: [{ name: "broker", ok: false, detail: "does not answer (BROKER_SILENT)" }] },
    });
    expect(JSON.stringify(silent.body)).not.toContain("secret");
    expect(await get("/ready")).toEqual({
      status: 503,
      body: { ready: false, reasons: ["broker: does not answer (BROKER_SILENT)"] },
    });
  });
});

describe("/v1/stages", () => {
  test("everything about a unit, its lag, and the limiter", async () => {
    backend.change("lane.main.0", {
      busy: 0.97,
      metrics: { position: { slot: HEAD_SLOT - 250, hash: "LaneHash" }, blockTime: NOW / 1000 - 102, applyingMs: 900 },
    });
    const { status, body } = await get("/v1/stages");
    expect(status).toBe(200);
    const stages = body as { units: { unit: string }[] };
    expect(body).toMatchObject({
      source: "main",
      wanted: true,
      running: true,
      startedAt: NOW - 3_600_000,
      lastBlock: HEAD_SLOT - 250,
      totalBlocks: 100,
      limiter: { stage: "lane", unit: "lane.main.0", reason: "at work 97% of the time, mostly processing" },
    });
    expect(stages.units.map((u) => u.unit)).toEqual(healthyUnits().map((u) => u.unit));
    expect(stages.units.find((u) => u.unit === "lane.main.0")).toMatchObject({
      stage: "lane",
      node: "node-a",
      state: "running",
      position: { slot: HEAD_SLOT - 250, hash: "LaneHash" },
      lag: { blocks: 250, seconds: 100, headBlocks: 255 },
      metrics: { sentBlocks: 100, applyingMs: 900 },
    });
  });

  test("a unit that another process stands by for is told once, by its owner", async () => {
    const standby = healthyUnits().map((u) => ({
      ...u,
      state: "waiting" as const,
      metrics: { ...u.metrics, position: null },
    }));
    backend.nodes = [node("node-0", standby), ...backend.nodes, node("node-z", standby)];
    const { body } = await get("/v1/stages");
    expect((body as { units: { node: string }[] }).units.map((u) => u.node)).toEqual(Array(6).fill("node-a"));
    expect((body as { nodes: { node: string }[] }).nodes.map((n) => n.node)).toEqual(["node-0", "node-a", "node-z"]);
  });
});

test("answers keep to the schemas that their routes declare, in health and in sickness", async () => {
  for (const sicken of [() => undefined, () => backend.change("lane.main.0", { state: "failed" }), killAll]) {
    sicken();
    const world = { now: () => backend.now, sleep: async () => undefined };
    for (const route of await allRoutes({ backend, version: "0.1.0", world, obeyWithinMs: 0 })) {
      if (route.answers === undefined) continue;
      const answer = await answerOf(route);
      if (answer === null) continue;
      const schema = route.answers[answer.status];
      const body = JSON.parse(JSON.stringify(answer.body));
      const errors = schema === undefined ? ["no schema"] : [...Value.Errors(schema, body)];
      expect({ path: route.path, errors }).toEqual({ path: route.path, errors: [] });
    }
  }
});

/** Null where it cannot answer just now. */
async function answerOf(route: Route): Promise<Answer | null> {
  try {
    return await route.handle({ params: {}, body: undefined, at: backend.now, asker: "test" });
  } catch {
    return null;
  }
}

function killAll(): void {
  backend.nodes = [];
}

describe("the document", () => {
  test("/v1/openapi.json lists every route but the page", async () => {
    const { body } = await get("/v1/openapi.json");
    const all = Object.keys((body as { paths: object }).paths).sort();
    // The other addresses of the indexer's routes are held in operations.test.ts.
    expect(all.filter((path) => !/^(\/v1\/api)?\/indexer\//.test(path))).toEqual([
      "/api/cluster/health",
      "/api/indexer/health",
      "/api/indexer/metrics",
      "/api/indexer/start",
      "/api/indexer/status",
      "/api/indexer/stop",
      "/api/kline/status",
      "/api/kline/subscriptions",
      "/api/sync/status",
      "/api/sync/trigger",
      "/api/time",
      "/health",
      "/metrics",
      "/ready",
      "/v1/openapi.json",
      "/v1/stages",
    ]);
  });
});
