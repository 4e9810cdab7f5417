/**
 * Goal: the limiter names the stage that a human should look at. Method: one constellation of reports per rule, in the
 * order of the rules, and a property: the answer does not depend on the order of the reports.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type LimiterUnit, limiterOf } from "./limiter.ts";
import { newUnitMetrics, type UnitMetrics } from "./metrics.ts";

type Options = Partial<Omit<LimiterUnit, "metrics">> & { metrics?: Partial<UnitMetrics>; slot?: number };

function unit(name: string, { metrics, slot, ...options }: Options = {}): LimiterUnit {
  const position = { slot: slot ?? 1000, hash: "h" };
  return {
    unit: name,
    stage: name.split(".")[0]!,
    state: "running",
    busy: 0,
    blocked: false,
    ended: false,
    errors: [],
    ...options,
    metrics: { ...newUnitMetrics(), position, ...metrics },
  };
}

/** A pipeline of two lanes, all idle, with some units replaced. */
function pipeline(...changed: LimiterUnit[]): LimiterUnit[] {
  const names = ["ingest.m", "decode.m", "shard.m", "lane.m.0", "lane.m.1", "archive.m", "janitor.m"];
  return names.map((name) => changed.find((u) => u.unit === name) ?? unit(name));
}

const failure = [{ at: 1, code: "DISK_FULL", message: "no room" }];

describe("trouble comes first", () => {
  test("a failed unit, whatever else is busy", () => {
    const units = pipeline(
      unit("decode.m", { busy: 1 }),
      unit("archive.m", { state: "failed", errors: failure }),
      unit("shard.m", { blocked: true }),
    );
    expect(limiterOf(units)).toEqual({
      stage: "archive",
      unit: "archive.m",
      reason: "has failed (DISK_FULL) and wants to be looked at",
    });
  });

  test("of two that retry, the one upstream", () => {
    const units = pipeline(
      unit("archive.m", { state: "backing-off", errors: failure }),
      unit("decode.m", { state: "backing-off", errors: failure }),
    );
    expect(limiterOf(units)).toEqual({
      stage: "decode",
      unit: "decode.m",
      reason: "cannot go on (DISK_FULL); trying again",
    });
  });

  test("a unit that nobody runs", () => {
    expect(limiterOf(pipeline(unit("lane.m.1", { state: "waiting" })))).toEqual({
      stage: "lane",
      unit: "lane.m.1",
      reason: "no process runs it",
    });
  });

  test("a stopped source limits nothing, though lanes may wait for their lease", () => {
    const units = pipeline(unit("ingest.m", { state: "paused" }), unit("lane.m.1", { state: "waiting" }));
    expect(limiterOf(units)).toEqual({ stage: "none", unit: null, reason: "stopped on request" });
  });
});

describe("a full stream", () => {
  test("is the fault of its reader, not of the writer that waits", () => {
    const units = pipeline(unit("ingest.m", { blocked: true, busy: 1 }), unit("decode.m", { busy: 0.9, slot: 500 }));
    expect(limiterOf(units)).toMatchObject({ stage: "decode", unit: "decode.m" });
  });

  test("blocks through to the first stage: the last reader counts", () => {
    const units = pipeline(
      unit("ingest.m", { blocked: true, busy: 1 }),
      unit("decode.m", { blocked: true, busy: 1 }),
      unit("shard.m", { blocked: true, busy: 1 }),
      unit("lane.m.0", { busy: 0.5, slot: 990 }),
      unit("lane.m.1", { busy: 0.9, slot: 400, metrics: { committingMs: 9, applyingMs: 1 } }),
    );
    expect(limiterOf(units)).toEqual({
      stage: "lane",
      unit: "lane.m.1",
      reason: "shard.m waits for it to make room: at work 90% of the time, mostly committing",
    });
  });

  test("with two kinds of readers: the one further behind", () => {
    const units = pipeline(
      unit("decode.m", { blocked: true }),
      unit("archive.m", { slot: 10 }),
      unit("shard.m", { slot: 900 }),
    );
    expect(limiterOf(units)).toMatchObject({ unit: "archive.m" });
  });

  test("with readers at the same slot: the busier one", () => {
    const units = pipeline(
      unit("decode.m", { blocked: true }),
      unit("archive.m", { busy: 0.4 }),
      unit("shard.m", { busy: 0.3 }),
    );
    expect(limiterOf(units)).toMatchObject({ unit: "archive.m" });
  });

  test("without any reader: the stage that is missing", () => {
    const units = [unit("ingest.m", { blocked: true })];
    expect(limiterOf(units)).toEqual({
      stage: "decode",
      unit: null,
      reason: "ingest.m waits for room and nobody reads",
    });
  });
});

describe("otherwise", () => {
  test("the busiest unit", () => {
    const units = pipeline(
      unit("decode.m", { busy: 0.92, metrics: { applyingMs: 9, committingMs: 1 } }),
      unit("shard.m", { busy: 0.7 }),
    );
    expect(limiterOf(units)).toEqual({
      stage: "decode",
      unit: "decode.m",
      reason: "at work 92% of the time, mostly processing",
    });
  });

  test("the source, when nobody is busy", () => {
    expect(limiterOf(pipeline(unit("decode.m", { busy: 0.59 })))).toEqual({
      stage: "source",
      unit: null,
      reason: "every stage waits for its input",
    });
  });

  test("the janitor's work is no data", () => {
    expect(limiterOf(pipeline(unit("janitor.m", { busy: 1, state: "failed" })))).toMatchObject({ stage: "source" });
  });

  test("nothing, when a bounded range is complete", () => {
    const units = pipeline().map((u) => ({ ...u, ended: true }));
    expect(limiterOf(units)).toEqual({ stage: "none", unit: null, reason: "the range is complete" });
  });

  test("nothing, when nobody runs anything", () => {
    expect(limiterOf([])).toEqual({ stage: "none", unit: null, reason: "no process runs a stage" });
  });
});

test("the order of the reports does not matter", () => {
  const anyUnit = (name: string) =>
    fc
      .record({
        state: fc.constantFrom("running", "running", "running", "waiting", "backing-off", "failed"),
        busy: fc.double({ min: 0, max: 1, noNaN: true }),
        blocked: fc.boolean(),
        slot: fc.integer({ min: 0, max: 5 }),
      })
      .map((options) => unit(name, { ...options, state: options.state as LimiterUnit["state"] }));
  const anyPipeline = fc.tuple(...pipeline().map((u) => anyUnit(u.unit)));
  fc.assert(
    fc.property(anyPipeline, fc.integer(), (units, turn) => {
      const shift = Math.abs(turn) % units.length;
      const rotated = [...units.slice(shift), ...units.slice(0, shift)].reverse();
      expect(limiterOf(rotated)).toEqual(limiterOf(units));
    }),
  );
});
