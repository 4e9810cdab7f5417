/** What every unit counts, in one shape: plain numbers that travel between processes and are rendered by the API. */
import type { BlockRef } from "./position.ts";

export interface UnitMetrics {
  /** Batches, blocks and bytes taken in; repeats that were skipped are counted apart. */
  receivedBatches: number;
  receivedBlocks: number;
  receivedBytes: number;
  skippedBatches: number;
  /** Commits made and blocks in them. */
  sentBatches: number;
  sentBlocks: number;
  undos: number;
  gaps: number;
  errors: number;
  quarantined: number;
  /** Where the time went, ms: waiting for input, applying, committing (of which waiting for room in a full stream). */
  waitingMs: number;
  applyingMs: number;
  committingMs: number;
  /** Where the unit stands. */
  position: BlockRef | null;
  blockTime: number;
  finalSlot: number;
  inputSeq: number;
}

export function newUnitMetrics(): UnitMetrics {
  return {
    receivedBatches: 0,
    receivedBlocks: 0,
    receivedBytes: 0,
    skippedBatches: 0,
    sentBatches: 0,
    sentBlocks: 0,
    undos: 0,
    gaps: 0,
    errors: 0,
    quarantined: 0,
    waitingMs: 0,
    applyingMs: 0,
    committingMs: 0,
    position: null,
    blockTime: 0,
    finalSlot: 0,
    inputSeq: 0,
  };
}
