/**
 * Makes hot stores anew: what is final comes from the lake, what came after it from the stream of events. The two meet
 * without a gap, because the stream is trimmed behind the archive: where the stream has moved on meanwhile, so has the
 * lake, and is read on. What the lake lacks even so (it is shipped later, or the streams are new), the stages replay.
 */
import { join } from "node:path";
import type { Deployment } from "../../pipeline/deployment.ts";
import { Rewind, Shutdown } from "../../pipeline/errors.ts";
import type { Log } from "../../pipeline/log.ts";
import { newUnitMetrics } from "../../pipeline/metrics.ts";
import { names } from "../../pipeline/names.ts";
import { sameBlock } from "../../pipeline/position.ts";
import { quarantine } from "../../pipeline/quarantine.ts";
import { type Reader, StreamReader } from "../../pipeline/reader.ts";
import { run } from "../../pipeline/runner.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { ShardStage } from "../../stages/shard/stage.ts";
import { eventDatasets } from "../../storage/hot/file.ts";
import { chainFiles, readChainRows } from "../../storage/lake/chain-rows.ts";
import { historyOf, type LakeHistory, LakeReader } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { LaneFile, mustBeOfModule } from "./lane-file.ts";
import { type LaneTarget, laneTarget } from "./lane-target.ts";

export interface RestoreProgress {
  readonly phase: "lake" | "stream";
  readonly fromSlot: number;
  readonly slot: number;
  readonly toSlot: number;
  readonly rows: number;
}

export interface RestoreOptions {
  readonly deployment: Deployment;
  readonly lake: ObjectStore;
  /** A folder of its own, on the file system of the hot stores. */
  readonly workDir: string;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly onProgress: (progress: RestoreProgress) => void;
}

/** How long the lake has to hold what the stream lacks already, while somebody archives. */
const LAKE_WAIT_MS = 30_000;
const LOOK_MS = 500;

export class Restore {
  private readonly o: RestoreOptions;
  private readonly reader: LakeReader;
  private readonly lanes: LaneFile[] = [];

  constructor(options: RestoreOptions) {
    this.o = options;
    this.reader = new LakeReader(options.lake);
  }

  private async look(): Promise<LakeHistory | null> {
    return historyOf(await this.reader.read(), this.o.deployment.source);
  }

  /** Begins the file of a lane: empty, or from a hot store of the lane. */
  async begin(lane: number, base: string | null): Promise<LaneFile> {
    const file = join(this.o.workDir, `lane-${lane}.sqlite`);
    const made = await LaneFile.begin(this.o.deployment, lane, file, base);
    this.lanes.push(made);
    return made;
  }

  /** Brings all files up to where the lake stands, with one reading of it. Null: it holds nothing of the source. */
  async loadLake(): Promise<LakeHistory | null> {
    const history = await this.look();
    if (history !== null) await this.load(this.lanes, history);
    return history;
  }

  /**
   * Brings a lane's file from where it stands to its target. Resolves to whether it can go on from the lane's stream; if
   * not, the stages replay what lies between when it is opened.
   */
  async approach(file: LaneFile): Promise<boolean> {
    const { world } = this.o.deployment;
    let deadline: number | null = null;
    for (;;) {
      const target = await laneTarget(this.o.deployment, file.lane);
      const result = await this.follow(file, target);
      await file.open();
      if (result !== "gap") return (file.position?.slot ?? -1) >= (target.streamFrom ?? -1);
      const history = await this.look();
      if (history !== null && history.position.slot > file.finalSlot) {
        await this.load([file], history);
        deadline = null;
        continue;
      }
      deadline ??= world.monotonic() + ((await this.isArchived()) ? LAKE_WAIT_MS : 0);
      if (world.monotonic() >= deadline) return false;
      await world.sleep(LOOK_MS, this.o.signal);
    }
  }

  async close(): Promise<void> {
    for (const file of this.lanes) await file.close();
  }

  private async load(lanes: readonly LaneFile[], history: LakeHistory): Promise<void> {
    const { deployment: d, lake: store, workDir, signal } = this.o;
    const behind = lanes.filter((file) => file.finalSlot < history.position.slot);
    if (behind.length === 0) return;
    for (const file of behind) {
      mustBeOfModule(file, history);
      await file.toFinal();
    }
    const fromSlot = Math.min(...behind.map((file) => file.position?.slot ?? history.firstSlot - 1));
    const shard = new ShardStage(d.config.lanes);
    const pieces = readChainRows({
      ...{ store, history, datasets: eventDatasets(d.catalog), aboveSlot: fromSlot, workDir },
      lanes: { count: d.config.lanes, wanted: behind.map((file) => file.lane) },
    });
    for await (const piece of pieces) {
      if (signal.aborted) throw new Shutdown();
      const parts = shard.apply(piece);
      for (const file of behind) await file.load(parts[file.lane]!, history);
      const rows = behind.reduce((sum, file) => sum + file.rows, 0);
      const slot = piece.blocks.at(-1)!.slot;
      this.o.onProgress({ phase: "lake", fromSlot, slot, toSlot: history.position.slot, rows });
    }
    for (const file of behind) await file.settle(history);
  }

  /** Applies what the stream of events has after the file's position, until it has come by the target, or to the stream's end. */
  private async follow(file: LaneFile, target: LaneTarget): Promise<"done" | "gap"> {
    const { deployment: d, signal, log, onProgress } = this.o;
    const n = names(d.config["nats.prefix"], d.source);
    const state = await d.broker.streamState(n.events.stream);
    const from = file.position;
    let ahead = target.blocks.filter((block) => !file.hasCome(block));
    if (state === null || state.messages === 0 || ahead.length === 0) return "done";
    const toSlot = Math.max(...ahead.map((block) => block.slot));
    const enough = new AbortController();
    const shard = new ShardStage(d.config.lanes);
    const stream = new StreamReader(d.broker, n.events.stream, n.events.subject, d.rowCodec);
    try {
      await run(
        {
          unit: n.unit("lane", file.lane),
          reader: upTo(stream, state.lastSeq, () => enough.abort(new Shutdown())),
          stage: { name: "rebuild", apply: (batch) => file.stage.apply(shard.apply(batch)[file.lane]!) },
          sink: file.sink,
          codec: d.rowCodec,
          world: d.world,
          metrics: newUnitMetrics(),
          log,
          quarantine: (item) => quarantine(d, item),
          onStanding: ({ position }) => {
            if (position === null) return;
            onProgress({ phase: "stream", fromSlot: from?.slot ?? -1, slot: position.slot, toSlot, rows: file.rows });
            ahead = ahead.filter((block) => !sameBlock(block, position));
            if (ahead.length === 0) enough.abort(new Shutdown());
          },
        },
        AbortSignal.any([signal, enough.signal]),
      );
    } catch (error) {
      if (error instanceof Rewind) return "gap";
      throw error;
    }
    if (signal.aborted) throw new Shutdown();
    return "done";
  }

  /** Whether anybody archives the source just now: then what waits for the bucket will soon be there. */
  private async isArchived(): Promise<boolean> {
    const { control, source } = this.o.deployment;
    const units = (await control.nodes()).flatMap((node) => node.units);
    return units.some((unit) => unit.stage === "archive" && unit.source === source && unit.state === "running");
  }
}

/** The reader's messages up to a sequence; then `end` is called, and nothing more comes. */
function upTo(reader: Reader<RowBatch>, lastSeq: number, end: () => void): Reader<RowBatch> {
  return {
    name: reader.name,
    async *read(head, seek, signal) {
      for await (const incoming of reader.read(head, seek, signal)) {
        yield incoming;
        if (incoming.seq >= lastSeq) break;
        // Messages that are here already come without waiting: leases are to be renewed meanwhile.
        await new Promise((resolve) => setImmediate(resolve));
      }
      end();
    },
  };
}

/** What a reading of the lake from a slot on would open. */
export function plannedFiles(d: Deployment, history: LakeHistory, aboveSlot: number) {
  const files = chainFiles({ history, datasets: eventDatasets(d.catalog), aboveSlot });
  const sum = (of: "rows" | "bytes") => files.reduce((total, file) => total + file[of], 0);
  return { files: files.length, rows: sum("rows"), bytes: sum("bytes") };
}
