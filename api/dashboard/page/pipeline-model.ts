/**
 * The pipeline as a picture: from two looks at `/v1/stages` to what each part of it does now. Pure. Rates are counted over
 * the reports of the process that runs a unit, since its counters only move with them.
 */
import type { StagesAnswer, UnitAnswer } from "./answers.ts";
import { bytes, clock, count, short } from "./format.ts";

/** Parts of the picture in flow order; `archive` and `lake` branch off behind `decode`. */
export const PARTS = ["source", "ingest", "decode", "shard", "lane", "hot", "archive", "lake"] as const;
export type PartName = (typeof PARTS)[number];

/** ok: works or waits for work. idle: rests on request or is complete. trouble: tries again or is full. bad: does not run. */
export type Mood = "ok" | "idle" | "trouble" | "bad";

export interface Part {
  readonly name: PartName;
  readonly mood: Mood;
  /** One or two words. */
  readonly state: string;
  /** Blocks per second; null where that is not known yet or makes no sense. */
  readonly blocksPerSecond: number | null;
  /** Share of the time at work, of the busiest unit; null for what is no unit. */
  readonly busy: number | null;
  /** Slots behind ingest, of the unit that is furthest behind. */
  readonly lagBlocks: number | null;
  /** What else is worth a word. */
  readonly detail: string;
  /** Units that it stands for. */
  readonly units: number;
  readonly limits: boolean;
}

/** What one look has told of a unit's counters. */
export interface Sample {
  /** Time of the report, ms. */
  readonly at: number;
  readonly node: string;
  readonly blocks: number;
  readonly decoded: number;
}

/** Samples by unit over the last few seconds, oldest first. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

const WINDOW_MS = 5_000;

/** Adds what is new. A unit that runs elsewhere now, or began anew, counts from its beginning. */
export function addSamples(known: Samples, answer: StagesAnswer): Samples {
  const reportedAt = new Map(answer.nodes.map(({ node, at }) => [node, at]));
  const next = new Map<string, readonly Sample[]>();
  for (const unit of answer.units) {
    const at = reportedAt.get(unit.node) ?? answer.at;
    const sample = { at, node: unit.node, blocks: blocksOf(unit), decoded: decodedOf(unit) };
    const before = known.get(unit.unit) ?? [];
    const last = before.at(-1);
    if (last !== undefined && (last.node !== sample.node || last.blocks > sample.blocks)) next.set(unit.unit, [sample]);
    else if (last?.at === at) next.set(unit.unit, before);
    else next.set(unit.unit, [...before.filter((s) => at - s.at <= WINDOW_MS), sample]);
  }
  return next;
}

/** Per second over the samples; null while there are not two. */
export function rateOf(samples: readonly Sample[] | undefined, counter: "blocks" | "decoded"): number | null {
  const [first, last] = [samples?.[0], samples?.at(-1)];
  if (first === undefined || last === undefined || last.at <= first.at) return null;
  return Math.max(0, last[counter] - first[counter]) / ((last.at - first.at) / 1000);
}

export interface Figures {
  readonly blocksPerSecond: number | null;
  readonly eventsPerSecond: number | null;
  /** Between the newest block and now. */
  readonly headSeconds: number | null;
  readonly finalSlot: number;
}

export function figuresOf(answer: StagesAnswer, samples: Samples): Figures {
  const units = (stage: string) => answer.units.filter((u) => u.stage === stage);
  const lanes = units("lane");
  const rates = (stage: string, counter: "blocks" | "decoded") =>
    sum(units(stage).map((u) => rateOf(samples.get(u.unit), counter)));
  const behind = lanes.map((u) => u.lag.headSeconds).filter((s) => s !== null);
  return {
    blocksPerSecond: rates("ingest", "blocks"),
    eventsPerSecond: rates("decode", "decoded"),
    headSeconds: behind.length === 0 ? null : Math.max(...behind),
    finalSlot: lanes.length === 0 ? 0 : Math.min(...lanes.map((u) => u.finalSlot)),
  };
}

export function partsOf(answer: StagesAnswer, samples: Samples): Part[] {
  return PARTS.map((name) => {
    if (name === "source") return sourcePart(answer);
    if (name === "hot" || name === "lake") return storePart(name, answer);
    return stagePart(name, answer, samples);
  });
}

function stagePart(name: PartName, { units: all, limiter }: StagesAnswer, samples: Samples): Part {
  const units = all.filter((u) => u.stage === name);
  const [mood, state] = conditionOf(units);
  const rates = units.map((u) => rateOf(samples.get(u.unit), "blocks"));
  const known = rates.filter((rate) => rate !== null);
  const lags = units.map((u) => u.lag.blocks).filter((blocks) => blocks !== null);
  return {
    ...{ name, mood, state, detail: "", units: units.length },
    // Every lane gets every block: the slowest one is how fast they are.
    blocksPerSecond: known.length === 0 ? null : Math.min(...known),
    busy: units.length === 0 ? null : Math.max(...units.map((u) => u.busy)),
    lagBlocks: lags.length === 0 ? null : Math.max(...lags),
    limits: limiter.stage === name,
  };
}

function conditionOf(units: readonly UnitAnswer[]): [Mood, string] {
  const has = (state: string) => units.some((u) => u.state === state);
  if (units.length === 0) return ["bad", "not running"];
  if (has("failed")) return ["bad", "failed"];
  if (has("backing-off")) return ["trouble", "retrying"];
  if (has("stopped") || has("waiting")) return ["bad", "waiting"];
  if (has("paused")) return ["idle", "stopped"];
  if (units.some((u) => u.blocked)) return ["trouble", "blocked"];
  if (units.every((u) => u.ended)) return ["idle", "complete"];
  return ["ok", "running"];
}

const NO_UNIT = { blocksPerSecond: null, busy: null, lagBlocks: null, units: 0 };

const RESTING: ReadonlySet<string> = new Set(["idle", "ended", "not connected"]);

function sourcePart({ units, limiter }: StagesAnswer): Part {
  const ingest = units.find((u) => u.stage === "ingest");
  const source = record(ingest?.details["source"]);
  const state = ingest === undefined || ingest.state === "paused" ? "not connected" : String(source["state"] ?? "idle");
  const mood = state === "streaming" ? "ok" : RESTING.has(state) ? "idle" : "trouble";
  const received = Number(source["receivedBytes"] ?? 0);
  const detail = received > 0 ? `${bytes(received)} received` : "";
  return { ...NO_UNIT, name: "source", mood, state, detail, limits: limiter.stage === "source" };
}

/** Why the provider delivers nothing, while it is tried again and again; null: it does, or nobody asks it. */
export function sourceTrouble({ units }: StagesAnswer, now: number): string | null {
  const ingest = units.find((u) => u.stage === "ingest" && u.state === "running");
  const { state, lastError, retryAt } = record(ingest?.details["source"]);
  if (state !== "backing-off" && state !== "error") return null;
  // A time rather than a countdown: the text is read aloud whenever it changes.
  const at = Number(retryAt ?? 0);
  const again = at > now ? ` Tried again at ${clock(at / 1_000)}.` : "";
  return `The source does not deliver: ${String(lastError || "no reason given")}.${again}`;
}

/** Stores do nothing of their own: they are where their writers have come to. */
function storePart(name: "hot" | "lake", { units }: StagesAnswer): Part {
  const writers = units.filter((u) => u.stage === (name === "hot" ? "lane" : "archive"));
  const slots = writers.map((u) => u.position?.slot).filter((slot) => slot !== undefined);
  if (slots.length === 0) return { ...NO_UNIT, name, mood: "idle", state: "empty", detail: "", limits: false };
  const rows = sum(writers.map((u) => Number(record(u.details["lake"])["rows"] ?? 0))) ?? 0;
  const detail = `slot ${count(Math.min(...slots))}`;
  const state = name === "hot" ? "serving" : `+${short(rows)} rows`;
  return { ...NO_UNIT, name, mood: "ok", state, detail, limits: false };
}

/** Blocks that went through; the archive writes them by the roll, so what it took in is how fast it is. */
function blocksOf({ stage, metrics }: UnitAnswer): number {
  return metrics[stage === "archive" ? "receivedBlocks" : "sentBlocks"] ?? 0;
}

function decodedOf({ details }: UnitAnswer): number {
  const programs = Object.values(record(record(details["decoders"])["programs"]));
  return programs.reduce<number>((total, program) => total + Number(record(program)["decoded"] ?? 0), 0);
}

export interface ProgramHealth {
  readonly program: string;
  readonly seen: number;
  readonly decoded: number;
  /** Known to be of no interest: unwanted, or with a discriminator of nobody's. */
  readonly passedOver: number;
  /** Quarantined: length, value or encoding was not what the layout says. */
  readonly unreadable: number;
  readonly leftOver: number;
  /** Transactions whose log was cut. */
  readonly truncatedLogs: number;
  /** What is wrong with it now, a sentence each. */
  readonly alarms: readonly string[];
}

/** Of all programs, by name; null while no decoder has reported. */
export function programsOf(answer: StagesAnswer): ProgramHealth[] | null {
  const decoders = answer.units.filter((u) => u.stage === "decode" && u.details["decoders"] !== undefined);
  if (decoders.length === 0) return null;
  return decoders.flatMap(({ details }) =>
    Object.entries(record(record(details["decoders"])["programs"])).map(([program, counts]) => {
      const of = (name: string) => Number(record(counts)[name] ?? 0);
      return {
        program,
        seen: of("seen"),
        decoded: of("decoded"),
        passedOver: of("unwanted") + of("unknownDiscriminator"),
        unreadable: of("unknownLength") + of("badValue") + of("truncatedPayload"),
        leftOver: of("eventsWithBytesLeftOver"),
        truncatedLogs: of("truncatedLogs"),
        alarms: alarmsOf(details["decoders"], program),
      };
    }),
  );
}

function alarmsOf(decoders: unknown, program: string): string[] {
  const alarms = record(decoders)["alarms"];
  if (!Array.isArray(alarms)) return [];
  const own = alarms.map(record).filter((alarm) => alarm["program"] === program);
  return own.map(({ kind, dataset, detail }) => {
    const of = typeof dataset === "string" ? ` of ${dataset}` : "";
    return `${String(kind).replace("_", " ")}${of}: ${String(detail)}`;
  });
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function sum(rates: readonly (number | null)[]): number | null {
  const known = rates.filter((rate) => rate !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}
