/**
 * Goal: the API over the real control plane. Method: an embedded nats-server, a `Control` that reports as a stages process
 * would and obeys wishes, and the HTTP server on top; plus a broker that says nothing and one that throws.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Broker } from "../pipeline/broker.ts";
import { Control } from "../pipeline/control.ts";
import { ensureEmbeddedNats, releaseEmbeddedNats } from "../pipeline/embedded-nats.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { silentLog } from "../pipeline/log.ts";
import { systemWorld } from "../pipeline/world.ts";
import { ControlBackend } from "./control-backend.ts";
import { HEAD_SLOT, healthyUnits, node } from "./fixture.ts";
import { parseExposition } from "./prometheus-check.ts";
import { type RunningApi, startApi } from "./server.ts";

const NAMES = { source: "main", ingestUnit: "ingest.main", laneUnits: ["lane.main.0", "lane.main.1"] };

describe("on an embedded nats-server", () => {
  let folder: string;
  let broker: Broker;
  let control: Control;
  let api: RunningApi;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-api-"));
    const server = await ensureEmbeddedNats(folder, systemWorld);
    broker = await Broker.connect({ url: server.url, token: server.token, name: "api-test" });
    control = new Control(broker, "apitest");
    // A clock that leaps: no answer is given twice.
    let leaps = 0;
    const world = { now: () => Date.now() + 1_000 * leaps++ };
    // A busy machine may take longer than a user would wait.
    const backend = new ControlBackend({ control, ...NAMES, world, answerWithinMs: 60_000 });
    const options = { backend, log: silentLog, version: "0.1.0", obeyWithinMs: 60_000 };
    api = await startApi({ host: "127.0.0.1", port: 0, ...options });
  });
  afterAll(async () => {
    await api.stop();
    await broker.close();
    await releaseEmbeddedNats(folder, systemWorld);
    await rm(folder, { recursive: true, force: true });
  });

  async function get(path: string): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(api.url + path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  const post = (path: string) => fetch(api.url + path, { method: "POST" });

  /** What a stages process does with wishes: it looks, obeys, reports. */
  async function obeyOnce(startedAt: number): Promise<void> {
    const wanted = (await control.desired("main"))?.running ?? true;
    const units = healthyUnits().map((u) =>
      u.unit === "ingest.main" ? { ...u, state: wanted ? ("running" as const) : ("paused" as const) } : u,
    );
    await control.report(node("node-a", units, { at: Date.now(), startedAt }));
  }

  test("an empty deployment: nothing runs, and it says so", async () => {
    expect(await get("/api/indexer/status")).toMatchObject({ status: 200, body: { running: false, lastBlock: 0 } });
    expect(await get("/ready")).toMatchObject({ status: 503, body: { ready: false } });
  });

  test("reports, stop, start, and the stored wish", async () => {
    const startedAt = Date.now() - 5_000;
    await obeyOnce(startedAt);
    expect((await get("/api/indexer/status")).body).toMatchObject({ running: true, startedAt, lastBlock: HEAD_SLOT });
    const obeying = new AbortController();
    const process = (async () => {
      while (!obeying.signal.aborted) {
        await obeyOnce(startedAt);
        await systemWorld.sleep(50);
      }
    })();
    expect((await post("/api/indexer/stop")).status).toBe(200);
    expect(await control.desired("main")).toMatchObject({ running: false });
    expect((await get("/api/indexer/status")).body).toMatchObject({ running: false });
    const started = (await (await post("/api/indexer/start")).json()) as { status: { startedAt: number } };
    expect(started).toMatchObject({ success: true, status: { running: true, lastBlock: HEAD_SLOT, totalBlocks: 0 } });
    expect(await control.desired("main")).toEqual({ running: true, at: started.status.startedAt, blocksBefore: 100 });
    obeying.abort();
    await process;
    const { samples } = parseExposition(await (await fetch(`${api.url}/metrics`)).text());
    expect(samples.get("substreams_indexer_running")).toBe(1);
  });

  test("positions outlive the processes", async () => {
    const position = { slot: 4711, hash: "h", cursor: "c", moduleHash: "m" };
    await control.setStanding("lane.main.0", { position, finalSlot: 4700, inputSeq: 9, at: 1 });
    await control.retire("node-a");
    expect((await get("/api/indexer/status")).body).toMatchObject({ running: false, lastBlock: 4711 });
  });
});

describe("the broker's moods", () => {
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => "fine",
      (error: SluiceError) => `${error.kind} ${error.code}`,
    );
  const control = (nodes: () => Promise<never[]>) => ({
    nodes,
    desired: async () => null,
    standing: async () => null,
    setDesired: async () => undefined,
  });

  test("silence ends after a while", async () => {
    const silent = control(() => new Promise(() => undefined));
    const backend = new ControlBackend({ control: silent, ...NAMES, answerWithinMs: 20 });
    expect(await codeOf(backend.snapshot())).toBe("transient BROKER_SILENT");
  });

  test("what the client throws is worth another try", async () => {
    const broken = control(() => Promise.reject(new Error("connection closed")));
    expect(await codeOf(new ControlBackend({ control: broken, ...NAMES }).snapshot())).toBe(
      "transient BROKER_UNAVAILABLE",
    );
  });

  test("answers are shared for half a second, unless a fresh one is asked for or a wish was made", async () => {
    let reads = 0;
    let now = 0;
    const counting = control(async () => {
      reads++;
      return [];
    });
    const backend = new ControlBackend({ control: counting, ...NAMES, world: { now: () => now } });
    await Promise.all([backend.snapshot(), backend.snapshot()]);
    now = 499;
    await backend.snapshot();
    expect(reads).toBe(1);
    now = 500;
    await backend.snapshot();
    expect(reads).toBe(2);
    await backend.snapshot(true);
    expect(reads).toBe(3);
    await backend.setDesired({ running: true, at: 0 });
    await backend.snapshot();
    expect(reads).toBe(4);
  });
});
