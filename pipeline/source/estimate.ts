/**
 * What a range may cost: as the provider estimates it, where it does; else from a sample of its beginning and what the
 * provider says when a session begins.
 */
import { Fatal } from "../errors.ts";
import { type Asked, ask, undecodable } from "./ask.ts";
import type { SubstreamsSource } from "./client.ts";
import type { SelectedModule } from "./module.ts";
import type { Range } from "./range.ts";
import { ESTIMATE_PATH, EstimateRequest, EstimateResponse } from "./rpc.ts";

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
  /** What the provider would process, and bill, in all; null: only its own estimate says. */
  readonly blocksToProcess: number | null;
  /** Who measured. */
  readonly by: "provider" | "sample";
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
    blocksToProcess: null,
    by: "sample",
    sampleBlocks: count,
    sampleBytes: bytes,
  };
}

/** Providers run at least this share of a range, and at most that. Percent. */
const SHARE = { min: 0.001, max: 10 };

/**
 * Has the provider run a share of the range that has about `sample` blocks, rounded up to its segments, and say what all of
 * it would cost. Null: it does not offer this. Throws what `ask` throws.
 */
export async function providerEstimate(
  asked: Asked,
  module: SelectedModule,
  { start, stop }: Range,
  sample: number,
): Promise<Estimate | null> {
  const slots = stop === null || start < 0 ? null : Math.max(1, stop - start);
  const share = slots === null ? SHARE.min : Math.min(SHARE.max, Math.max(SHARE.min, (100 * sample) / slots));
  const { package: whole, params, network, name } = module;
  const request = new EstimateRequest({
    ...{ package: whole, params: { ...params }, network, outputModule: name },
    ...{ startBlockNum: BigInt(start), stopBlockNum: BigInt(stop ?? 0), samplePercentage: share },
  });
  const answer = await ask(asked, ESTIMATE_PATH, request.toBinary());
  if (answer === null) return null;
  let found: EstimateResponse["estimate"];
  try {
    found = EstimateResponse.fromBinary(answer.bytes).estimate;
  } catch (cause) {
    throw undecodable(answer.where, cause);
  }
  if (found === undefined) throw undecodable(answer.where, "the last message is no estimate");
  const [first, end] = [Number(found.resolvedStartBlock), Number(found.resolvedStopBlock)];
  return {
    firstSlot: first,
    lastSlot: end - 1,
    slots: Math.max(0, end - first),
    blocks: Number(found.estimatedMessageCount),
    bytes: Number(found.estimatedEgressBytes),
    blocksToPrepare: 0,
    blocksToProcess: Number(found.blocksToProcess),
    by: "provider",
    sampleBlocks: Number(found.sampling?.sampledBlocks ?? 0n),
    sampleBytes: Number(found.sampling?.sampledBytes ?? 0n),
  };
}

/** Clock, cursor and names around a payload: some 300 bytes in Solana's streams. */
const ENVELOPE_BYTES = 300;
