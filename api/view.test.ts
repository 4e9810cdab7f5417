/**
 * Goal: what a snapshot means is decided once and rightly: since when, how many blocks, how far behind, current or not.
 * Method: snapshots at the borders of each rule.
 */
import { describe, expect, test } from "bun:test";
import { FakeBackend, HEAD_SLOT, NOW, node, unit } from "./fixture.ts";
import { findingsOf, LAG_BLOCKS_MAX, reasonsNotReady, statusOf } from "./health.ts";
import { type View, viewOf } from "./view.ts";

async function look(prepare: (backend: FakeBackend) => void): Promise<View> {
  const backend = new FakeBackend();
  prepare(backend);
  return viewOf(await backend.snapshot(), backend);
}

const HOUR = 3_600_000;

describe("since start", () => {
  const desired = { running: true, at: NOW - 1_000, blocksBefore: 60 };

  test("a start that the process has seen: from then on", async () => {
    const view = await look((b) => void (b.desired = desired));
    expect(view).toMatchObject({ startedAt: NOW - 1_000, uptimeMs: 1_000, totalBlocks: 40 });
  });

  test("a process that came up later: from its own beginning", async () => {
    const view = await look((b) => {
      b.desired = { ...desired, at: NOW - 2 * HOUR };
    });
    expect(view).toMatchObject({ startedAt: NOW - HOUR, uptimeMs: HOUR, totalBlocks: 100 });
  });

  test("another process took over, and counts less than what had been counted", async () => {
    const view = await look((b) => void (b.desired = { ...desired, blocksBefore: 101 }));
    expect(view.totalBlocks).toBe(100);
  });

  test("a clock ahead of ours does not make time negative", async () => {
    const view = await look((b) => void (b.desired = { ...desired, at: NOW + 5_000 }));
    expect(view.uptimeMs).toBe(0);
  });
});

describe("which report counts", () => {
  const states = ["stopped", "waiting", "failed", "paused", "backing-off", "running"] as const;
  for (let i = 1; i < states.length; i++) {
    const [lesser, greater] = [states[i - 1]!, states[i]!];
    test(`${greater} before ${lesser}, wherever it is listed`, async () => {
      for (const order of [(a: unknown[]) => a, (a: unknown[]) => [...a].reverse()]) {
        const view = await look((b) => {
          const reports = [
            node("l", [unit("ingest.main", { state: lesser })]),
            node("g", [unit("ingest.main", { state: greater })]),
          ];
          b.nodes = order(reports) as typeof reports;
        });
        expect(view.ingest?.node).toBe("g");
      }
    });
  }

  test("of two that both claim to run it, the one that has it since later", async () => {
    const claim = (name: string, since: number) => node(name, [unit("ingest.main", { since })]);
    for (const nodes of [
      [claim("old", 1), claim("new", 2)],
      [claim("new", 2), claim("old", 1)],
    ]) {
      expect((await look((b) => void (b.nodes = nodes))).ingest?.node).toBe("new");
    }
  });

  test("units of other sources are not ours", async () => {
    const view = await look(
      (b) => void b.nodes.push(node("x", [unit("ingest.other", { source: "other", metrics: { errors: 5 } })])),
    );
    expect(view.units.some((u) => u.source === "other")).toBe(false);
    expect(view.errorsTotal).toBe(0);
  });
});

describe("running", () => {
  const running = async (
    state: "running" | "backing-off" | "paused" | "waiting" | "failed",
    wanted: boolean | null,
  ) => {
    const view = await look((b) => {
      b.change("ingest.main", { state });
      b.desired = wanted === null ? null : { running: wanted, at: NOW - 1 };
    });
    return view.running;
  };
  test("wanted, and somebody works or retries", async () => {
    expect(await running("running", null)).toBe(true);
    expect(await running("backing-off", true)).toBe(true);
    expect(await running("running", false)).toBe(false);
    for (const state of ["paused", "waiting", "failed"] as const) expect(await running(state, true)).toBe(false);
  });
});

describe("current or not", () => {
  const lagFinding = async (prepare: (backend: FakeBackend) => void) => {
    const backend = new FakeBackend();
    prepare(backend);
    const findings = findingsOf(viewOf(await backend.snapshot(), backend), backend);
    return findings.find((f) => f.name === "lag")!;
  };
  /** Head lag is 5 blocks in the fixture; the lane adds the rest. */
  const laneBehind = (blocks: number) => (b: FakeBackend) =>
    b.change("lane.main.1", { metrics: { position: { slot: HEAD_SLOT - blocks, hash: "h" } } });

  test("99 blocks behind the head is current, 100 are not", async () => {
    expect(await lagFinding(laneBehind(LAG_BLOCKS_MAX - 1 - 5))).toMatchObject({ ok: true });
    expect(await lagFinding(laneBehind(LAG_BLOCKS_MAX - 5))).toEqual({
      name: "lag",
      ok: false,
      detail: "100 blocks (about 40 s) behind the head, limit 100",
    });
  });

  test("a complete range has no head, but lanes must have reached its end", async () => {
    const ended = (b: FakeBackend) => b.change("ingest.main", { ended: true, metrics: { blockTime: 1 } });
    expect(await lagFinding(ended)).toMatchObject({ ok: true });
    const endedBehind = (b: FakeBackend) => {
      ended(b);
      laneBehind(100)(b);
    };
    expect(await lagFinding(endedBehind)).toMatchObject({ ok: false });
  });

  test("before the first block nobody knows", async () => {
    expect(await lagFinding((b) => b.change("ingest.main", { metrics: { blockTime: 0 } }))).toMatchObject({
      ok: false,
    });
  });
});

test("a decoder that its program has overtaken degrades health, not readiness", async () => {
  const findings = async (alarms: readonly object[]) => {
    const backend = new FakeBackend();
    const programs = { spinpet: { seen: 100, decoded: 60 } };
    backend.change("decode.main", { details: { decoders: { programs, alarms } } });
    return findingsOf(viewOf(await backend.snapshot(), backend), backend);
  };
  const alarm = { kind: "unknown_layout", program: "spinpet", dataset: "buy_sell", slot: 7, detail: "3 of 9 payloads" };
  const stale = await findings([alarm, { ...alarm, kind: "share_fell", dataset: null, detail: "60 %" }]);
  expect(stale.find((f) => f.name === "decoders")).toEqual({
    name: "decoders",
    ok: false,
    detail: "spinpet, buy_sell: unknown layout since slot 7 (3 of 9 payloads); spinpet: share fell since slot 7 (60 %)",
  });
  expect(statusOf(stale)).toBe("degraded");
  expect(reasonsNotReady(stale)).toEqual([]);
  expect(statusOf(await findings([]))).toBe("healthy");
});

test("a bucket that takes nothing degrades health, not readiness: what is read here is current all the same", async () => {
  const findings = async (shipping: Record<string, unknown>) => {
    const backend = new FakeBackend();
    backend.change("archive.main", { details: { shipping } });
    return findingsOf(viewOf(await backend.snapshot(), backend), backend);
  };
  const failure = { code: "LAKE_S3_UNREACHABLE", message: "away", since: 1 };
  const away = await findings({ waiting: 3, failure });
  expect(away.find((f) => f.name === "lake")).toEqual({
    name: "lake",
    ok: false,
    detail: "nothing reaches the bucket (LAKE_S3_UNREACHABLE); 3 commits wait on their host",
  });
  expect(statusOf(away)).toBe("degraded");
  expect(reasonsNotReady(away)).toEqual([]);
  expect(statusOf(await findings({ waiting: 3, failure: null }))).toBe("healthy");
});
