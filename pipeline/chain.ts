/**
 * The chain as one reader knows it, and the only place that decides what an incoming batch means for it. Pure functions:
 * the runner does what the verdict says. Every batch names the block delivered before it, so a gap, a fork, a repeat and
 * a lost message all show here, whatever the transport promised.
 */
import { Fatal } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { type BlockRef, formatBlock, type Position, sameBlock } from "./position.ts";

export interface ChainState {
  readonly position: Position | null;
  /**
   * Highest slot known to be final, never above that of `position`: on the way there the input may still visit a fork
   * that was abandoned, because it is being read again.
   */
  readonly finalSlot: number;
  /**
   * Blocks held, oldest first, without a hole; ends with `position` (which after an undo may be a block that was never
   * delivered). Reaches down to a final block, unless the output has forgotten more than that.
   */
  readonly recent: readonly BlockRef[];
}

/** The part of a message that the chain cares about: its header is enough. */
export interface Link {
  readonly kind: "data" | "undo" | "end";
  readonly prev: Position | null;
  readonly next: Position;
  readonly finalSlot: number;
  /** Blocks of a data batch, oldest first. */
  readonly blocks: readonly BlockRef[];
  /** Block time of the last block, Unix seconds; 0 without blocks. */
  readonly time: number;
}

export type Verdict =
  /** Take what is above `aboveSlot`; first take back everything above `undoTo`, where set. */
  | { readonly action: "apply"; readonly aboveSlot: number; readonly undoTo: Position | null }
  /** Take back everything above `to`. */
  | { readonly action: "undo"; readonly to: Position }
  /** Seen before, or of no effect. */
  | { readonly action: "skip" }
  /** What lies between our position and this batch is missing. */
  | { readonly action: "gap"; readonly reason: string };

export const EMPTY_CHAIN: ChainState = { position: null, finalSlot: 0, recent: [] };

const SKIP: Verdict = { action: "skip" };

/**
 * A batch that follows our position is applied. Any other one is a repeat, a fork, or comes after a gap. It is a repeat
 * when we hold its blocks; a fork when it goes on from a block that we hold at or above our last final one. What leaves
 * our chain below that was abandoned (final blocks are on every fork): the input is in the past, and will come back.
 *
 * `patient`: the input is read from its oldest message, and more is there already. It may begin in the middle of a fork.
 */
export function judge(chain: ChainState, link: Link, patient = false): Verdict {
  const head = chain.position;
  if (sameBlock(link.prev, head)) return judgeNext(chain, link);
  if (head === null) return gap(chain, link);
  mustAgree(chain, link);
  const base = lastAtOrBelow(chain.recent, chain.finalSlot);
  if (base !== undefined && (link.next.slot < base.slot || sameBlock(link.next, base))) return SKIP;
  switch (link.kind) {
    case "data":
      return judgeData(chain, link, base, patient);
    case "undo":
      return judgeUndo(chain, link, patient);
    case "end":
      return isHeld(chain, link.next) ? SKIP : gap(chain, link);
  }
}

/** What names our own position as the one before it. */
function judgeNext(chain: ChainState, link: Link): Verdict {
  const head = chain.position;
  if (link.kind !== "undo") return { action: "apply", aboveSlot: head?.slot ?? -1, undoTo: null };
  const to = link.next;
  if (head === null || sameBlock(to, head)) return SKIP;
  // A final block is never taken back: the input is still in the past, and will come to this block again.
  return isPast(chain, link) ? SKIP : { action: "undo", to };
}

/** Whether an undo was made when less was final than is now. */
function isPast(chain: ChainState, { next: to, finalSlot }: Link): boolean {
  if (isRecent(chain, to)) return undoesFinal(chain, to);
  // Undos end at the final block or above. Beside it there may have been others, before it was final.
  return to.slot < chain.finalSlot || (to.slot === chain.finalSlot && finalSlot < to.slot);
}

function judgeData(chain: ChainState, link: Link, base: BlockRef | undefined, patient: boolean): Verdict {
  const head = chain.position!;
  const firstNew = link.blocks.findIndex((block) => !isHeld(chain, block));
  if (firstNew < 0) return SKIP;
  const before = firstNew === 0 ? link.prev : link.blocks[firstNew - 1]!;
  if (sameBlock(before, head)) return { action: "apply", aboveSlot: head.slot, undoTo: null };
  // A block that we lack at or below the final slot, though we are past it, is of a fork that was abandoned.
  const past = link.blocks[firstNew]!.slot <= chain.finalSlot || (before?.slot ?? 0) < (base?.slot ?? 0);
  if (past || before === null || !isRecent(chain, before)) return passOrGap(chain, link, patient);
  // Ours were abandoned and the undo was not seen, or they will all come again.
  const { slot, hash } = before;
  // The cursor may be older than the block: resuming from it repeats blocks, which are skipped. "" = from the beginning.
  const undoTo = { slot, hash, cursor: link.prev?.cursor ?? "", moduleHash: head.moduleHash };
  return { action: "apply", aboveSlot: slot, undoTo };
}

function judgeUndo(chain: ChainState, link: Link, patient: boolean): Verdict {
  const to = link.next;
  if (sameBlock(to, chain.position)) return SKIP;
  if (isRecent(chain, to)) return { action: "undo", to };
  return passOrGap(chain, link, patient);
}

/**
 * Not connected with what we hold: a message from the past, or one after a gap. Finality only ever grows along a stream,
 * so where less is final than here, the stream has yet to come to where we stand; forks on the way may reach beyond us.
 */
function passOrGap(chain: ChainState, link: Link, patient: boolean): Verdict {
  const finalHere = chain.finalSlot + (patient ? 1 : 0);
  const past = link.next.slot <= chain.position!.slot || link.finalSlot < finalHere;
  return past || link.prev === null ? SKIP : gap(chain, link);
}

/** The chain after a data batch, of which `blocks` were new. */
export function afterData(
  chain: ChainState,
  next: Position,
  finalSlot: number,
  blocks: readonly BlockRef[],
): ChainState {
  const final = Math.min(Math.max(chain.finalSlot, finalSlot), next.slot);
  return { position: next, finalSlot: final, recent: prune([...chain.recent, ...blocks], final) };
}

/** The chain after taking back everything above `to`. */
export function afterUndo(chain: ChainState, to: Position, finalSlot: number): ChainState {
  const kept = chain.recent.filter((b) => b.slot < to.slot || sameBlock(b, to));
  const recent = sameBlock(kept.at(-1) ?? null, to) ? kept : [...kept, { slot: to.slot, hash: to.hash }];
  return { position: to, finalSlot: Math.min(Math.max(chain.finalSlot, finalSlot), to.slot), recent };
}

/** Whether going back to `to` would take back a block that is final here. */
export function undoesFinal(chain: ChainState, to: BlockRef): boolean {
  const base = lastAtOrBelow(chain.recent, chain.finalSlot);
  if (base === undefined) return to.slot < chain.finalSlot;
  return to.slot < base.slot || (to.slot === base.slot && to.hash !== base.hash);
}

function isRecent(chain: ChainState, block: BlockRef): boolean {
  return chain.recent.some((b) => sameBlock(b, block));
}

/** Already applied: it is remembered, or it is final and older than all that is remembered. */
function isHeld(chain: ChainState, block: BlockRef): boolean {
  const oldest = chain.recent[0];
  if (oldest !== undefined && block.slot < oldest.slot) return block.slot <= chain.finalSlot;
  return isRecent(chain, block);
}

/** Two different blocks at one slot can not both be final: with one final here and the other in the input, we stop. */
function mustAgree(chain: ChainState, link: Link): void {
  for (const block of link.blocks) {
    if (block.slot > Math.min(chain.finalSlot, link.finalSlot)) return;
    const held = chain.recent.find((b) => b.slot === block.slot);
    if (held === undefined || held.hash === block.hash) continue;
    throw new Fatal(
      "FINAL_BLOCK_CHANGED",
      `block ${block.slot} was final as ${held.hash} and has come again as ${block.hash}`,
      {
        hint: "The source now serves another chain. Check endpoint and network; the data so far is kept as it is.",
      },
    );
  }
}

function gap(chain: ChainState, link: Link): Verdict {
  const what = link.kind === "undo" ? "undo to" : "batch after";
  const at = link.kind === "undo" ? link.next : link.prev;
  return { action: "gap", reason: `${what} ${formatBlock(at)} does not follow ${formatBlock(chain.position)}` };
}

function lastAtOrBelow(blocks: readonly BlockRef[], slot: number): BlockRef | undefined {
  return blocks.findLast((b) => b.slot <= slot);
}

/** Keeps all unfinal blocks and a window of final ones. */
function prune(blocks: BlockRef[], finalSlot: number): readonly BlockRef[] {
  let final = 0;
  for (const block of blocks) if (block.slot <= finalSlot) final++;
  const drop = final - LIMITS.recentFinalBlocks;
  // Dropping in strides keeps this from copying the window for every block.
  return drop > LIMITS.recentFinalBlocks ? blocks.slice(drop) : blocks;
}
