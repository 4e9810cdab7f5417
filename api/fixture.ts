/** Reports and a backend for tests: a small healthy deployment that each test bends to its needs. */
import type { Desired, NodeReport, Standing, UnitReport } from "../pipeline/control.ts";
import { newUnitMetrics, type UnitMetrics } from "../pipeline/metrics.ts";
import type { Backend, Snapshot } from "./backend.ts";

/** The fixture's present: 2025-10-01T12:00:00Z, ms. */
export const NOW = 1_759_320_000_000;
export const HEAD_SLOT = 370_500_100;

export type UnitOptions = Partial<Omit<UnitReport, "metrics">> & { readonly metrics?: Partial<UnitMetrics> };

export function unit(name: string, options: UnitOptions = {}): UnitReport {
  const position = { slot: HEAD_SLOT, hash: "HeadHash" };
  return {
    unit: name,
    stage: name.split(".")[0]!,
    source: "main",
    state: "running",
    since: NOW - 3_600_000,
    busy: 0.1,
    blocked: false,
    ended: false,
    endedAt: null,
    errors: [],
    details: {},
    ...options,
    metrics: {
      ...newUnitMetrics(),
      sentBlocks: 100,
      receivedBlocks: 100,
      position,
      blockTime: NOW / 1000 - 2,
      finalSlot: HEAD_SLOT - 32,
      ...options.metrics,
    },
  };
}

export function node(name: string, units: readonly UnitReport[], options: Partial<NodeReport> = {}): NodeReport {
  return {
    node: name,
    pid: 4711,
    host: "host-a",
    version: "0.1.0",
    startedAt: NOW - 3_600_000,
    at: NOW,
    stages: ["ingest", "decode", "shard", "lane", "archive"],
    rssBytes: 123_000_000,
    units,
    ...options,
  };
}

/** One process that runs everything, two lanes. */
export function healthyUnits(): UnitReport[] {
  return ["ingest.main", "decode.main", "shard.main", "lane.main.0", "lane.main.1", "archive.main"].map((name) =>
    unit(name),
  );
}

/** Obeys wishes at once, as a live stages process would. */
export class FakeBackend implements Backend {
  readonly source = "main";
  readonly ingestUnit = "ingest.main";
  readonly laneUnits = ["lane.main.0", "lane.main.1"];
  nodes: NodeReport[] = [node("node-a", healthyUnits())];
  desired: Desired | null = null;
  standings = new Map<string, Standing>();
  wishes: Desired[] = [];
  /** Thrown by every call, where set. */
  failure: Error | null = null;
  obeys = true;
  now = NOW;

  async snapshot(): Promise<Snapshot> {
    if (this.failure !== null) throw this.failure;
    return { at: this.now, nodes: this.nodes, desired: this.desired, standings: this.standings };
  }

  async setDesired(desired: Desired): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.desired = desired;
    this.wishes.push(desired);
    if (this.obeys) this.change(this.ingestUnit, { state: desired.running ? "running" : "paused" });
  }

  /** Changes one unit in all reports. */
  change(name: string, options: UnitOptions): void {
    this.nodes = this.nodes.map((report) => ({
      ...report,
      units: report.units.map((u) =>
        u.unit === name ? { ...u, ...options, metrics: { ...u.metrics, ...options.metrics } } : u,
      ),
    }));
  }
}
