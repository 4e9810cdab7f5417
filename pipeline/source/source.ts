/** The contract of where blocks come from: a Substreams endpoint in production, a list in tests. */
import type { BlockMeta, Position } from "../position.ts";

export type BlockSignal =
  | {
      readonly kind: "block";
      readonly block: BlockMeta;
      /** Type of `payload`, without the "type.googleapis.com/" prefix. */
      readonly typeName: string;
      /** The module's output, still encoded. Empty when the module matched nothing in this block. */
      readonly payload: Uint8Array;
    }
  /** Everything above `to.slot` is taken back; `to` may be a block that was never delivered. May come first. */
  | { readonly kind: "undo"; readonly to: Position; readonly finalSlot: number }
  /** The stop block is reached, or the range was empty: nothing will follow. */
  | { readonly kind: "end" };

export interface Source {
  readonly name: string;
  /** Hash of the module that is streamed, hex. Known before the first block. */
  readonly moduleHash: string;
  /**
   * Streams from just after `from` (null: from the configured start). Reconnects by itself as long as that can help;
   * throws `Fatal` when it cannot. A slow reader holds the stream back; nothing is buffered without bound.
   */
  blocks(from: Position | null, signal: AbortSignal): AsyncIterable<BlockSignal>;
}
