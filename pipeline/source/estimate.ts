/** What a range may cost, from a sample of its beginning and what the provider says when a session begins. */
import { Fatal } from "../errors.ts";
import type { SubstreamsSource } from "./client.ts";
import type { Range } from "./range.ts";

export interface Estimate {
  readonly firstSlot: number;
  /** Last slot of the range; the chain's head where it has no end. */
  readonly lastSlot: number;
  readonly slots: number;
  /** Blocks that will come: skipped slots, and those that match nothing, are left out in the measure of the sample. */
  readonly blocks: number;
  /** Uncompressed. */
  readonly bytes: number;
  /** What the provider processes before the first block, by its own words; 0: it does not say. */
  readonly blocksToPrepare: number;
  readonly sampleBlocks: number;
  readonly sampleBytes: number;
}

/** Reads up to `sample` blocks of the range, and stops. Throws what the source throws, `Fatal` ESTIMATE_EMPTY. */
export async function estimate(
  source: Pick<SubstreamsSource, "blocks" | "status">,
  range: Range,
  sample: number,
): Promise<Estimate> {
  const stop = new AbortController();
  let [count, first, last, bytes] = [0, 0, 0, 0];
  for await (const item of source.blocks(null, stop.signal)) {
    if (item.kind === "end") break;
    if (item.kind === "undo") continue;
    if (count++ === 0) first = item.block.slot;
    last = item.block.slot;
    bytes += item.payload.length + ENVELOPE_BYTES;
    if (count >= sample) break;
  }
  stop.abort();
  const { status } = source;
  const from = status.resolvedStart > 0 ? status.resolvedStart : Math.max(range.start, 0);
  const end = range.stop === null ? status.chainHead : range.stop - 1;
  if (count === 0) {
    throw new Fatal("ESTIMATE_EMPTY", "not a single block of the range came, so nothing can be measured", {
      where: "source.startBlock",
      hint: "The range may hold no matching block, or end before the chain's head reaches it.",
    });
  }
  const slots = Math.max(0, end - from + 1);
  const blocks = Math.round((count / (last - first + 1)) * slots);
  return {
    firstSlot: from,
    lastSlot: end,
    slots,
    blocks,
    bytes: Math.round((bytes / count) * blocks),
    blocksToPrepare: status.blocksToPrepare,
    sampleBlocks: count,
    sampleBytes: bytes,
  };
}

/** Clock, cursor and names around a payload: some 300 bytes in Solana's streams. */
const ENVELOPE_BYTES = 300;
