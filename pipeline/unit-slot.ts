/**
 * One unit of this process: its lease, its runs, and what becomes of what they throw.
 *
 * | a unit throws | what happens |
 * |---|---|
 * | Transient | opened again after a jittered back-off |
 * | Fenced | its lease is given up; whoever holds it goes on |
 * | Rewind | the producer of its input is asked to replay; opened again meanwhile |
 * | Fatal | stopped and reported as failed, until it has got somewhere again; tried again after minutes, or when asked |
 *
 * What is fatal is checked before anything is written, so another look does no harm; but it may be a bad file, a wrong
 * token or a broken disk, which somebody has put right since, and nobody should have to restart a daemon for that.
 */
import type { Control, Standing, UnitError, UnitReport, UnitState } from "./control.ts";
import { classify, describe, Shutdown, type SluiceError, stackOf, Transient } from "./errors.ts";
import type { Lease } from "./leases.ts";
import { LIMITS } from "./limits.ts";
import type { Log } from "./log.ts";
import { newUnitMetrics } from "./metrics.ts";
import { type BlockRef, formatBlock } from "./position.ts";
import type { UnitContext, UnitSpec } from "./unit.ts";
import { backoffMs, type World } from "./world.ts";

export interface SlotOptions {
  readonly control: Control;
  readonly world: World;
  readonly log: Log;
  readonly leaseTtlMs: number;
  /** Empties the output stream of a unit that was asked to replay. */
  readonly purge: (stream: string) => Promise<void>;
  /** Makes sure that the streams exist, before a unit opens them: one that was lost is made anew. */
  readonly prepare: (spec: UnitSpec) => Promise<void>;
}

/** Standings that do not move are told again after so long. */
const TELL_AGAIN_MS = 10_000;
const BACKOFF = { baseMs: 200, capMs: 15_000, floorMs: 100 };
/** Between looks at what has failed: the first one soon, for what has passed by itself; then rarely. */
const LOOK_AGAIN = { baseMs: 15_000, capMs: 600_000 };
/** How long a run has to finish its commit and end. */
const OVERDUE_MS = 30_000;
/** Who has failed and then runs for so long without a commit has nothing to do, but works. */
const WORKS_AFTER_MS = 60_000;

export class UnitSlot {
  state: UnitState = "waiting";
  private readonly spec: UnitSpec;
  private readonly lease: Lease;
  private readonly o: SlotOptions;
  private since: number;
  private metrics = newUnitMetrics();
  private errors: UnitError[] = [];
  private blocked = false;
  private ended = false;
  private endedAt: BlockRef | null = null;
  private details: () => Record<string, unknown> = () => ({});
  private standing: Standing | null = null;
  private standingTold: { readonly standing: Standing; readonly at: number } | null = null;
  /** Replays asked for since the last commit. */
  private rewinds = 0;
  /** Times it has failed since it last got somewhere, and when to look again, monotonic ms; null: when asked. */
  private failures = 0;
  private lookAgainAt: number | null = null;
  /** Another look at what has failed: until it has got somewhere, it is shown as failed. */
  private onTrial = false;
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

  /** It has committed something in this process. */
  get hasWorked(): boolean {
    return this.metrics.sentBatches > 0;
  }

  /** It failed before it got anywhere, and again when it was looked at once more. */
  get standsStill(): boolean {
    return this.state === "failed" && !this.hasWorked && (this.failures > 1 || this.lookAgainAt === null);
  }

  constructor(spec: UnitSpec, lease: Lease, options: SlotOptions) {
    this.spec = spec;
    this.lease = lease;
    this.o = options;
    this.since = options.world.now();
  }

  async keepRunning(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; ) {
      if (this.state === "failed" && !(await this.isToLookAgain())) {
        await this.pause(1_000, signal);
        continue;
      }
      const held = await this.lease.tryAcquire().catch((error) => this.keptWaiting(classify(error)));
      if (!held) {
        // Whoever holds it does better than we did.
        if (this.state === "backing-off") this.enter("waiting");
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

  /** What has failed is looked at again after a while, and at once when somebody, having read why, asks for a start. */
  private async isToLookAgain(): Promise<boolean> {
    if (this.lookAgainAt !== null && this.o.world.monotonic() >= this.lookAgainAt) return true;
    const desired = await this.o.control.desired(this.spec.source).catch(() => null);
    if (desired?.running !== true || desired.at <= this.since) return false;
    this.o.log("info", "asked to start again", { unit: this.spec.name });
    this.failures = 0;
    this.enter("waiting");
    return true;
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
      ended: this.ended,
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
    this.onTrial = this.state === "failed";
    this.atWork();
    this.goesOn();
    const watching = this.watch(stop);
    const over = new AbortController();
    try {
      await Promise.race([this.work(stop.signal), this.overdue(stop.signal, over.signal)]);
      return null;
    } catch (error) {
      return stop.signal.aborted && classify(error).kind !== "fatal" ? null : classify(error);
    } finally {
      over.abort(new Shutdown());
      stop.abort(new Shutdown());
      signal.removeEventListener("abort", onAbort);
      await watching;
      this.blocked = false;
      if (this.state !== "failed" && this.state !== "backing-off") this.enter("waiting");
    }
  }

  private async work(signal: AbortSignal): Promise<void> {
    await this.o.prepare(this.spec);
    await this.answerReplayRequest();
    await this.spec.run(this.context(signal));
  }

  /**
   * Rejects when a run has not ended long after it was asked to. Nobody waits for it any more, and nobody has to stop it:
   * the next owner of its output has fenced it.
   */
  private async overdue(stop: AbortSignal, over: AbortSignal): Promise<never> {
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      stop.addEventListener("abort", () => resolve(), { once: true });
    });
    await this.o.world.sleep(OVERDUE_MS, over);
    const message = `was asked to end ${OVERDUE_MS / 1000} s ago and has not: going on without it`;
    this.o.log("warning", message, { unit: this.spec.name, code: "UNIT_HANGS" });
    throw new Transient("UNIT_HANGS", message);
  }

  /** Renews the lease; ends the unit when it is lost, when a better owner is there, or when a replay is asked of it. */
  private async watch(stop: AbortController): Promise<void> {
    const everyMs = this.o.leaseTtlMs / 4;
    const { sentBatches } = this.metrics;
    const since = this.o.world.monotonic();
    while (!stop.signal.aborted) {
      await this.o.world.sleep(everyMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return;
      const works = this.metrics.sentBatches > sentBatches || this.o.world.monotonic() - since > WORKS_AFTER_MS;
      if (works) this.recovered();
      const kept = await this.lease.renew();
      const handOver = kept && (!this.lease.isFirstInLine() || (await this.isClaimed()));
      const replay = kept && (await this.replayWanted());
      if (kept && !handOver && !replay) continue;
      if (!kept) this.o.log("warning", "the lease is lost", { unit: this.spec.name });
      else this.o.log("info", replay ? "asked to replay" : "handing over to another process", { unit: this.spec.name });
      // While it ends, others need not wait for us.
      if (this.state !== "failed") this.enter("stopped");
      stop.abort(new Shutdown());
    }
  }

  private isClaimed(): Promise<boolean> {
    return this.lease.isClaimed().catch(() => false);
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
    this.remember(error);
    const fields = { unit: this.spec.name, code: error.code, where: error.where, hint: error.hint };
    if (error.kind === "fatal" || error.kind === "poison") {
      this.fail(error);
      const stack = stackOf(error);
      this.o.log("error", error.message, { ...fields, ...(stack === undefined ? {} : { stack }) });
      return;
    }
    this.enter("backing-off");
    if (error.kind === "rewind" && owner) await this.askForReplay();
    this.o.log(error.kind === "fenced" ? "info" : "warning", error.message, fields);
  }

  /** The lease could not be asked for. Said once, for as long as it lasts. */
  private keptWaiting(error: SluiceError): false {
    if (error.code === this.errors.at(-1)?.code) return false;
    this.remember(error);
    const { code, hint } = error;
    this.o.log("warning", `waits for its lease: ${error.message}`, { unit: this.spec.name, code, hint });
    return false;
  }

  private remember({ code, message, where, hint }: SluiceError): void {
    this.metrics.errors++;
    const details = { ...(where === undefined ? {} : { where }), ...(hint === undefined ? {} : { hint }) };
    const text =
      message.length > LIMITS.errorCharactersMax ? `${message.slice(0, LIMITS.errorCharactersMax)}...` : message;
    const entry: UnitError = { at: this.o.world.now(), code, message: text, ...details };
    this.errors = [...this.errors, entry].slice(-LIMITS.recentErrorsMax);
  }

  private fail(error: SluiceError): void {
    const { world } = this.o;
    const ms = Math.min(LOOK_AGAIN.capMs, LOOK_AGAIN.baseMs * 2 ** Math.min(this.failures++, 30));
    // Several that fail together need not come back together.
    this.lookAgainAt = error.retry === "when asked" ? null : world.monotonic() + ms * (1 + world.random() / 4);
    this.enter("failed");
  }

  private recovered(): void {
    this.failures = 0;
    if (!this.onTrial) return;
    this.o.log("info", "works again", { unit: this.spec.name });
    this.onTrial = false;
    this.enter("running");
  }

  private goesOn(): void {
    this.ended = false;
    this.endedAt = null;
  }

  private atWork(): void {
    if (!this.onTrial) this.enter("running");
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
      setEnded: (at) => {
        this.ended = true;
        this.endedAt = at === null ? null : { slot: at.slot, hash: at.hash };
      },
      setPaused: (paused) => {
        if (!paused) return this.atWork();
        this.onTrial = false;
        this.enter("paused");
      },
      setDetails: (details) => {
        this.details = details;
      },
      standing: (standing) => {
        // What moves on has not ended.
        this.goesOn();
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
