/**
 * Keeps the units of one process going: acquires their leases, runs them, sorts what they throw, and reports. A unit that
 * fails takes down nobody else.
 *
 * | a unit throws | what happens |
 * |---|---|
 * | Transient | opened again after a jittered back-off |
 * | Fenced | its lease is given up; whoever holds it goes on |
 * | Rewind | the producer of its input is asked to replay; opened again meanwhile |
 * | Fatal | stopped, reported, left to a human |
 */
import { hostname } from "node:os";
import type { Control, NodeReport, Standing, UnitError, UnitReport, UnitState } from "./control.ts";
import { classify, describe, Shutdown, type SluiceError } from "./errors.ts";
import { Lease, type LeaseOptions } from "./leases.ts";
import { LIMITS } from "./limits.ts";
import type { Log } from "./log.ts";
import { newUnitMetrics, type UnitMetrics } from "./metrics.ts";
import { type BlockRef, formatBlock, sameBlock } from "./position.ts";
import { backoffMs, type World } from "./world.ts";

export interface UnitSpec {
  /** "decode.main", "lane.main.3": name of the lease and of the position. */
  readonly name: string;
  readonly stage: string;
  readonly source: string;
  /** Streams it reads and writes; null where it does not. */
  readonly inputStream: string | null;
  readonly outputStream: string | null;
  /** Runs until aborted or failed; opens everything anew each time. */
  run(context: UnitContext): Promise<void>;
}

export interface UnitContext {
  readonly unit: string;
  readonly signal: AbortSignal;
  readonly metrics: UnitMetrics;
  readonly log: Log;
  setBlocked(blocked: boolean): void;
  /** The input is complete, with this block. */
  setEnded(at: BlockRef): void;
  /** Not wanted for now: holding the unit, doing nothing. */
  setPaused(paused: boolean): void;
  /** Reported with the unit; called when a report is made. */
  setDetails(details: () => Record<string, unknown>): void;
  standing(standing: Omit<Standing, "at">): void;
}

export interface SupervisorOptions {
  readonly node: string;
  readonly version: string;
  readonly stages: readonly string[];
  readonly units: readonly UnitSpec[];
  readonly control: Control;
  readonly world: World;
  readonly log: Log;
  readonly leaseTtlMs: number;
  /** Empties the output stream of a unit that was asked to replay. */
  readonly purge: (stream: string) => Promise<void>;
  /** Makes sure that the streams exist, before a unit opens them: one that was lost is made anew. */
  readonly prepare: () => Promise<void>;
}

const REPORT_EVERY_MS = 1_000;
/** Standings that do not move are told again after so long. */
const TELL_AGAIN_MS = 10_000;
const BACKOFF = { baseMs: 200, capMs: 15_000, floorMs: 100 };

export class Supervisor {
  private readonly o: SupervisorOptions;
  private readonly slots: UnitSlot[];
  private readonly startedAt: number;
  private nodes: NodeReport[] = [];

  constructor(options: SupervisorOptions) {
    this.o = options;
    this.startedAt = options.world.now();
    const lease: LeaseOptions = {
      bucket: options.control.leases(options.leaseTtlMs),
      node: options.node,
      ttlMs: options.leaseTtlMs,
      world: options.world,
      candidates: (unit) => this.candidates(unit),
    };
    this.slots = options.units.map((spec) => new UnitSlot(spec, new Lease(spec.name, lease), options));
  }

  /** Runs until `signal` aborts; then every unit ends its commit, gives up its lease and the node signs off. */
  async run(signal: AbortSignal): Promise<void> {
    await this.reportOnce();
    const reporting = this.report(signal);
    await Promise.all(this.slots.map((slot) => slot.keepRunning(signal)));
    await reporting;
    await this.o.control
      .retire(this.o.node)
      .catch((error) => this.o.log("debug", "could not sign off", { reason: describe(error) }));
  }

  /** True when every unit has failed for good: there is nothing left to do. */
  get allFailed(): boolean {
    return this.slots.length > 0 && this.slots.every((slot) => slot.state === "failed");
  }

  /** True when every unit of the pipeline, here or elsewhere, has seen the end of its bounded input. */
  get allEnded(): boolean {
    const running = this.nodes.flatMap((n) => n.units).filter((u) => u.state === "running");
    const reports = new Map(running.map((u) => [u.unit, u]));
    const needed = this.slots.filter((slot) => slot.stage !== "janitor").map((slot) => slot.name);
    // Wherever ingest runs, it knows best: after a range was extended, others may still hold the end of the former one.
    const sources = new Set(this.slots.map((slot) => slot.source));
    const ingest = running.filter((u) => u.stage === "ingest" && sources.has(u.source)).map((u) => u.unit);
    const ends = [...needed, ...ingest].map((name) => reports.get(name)?.endedAt ?? null);
    return ends.every((end) => end !== null && sameBlock(end, ends[0]!));
  }

  private candidates(unit: string): string[] {
    const alive = this.nodes
      .filter((n) => n.units.some((u) => u.unit === unit && u.state !== "failed"))
      .map((n) => n.node);
    return alive.includes(this.o.node) ? alive : [...alive, this.o.node];
  }

  private async report(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.reportOnce();
      // Batches live in native buffers, whose weight the collector feels too late.
      if (process.memoryUsage.rss() > LIMITS.collectAboveRssBytes) Bun.gc(true);
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
    } catch (error) {
      this.o.log("debug", "could not report", { reason: describe(error) });
    }
  }
}

class UnitSlot {
  state: UnitState = "waiting";
  private readonly spec: UnitSpec;
  private readonly lease: Lease;
  private readonly o: SupervisorOptions;
  private since: number;
  private metrics = newUnitMetrics();
  private errors: UnitError[] = [];
  private blocked = false;
  private endedAt: BlockRef | null = null;
  private details: () => Record<string, unknown> = () => ({});
  private standing: Standing | null = null;
  private standingTold: { readonly standing: Standing; readonly at: number } | null = null;
  /** Replays asked for since the last commit. */
  private rewinds = 0;
  private lastBusy = { at: 0, working: 0 };

  get name(): string {
    return this.spec.name;
  }

  get stage(): string {
    return this.spec.stage;
  }

  get source(): string {
    return this.spec.source;
  }

  constructor(spec: UnitSpec, lease: Lease, options: SupervisorOptions) {
    this.spec = spec;
    this.lease = lease;
    this.o = options;
    this.since = options.world.now();
  }

  async keepRunning(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; ) {
      if (this.state === "failed") {
        await this.untilAskedAgain(signal);
        continue;
      }
      const held = await this.lease.tryAcquire().catch(() => false);
      if (!held) {
        await this.pause(500, signal);
        continue;
      }
      const committedBefore = this.metrics.sentBatches;
      const error = await this.hold(signal);
      // A process that slept is no owner any more: where it stood and what it missed is of no interest.
      const owner = await this.lease.renew();
      if (owner) await this.publishStanding().catch(() => undefined);
      if (this.metrics.sentBatches > committedBefore) this.rewinds = 0;
      if (!signal.aborted && error !== null) await this.sort(error, owner);
      await this.lease.release();
      if (signal.aborted || error === null) continue;
      attempt = this.metrics.sentBatches > committedBefore ? 0 : attempt + 1;
      if (this.state === "backing-off") await this.pause(backoffMs(this.o.world, attempt, BACKOFF), signal);
    }
    if (this.state !== "failed") this.enter("stopped");
  }

  /** What failed for good is tried again only when somebody, having read why, asks for a start. */
  private async untilAskedAgain(signal: AbortSignal): Promise<void> {
    await this.pause(1_000, signal);
    const desired = await this.o.control.desired(this.spec.source).catch(() => null);
    if (desired?.running === true && desired.at > this.since) {
      this.o.log("info", "asked to start again", { unit: this.spec.name });
      this.enter("waiting");
    }
  }

  snapshot(): UnitReport {
    return {
      unit: this.spec.name,
      stage: this.spec.stage,
      source: this.spec.source,
      state: this.state,
      since: this.since,
      metrics: this.metrics,
      busy: this.busyShare(),
      blocked: this.blocked,
      ended: this.endedAt !== null,
      endedAt: this.endedAt,
      errors: this.errors,
      details: this.details(),
    };
  }

  /** Tells others where the output stands, when it has moved; now and then anyway, because what is told can be lost. */
  async publishStanding(): Promise<void> {
    const { standing, standingTold } = this;
    if (standing === null || !this.lease.held) return;
    const at = this.o.world.monotonic();
    if (standing === standingTold?.standing && at - standingTold.at < TELL_AGAIN_MS) return;
    await this.o.control.setStanding(this.spec.name, standing);
    this.standingTold = { standing, at };
  }

  /** Runs the unit while the lease lasts. Null: ended in peace (asked to stop, or handed over). */
  private async hold(signal: AbortSignal): Promise<SluiceError | null> {
    const stop = new AbortController();
    const onAbort = () => stop.abort(new Shutdown());
    signal.addEventListener("abort", onAbort, { once: true });
    // It may have been asked to stop while it waited for the lease.
    if (signal.aborted) onAbort();
    this.enter("running");
    this.endedAt = null;
    const watching = this.watch(stop);
    try {
      await this.o.prepare();
      await this.answerReplayRequest();
      await this.spec.run(this.context(stop.signal));
      return null;
    } catch (error) {
      return stop.signal.aborted && classify(error).kind !== "fatal" ? null : classify(error);
    } finally {
      stop.abort(new Shutdown());
      signal.removeEventListener("abort", onAbort);
      await watching;
      this.blocked = false;
      if (this.state === "running" || this.state === "paused") this.enter("waiting");
    }
  }

  /** Renews the lease; ends the unit when it is lost, when a better owner is there, or when a replay is asked of it. */
  private async watch(stop: AbortController): Promise<void> {
    const everyMs = this.o.leaseTtlMs / 4;
    while (!stop.signal.aborted) {
      await this.o.world.sleep(everyMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return;
      const kept = await this.lease.renew();
      const handOver = kept && !this.lease.isFirstInLine();
      const replay = kept && (await this.replayWanted());
      if (kept && !handOver && !replay) continue;
      if (!kept) this.o.log("warning", "the lease is lost", { unit: this.spec.name });
      else this.o.log("info", replay ? "asked to replay" : "handing over to a new node", { unit: this.spec.name });
      stop.abort(new Shutdown());
    }
  }

  private async replayWanted(): Promise<boolean> {
    if (this.spec.outputStream === null) return false;
    const request = await this.o.control.replayRequest(this.spec.outputStream).catch(() => null);
    return request !== null;
  }

  private async answerReplayRequest(): Promise<void> {
    const stream = this.spec.outputStream;
    if (stream === null) return;
    const request = await this.o.control.replayRequest(stream);
    if (request === null) return;
    this.o.log("warning", `replaying ${stream} for ${request.by}, which stands at ${formatBlock(request.from)}`);
    await this.o.purge(stream);
    await this.o.control.replayDone(stream);
  }

  private async sort(error: SluiceError, owner: boolean): Promise<void> {
    this.metrics.errors++;
    const entry: UnitError = {
      at: this.o.world.now(),
      code: error.code,
      message: error.message,
      ...(error.where === undefined ? {} : { where: error.where }),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
    this.errors = [...this.errors, entry].slice(-LIMITS.recentErrorsMax);
    const fields = { unit: this.spec.name, code: error.code, where: error.where, hint: error.hint };
    if (error.kind === "fatal" || error.kind === "poison") {
      this.enter("failed");
      this.o.log("error", error.message, {
        ...fields,
        stack: error.cause instanceof Error ? error.cause.stack : error.stack,
      });
      return;
    }
    this.enter("backing-off");
    if (error.kind === "rewind" && owner) await this.askForReplay();
    this.o.log(error.kind === "fenced" ? "info" : "warning", error.message, fields);
  }

  /**
   * Asks the producer of our input to replay it. When that was in vain, our own output is rebuilt as well: it may remember
   * too little of the chain to find its place in the input, and its consumers remember more.
   */
  private async askForReplay(): Promise<void> {
    this.rewinds++;
    const from = this.standing?.position ?? null;
    for (const stream of [this.spec.inputStream, this.rewinds > 1 ? this.spec.outputStream : null]) {
      if (stream !== null) await this.o.control.requestReplay(stream, this.spec.name, from).catch(() => undefined);
    }
  }

  private context(signal: AbortSignal): UnitContext {
    return {
      unit: this.spec.name,
      signal,
      metrics: this.metrics,
      log: (level, message, fields) => this.o.log(level, message, { unit: this.spec.name, ...fields }),
      setBlocked: (blocked) => {
        this.blocked = blocked;
      },
      setEnded: ({ slot, hash }) => {
        this.endedAt = { slot, hash };
      },
      setPaused: (paused) => this.enter(paused ? "paused" : "running"),
      setDetails: (details) => {
        this.details = details;
      },
      standing: (standing) => {
        // What moves on has not ended.
        this.endedAt = null;
        const first = this.standing === null;
        this.standing = { ...standing, at: this.o.world.now() };
        // Producers of empty streams wait for the first word of their consumers.
        if (first)
          this.publishStanding().catch((e) =>
            this.o.log("debug", "could not tell where we stand", { reason: describe(e) }),
          );
      },
    };
  }

  private enter(state: UnitState): void {
    if (this.state === state) return;
    this.state = state;
    this.since = this.o.world.now();
  }

  private busyShare(): number {
    const at = this.o.world.monotonic();
    const working = this.metrics.applyingMs + this.metrics.committingMs;
    const elapsed = at - this.lastBusy.at;
    const share = elapsed <= 0 ? 0 : (working - this.lastBusy.working) / elapsed;
    this.lastBusy = { at, working };
    return Math.max(0, Math.min(1, share));
  }

  private async pause(ms: number, signal: AbortSignal): Promise<void> {
    await this.o.world.sleep(ms, signal).catch(() => undefined);
  }
}
