/**
 * Which stage holds the pipeline back now, from what its units report. One pure rule, so that the API, the progress line
 * and the dashboard never disagree.
 *
 * In this order: a unit that has failed, one that is retrying, a stage that nobody runs; then the unit whose full input
 * blocks the one before it; then the busiest unit. When nobody is busy, everyone waits for the source.
 */
import type { UnitReport } from "./control.ts";

/** The part of a report that the rule looks at. */
export type LimiterUnit = Pick<
  UnitReport,
  "unit" | "stage" | "state" | "busy" | "blocked" | "ended" | "errors" | "metrics"
>;

export interface Limiter {
  /** A stage; "source" when all wait for it; "none" when nothing is held back: stopped, complete, or not running. */
  readonly stage: string;
  /** The unit, where one can be named. */
  readonly unit: string | null;
  readonly reason: string;
}

/** Who reads what a stage writes. Stages that are not here (the janitor) carry no data. */
const READERS: Readonly<Record<string, readonly string[]>> = {
  ingest: ["decode"],
  decode: ["shard", "archive"],
  shard: ["lane"],
  lane: [],
  archive: [],
};
const FLOW = Object.keys(READERS);

/** Below this share of its time at work, a unit cannot be what holds the others back. */
const BUSY_SHARE_MIN = 0.6;

/** `units`: one report per unit of one source. */
export function limiterOf(units: readonly LimiterUnit[]): Limiter {
  const inFlow = units
    .filter((u) => u.stage in READERS)
    .sort((a, b) => FLOW.indexOf(a.stage) - FLOW.indexOf(b.stage) || (a.unit < b.unit ? -1 : 1));
  if (inFlow.length === 0) return none("no process runs a stage");
  return troubled(inFlow) ?? blocking(inFlow) ?? atRest(inFlow) ?? busiest(inFlow);
}

/** Trouble upstream starves everything after it, so the first one in flow order counts. */
function troubled(units: readonly LimiterUnit[]): Limiter | null {
  const failed = units.find((u) => u.state === "failed");
  if (failed !== undefined) return limiter(failed, `has failed (${lastCode(failed)}) and wants to be looked at`);
  const retrying = units.find((u) => u.state === "backing-off");
  if (retrying !== undefined) return limiter(retrying, `cannot go on (${lastCode(retrying)}); trying again`);
  const ingestPaused = units.find((u) => u.stage === "ingest" && u.state === "paused");
  if (ingestPaused !== undefined) return none("stopped on request");
  const idle = units.find((u) => u.state === "waiting" || u.state === "stopped");
  if (idle !== undefined) return limiter(idle, "no process runs it");
  return null;
}

/** A full stream blocks its writer; what limits is the slowest reader of the last full stream in flow order. */
function blocking(units: readonly LimiterUnit[]): Limiter | null {
  const blocked = units.findLast((u) => u.blocked);
  if (blocked === undefined) return null;
  const stages = READERS[blocked.stage]!;
  const slowest = units.filter((u) => stages.includes(u.stage)).reduce(slower, undefined);
  if (slowest !== undefined) return limiter(slowest, `${blocked.unit} waits for it to make room: ${work(slowest)}`);
  return { stage: stages[0] ?? blocked.stage, unit: null, reason: `${blocked.unit} waits for room and nobody reads` };
}

function slower(best: LimiterUnit | undefined, unit: LimiterUnit): LimiterUnit {
  if (best === undefined) return unit;
  const difference = slotOf(unit) - slotOf(best);
  return difference < 0 || (difference === 0 && unit.busy > best.busy) ? unit : best;
}

/** A bounded range that everyone has processed to its end. */
function atRest(units: readonly LimiterUnit[]): Limiter | null {
  return units.every((u) => u.ended) ? none("the range is complete") : null;
}

function busiest(units: readonly LimiterUnit[]): Limiter {
  const top = units.reduce((best, unit) => (unit.busy > best.busy ? unit : best));
  if (top.busy >= BUSY_SHARE_MIN) return limiter(top, work(top));
  return { stage: "source", unit: null, reason: "every stage waits for its input" };
}

function work(unit: LimiterUnit): string {
  const { applyingMs, committingMs } = unit.metrics;
  const mostly = committingMs > applyingMs ? "committing" : "processing";
  return `at work ${Math.round(unit.busy * 100)}% of the time, mostly ${mostly}`;
}

function slotOf(unit: LimiterUnit): number {
  return unit.metrics.position?.slot ?? -1;
}

function lastCode(unit: LimiterUnit): string {
  return unit.errors.at(-1)?.code ?? "no error reported";
}

function limiter(unit: LimiterUnit, reason: string): Limiter {
  return { stage: unit.stage, unit: unit.unit, reason };
}

function none(reason: string): Limiter {
  return { stage: "none", unit: null, reason };
}
