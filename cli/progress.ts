/**
 * How a running pipeline gets on, from the reports of its units: rate, position, lag, time to go, what limits it, rows
 * archived. Rates are over the last seconds, not since the start.
 */
import { decodersOf } from "../api/decoder-details.ts";
import { lakeOf } from "../api/details.ts";
import { activeReports } from "../api/view.ts";
import type { NodeReport, UnitReport } from "../pipeline/control.ts";
import { type Limiter, limiterOf } from "../pipeline/limiter.ts";
import { systemWorld, type World } from "../pipeline/world.ts";
import type { Output } from "./output.ts";
import { formatNumber, formatSeconds, ProgressLine } from "./progress-line.ts";

export interface Progress {
  /** Lowest slot that all lanes hold (of ingest, where there are no lanes); null before the first block. */
  readonly slot: number | null;
  /** Null until there are two samples. */
  readonly blocksPerSecond: number | null;
  readonly eventsPerSecond: number | null;
  /** Slots between ingest and the slowest lane. */
  readonly lagBlocks: number | null;
  /** Seconds between the slowest lane's block time and now. */
  readonly behindSeconds: number | null;
  /** Seconds to the target at the present rate; null without a target or a rate. */
  readonly etaSeconds: number | null;
  /** Share of the target blocks done, 0..1; null without one. */
  readonly share: number | null;
  readonly events: number;
  /** Since the archive was opened; null while it has not said. */
  readonly archivedRows: number | null;
  readonly limiter: Limiter;
}

/** Where the run will end, where that is known. */
export interface Target {
  /** Blocks to process in all. */
  readonly targetBlocks?: number;
  /** Last slot wanted. */
  readonly stopSlot?: number;
  /** Said once when all target blocks are done; nothing more is shown from then on. */
  readonly whenDone?: string;
}

interface Sample {
  readonly at: number;
  readonly blocks: number;
  readonly events: number;
  readonly slot: number | null;
}

const WINDOW_MS = 10_000;

/** Turns reports, one after the other, into progress. Keeps the samples of the last ten seconds. */
export class ProgressMeter {
  private readonly target: Target;
  private samples: Sample[] = [];

  constructor(target: Target = {}) {
    this.target = target;
  }

  /** `units`: one report per unit; `at`: ms since the Unix epoch. */
  sample(units: readonly UnitReport[], at: number): Progress {
    const ingest = units.find((u) => u.stage === "ingest");
    const lanes = units.filter((u) => u.stage === "lane");
    const slowest = lanes.length === 0 ? ingest : lanes.reduce(behind);
    const now = {
      at,
      blocks: slowest?.metrics.sentBlocks ?? 0,
      events: units.reduce((sum, u) => sum + decodedEvents(u), 0),
      slot: slowest?.metrics.position?.slot ?? null,
    };
    const before = this.remember(now);
    const rate = (read: (s: Sample) => number | null) => rateOf(before, now, read);
    const ingestSlot = ingest?.metrics.position?.slot;
    const blockTime = slowest?.metrics.blockTime ?? 0;
    return {
      slot: now.slot,
      blocksPerSecond: rate((s) => s.blocks),
      eventsPerSecond: rate((s) => s.events),
      lagBlocks: ingestSlot === undefined || now.slot === null ? null : Math.max(0, ingestSlot - now.slot),
      behindSeconds: blockTime === 0 ? null : Math.max(0, at / 1000 - blockTime),
      etaSeconds: this.eta(now, rate),
      share: this.target.targetBlocks === undefined ? null : Math.min(1, now.blocks / this.target.targetBlocks),
      events: now.events,
      archivedRows: archivedRows(units),
      limiter: limiterOf(units),
    };
  }

  /** Adds a sample and gives the oldest one that it can be compared with. */
  private remember(now: Sample): Sample | null {
    const last = this.samples.at(-1);
    // A process that has come anew counts from zero: what was before says nothing about it.
    if (last !== undefined && (now.blocks < last.blocks || now.events < last.events)) this.samples = [];
    const recent = this.samples.filter((s) => now.at - s.at <= WINDOW_MS);
    this.samples = [...recent, now];
    return recent[0] ?? null;
  }

  private eta(now: Sample, rate: (read: (s: Sample) => number | null) => number | null): number | null {
    const { targetBlocks, stopSlot } = this.target;
    if (targetBlocks !== undefined)
      return timeFor(
        targetBlocks - now.blocks,
        rate((s) => s.blocks),
      );
    if (stopSlot !== undefined && now.slot !== null)
      return timeFor(
        stopSlot - now.slot,
        rate((s) => s.slot),
      );
    return null;
  }
}

/** Shows progress on a terminal in one line that updates itself, elsewhere in a line every few seconds. */
export function startProgress(out: Output, target: Target = {}, world: Pick<World, "now" | "monotonic"> = systemWorld) {
  const meter = new ProgressMeter(target);
  const line = new ProgressLine(out, world);
  let isDone = false;
  return {
    show(nodes: readonly NodeReport[]): void {
      if (isDone) return;
      const units = activeReports(nodes, null).map(({ report }) => report);
      const progress = meter.sample(units, world.now());
      isDone = target.whenDone !== undefined && progress.share === 1;
      if (!isDone) {
        line.show(() => formatProgress(progress));
        return;
      }
      line.end();
      out.write(`${target.whenDone}\n`);
    },
    stop(): void {
      line.end();
    },
  };
}

/** One line, the most important first, so that a narrow terminal cuts off the least. */
export function formatProgress(p: Progress): string {
  const parts = [
    p.slot === null ? "no block yet" : `slot ${formatNumber(p.slot)}`,
    p.share === null ? null : `${(p.share * 100).toFixed(p.share < 1 ? 1 : 0)}%`,
    p.etaSeconds === null || p.etaSeconds === 0 ? null : `eta ${formatSeconds(p.etaSeconds)}`,
    p.blocksPerSecond === null ? null : `${formatNumber(p.blocksPerSecond)} blocks/s`,
    p.eventsPerSecond === null ? null : `${formatNumber(p.eventsPerSecond)} events/s`,
    formatLag(p),
    formatLimiter(p.limiter),
    `${formatNumber(p.events)} events`,
    p.archivedRows === null ? null : `${formatNumber(p.archivedRows)} rows archived`,
  ];
  return parts.filter((part) => part !== null).join(" | ");
}

function formatLag(p: Progress): string | null {
  if (p.lagBlocks === null) return null;
  const behind = p.behindSeconds === null ? "" : `, ${formatSeconds(p.behindSeconds)} behind now`;
  return `lag ${formatNumber(p.lagBlocks)} blocks${behind}`;
}

function formatLimiter({ stage, unit, reason }: Limiter): string {
  return stage === "none" ? reason : `limited by ${unit ?? stage}: ${reason}`;
}

function behind(a: UnitReport, b: UnitReport): UnitReport {
  return (b.metrics.position?.slot ?? -1) < (a.metrics.position?.slot ?? -1) ? b : a;
}

function timeFor(left: number, perSecond: number | null): number | null {
  if (left <= 0) return 0;
  return perSecond !== null && perSecond > 0 ? left / perSecond : null;
}

/** Per second since `before`; null when it cannot be told. */
function rateOf(before: Sample | null, now: Sample, read: (s: Sample) => number | null): number | null {
  if (before === null || now.at <= before.at) return null;
  const [from, to] = [read(before), read(now)];
  return from === null || to === null ? null : Math.max(0, to - from) / ((now.at - before.at) / 1000);
}

function decodedEvents(unit: UnitReport): number {
  return unit.stage === "decode" ? decodersOf(unit.details).reduce((sum, p) => sum + p.decoded, 0) : 0;
}

function archivedRows(units: readonly UnitReport[]): number | null {
  const archive = units.find((u) => u.stage === "archive");
  return (archive === undefined ? null : lakeOf(archive.details))?.rows ?? null;
}
