/**
 * Goal: everything about every unit, once. Method: a real server on loopback over a fake backend with fixed reports; whole bodies are compared.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type FakeBackend, HEAD_SLOT, healthyUnits, NOW, node } from "../fixture.ts";
import { Served } from "../served-fixture.ts";

let served: Served;
let backend: FakeBackend;
const get = (path: string) => served.get(path);
beforeEach(async () => {
  served = await Served.start();
  backend = served.backend;
});
afterEach(() => served.stop());

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
