/**
 * Goal: the progress line tells the truth in one glance. Method: golden lines for given figures; rates and time to go from
 * reports at chosen times; a renderer on a terminal and on a pipe, with a clock that the test moves.
 */
import { describe, expect, test } from "bun:test";
import { NOW, node, unit } from "../api/fixture.ts";
import type { UnitReport } from "../pipeline/control.ts";
import { BufferOutput } from "./output.ts";
import { formatProgress, type Progress, ProgressMeter, startProgress } from "./progress.ts";
import { formatNumber, formatSeconds, ProgressLine } from "./progress-line.ts";

const FIGURES: Progress = {
  slot: 370_501_234,
  blocksPerSecond: 812.34,
  eventsPerSecond: 20_345.6,
  lagBlocks: 120,
  behindSeconds: 48.2,
  etaSeconds: 200.4,
  share: 0.4567,
  events: 98_765,
  archivedRows: 90_000,
  limiter: { stage: "decode", unit: "decode.main", reason: "at work 92% of the time, mostly processing" },
};

describe("one line", () => {
  test("with everything known", () => {
    expect(formatProgress(FIGURES)).toBe(
      "slot 370,501,234 | 45.7% | eta 3m 20s | 812 blocks/s | 20,346 events/s | lag 120 blocks, 48.2 s behind now | " +
        "limited by decode.main: at work 92% of the time, mostly processing | 98,765 events | 90,000 rows archived",
    );
  });

  test("before anything is known", () => {
    const nothing: Progress = {
      slot: null,
      blocksPerSecond: null,
      eventsPerSecond: null,
      lagBlocks: null,
      behindSeconds: null,
      etaSeconds: null,
      share: null,
      events: 0,
      archivedRows: null,
      limiter: { stage: "none", unit: null, reason: "no process runs a stage" },
    };
    expect(formatProgress(nothing)).toBe("no block yet | no process runs a stage | 0 events");
  });

  test("at the end there is no time to go", () => {
    const done = { ...FIGURES, share: 1, etaSeconds: 0, limiter: { stage: "source", unit: null, reason: "all wait" } };
    const line = formatProgress(done);
    expect(line).toStartWith("slot 370,501,234 | 100% | 812 blocks/s");
    expect(line).toContain("limited by source: all wait");
  });
});

test("numbers and seconds as people read them", () => {
  expect([0, 2.5, 2, 99.94, 100.4, 1234567.8].map(formatNumber)).toEqual(["0", "2.5", "2", "99.9", "100", "1,234,568"]);
  expect(formatNumber(Number.NaN)).toBe("?");
  const spans = [0, 4.24, 59.94, 59.96, 61, 3_599.6, 7_260, 172_799, 1_047_600];
  expect(spans.map(formatSeconds)).toEqual([
    "0 s",
    "4.2 s",
    "59.9 s",
    "1m 0s",
    "1m 1s",
    "1h 0m",
    "2h 1m",
    "47h 59m",
    "12d 3h",
  ]);
  expect(formatSeconds(Number.POSITIVE_INFINITY)).toBe("?");
});

describe("the meter", () => {
  const decoded = (n: number) => ({ decoders: { programs: { spinpet: { decoded: n }, other: { decoded: 1 } } } });
  const units = (blocks: number, slot: number, events = 0): UnitReport[] => [
    unit("ingest.main", { metrics: { sentBlocks: blocks + 50, position: { slot: slot + 60, hash: "h" } } }),
    unit("decode.main", { details: decoded(events) }),
    unit("lane.main.0", { metrics: { sentBlocks: blocks + 9, position: { slot: slot + 9, hash: "h" } } }),
    unit("lane.main.1", { metrics: { sentBlocks: blocks, position: { slot, hash: "h" }, blockTime: NOW / 1000 - 30 } }),
    unit("archive.main", { details: { lake: { rows: 77 } } }),
  ];

  test("stands at the slowest lane, and has no rate from one sample", () => {
    expect(new ProgressMeter({ targetBlocks: 400 }).sample(units(100, 1000, 41), NOW)).toMatchObject({
      slot: 1000,
      blocksPerSecond: null,
      lagBlocks: 60,
      behindSeconds: 30,
      etaSeconds: null,
      share: 0.25,
      events: 42,
      archivedRows: 77,
    });
  });

  test("rates are over the last ten seconds, so a burst at the start is forgotten", () => {
    const meter = new ProgressMeter({ targetBlocks: 2_000 });
    meter.sample(units(0, 0, 0), NOW);
    expect(meter.sample(units(1_000, 2_000, 5_000), NOW + 1_000)).toMatchObject({
      blocksPerSecond: 1_000,
      eventsPerSecond: 5_000,
      etaSeconds: 1,
    });
    for (let s = 2; s <= 11; s++) meter.sample(units(1_000 + s, 2_000 + s, 5_000 + s), NOW + s * 1_000);
    const late = meter.sample(units(1_012, 2_012, 5_012), NOW + 12_000);
    expect(late).toMatchObject({ blocksPerSecond: 1, eventsPerSecond: 1, etaSeconds: 988 });
  });

  test("a stop slot gives the time to go by slots, of which some hold no block", () => {
    const meter = new ProgressMeter({ stopSlot: 4_000 });
    meter.sample(units(0, 1_000), NOW);
    expect(meter.sample(units(10, 1_100), NOW + 1_000)).toMatchObject({ etaSeconds: 29, share: null });
    expect(meter.sample(units(20, 4_000), NOW + 2_000)).toMatchObject({ etaSeconds: 0 });
  });

  test("a process that starts anew counts from zero: no negative rate", () => {
    const meter = new ProgressMeter();
    meter.sample(units(500, 1_000, 500), NOW);
    expect(meter.sample(units(3, 1_003, 2), NOW + 1_000)).toMatchObject({
      blocksPerSecond: null,
      eventsPerSecond: null,
    });
    expect(meter.sample(units(13, 1_013, 12), NOW + 2_000)).toMatchObject({ blocksPerSecond: 10, eventsPerSecond: 10 });
  });

  test("standing still has no end", () => {
    const meter = new ProgressMeter({ targetBlocks: 100 });
    meter.sample(units(10, 1_000), NOW);
    expect(meter.sample(units(10, 1_000), NOW + 1_000)).toMatchObject({ blocksPerSecond: 0, etaSeconds: null });
  });
});

describe("the line on a screen", () => {
  const clock = () => {
    let now = 0;
    return { monotonic: () => now, now: () => NOW + now, pass: (ms: number) => void (now += ms) };
  };

  test("a terminal: drawn over itself, cut to its width, gone at the end", () => {
    const out = new BufferOutput({ isTTY: true, columns: 10 });
    const world = clock();
    const line = new ProgressLine(out, world);
    line.show(() => "first and much too long");
    world.pass(50);
    line.show(() => "too soon");
    world.pass(50);
    line.show(() => "second");
    line.end();
    line.end();
    expect(out.text).toBe("\r\u001b[2Kfirst and\r\u001b[2Ksecond\r\u001b[2K");
  });

  test("a pipe: whole lines, one every five seconds, no control characters", () => {
    const out = new BufferOutput({ columns: 10 });
    const world = clock();
    const line = new ProgressLine(out, world);
    for (let i = 0; i < 101; i++) {
      line.show(() => `line ${i}, longer than a terminal`);
      world.pass(100);
    }
    line.end();
    expect(out.text).toBe(
      "line 0, longer than a terminal\nline 50, longer than a terminal\nline 100, longer than a terminal\n",
    );
  });

  test("from reports: the unit's owner counts, not a process that stands by", () => {
    const out = new BufferOutput();
    const progress = startProgress(out, { targetBlocks: 1_000 }, clock());
    const owner = node("b", [unit("lane.main.0", { metrics: { sentBlocks: 250 } })]);
    const standby = node("a", [
      unit("lane.main.0", { state: "waiting", metrics: { sentBlocks: 999, position: null } }),
    ]);
    progress.show([standby, owner]);
    progress.stop();
    expect(out.text).toContain("| 25.0% |");
  });

  test("that all is done is said once", () => {
    const out = new BufferOutput();
    const world = clock();
    const progress = startProgress(out, { targetBlocks: 100, whenDone: "all is served" }, world);
    for (const sentBlocks of [50, 100, 100, 100]) {
      progress.show([node("a", [unit("lane.main.0", { metrics: { sentBlocks } })])]);
      world.pass(6_000);
    }
    progress.stop();
    expect(out.text.split("\n")).toEqual([expect.stringContaining("| 50.0% |"), "all is served", ""]);
  });
});
