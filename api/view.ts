/**
 * What a snapshot means: which report of a unit counts, how far each unit is behind, whether the indexer runs, since when
 * and how far it got. Pure functions; status, health, metrics and `/v1/stages` all render this one view.
 */
import type { NodeReport, UnitReport, UnitState } from "../pipeline/control.ts";
import { type Limiter, limiterOf } from "../pipeline/limiter.ts";
import { LIMITS } from "../pipeline/limits.ts";
import type { Backend, Snapshot } from "./backend.ts";

/** Target time of a Solana slot, seconds (`DEFAULT_MS_PER_SLOT` of the Solana SDK: 400 ms). */
export const SECONDS_PER_SLOT = 0.4;

/** Null where it cannot be told: nothing processed yet, or nobody to compare with. */
export interface Lag {
  /** Slots behind the ingest unit. */
  readonly blocks: number | null;
  /** Seconds of block time behind the ingest unit. */
  readonly seconds: number | null;
  /** Seconds between the unit's block time and now. */
  readonly headSeconds: number | null;
  /** The same in slots, estimated by the target slot time: the head itself is not known here. */
  readonly headBlocks: number | null;
}

export interface UnitView extends UnitReport {
  /** The process whose report this is. */
  readonly node: string;
  readonly lag: Lag;
}

export interface IndexerError {
  /** ms since the Unix epoch. */
  readonly time: number;
  readonly code: string;
  readonly message: string;
  readonly where: string;
  readonly unit: string;
}

export interface View {
  readonly at: number;
  readonly source: string;
  readonly nodes: readonly NodeReport[];
  /** One per unit of the source: the report of the process that runs it. */
  readonly units: readonly UnitView[];
  readonly ingest: UnitView | null;
  readonly lanes: readonly UnitView[];
  /** Asked to run; true also when nobody has ever asked. */
  readonly wanted: boolean;
  /** Wanted, and a live process holds ingest and works or retries. */
  readonly running: boolean;
  /** ms since the Unix epoch; null when it does not run. */
  readonly startedAt: number | null;
  readonly uptimeMs: number;
  /** Lowest slot that all lanes hold; of ingest where there are no lanes; 0 when nothing is stored. */
  readonly lastBlock: number;
  /** Blocks committed by ingest since it was started. */
  readonly totalBlocks: number;
  readonly errorsTotal: number;
  /** Newest first. */
  readonly errors: readonly IndexerError[];
  readonly limiter: Limiter;
}

type Names = Pick<Backend, "source" | "ingestUnit" | "laneUnits">;

/** The report of a process that runs the unit counts before those of processes that stand by. */
const PRECEDENCE: readonly UnitState[] = ["running", "backing-off", "paused", "failed", "waiting", "stopped"];
const WORKING: ReadonlySet<UnitState> = new Set(["running", "backing-off"]);

export function viewOf(snapshot: Snapshot, names: Names): View {
  const { at, nodes, desired } = snapshot;
  const reports = activeReports(nodes, names.source);
  const ingestReport = reports.find((r) => r.report.unit === names.ingestUnit) ?? null;
  const units = reports.map(({ node, report }) => ({
    ...report,
    node: node.node,
    lag: lagOf(report, ingestReport?.report ?? null, at),
  }));
  const ingest = units.find((u) => u.unit === names.ingestUnit) ?? null;
  const lanes = units.filter((u) => names.laneUnits.includes(u.unit));
  const wanted = desired?.running ?? true;
  const running = wanted && ingest !== null && WORKING.has(ingest.state);
  const startedAt = running ? Math.max(ingestReport!.node.startedAt, desired?.at ?? 0) : null;
  const all = nodes.flatMap((node) => node.units.filter((u) => u.source === names.source));
  return {
    at,
    source: names.source,
    nodes,
    units,
    ingest,
    lanes,
    wanted,
    running,
    startedAt,
    uptimeMs: startedAt === null ? 0 : Math.max(0, at - startedAt),
    lastBlock: lastBlock(snapshot, names, units),
    totalBlocks: ingestReport === null ? 0 : blocksSinceStart(ingestReport, snapshot),
    errorsTotal: all.reduce((sum, u) => sum + u.metrics.errors, 0),
    errors: recentErrors(all),
    limiter: limiterOf(units),
  };
}

export interface Active {
  readonly node: NodeReport;
  readonly report: UnitReport;
}

/** One report per unit: that of the process that runs it rather than of one that stands by. `source` null: of all. */
export function activeReports(nodes: readonly NodeReport[], source: string | null): Active[] {
  const best = new Map<string, Active>();
  for (const node of nodes) {
    for (const report of node.units) {
      if (source !== null && report.source !== source) continue;
      const known = best.get(report.unit);
      if (known === undefined || precedes(report, known.report)) best.set(report.unit, { node, report });
    }
  }
  return [...best.values()];
}

function precedes(a: UnitReport, b: UnitReport): boolean {
  const difference = PRECEDENCE.indexOf(a.state) - PRECEDENCE.indexOf(b.state);
  return difference < 0 || (difference === 0 && a.since > b.since);
}

function lagOf(unit: UnitReport, ingest: UnitReport | null, at: number): Lag {
  const { position, blockTime } = unit.metrics;
  const ahead = ingest?.metrics;
  const headSeconds = blockTime === 0 ? null : Math.max(0, at / 1000 - blockTime);
  return {
    blocks: position === null || !ahead?.position ? null : Math.max(0, ahead.position.slot - position.slot),
    seconds: blockTime === 0 || !ahead?.blockTime ? null : Math.max(0, ahead.blockTime - blockTime),
    headSeconds,
    headBlocks: headSeconds === null ? null : Math.round(headSeconds / SECONDS_PER_SLOT),
  };
}

/** Where a unit stands: as its live process says, else as was last told. */
function slotOf(unit: string, snapshot: Snapshot, units: readonly UnitView[]): number | null {
  const live = units.find((u) => u.unit === unit)?.metrics.position;
  return (live ?? snapshot.standings.get(unit)?.position)?.slot ?? null;
}

function lastBlock(snapshot: Snapshot, names: Names, units: readonly UnitView[]): number {
  const lanes = names.laneUnits.map((lane) => slotOf(lane, snapshot, units)).filter((slot) => slot !== null);
  return lanes.length > 0 ? Math.min(...lanes) : (slotOf(names.ingestUnit, snapshot, units) ?? 0);
}

function blocksSinceStart({ node, report }: Active, { desired }: Snapshot): number {
  const counted = report.metrics.sentBlocks;
  const before = desired?.blocksBefore ?? 0;
  // A process that came up after the start counts from its own beginning.
  const countsFromZero = desired === null || node.startedAt > desired.at || before > counted;
  return countsFromZero ? counted : counted - before;
}

function recentErrors(units: readonly UnitReport[]): IndexerError[] {
  return units
    .flatMap(({ unit, errors }) =>
      errors.map(({ at, code, message, where }) => ({ time: at, code, message, where: where ?? unit, unit })),
    )
    .sort((a, b) => b.time - a.time)
    .slice(0, LIMITS.recentErrorsMax);
}
