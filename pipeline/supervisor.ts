/** Keeps the units of one process going, each by itself (`unit-slot.ts`), reports how they do, and learns of other nodes. */
import { hostname } from "node:os";
import type { NodeReport, UnitReport } from "./control.ts";
import { classify, describe } from "./errors.ts";
import { Lease, type LeaseOptions } from "./leases.ts";
import { sameBlock } from "./position.ts";
import { evenShares } from "./shards.ts";
import type { UnitSpec } from "./unit.ts";
import { type SlotOptions, UnitSlot } from "./unit-slot.ts";

export interface SupervisorOptions extends SlotOptions {
  readonly node: string;
  readonly version: string;
  readonly stages: readonly string[];
  readonly units: readonly UnitSpec[];
}

const REPORT_EVERY_MS = 1_000;

export class Supervisor {
  private readonly o: SupervisorOptions;
  private readonly lease: LeaseOptions;
  private readonly slots: UnitSlot[] = [];
  /** One for each slot that runs; empty before `run`. */
  private readonly running: Promise<void>[] = [];
  private readonly startedAt: number;
  private signal: AbortSignal | null = null;
  private nodes: NodeReport[] = [];
  /** Who should own the units of a kind, as far as `nodes` says; made when it is asked for. */
  private owners = new Map<string, ReadonlyMap<string, string | null>>();
  /** Code of the error that keeps reports from getting through. */
  private silencedBy: string | null = null;

  constructor(options: SupervisorOptions) {
    this.o = options;
    this.startedAt = options.world.now();
    this.lease = {
      bucket: options.control.leases(options.leaseTtlMs),
      node: options.node,
      ttlMs: options.leaseTtlMs,
      world: options.world,
      isFirstInLine: (unit) => this.isFirstInLine(unit),
    };
    this.add(options.units);
  }

  /** Offers more units, of a source that could not be opened before. */
  add(units: readonly UnitSpec[]): void {
    for (const spec of units) {
      const slot = new UnitSlot(spec, new Lease(spec.name, this.lease), this.o);
      this.slots.push(slot);
      this.owners = new Map();
      if (this.signal !== null) this.running.push(slot.keepRunning(this.signal));
    }
  }

  /** Runs until `signal` aborts; then every unit ends its commit, gives up its lease and the node signs off. */
  async run(signal: AbortSignal): Promise<void> {
    await this.reportOnce();
    this.signal = signal;
    this.running.push(...this.slots.map((slot) => slot.keepRunning(signal)));
    await this.report(signal);
    await Promise.all(this.running);
    await this.o.control
      .retire(this.o.node)
      .catch((error) => this.o.log("debug", "could not sign off", { reason: describe(error) }));
  }

  /** True when every unit has failed before it got anywhere: what is wrong is how we were started. */
  get allFailed(): boolean {
    return this.slots.length > 0 && this.slots.every((slot) => slot.state === "failed" && !slot.hasWorked);
  }

  /**
   * True when there is nothing to wait for any more: every source that is wanted has seen the end of its bounded input, here
   * and elsewhere, or stands still because a unit of it here cannot begin.
   */
  get allOver(): boolean {
    const sources = [...new Set(this.slots.map((slot) => slot.source))];
    const wanted = sources.filter((source) => !this.isPaused(source));
    return wanted.length > 0 && wanted.every((source) => this.isStuck(source) || this.hasEnded(source));
  }

  /** Some source of those that are wanted stands still. */
  get anyStuck(): boolean {
    return this.slots.some((slot) => this.isStuck(slot.source));
  }

  private isStuck(source: string): boolean {
    return this.slots.some((slot) => slot.source === source && slot.standsStill);
  }

  /** Not wanted for now, as is a generation of a source that another one has taken over from. */
  private isPaused(source: string): boolean {
    const units = this.nodes.flatMap((n) => n.units).filter((u) => u.source === source);
    return units.some((u) => u.stage === "ingest" && u.state === "paused");
  }

  private hasEnded(source: string): boolean {
    const running = this.nodes.flatMap((n) => n.units).filter((u) => u.state === "running" && u.source === source);
    const reports = new Map(running.map((u) => [u.unit, u]));
    const own = this.slots.filter((slot) => slot.source === source && slot.stage !== "janitor");
    // Wherever ingest runs, it knows best: after a range was extended, others may still hold the end of the former one.
    const ingest = running.filter((u) => u.stage === "ingest").map((u) => u.unit);
    const units = [...own.map((slot) => slot.name), ...ingest].map((name) => reports.get(name));
    // Of a range without blocks only ingest can know: no message says so to the others.
    const isEmpty = running.some((u) => u.stage === "ingest" && u.ended && u.endedAt === null);
    if (isEmpty) return units.every((u) => u !== undefined && u.metrics.position === null);
    const ends = units.map((u) => u?.endedAt ?? null);
    return ends.every((end) => end !== null && sameBlock(end, ends[0]!));
  }

  /** Units of a kind are shared evenly: the lanes of a source, above all. */
  private isFirstInLine(unit: string): boolean {
    const { source, stage } = this.slots.find((slot) => slot.name === unit)!;
    const kind = `${source} ${stage}`;
    let owners = this.owners.get(kind);
    if (owners === undefined) {
      const alike = this.slots.filter((slot) => slot.source === source && slot.stage === stage);
      owners = evenShares(
        alike.map(({ name }) => name),
        (one) => this.candidates(one),
      );
      this.owners.set(kind, owners);
    }
    return owners.get(unit) === this.o.node;
  }

  private candidates(unit: string): string[] {
    const able = (u: UnitReport) => u.unit === unit && u.state !== "failed" && u.state !== "stopped";
    const alive = this.nodes.filter((n) => n.units.some(able)).map((n) => n.node);
    return alive.includes(this.o.node) ? alive : [...alive, this.o.node];
  }

  private async report(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.reportOnce();
      await this.o.world.sleep(REPORT_EVERY_MS, signal).catch(() => undefined);
    }
  }

  private async reportOnce(): Promise<void> {
    try {
      await this.o.control.report({
        node: this.o.node,
        pid: process.pid,
        host: hostname(),
        version: this.o.version,
        startedAt: this.startedAt,
        at: this.o.world.now(),
        stages: this.o.stages,
        rssBytes: process.memoryUsage.rss(),
        units: this.slots.map((slot) => slot.snapshot()),
      });
      await Promise.all(this.slots.map((slot) => slot.publishStanding()));
      this.nodes = await this.o.control.nodes();
      this.owners = new Map();
      if (this.silencedBy !== null) this.o.log("info", "reports get through again");
      this.silencedBy = null;
    } catch (error) {
      // Units that wait for a lease wait in silence: what keeps all of them from it is said here, once.
      const { code, message, hint } = classify(error);
      if (code !== this.silencedBy) this.o.log("warning", `nobody hears of us: ${message}`, { code, hint });
      this.silencedBy = code;
    }
  }
}
