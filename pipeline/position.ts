/**
 * Position = (slot, block hash, cursor, module hash): where in the chain an output stands. Carried by every batch and
 * committed together with the data by every output. JetStream sequence numbers are only hints for seeking.
 */

/** A block, by height and identity. `slot` is a safe integer (Solana will not reach 2^53). */
export interface BlockRef {
  readonly slot: number;
  /** Block id as Substreams' clock gives it (base58 blockhash on Solana). Opaque here. */
  readonly hash: string;
}

export interface Position extends BlockRef {
  /**
   * Substreams cursor; opaque, never parsed or compared for order. Resuming from it yields the block after `slot`, or
   * repeats some before it that are recognised and skipped; it never leaves one out.
   */
  readonly cursor: string;
  /** Hash of the Substreams module that produced the data, hex. A different module is a different truth. */
  readonly moduleHash: string;
}

/** One block of a batch, with what later stages need to know about it. */
export interface BlockMeta extends BlockRef {
  readonly cursor: string;
  /** Block time, Unix seconds. The only clock that data knows. */
  readonly time: number;
  /** Highest final slot known when this block arrived. Not deterministic: it never goes into an output's content. */
  readonly finalSlot: number;
}

export function sameBlock(a: BlockRef | null, b: BlockRef | null): boolean {
  if (a === null || b === null) return a === b;
  return a.slot === b.slot && a.hash === b.hash;
}

export function formatBlock(ref: BlockRef | null): string {
  return ref === null ? "the beginning" : `${ref.slot} (${ref.hash.slice(0, 8)})`;
}
