/**
 * What a backfill will bring, told before it begins: from what is known already, or else by the provider where it offers that,
 * or else from a sample, which is paid for.
 */
import type { Deployment } from "../pipeline/deployment.ts";
import { classify } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import { paidSource } from "../pipeline/paid-source.ts";
import { estimate } from "../pipeline/source/estimate.ts";
import type { Ledger } from "../pipeline/spend.ts";
import type { History, Segment } from "../storage/lake/history.ts";
import { askForEstimate } from "./spend.ts";

export interface BackfillEstimate {
  /** Slots to read; the provider processes no more blocks than that, apart from what it has to prepare. */
  readonly slots: number;
  /** Blocks and bytes (uncompressed) to receive; null: not known. */
  readonly blocks: number | null;
  readonly bytes: number | null;
  /** Where these come from. "known": the lake's blocks per slot and the ledger's bytes per block, which cost nothing. */
  readonly basis: "known" | "provider" | "sample" | "none";
  /** Blocks that the provider processes in all, by its own estimate; of a sample, only those before the first one. */
  readonly blocksToProcess: number | null;
  readonly blocksToPrepare: number | null;
  /** Head of the chain, where a sample was read. */
  readonly chainHead: number | null;
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
  const nothing = { ...NOTHING_ELSE, slots, blocks: null, bytes: null };
  const known = fromWhatIsKnown(slots, history, await deployment.control.spend(deployment.source));
  if (known !== null) return { ...nothing, ...known, basis: "known" };
  if (sample === 0 || slots === 0) return { ...nothing, basis: "none" };
  return (await byProvider(slots, options)) ?? fromSample(slots, options);
}

const NOTHING_ELSE = { blocksToProcess: null, blocksToPrepare: null, chainHead: null };

/** Of everything from the first segment to the last, in the measure of the slots that are missing of it. */
async function byProvider(slots: number, options: EstimateOptions): Promise<BackfillEstimate | null> {
  const { deployment, segments, sample, log } = options;
  const [first, last] = [segments[0]!, segments.at(-1)!];
  const range = { "source.startBlock": String(first.from), "source.stopBlock": String(last.stop) };
  const found = await askForEstimate({ ...deployment.config, ...range }, sample, log);
  if (found === null) return null;
  const part = (amount: number) => Math.round((amount * slots) / (last.stop - first.from));
  return {
    ...{ ...NOTHING_ELSE, slots, basis: "provider", blocks: part(found.blocks), bytes: part(found.bytes) },
    blocksToProcess: found.blocksToProcess === null ? null : part(found.blocksToProcess),
  };
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
    blocksToProcess: null,
    chainHead: status.chainHead === 0 ? null : status.chainHead,
    blocksToPrepare: found.blocksToPrepare,
  };
}
