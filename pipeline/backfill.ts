/**
 * Backfill: history straight to the lake. A segment is a range of slots that one stream fills, with the stages of the
 * pipeline in one process and nothing in between:
 *
 *   Substreams (final blocks) -> [decode] -> [archive] -> lake, in a lineage of the segment's own
 *
 * Where a segment stands is read back from the lake, as everywhere; killed at any moment, it goes on from there. Segments
 * are filled in the order of slots, several at a time.
 */
import { ArchiveStage } from "../stages/archive/stage.ts";
import type { DecodeStage } from "../stages/decode/stage.ts";
import { then } from "../stages/then.ts";
import { backfillLineage, type Segment } from "../storage/lake/history.ts";
import type { LakeSink } from "../storage/lake/sink.ts";
import type { Alarm, ToldAlarms } from "./alarm.ts";
import { AlarmTeller } from "./alarm-teller.ts";
import type { Config } from "./config.ts";
import type { Deployment } from "./deployment.ts";
import { classify, Shutdown, Transient } from "./errors.ts";
import { moduleHashCheck, SourceReader } from "./ingest.ts";
import type { Log } from "./log.ts";
import { newUnitMetrics, type UnitMetrics } from "./metrics.ts";
import { paidSource } from "./paid-source.ts";
import type { Position } from "./position.ts";
import { quarantine } from "./quarantine.ts";
import { run } from "./runner.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import type { SourceStatus } from "./source/status.ts";
import { together } from "./together.ts";
import { decodeStage } from "./topology.ts";
import type { BlockBatch, RowBatch } from "./wire/batch.ts";
import { blockCodec } from "./wire/message.ts";
import type { Roll } from "./wire/roll.ts";
import { backoffMs, type World } from "./world.ts";

export interface BackfillOptions {
  readonly deployment: Deployment;
  readonly segments: readonly Segment[];
  /** Streams at a time. */
  readonly streams: number;
  /** Jobs of the provider for each stream. */
  readonly jobs: number;
  /** The provider refuses a request that would make it process more blocks; 0: no limit. */
  readonly limitBlocks: number;
  readonly log: Log;
}

export interface BackfillProgress {
  readonly segments: number;
  readonly segmentsDone: number;
  /** Slots that were missing, and those of them that are read. */
  readonly slots: number;
  readonly slotsRead: number;
  readonly blocks: number;
  /** Uncompressed, from the provider. */
  readonly receivedBytes: number;
  /** Committed. */
  readonly rows: number;
  readonly files: number;
  readonly fileBytes: number;
  /** Why nothing comes, where a stream says so: it waits for one to be free, or for its endpoint. */
  readonly trouble: string | null;
  /** Of the decoders, each where it was first raised, in the order of slots. */
  readonly alarms: readonly Alarm[];
}

/** How often in a row a segment is tried without getting anywhere. */
const ATTEMPTS_MAX = 10;
const BACKOFF = { baseMs: 500, capMs: 30_000, floorMs: 100 };
/** How long a commit may take, when asked to stop. */
const LEAVE_WITHIN_MS = 10_000;

/** One try at a segment, and what it counts. */
interface Attempt {
  readonly metrics: UnitMetrics;
  readonly status: SourceStatus;
  readonly range: RangeSource;
  readonly sink: LakeSink;
}

/** A segment, and what the tries before the present one have counted. */
class Filling {
  readonly segment: Segment;
  done = false;
  now: Attempt | null = null;
  private before = { blocks: 0, receivedBytes: 0, rows: 0, files: 0, fileBytes: 0 };

  constructor(segment: Segment) {
    this.segment = segment;
  }

  /** Slots read, of those that were missing. */
  get slotsRead(): number {
    const { from, stop } = this.segment;
    if (this.done) return stop - from;
    return Math.max(0, (this.now?.range.slot ?? from - 1) - from + 1);
  }

  get counts() {
    if (this.now === null) return this.before;
    const { status, sink } = this.now;
    const { rows, files, bytes } = sink.stats();
    const { before } = this;
    return {
      blocks: before.blocks + status.blocks,
      receivedBytes: before.receivedBytes + status.receivedBytes,
      rows: before.rows + rows,
      files: before.files + files,
      fileBytes: before.fileBytes + bytes,
    };
  }

  settle(): void {
    this.before = this.counts;
    this.now = null;
  }
}

export class Backfill {
  private readonly o: BackfillOptions;
  private readonly fillings: readonly Filling[];
  private readonly alarms = new Map<string, Alarm>();

  constructor(options: BackfillOptions) {
    this.o = options;
    this.fillings = options.segments.map((segment) => new Filling(segment));
  }

  /**
   * Resolves when all segments are complete, or `signal` has aborted: then what was gathered is committed first. Rejects
   * with the first error that trying again does not help; the other streams are stopped in the same way.
   */
  async run(signal: AbortSignal): Promise<void> {
    const queue = [...this.fillings];
    const failures: unknown[] = [];
    const failed = new AbortController();
    const stopped = AbortSignal.any([signal, failed.signal]);
    const work = async () => {
      for (let next = queue.shift(); next !== undefined && !stopped.aborted; next = queue.shift()) {
        await this.fill(next, stopped);
      }
    };
    const stream = () =>
      work().catch((error) => {
        failures.push(error);
        failed.abort(new Shutdown());
      });
    await Promise.all(Array.from({ length: this.o.streams }, stream));
    if (failures.length > 0) throw failures[0];
  }

  progress(): BackfillProgress {
    const counts = this.fillings.map((filling) => filling.counts);
    const sum = (name: keyof (typeof counts)[number]) => counts.reduce((total, c) => total + c[name], 0);
    const waiting = this.fillings.map(({ now }) => now?.status).find((s) => s !== undefined && TROUBLE.has(s.state));
    return {
      segments: this.fillings.length,
      segmentsDone: this.fillings.filter(({ done }) => done).length,
      slots: this.fillings.reduce((total, { segment }) => total + segment.stop - segment.from, 0),
      slotsRead: this.fillings.reduce((total, { slotsRead }) => total + slotsRead, 0),
      blocks: sum("blocks"),
      receivedBytes: sum("receivedBytes"),
      rows: sum("rows"),
      files: sum("files"),
      fileBytes: sum("fileBytes"),
      trouble: waiting?.lastError ?? null,
      alarms: [...this.alarms.values()].sort((a, b) => a.slot - b.slot),
    };
  }

  private async fill(filling: Filling, signal: AbortSignal): Promise<void> {
    const { world } = this.o.deployment;
    for (let attempt = 0; !filling.done && !signal.aborted; ) {
      try {
        await this.attempt(filling, signal);
      } catch (error) {
        const failure = classify(error);
        attempt = (filling.now?.metrics.sentBatches ?? 0) > 0 ? 0 : attempt + 1;
        if (!(failure instanceof Transient) || attempt >= ATTEMPTS_MAX) throw failure;
        const { start, stop } = filling.segment;
        this.o.log("warning", `segment ${start}-${stop} is tried again: ${failure.message}`, { code: failure.code });
        await world.sleep(backoffMs(world, attempt, BACKOFF), signal).catch(() => undefined);
      } finally {
        filling.settle();
      }
    }
  }

  private async attempt(filling: Filling, signal: AbortSignal): Promise<void> {
    const { deployment: d, log } = this.o;
    const { start, stop } = filling.segment;
    const source = await d.openSource(log, this.settingsOf(filling.segment));
    const archive = new ArchiveStage(d.rollLimits);
    const { sink, shipping } = await d.openLake(log, backfillLineage(d.source, start, stop));
    const metrics = newUnitMetrics();
    const unit = `backfill.${d.source}.${start}`;
    const ended = new AbortController();
    const end = () => ended.abort(new Shutdown());
    const range = new RangeSource(paidSource(d, source, unit, log), signal);
    filling.now = { metrics, status: source.status, range, sink };
    const decode = decodeStage(d);
    const teller = this.alarmTeller(decode.watch);
    const beside = [(until: AbortSignal) => teller.run(until)];
    if (shipping !== null) beside.push((until) => shipping.ship(until));
    await together(overdue(signal, d.world), beside, async (until) => {
      await run(
        {
          ...{ unit, world: d.world, metrics, log, codec: blockCodec, sink, onEnd: end },
          stage: then<BlockBatch, RowBatch, Roll>(decode, archive),
          reader: new SourceReader(range, this.batchLimits(), this.moduleCheck(source.moduleHash), end),
          quarantine: (item) => quarantine(d, item),
        },
        AbortSignal.any([until, ended.signal]),
      );
      if (range.failure !== null) throw range.failure;
      if (!range.complete) return;
      await sink.open();
      await sink.closeRange(source.moduleHash).finally(() => sink.close());
      filling.done = true;
    });
    if (filling.done) await shipping?.remove();
  }

  /** In the log, and for who asks: what was told of the live chain, and its webhook, are not the history's business. */
  private alarmTeller(watch: DecodeStage["watch"]): AlarmTeller {
    const { deployment: d, log } = this.o;
    const keep = async (told: ToldAlarms) => {
      for (const alarm of Object.values(told)) {
        const known = this.alarms.get(alarm.id);
        if (known === undefined || alarm.slot < known.slot) this.alarms.set(alarm.id, alarm);
      }
    };
    return new AlarmTeller({
      ...{ source: d.source, watch, webhook: null, world: d.world, log },
      read: async () => null,
      write: keep,
    });
  }

  /** Final blocks only: there is nothing to be taken back. */
  private settingsOf({ start, stop }: Segment): Partial<Config> {
    return {
      "source.startBlock": String(start),
      "source.stopBlock": String(stop),
      "source.finalBlocksOnly": "true",
      "source.parallelJobs": this.o.jobs,
      "source.limitProcessedBlocks": this.o.limitBlocks,
    };
  }

  private batchLimits() {
    const { config } = this.o.deployment;
    return { maxBlocks: config["batch.maxBlocks"], maxBytes: config["batch.maxBytes"] };
  }

  private moduleCheck(hash: string) {
    const policy = this.o.deployment.config["source.moduleHashPolicy"];
    return moduleHashCheck(policy, hash, (message) => this.o.log("warning", message));
  }
}

const TROUBLE: ReadonlySet<string> = new Set(["waiting", "backing-off"]);

/**
 * A range to the runner: it ends whenever its source does, be it complete, stopped or broken, so that what came is committed.
 * It was paid for.
 */
class RangeSource implements Source {
  readonly name: string;
  readonly moduleHash: string;
  /** Of the last block that came; -1 before. */
  slot = -1;
  complete = false;
  /** What has ended it before it was complete; null: nothing, or it was stopped. */
  failure: unknown = null;
  private readonly source: Source;
  private readonly stop: AbortSignal;

  constructor(source: Source, stop: AbortSignal) {
    this.source = source;
    this.name = source.name;
    this.moduleHash = source.moduleHash;
    this.stop = stop;
  }

  async *blocks(from: Position | null, signal: AbortSignal): AsyncGenerator<BlockSignal> {
    try {
      for await (const item of this.source.blocks(from, AbortSignal.any([signal, this.stop]))) {
        if (item.kind === "end") {
          this.complete = true;
          break;
        }
        if (item.kind === "block") this.slot = item.block.slot;
        yield item;
      }
    } catch (error) {
      this.failure = error;
    }
    yield { kind: "end" };
  }
}

/** Aborts a while after `signal` has: what then still waits, as for a bucket that is away, waits for the next time. */
function overdue(signal: AbortSignal, world: World): AbortSignal {
  const late = new AbortController();
  const begin = () => void world.sleep(LEAVE_WITHIN_MS).then(() => late.abort(new Shutdown()));
  if (signal.aborted) begin();
  else signal.addEventListener("abort", begin, { once: true });
  return late.signal;
}
