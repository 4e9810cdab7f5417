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
  readonly finalSlot: number;
  /** Blocks held, oldest first; ends with `position` (which after an undo may be a block that was never delivered). */
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

export function judge(chain: ChainState, link: Link): Verdict {
  switch (link.kind) {
    case "data":
      return judgeData(chain, link);
    case "undo":
      return judgeUndo(chain, link);
    case "end":
      if (sameBlock(link.prev, chain.position)) return { action: "apply", aboveSlot: link.next.slot, undoTo: null };
      if (chain.position !== null && link.next.slot <= chain.finalSlot) return { action: "skip" };
      return gap(chain, link);
  }
}

function judgeData(chain: ChainState, link: Link): Verdict {
  const head = chain.position;
  if (sameBlock(link.prev, head)) return { action: "apply", aboveSlot: head?.slot ?? -1, undoTo: null };
  if (head === null) return gap(chain, link);

  const firstNew = link.blocks.findIndex((block) => !isHeld(chain, block));
  if (firstNew < 0) return { action: "skip" };
  const before = firstNew === 0 ? link.prev : link.blocks[firstNew - 1]!;
  if (sameBlock(before, head)) return { action: "apply", aboveSlot: head.slot, undoTo: null };
  if (before === null || before.slot > head.slot) return gap(chain, link);
  if (before.slot > chain.finalSlot && !chain.recent.some((b) => sameBlock(b, before))) return gap(chain, link);

  // The stream goes on from a block that we hold but have moved past: ours were abandoned and the undo was not seen, or
  // they will all come again. Final blocks are on every fork, so nothing at or below the final slot is taken back.
  const keep = Math.max(before.slot, chain.finalSlot);
  const base = lastAtOrBelow(chain.recent, keep) ?? before;
  // The cursor may be older than `base`: resuming from it repeats blocks, which are skipped. "" = from the beginning.
  const undoTo = { slot: base.slot, hash: base.hash, cursor: link.prev?.cursor ?? "", moduleHash: head.moduleHash };
  return { action: "apply", aboveSlot: base.slot, undoTo };
}

function judgeUndo(chain: ChainState, link: Link): Verdict {
  const head = chain.position;
  const to = link.next;
  if (head === null) return link.prev === null ? { action: "skip" } : gap(chain, link);
  if (sameBlock(to, head)) return { action: "skip" };
  if (sameBlock(link.prev, head) || chain.recent.some((b) => sameBlock(b, to))) {
    if (to.slot < chain.finalSlot) throw belowFinal(chain, to);
    return { action: "undo", to };
  }
  if (to.slot < chain.finalSlot && to.slot < head.slot && to.slot < lowest(chain)) return { action: "skip" };
  return gap(chain, link);
}

/** The chain after a data batch, of which `blocks` were new. */
export function afterData(
  chain: ChainState,
  next: Position,
  finalSlot: number,
  blocks: readonly BlockRef[],
): ChainState {
  const final = Math.max(chain.finalSlot, finalSlot);
  return { position: next, finalSlot: final, recent: prune([...chain.recent, ...blocks], final) };
}

/** The chain after taking back everything above `to`. */
export function afterUndo(chain: ChainState, to: Position, finalSlot: number): ChainState {
  const kept = chain.recent.filter((b) => b.slot < to.slot || sameBlock(b, to));
  const recent = sameBlock(kept.at(-1) ?? null, to) ? kept : [...kept, { slot: to.slot, hash: to.hash }];
  return { position: to, finalSlot: Math.max(chain.finalSlot, finalSlot), recent };
}

/** Already applied: the same block is remembered, or it is final and older than what is remembered. */
function isHeld(chain: ChainState, block: BlockRef): boolean {
  const held = chain.recent.find((b) => b.slot === block.slot);
  if (held !== undefined && held.hash === block.hash) return true;
  if (block.slot > chain.finalSlot) return false;
  if (held === undefined) return true;
  throw new Fatal(
    "FINAL_BLOCK_CHANGED",
    `block ${block.slot} was final as ${held.hash} and has come again as ${block.hash}`,
    {
      hint: "The source now serves another chain. Check endpoint and network; the data so far is kept as it is.",
    },
  );
}

function gap(chain: ChainState, link: Link): Verdict {
  const what = link.kind === "undo" ? "undo to" : "batch after";
  const at = link.kind === "undo" ? link.next : link.prev;
  return { action: "gap", reason: `${what} ${formatBlock(at)} does not follow ${formatBlock(chain.position)}` };
}

function belowFinal(chain: ChainState, to: BlockRef): Fatal {
  return new Fatal("UNDO_BELOW_FINAL", `asked to undo to ${formatBlock(to)}, below the final slot ${chain.finalSlot}`, {
    hint: "Finality was broken upstream, or the stores belong to another network. Rebuild from the provider before going on.",
  });
}

function lastAtOrBelow(blocks: readonly BlockRef[], slot: number): BlockRef | undefined {
  return blocks.findLast((b) => b.slot <= slot);
}

function lowest(chain: ChainState): number {
  return chain.recent[0]?.slot ?? 0;
}

/** Keeps all unfinal blocks and a window of final ones. */
function prune(blocks: BlockRef[], finalSlot: number): readonly BlockRef[] {
  let final = 0;
  for (const block of blocks) if (block.slot <= finalSlot) final++;
  const drop = final - LIMITS.recentFinalBlocks;
  // Dropping in strides keeps this from copying the window for every block.
  return drop > LIMITS.recentFinalBlocks ? blocks.slice(drop) : blocks;
}
