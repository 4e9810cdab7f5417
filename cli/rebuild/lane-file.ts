/**
 * A lane's hot store while it is made anew, beside the one in use: begun empty or from a copy, filled from the lake with
 * what is final, brought on from the stream, and put in place when it is whole.
 */
import type { Deployment } from "../../pipeline/deployment.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { type BlockRef, formatBlock, type Position, sameBlock } from "../../pipeline/position.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { LaneStage } from "../../stages/sync/lane-stage.ts";
import { copyHotStore } from "../../storage/hot/backup.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { HotStore } from "../../storage/hot/store.ts";
import { swapHotStore } from "../../storage/hot/swap.ts";
import type { LakeHistory } from "../../storage/lake/reader.ts";
import type { Head, Sink } from "../../storage/sink.ts";

/** Rows loaded between looks for old ones, and rows deleted in one transaction. */
const EXPIRE_EVERY_ROWS = 200_000;
const EXPIRED_AT_ONCE = 50_000;

export class LaneFile {
  readonly lane: number;
  /** Rows of events appended from the lake. */
  rows = 0;
  readonly store: HotStore;
  readonly stage: LaneStage;
  private readonly d: Deployment;
  /** Rows loaded when old ones went last. */
  private expiredAt = 0;
  private head: Head | null = null;

  private constructor(d: Deployment, lane: number, file: string) {
    this.d = d;
    this.lane = lane;
    // Without an encoder: what was told to the live feed before is not told again.
    this.store = new HotStore({ file, lane: { lane, lanes: d.config.lanes }, catalog: d.catalog });
    this.stage = new LaneStage(this.store.state, d.effects);
  }

  /** `base`: a hot store of the lane to begin from; null: empty. Throws `Fatal` REBUILD_BASE when it is of something else. */
  static async begin(d: Deployment, lane: number, file: string, base: string | null): Promise<LaneFile> {
    if (base !== null) {
      copyHotStore(base, file);
      mustBeOfLane(file, base, lane, d.config.lanes);
    }
    const made = new LaneFile(d, lane, file);
    await made.open();
    return made;
  }

  get position(): Position | null {
    return this.head?.position ?? null;
  }

  /** Up to here it holds what is final; -1: nothing. */
  get finalSlot(): number {
    return this.head === null ? -1 : (this.finalBlock()?.slot ?? -1);
  }

  /** Whether a block was come by, as far as is remembered; what is not above the last final block was, or was taken back. */
  hasCome(block: BlockRef): boolean {
    return block.slot <= this.finalSlot || this.head?.recent.some((held) => sameBlock(held, block)) === true;
  }

  async open(): Promise<void> {
    this.head = await this.store.open();
  }

  async close(): Promise<void> {
    await this.store.close();
  }

  /** Takes back what is not final: the lake may know another fork. */
  async toFinal(): Promise<void> {
    const { head } = this;
    const base = this.finalBlock();
    if (head === null || base === undefined || base.slot === head.position.slot) return;
    const next = { ...base, cursor: "", moduleHash: head.position.moduleHash };
    const { finalSlot, position: prev } = head;
    await this.store.rollback({ prev, next, finalSlot, blocks: [], inputSeq: 0 });
    this.head = { ...head, position: next };
  }

  /** Applies rows of final blocks that the lake holds; those it has are left out. */
  async load(piece: RowBatch, { position: lake }: LakeHistory): Promise<void> {
    const prev = this.position;
    const isNew = prev === null || (piece.blocks[0]?.slot ?? 0) > prev.slot;
    const batch = isNew ? piece : this.d.rowCodec.above(piece, prev.slot);
    const last = batch.blocks.at(-1);
    if (last === undefined) return;
    const next = { slot: last.slot, hash: last.hash, cursor: last.cursor, moduleHash: lake.moduleHash };
    const out = this.stage.apply(batch);
    await this.store.commit({ prev, next, finalSlot: lake.slot, blocks: batch.blocks, inputSeq: 0 }, out);
    for (const table of batch.tables.values()) this.rows += table.length;
    if (this.rows - this.expiredAt > EXPIRE_EVERY_ROWS) this.expireOld();
    this.head = { position: next, finalSlot: lake.slot, recent: [], inputSeq: 0 };
  }

  /** Everything that the lake holds was loaded: stands where the lake does. */
  async settle({ position, recent, time }: LakeHistory): Promise<void> {
    const step = { prev: this.position, next: position, finalSlot: position.slot, blocks: recent, inputSeq: 0 };
    await this.store.settle(step, time);
    this.expireOld();
    this.head = { position, finalSlot: position.slot, recent, inputSeq: 0 };
  }

  /** The store as a sink that forgets where its input was: it will read from another stream. */
  get sink(): Sink<RowBatch> {
    const { store } = this;
    return {
      name: store.name,
      open: () => store.open(),
      commit: (step, out) => store.commit({ ...step, inputSeq: 0 }, out),
      rollback: (step) => store.rollback({ ...step, inputSeq: 0 }),
      close: () => store.close(),
    };
  }

  /** Puts it in the place of `file`. `version`: the last one that the live feed has heard of. */
  async putInPlace(file: string, version: number): Promise<Head | null> {
    await this.open();
    await this.store.skipVersions(version);
    await this.close();
    swapHotStore(this.store.name, file);
    return this.head;
  }

  /** What is old enough to be in the lake alone goes at once, so that the file is no larger than it will be. */
  private expireOld(): void {
    const { "retention.hotDays": days, "retention.dryRun": isDryRun } = this.d.config;
    this.expiredAt = this.rows;
    if (days === 0 || isDryRun) return;
    const { before, rows } = this.store.aged(days * 86_400);
    if (rows > 0) while (this.store.expire(before, EXPIRED_AT_ONCE) > 0);
  }

  private finalBlock() {
    const { head } = this;
    return head?.recent.findLast((block) => block.slot <= head.finalSlot);
  }
}

/** A store of another lane, or of another number of lanes, would be taken for this one without a word. */
function mustBeOfLane(file: string, base: string, lane: number, lanes: number): void {
  const reader = new HotReader(file);
  try {
    const own = reader.lane();
    if (own.lane === lane && own.lanes === lanes) return;
    throw new Fatal(
      "REBUILD_BASE",
      `it is lane ${own.lane} of ${own.lanes}, and is to become lane ${lane} of ${lanes}`,
      {
        where: base,
        hint: "Name a backup of this deployment, with the number of lanes it has now; or rebuild without one.",
      },
    );
  } finally {
    reader.close();
  }
}

/** Throws `Fatal` REBUILD_BASE when the lake goes on with other data than the store was made from. */
export function mustBeOfModule({ position }: LaneFile, lake: LakeHistory): void {
  if (position === null || position.moduleHash === lake.position.moduleHash) return;
  const [a, b] = [position.moduleHash.slice(0, 12), lake.position.moduleHash.slice(0, 12)];
  throw new Fatal("REBUILD_BASE", `it was made by the module ${a}, the lake by ${b}, at ${formatBlock(position)}`, {
    hint: "Name a backup of this deployment; or rebuild without one.",
  });
}
