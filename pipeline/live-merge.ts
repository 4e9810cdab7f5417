/**
 * The lanes' parts of the LIVE stream as one chain of blocks. A block is told when all lanes have told it, an undo when
 * all lanes have made it: so there is one order, one position and one undo for everybody, however many lanes there are.
 * Pure: messages in, steps out.
 *
 * Lanes get the same batches, so their steps are the same and are simply matched. Where they differ (one lane has never
 * seen a fork, because its input was rebuilt) the shortest way to where each lane stands is matched instead. When that
 * does not help either, or a lane has a hole, the chain is taken up again at the next block that all have, and the hole
 * is told.
 */
import { type FeedStart, LaneSteps, type LiveCommit, shortened } from "./live-lane.ts";
import { type BlockRef, sameBlock } from "./position.ts";
import type { DatasetCatalog } from "./wire/batch.ts";
import type { Message } from "./wire/message.ts";

/** Steps of a lane that wait for the other lanes; it is not read further meanwhile. */
const WAITING_MAX = 256;

/** `commits`: what the lanes told of it, in the order of lanes. */
export type FeedStep =
  | {
      readonly kind: "block";
      readonly block: BlockRef;
      /** Block time, Unix seconds; of several blocks committed together, that of the last. */
      readonly time: number;
      readonly finalSlot: number;
      readonly commits: readonly LiveCommit[];
    }
  | {
      readonly kind: "undo";
      readonly from: BlockRef | null;
      readonly to: BlockRef;
      readonly finalSlot: number;
      readonly commits: readonly LiveCommit[];
    }
  /** What was between the two was not told. */
  | { readonly kind: "gap"; readonly from: BlockRef | null; readonly to: BlockRef | null; readonly finalSlot: number };

export class LiveMerge {
  private readonly lanes: readonly LaneSteps[];
  /** The last block told; undefined before the lanes have found a block that all have. */
  private told: BlockRef | null | undefined;
  private aligned = false;
  /** Whether it was said where to begin. */
  private readonly isPlaced: boolean;

  /** Without `start`, it begins behind the oldest block that all lanes have. `told`: a hole after this block is told. */
  constructor(lanes: number, catalog: DatasetCatalog, start: FeedStart | null = null, told?: BlockRef | null) {
    this.lanes = Array.from({ length: lanes }, () => new LaneSteps(catalog, start));
    this.told = told;
    this.isPlaced = start !== null;
  }

  /** Where the feed stands; undefined before it has begun. */
  get head(): BlockRef | null | undefined {
    return this.aligned ? this.told : undefined;
  }

  /** Whether the lane has begun: always, but for one that looks for a block to begin behind. */
  hasBegun(lane: number): boolean {
    return this.lanes[lane]!.base !== undefined;
  }

  /** Whether the lane should be read further. */
  hasRoom(lane: number): boolean {
    const { isReady, steps } = this.lanes[lane]!;
    return !isReady || steps.length < WAITING_MAX;
  }

  /** Takes a lane's next message, and gives what can be told now. `newest`: nothing was stored behind it when it was read. */
  *add(lane: number, message: Message, newest: boolean): Generator<FeedStep> {
    if (this.lanes[lane]!.add(message, newest) === "gap") this.aligned = false;
    for (;;) {
      const step = this.aligned ? this.next() : this.align();
      if (step === null) return;
      if (step !== "found") yield step;
    }
  }

  private next(): FeedStep | "found" | null {
    const step = this.matched();
    if (step !== null) return step;
    if (this.lanes.some(({ steps }) => steps.length === 0)) return null;
    let shorter = false;
    for (const lane of this.lanes) {
      const steps = shortened(lane.steps, lane.base!);
      shorter ||= steps.length < lane.steps.length;
      lane.steps = steps;
    }
    if (shorter) return this.matched();
    // All lanes are full of different things: no more of the same kind will make them agree.
    if (this.lanes.every((_, lane) => !this.hasRoom(lane))) this.aligned = false;
    return this.aligned ? null : this.align();
  }

  /** The step that all lanes have first, taken. */
  private matched(): FeedStep | null {
    const firsts = this.lanes.flatMap(({ steps }) => steps.slice(0, 1));
    const [first] = firsts;
    if (first === undefined || firsts.length < this.lanes.length) return null;
    const from = this.told!;
    if (first.kind === "block") {
      const same = firsts.flatMap((s) => (s.kind === "block" && sameBlock(s.block, first.block) ? [s.commit] : []));
      if (same.length < firsts.length) return null;
      this.take(first.block);
      return { kind: "block", block: first.block, time: first.time, finalSlot: this.finalSlot(), commits: same };
    }
    const same = firsts.filter((s) => s.kind === "undo" && sameBlock(s.to, first.to));
    if (same.length < firsts.length) return null;
    this.take(first.to);
    const commits = same.flatMap((s) => (s.kind === "undo" ? s.commits : []));
    return { kind: "undo", from, to: first.to, finalSlot: this.finalSlot(), commits };
  }

  private take(head: BlockRef): void {
    for (const lane of this.lanes) lane.take();
    this.told = head;
  }

  /** Begins behind the oldest block that all lanes have. */
  private align(): FeedStep | "found" | null {
    if (!this.lanes.every(({ isReady }) => isReady)) return null;
    const bases = this.lanes.map(({ base }) => base);
    // Who begins behind a block must hear of it when that block is taken back.
    if (this.told === undefined && this.isPlaced && bases.every((base) => sameBlock(base!, bases[0]!))) {
      this.told = bases[0]!;
      this.aligned = true;
      return "found";
    }
    for (const lane of this.lanes) forgetForks(lane);
    const common = blocksOf(this.lanes[0]!).find((block) =>
      this.lanes.every((lane) => blocksOf(lane).some((other) => sameBlock(other, block))),
    );
    if (common === undefined) {
      // What is oldest is of no use to anybody while another lane is further ahead.
      for (const [i, lane] of this.lanes.entries()) if (!this.hasRoom(i)) lane.take();
      return null;
    }
    for (const lane of this.lanes) while (!sameBlock(lane.base!, common)) lane.take();
    const from = this.told;
    this.told = common;
    this.aligned = true;
    if (from === undefined || sameBlock(from, common)) return "found";
    return { kind: "gap", from, to: common, finalSlot: this.finalSlot() };
  }

  private finalSlot(): number {
    return Math.min(this.told?.slot ?? 0, ...this.lanes.map(({ finalSlot }) => finalSlot));
  }
}

/** Before anything is told, what was taken back is of no interest. */
function forgetForks(lane: LaneSteps): void {
  let steps = shortened(lane.steps, lane.base!);
  if (steps[0]?.kind === "undo") {
    lane.base = steps[0].to;
    steps = steps.slice(1);
  }
  lane.steps = steps;
}

function blocksOf({ base, steps }: LaneSteps): (BlockRef | null)[] {
  return [base!, ...steps.flatMap((step) => (step.kind === "block" ? [step.block] : []))];
}
