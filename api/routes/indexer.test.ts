/**
 * Goal: the indexer is steered and told about in exactly the documented bodies. Method: a real server on loopback over a fake backend with fixed reports; whole bodies are compared.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type FakeBackend, HEAD_SLOT, NOW } from "../fixture.ts";
import { parseExposition } from "../prometheus-check.ts";
import { Served } from "../served-fixture.ts";

let served: Served;
let backend: FakeBackend;
const get = (path: string) => served.get(path);
const post = (path: string) => served.post(path);
beforeEach(async () => {
  served = await Served.start();
  backend = served.backend;
});
afterEach(() => served.stop());

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
    const metrics = await (await fetch(`${served.url}/metrics`)).text();
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
    const metrics = await (await fetch(`${served.url}/metrics`)).text();
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
    const response = await fetch(`${served.url}/api/indexer/metrics`);
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
