/** What a backfill will bring, told before it begins: from what is known already, or else from a sample, which is paid for. */
import type { Deployment } from "../pipeline/deployment.ts";
import { classify } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import { paidSource } from "../pipeline/paid-source.ts";
import { estimate } from "../pipeline/source/estimate.ts";
import type { Ledger } from "../pipeline/spend.ts";
import type { History, Segment } from "../storage/lake/history.ts";

export interface BackfillEstimate {
  /** Slots to read; the provider processes no more blocks than that, apart from what it has to prepare. */
  readonly slots: number;
  /** Blocks and bytes (uncompressed) to receive; null: not known. */
  readonly blocks: number | null;
  readonly bytes: number | null;
  /** Where these come from. "known": the lake's blocks per slot and the ledger's bytes per block, which cost nothing. */
  readonly basis: "known" | "sample" | "none";
  /** Head of the chain, and blocks that the provider processes before the first one, where a sample was asked for. */
  readonly chainHead: number | null;
  readonly blocksToPrepare: number | null;
}

/** So many blocks must be known before they say something about others. */
const BLOCKS_KNOWN_MIN = 1_000;

export interface EstimateOptions {
  readonly deployment: Deployment;
  readonly segments: readonly Segment[];
  readonly history: History;
  /** Blocks to read where nothing is known; 0: none. */
  readonly sample: number;
  readonly log: Log;
}

export async function estimateBackfill(options: EstimateOptions): Promise<BackfillEstimate> {
  const { deployment, segments, history, sample } = options;
  const slots = segments.reduce((sum, { from, stop }) => sum + stop - from, 0);
  const nothing = { slots, blocks: null, bytes: null, chainHead: null, blocksToPrepare: null };
  const known = fromWhatIsKnown(slots, history, await deployment.control.spend(deployment.source));
  if (known !== null) return { ...nothing, ...known, basis: "known" };
  if (sample === 0 || slots === 0) return { ...nothing, basis: "none" };
  return fromSample(slots, options);
}

function fromWhatIsKnown(slots: number, history: History, ledger: Ledger | null) {
  const received = Object.values(ledger?.days ?? {}).reduce(
    (sum, { blocks, bytes }) => ({ blocks: sum.blocks + blocks, bytes: sum.bytes + bytes }),
    { blocks: 0, bytes: 0 },
  );
  if (history.blocks < BLOCKS_KNOWN_MIN || received.blocks < BLOCKS_KNOWN_MIN) return null;
  const blocks = Math.round((slots * history.blocks) / history.slots);
  return { blocks, bytes: Math.round((blocks * received.bytes) / received.blocks) };
}

/** The beginning of the first segment, as every stream is read: within the allowed streams, counted, within the budget. */
async function fromSample(slots: number, options: EstimateOptions): Promise<BackfillEstimate> {
  const { deployment: d, segments, sample, log } = options;
  const { from, stop } = segments[0]!;
  const settings = { "source.startBlock": String(from), "source.stopBlock": String(stop) };
  const source = await d.openSource(log, { ...settings, "source.finalBlocksOnly": "true" });
  const paid = paidSource(d, source, `backfill.${d.source}.sample`, log);
  const { status } = source;
  const measured = { status, blocks: paid.blocks.bind(paid) };
  const found = await estimate(measured, { start: from, stop }, sample).catch((error) => {
    if (classify(error).code !== "ESTIMATE_EMPTY") throw error;
    return { blocks: 0, slots: stop - from, sampleBytes: 0, sampleBlocks: 1, blocksToPrepare: status.blocksToPrepare };
  });
  const blocks = Math.round((slots * found.blocks) / found.slots);
  return {
    slots,
    blocks,
    bytes: Math.round((blocks * found.sampleBytes) / found.sampleBlocks),
    basis: "sample",
    chainHead: status.chainHead === 0 ? null : status.chainHead,
    blocksToPrepare: found.blocksToPrepare,
  };
}
