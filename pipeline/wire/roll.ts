/**
 * What the archive stage hands to the lake: final blocks with their rows, in segments. Where segments end follows block
 * time and sizes alone, so the same chain gives the same segments however it was batched and whenever it became final.
 */
import type { BlockMeta } from "../position.ts";
import type { Table } from "./table.ts";

/** Consecutive final blocks and all their rows. */
export interface Segment {
  readonly first: BlockMeta;
  /** The roll's position is the cursor of its last segment's last block: it may lie in the middle of a batch. */
  readonly last: BlockMeta;
  /** Number of blocks; a filtered stream leaves out slots, so it says more than `last.slot - first.slot`. */
  readonly blocks: number;
  /**
   * The rows of each dataset in chain order; a table is made when it is come to. Datasets without rows are left out; without
   * any, the segment is coverage alone.
   */
  readonly tables: Iterable<Table>;
}

/** Segments that follow each other, at least one; committed together. */
export interface Roll {
  readonly segments: readonly Segment[];
}
