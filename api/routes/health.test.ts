/**
 * Goal: how well all is, with reasons, in exactly the documented bodies. Method: a real server on loopback over a fake backend with fixed reports; whole bodies are compared.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Transient } from "../../pipeline/errors.ts";
import { type FakeBackend, HEAD_SLOT, NOW } from "../fixture.ts";
import { Served } from "../served-fixture.ts";

let served: Served;
let backend: FakeBackend;
const get = (path: string) => served.get(path);
beforeEach(async () => {
  served = await Served.start();
  backend = served.backend;
});
afterEach(() => served.stop());

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
