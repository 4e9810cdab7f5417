/**
 * For tests of the API: a simulated market in hot stores and a lake, put there by the real stages, and the simulator's own
 * truth about it, line by line.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../pipeline/config.ts";
import { silentLog } from "../../pipeline/log.ts";
import type { BlockMeta, Position } from "../../pipeline/position.ts";
import { expireOld, keepHotShort } from "../../pipeline/retention.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { systemWorld, type World } from "../../pipeline/world.ts";
import { simulate, type Truth } from "../../simulator/index.ts";
import { type ReadBlock, readMessage } from "../../simulator/naive-reader.ts";
import { ArchiveStage } from "../../stages/archive/stage.ts";
import { SPINPET } from "../../stages/decode/programs/spinpet.ts";
import { DecodeStage } from "../../stages/decode/stage.ts";
import { ShardStage } from "../../stages/shard/stage.ts";
import { LaneStage } from "../../stages/sync/lane-stage.ts";
import { SPINPET_EFFECTS } from "../../stages/sync/spinpet.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotStore } from "../../storage/hot/store.ts";
import { FolderStore } from "../../storage/lake/folder-store.ts";
import { LakeProof } from "../../storage/lake/proof.ts";
import { LakeSink } from "../../storage/lake/sink.ts";

export interface MarketOptions {
  readonly seed: number;
  readonly blocks: number;
  readonly lanes: number;
  /**
   * The hot stores begin with this block, as those of a deployment that began in the middle of the chain do; what lies
   * before is in the lake alone. Then there are no forks.
   */
  readonly hotFrom?: number;
  /** Length of a slot, ms. Default: the chain's own. */
  readonly slotMs?: number;
  /** Block time that a file of the lake holds, seconds. Default a minute. */
  readonly rollSeconds?: number;
}

const BATCH_BLOCKS = 5;
export const SOURCE = "main";

interface Lane {
  readonly store: HotStore;
  readonly stage: LaneStage;
}

export class Market {
  readonly folder: string;
  readonly lanes: number;
  readonly lake: FolderStore;
  truth!: Truth;
  private readonly decode = new DecodeStage({ programs: [SPINPET] });
  private readonly shard: ShardStage;
  private readonly archive: ArchiveStage;
  private readonly open: Lane[] = [];
  private sink!: LakeSink;
  private prev: Position | null = null;
  private lakeAt: Position | null = null;
  private finalSlot = 0;

  private blocks = 0;
  private isHot = false;

  private constructor(folder: string, { lanes, rollSeconds = 60 }: MarketOptions) {
    this.folder = folder;
    this.lanes = lanes;
    this.archive = new ArchiveStage({ seconds: rollSeconds });
    this.lake = new FolderStore(join(folder, "lake"));
    this.shard = new ShardStage(lanes);
  }

  static async make(options: MarketOptions): Promise<Market> {
    const { seed, blocks, hotFrom = 0, slotMs } = options;
    const market = new Market(await mkdtemp(join(tmpdir(), "sluice-api-")), options);
    await market.begin();
    const rates = hotFrom === 0 ? {} : { undo: 0 };
    const slots = slotMs === undefined ? {} : { slotMs };
    const messages = simulate({ seed, blocks, output: "transactions", truth: "lines", rates, ...slots });
    let batch: ReadBlock[] = [];
    for (let next = messages.next(); ; next = messages.next()) {
      const message = next.done === true ? null : readMessage(next.value);
      if (message !== null && "block" in message) batch.push(message.block);
      if (batch.length > 0 && (message === null || "undo" in message || batch.length >= BATCH_BLOCKS)) {
        await market.data(batch, hotFrom);
        batch = [];
      }
      if (message !== null && "undo" in message) await market.undo(message.undo);
      if (next.done === true) {
        market.truth = next.value!;
        return market;
      }
    }
  }

  /** Lets events below a slot age out of the hot stores, as they do once the lake has them. */
  expire(slot: number): void {
    for (const { store } of this.open) while (store.expire(slot, 1_000) > 0);
  }

  /** Applies the rule for events to every lane, as the lanes' owners do; returns why something old has to stay. */
  async retain(seconds: number, dryRun = false): Promise<string | null> {
    const proof = new LakeProof(this.lake, SOURCE);
    const rule = { lake: async () => proof, days: seconds / 86_400, dryRun, world: systemWorld, log: silentLog };
    let lacking: string | null = null;
    for (const { store } of this.open) {
      lacking = (await expireOld({ ...rule, store }, new AbortController().signal)) ?? lacking;
    }
    return lacking;
  }

  /** Keeps the lanes short as their owners do, with the settings' defaults, on a clock that the test moves; until `signal` aborts. */
  async keepShort(sleep: World["sleep"], signal: AbortSignal): Promise<void> {
    const proof = new LakeProof(this.lake, SOURCE);
    const { "retention.hotDays": days, "retention.candles": candles, "retention.dryRun": dryRun } = loadConfig().values;
    const rule = { lake: async () => proof, days, candles, dryRun, world: { sleep }, log: silentLog };
    await Promise.all(this.open.map(({ store }) => keepHotShort({ ...rule, store }, signal)));
  }

  /** Lets candles that begin before a time (Unix seconds) age out of the hot stores. */
  expireCandles(interval: number, time: number): void {
    for (const { store } of this.open) while (store.expireCandles(interval, time, 1_000) > 0);
  }

  /** Up to where the lake has come. */
  get lakeSlot(): number {
    return this.lakeAt?.slot ?? -1;
  }

  async dispose(): Promise<void> {
    for (const { store } of this.open) await store.close();
    await this.sink.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async begin(): Promise<void> {
    const { catalog } = this.decode;
    for (let lane = 0; lane < this.lanes; lane++) {
      const store = new HotStore({ file: laneFile(this.folder, lane), lane: { lane, lanes: this.lanes }, catalog });
      await store.open();
      this.open.push({ store, stage: new LaneStage(store.state, SPINPET_EFFECTS) });
    }
    this.sink = new LakeSink({
      store: this.lake,
      workDir: join(this.folder, "work"),
      lineage: { kind: "live", source: SOURCE, dataset: "all", start: null, stop: null },
      datasets: [...catalog.values()],
      package: "market",
    });
    await this.sink.open();
  }

  private async data(read: readonly ReadBlock[], hotFrom: number): Promise<void> {
    const blocks = read.map(({ slot, hash, cursor, time, finalHeight }): BlockMeta => {
      return { slot, hash, cursor, time, finalSlot: finalHeight };
    });
    const payloads = read.map(({ output }) => output?.value ?? new Uint8Array(0));
    const typeName =
      read.find(({ output }) => output !== null)?.output?.typeName ?? "sf.substreams.solana.v1.Transactions";
    const rows = this.decode.apply({ blocks, payloads, typeName });
    this.finalSlot = Math.max(this.finalSlot, ...blocks.map((b) => b.finalSlot));
    const step = { ...this.step(blocks.at(-1)!), blocks };
    if (this.blocks >= hotFrom) {
      const parts = this.shard.apply(rows);
      const own = this.isHot ? step : { ...step, prev: null };
      for (const [i, { store, stage }] of this.open.entries()) await store.commit(own, stage.apply(parts[i]!));
      this.isHot = true;
    }
    this.blocks += blocks.length;
    await this.archiveRows(rows);
    this.prev = step.next;
  }

  private async archiveRows(rows: RowBatch): Promise<void> {
    const roll = this.archive.apply(rows);
    if (roll === null) return;
    const { slot, hash, cursor } = roll.segments.at(-1)!.last;
    const next = { slot, hash, cursor, moduleHash: "m" };
    const step = { prev: this.lakeAt, next, finalSlot: this.finalSlot, blocks: [{ slot, hash }], inputSeq: 0 };
    await this.sink.commit(step, roll);
    this.lakeAt = next;
  }

  private async undo(to: { slot: number; hash: string; cursor: string }): Promise<void> {
    if (this.prev === null) return;
    const step = { ...this.step(to), blocks: [] };
    for (const { store } of this.open) await store.rollback(step);
    this.archive.undo(step.next);
    this.prev = step.next;
  }

  private step({ slot, hash, cursor }: { slot: number; hash: string; cursor: string }) {
    return { prev: this.prev, next: { slot, hash, cursor, moduleHash: "m" }, finalSlot: this.finalSlot, inputSeq: 0 };
  }
}
