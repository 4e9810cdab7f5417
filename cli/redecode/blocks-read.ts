/** Which blocks were read again: of those alone the lake's rows may be replaced. What was not read says nothing. */

import { Fatal } from "../../pipeline/errors.ts";
import { cover, includes, type SlotRange } from "../../storage/lake/coverage.ts";
import type { KnownBlocks } from "../../storage/lake/known-blocks.ts";
import type { HeldBlock } from "./blocks.ts";

/** A part of the chain that was read, block after block. */
interface Part {
  readonly first: number;
  last: number;
  readonly ofLake: boolean;
  /** One of its blocks is known to be of the lake's chain: then all are, for each names the one before it. */
  proven: boolean;
}

export class BlocksRead {
  private readonly known: KnownBlocks;
  private readonly parts: Part[] = [];
  private readonly runs: { first: number; last: number }[] = [];

  constructor(known: KnownBlocks) {
    this.known = known;
  }

  /** Parts of the chain that were read, whether they are known to be of the lake's chain or not. */
  get seen(): readonly SlotRange[] {
    return joined(this.parts);
  }

  /** Those of the lake's chain. */
  get spans(): readonly SlotRange[] {
    return joined(this.parts.filter(({ proven }) => proven));
  }

  /** Slots of them whose very block was read, as ranges in their order. */
  get slots(): readonly SlotRange[] {
    const { spans } = this;
    return this.runs.filter(({ first }) => includes(spans, first)).toSorted((a, b) => a.first - b.first);
  }

  /**
   * The blocks that may stand for what the lake has of them: not those of another module, which may leave out what this one
   * gave, and not those without content. `ofLake`: they are the lake's own. Throws `Fatal` FINAL_BLOCK_CHANGED when they are
   * of another chain than the lake.
   */
  admit(blocks: readonly HeldBlock[], ofLake = false): HeldBlock[] {
    return blocks.filter(({ block: { slot, hash }, payload, moduleHash, since }) => {
      const archived = this.known.hashAt(slot);
      if (archived !== undefined && archived !== hash) throw otherChain(slot, archived, hash);
      if (this.known.isOfOtherModule(slot, moduleHash)) return false;
      const part = this.partOf(since, slot, ofLake);
      part.proven ||= archived !== undefined;
      if (payload.length === 0) return false;
      const run = this.runs.at(-1);
      if (run !== undefined && run.last >= part.first && slot === run.last + 1) run.last = slot;
      else this.runs.push({ first: slot, last: slot });
      return true;
    });
  }

  /** The part that a block is the end of now. */
  private partOf(since: number, slot: number, ofLake: boolean): Part {
    const last = this.parts.at(-1);
    if (last !== undefined && last.last + 1 === since && last.ofLake === ofLake) {
      last.last = slot;
      return last;
    }
    const part = { first: since, last: slot, ofLake, proven: ofLake };
    this.parts.push(part);
    return part;
  }
}

function joined(parts: readonly SlotRange[]): SlotRange[] {
  return parts.reduce<SlotRange[]>((all, { first, last }) => cover(all, { first, last }), []);
}

function otherChain(slot: number, archived: string, read: string): Fatal {
  return new Fatal("FINAL_BLOCK_CHANGED", `block ${slot} was archived as ${archived}, and is held as ${read} now`, {
    hint: "The blocks at hand are of another chain than the lake. Check that nats.prefix, source.name and the lake belong together; the lake is as it was.",
  });
}
