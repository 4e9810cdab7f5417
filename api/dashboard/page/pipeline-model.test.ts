/**
 * Goal: the picture says what the reports say: rates over the process's own reports, the slowest lane for all lanes, trouble
 * where it is. Method: looks at a small pipeline, bent in each test.
 */
import { describe, expect, test } from "bun:test";
import type { StagesAnswer, UnitAnswer } from "./answers.ts";
import { clock } from "./format.ts";
import { addSamples, figuresOf, partsOf, programsOf, rateOf, type Samples, sourceTrouble } from "./pipeline-model.ts";

const SLOT = 370_500_100;

function unit(name: string, change: Partial<UnitAnswer> = {}): UnitAnswer {
  return {
    unit: name,
    stage: name.split(".")[0]!,
    node: "a",
    state: "running",
    position: { slot: SLOT, hash: "h" },
    finalSlot: SLOT - 32,
    blockTime: 1_000,
    lag: { blocks: 0, seconds: 0, headSeconds: 2 },
    busy: 0.1,
    blocked: false,
    ended: false,
    metrics: { sentBlocks: 100 },
    errors: [],
    details: {},
    ...change,
  };
}

const NAMES = ["ingest.main", "decode.main", "shard.main", "lane.main.0", "lane.main.1", "archive.main"];

function look(
  at: number,
  change: Readonly<Record<string, Partial<UnitAnswer>>> = {},
  more: Partial<StagesAnswer> = {},
) {
  const answer: StagesAnswer = {
    at: at + 400,
    source: "main",
    wanted: true,
    running: true,
    uptime: 1,
    lastBlock: SLOT,
    totalBlocks: 100,
    limiter: { stage: "source", unit: null, reason: "every stage waits for its input" },
    units: NAMES.map((name) => unit(name, change[name])),
    nodes: [{ node: "a", at, rssBytes: 1 }],
    ...more,
  };
  return answer;
}

const partOf = (answer: StagesAnswer, name: string, samples: Samples = new Map()) =>
  partsOf(answer, samples).find((part) => part.name === name)!;
const sent = (sentBlocks: number, node = "a"): Partial<UnitAnswer> => ({ metrics: { sentBlocks }, node });

describe("rates", () => {
  const rates = (looks: readonly StagesAnswer[]) => {
    const samples = looks.reduce<Samples>((known, answer) => addSamples(known, answer), new Map());
    return rateOf(samples.get("ingest.main"), "blocks");
  };

  test("are counted over the time between reports, not between looks", () => {
    expect(rates([look(1_000, { "ingest.main": sent(100) })])).toBeNull();
    const first = look(1_000, { "ingest.main": sent(100) });
    expect(rates([first, look(3_000, { "ingest.main": sent(125) })])).toBe(12.5);
    // The same report again adds nothing.
    expect(rates([first, first])).toBeNull();
  });

  test("look back a few seconds only", () => {
    const looks = [0, 4_000, 8_000, 12_000].map((at, i) =>
      look(at, { "ingest.main": sent([0, 1_000, 1_010, 1_020][i]!) }),
    );
    expect(rates(looks)).toBe(2.5);
  });

  test("begin anew where the counter or the process does", () => {
    const first = look(1_000, { "ingest.main": sent(100) });
    expect(rates([first, look(2_000, { "ingest.main": sent(3) })])).toBeNull();
    const moved = look(2_000, { "ingest.main": sent(300, "b") }, { nodes: [{ node: "b", at: 2_000, rssBytes: 1 }] });
    expect(rates([first, moved])).toBeNull();
  });
});

test("the archive is as fast as it takes blocks in, whenever it writes them", () => {
  const took = (receivedBlocks: number) => ({ "archive.main": { metrics: { receivedBlocks, sentBlocks: 40 } } });
  const samples = addSamples(addSamples(new Map(), look(1_000, took(100))), look(2_000, took(103)));
  expect(partOf(look(2_000), "archive", samples).blocksPerSecond).toBe(3);
});

test("lanes are as fast as the slowest, and as far behind as the last", () => {
  const behind = { blocks: 7, seconds: 3, headSeconds: 9 };
  const first = look(1_000, { "lane.main.0": sent(100), "lane.main.1": sent(100) });
  const second = look(2_000, { "lane.main.0": sent(120), "lane.main.1": { ...sent(110), lag: behind, busy: 0.9 } });
  const samples = addSamples(addSamples(new Map(), first), second);
  expect(partOf(second, "lane", samples)).toMatchObject({ blocksPerSecond: 10, lagBlocks: 7, busy: 0.9, units: 2 });
  expect(figuresOf(second, samples).headSeconds).toBe(9);
});

describe("mood", () => {
  const cases: [string, Partial<UnitAnswer>, string, string][] = [
    ["a unit that has failed", { state: "failed" }, "bad", "failed"],
    ["a unit that tries again", { state: "backing-off" }, "trouble", "retrying"],
    ["a unit that waits for room", { blocked: true }, "trouble", "blocked"],
    ["a unit that rests", { state: "paused" }, "idle", "stopped"],
    ["a unit that nobody runs", { state: "waiting" }, "bad", "waiting"],
  ];
  test.each(cases)("%s", (_, change, mood, state) => {
    expect(partOf(look(0, { "decode.main": change }), "decode")).toMatchObject({ mood, state });
  });

  test("one bad lane of several counts; a stage without units does not run", () => {
    expect(partOf(look(0, { "lane.main.1": { state: "failed" } }), "lane").mood).toBe("bad");
    expect(partOf(look(0, {}, { units: [] }), "ingest")).toMatchObject({ mood: "bad", state: "not running" });
  });

  test("a complete range rests once every unit is done", () => {
    expect(partOf(look(0, { "lane.main.0": { ended: true } }), "lane").mood).toBe("ok");
    const both = { "lane.main.0": { ended: true }, "lane.main.1": { ended: true } };
    expect(partOf(look(0, both), "lane")).toMatchObject({ mood: "idle", state: "complete" });
  });

  test("the source is what the connection says", () => {
    const source = (state: string) =>
      look(0, { "ingest.main": { details: { source: { state, receivedBytes: 2_000_000 } } } });
    expect(partOf(source("streaming"), "source")).toMatchObject({
      mood: "ok",
      detail: "2.0 MB received",
      limits: true,
    });
    expect(partOf(source("backing-off"), "source").mood).toBe("trouble");
  });
});

test("the stage that limits is marked, and only that one", () => {
  const answer = look(0, {}, { limiter: { stage: "lane", unit: "lane.main.1", reason: "" } });
  expect(
    partsOf(answer, new Map())
      .filter((part) => part.limits)
      .map((part) => part.name),
  ).toEqual(["lane"]);
});

test("every payload that a program wrote is in one of the decoder's shares, or is in none of them by name", () => {
  const counts = { seen: 100, decoded: 90, unwanted: 2, unknownDiscriminator: 3, unknownLength: 4, badValue: 1 };
  const answer = look(0, { "decode.main": { details: { decoders: { programs: { spinpet: counts } } } } });
  expect(programsOf(answer)).toEqual([
    {
      program: "spinpet",
      seen: 100,
      decoded: 90,
      passedOver: 5,
      unreadable: 5,
      leftOver: 0,
      truncatedLogs: 0,
      alarms: [],
    },
  ]);
  expect(programsOf(look(0))).toBeNull();
});

test("a provider that delivers nothing is told with its reason and when it is tried again; one that waits or rests is no trouble", () => {
  const source = (status: object, state = "running") =>
    sourceTrouble(look(0, { "ingest.main": { state, details: { source: status } } }), 1_000);
  const lastError = "unavailable: connect ECONNREFUSED";
  expect(source({ state: "backing-off", lastError, retryAt: 13_400 })).toBe(
    `The source does not deliver: unavailable: connect ECONNREFUSED. Tried again at ${clock(13.4)}.`,
  );
  expect(source({ state: "error", lastError, retryAt: 0 })).toBe(
    "The source does not deliver: unavailable: connect ECONNREFUSED.",
  );
  expect(source({ state: "backing-off", retryAt: 0 })).toBe("The source does not deliver: no reason given.");
  for (const state of ["streaming", "connecting", "waiting", "ended"]) expect(source({ state, lastError })).toBeNull();
  expect(source({ state: "backing-off", lastError }, "paused")).toBeNull();
});
