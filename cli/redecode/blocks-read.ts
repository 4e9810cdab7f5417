/** Which blocks were read again: of those alone the lake's rows may be replaced. What was not read says nothing. */

import { Fatal } from "../../pipeline/errors.ts";
import { cover, type SlotRange } from "../../storage/lake/coverage.ts";
import type { KnownBlocks } from "../../storage/lake/known-blocks.ts";
import type { HeldBlock } from "./blocks.ts";

export class BlocksRead {
  /** Parts of the chain that were read, block after block. */
  spans: readonly SlotRange[] = [];
  private readonly known: KnownBlocks;
  private readonly runs: { first: number; last: number }[] = [];

  constructor(known: KnownBlocks) {
    this.known = known;
  }

  /** Slots whose very block was read, as ranges in their order. */
  get slots(): readonly SlotRange[] {
    return this.runs.toSorted((a, b) => a.first - b.first);
  }

  /**
   * The blocks that may stand for what the lake has of them: not those of another module, which may leave out what this one
   * gave, and not those without content. Throws `Fatal` FINAL_BLOCK_CHANGED when they are of another chain than the lake.
   */
  admit(blocks: readonly HeldBlock[]): HeldBlock[] {
    return blocks.filter(({ block: { slot, hash }, payload, moduleHash, since }) => {
      const archived = this.known.hashAt(slot);
      if (archived !== undefined && archived !== hash) throw otherChain(slot, archived, hash);
      if (this.known.isOfOtherModule(slot, moduleHash)) return false;
      this.spans = cover(this.spans, { first: since, last: slot });
      if (payload.length === 0) return false;
      this.add(slot);
      return true;
    });
  }

  private add(slot: number): void {
    const last = this.runs.at(-1);
    if (last !== undefined && slot === last.last + 1) last.last = slot;
    else this.runs.push({ first: slot, last: slot });
  }
}

function otherChain(slot: number, archived: string, read: string): Fatal {
  return new Fatal("FINAL_BLOCK_CHANGED", `block ${slot} was archived as ${archived}, and is held as ${read} now`, {
    hint: "The blocks at hand are of another chain than the lake. Check that nats.prefix, source.name and the lake belong together; the lake is as it was.",
  });
}
