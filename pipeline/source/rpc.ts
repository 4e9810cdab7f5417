/**
 * The Substreams RPC: methods, and the messages that no JavaScript package has (v3, v4, and the newer fields of v2's
 * session and progress messages). Field numbers from the protos of streamingfast/substreams, `sf.substreams.rpc.v2` to
 * `v4`; fields that Sluice neither sends nor reads are left out and skipped by the decoder.
 *
 * The versions differ little: v2 is asked with modules that the client has prepared, v3 and v4 with the whole package and
 * what to apply to it; v2 and v3 answer one block a message, v4 a batch of blocks.
 */
import { type Message, type MessageType, proto3, ScalarType } from "@bufbuild/protobuf";
import { BlockRange, BlockScopedData, BlockUndoSignal, Error as FatalError, Package } from "@substreams/core/proto";
import { varintSize, writeVarint } from "./framing.ts";

/** Protocol versions, newest first: the order in which they are tried. */
export const PROTOCOLS = ["v4", "v3", "v2"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** HTTP/2 path of the method that streams blocks. */
export function blocksPath(protocol: Protocol): string {
  return `/sf.substreams.rpc.${protocol}.Stream/Blocks`;
}

/** HTTP/2 path of the unary method that says what an endpoint serves. */
export const INFO_PATH = "/sf.substreams.rpc.v2.EndpointInfo/Info";

/** HTTP/2 path of the method that samples a range at the provider's and says what the whole of it would cost. */
export const ESTIMATE_PATH = "/sf.substreams.rpc.v4.Estimator/Estimate";

const { STRING, UINT64, INT64, UINT32, BOOL, DOUBLE } = ScalarType;

/** Asks v3 and v4. */
export interface PackageRequest extends Message<PackageRequest> {
  /** Negative: relative to the head. Ignored when there is a cursor. */
  startBlockNum: bigint;
  startCursor: string;
  /** Exclusive; 0: follow the head. */
  stopBlockNum: bigint;
  finalBlocksOnly: boolean;
  productionMode: boolean;
  outputModule: string;
  package?: Package;
  params: Record<string, string>;
  network: string;
}

export const PackageRequest: MessageType<PackageRequest> = proto3.makeMessageType(
  "sf.substreams.rpc.v3.Request",
  () => [
    { no: 1, name: "start_block_num", kind: "scalar", T: INT64 },
    { no: 2, name: "start_cursor", kind: "scalar", T: STRING },
    { no: 3, name: "stop_block_num", kind: "scalar", T: UINT64 },
    { no: 4, name: "final_blocks_only", kind: "scalar", T: BOOL },
    { no: 5, name: "production_mode", kind: "scalar", T: BOOL },
    { no: 6, name: "output_module", kind: "scalar", T: STRING },
    { no: 7, name: "package", kind: "message", T: Package },
    { no: 8, name: "params", kind: "map", K: STRING, V: { kind: "scalar", T: STRING } },
    { no: 9, name: "network", kind: "scalar", T: STRING },
  ],
);

/** Tag of `limit_processed_blocks` in the requests of all versions; `@substreams/core` does not know it. */
const LIMIT_TAG = 0x60;

/** The field encoded, to stand behind a request; empty for 0, no limit. */
export function limitField(blocks: number): Uint8Array {
  if (blocks === 0) return new Uint8Array(0);
  const field = new Uint8Array(1 + varintSize(blocks));
  field[0] = LIMIT_TAG;
  writeVarint(blocks, field, 1);
  return field;
}

export interface EstimateRequest extends Message<EstimateRequest> {
  package?: Package;
  outputModule: string;
  startBlockNum: bigint;
  stopBlockNum: bigint;
  /** Share of the range that is run to measure it, more than 0 and at most 10; rounded up to whole segments. */
  samplePercentage: number;
  params: Record<string, string>;
  network: string;
}

export const EstimateRequest: MessageType<EstimateRequest> = proto3.makeMessageType(
  "sf.substreams.rpc.v4.EstimateRequest",
  () => [
    { no: 1, name: "package", kind: "message", T: Package },
    { no: 2, name: "output_module", kind: "scalar", T: STRING },
    { no: 3, name: "start_block_num", kind: "scalar", T: INT64 },
    { no: 4, name: "stop_block_num", kind: "scalar", T: UINT64 },
    { no: 5, name: "sample_percentage", kind: "scalar", T: DOUBLE },
    { no: 6, name: "params", kind: "map", K: STRING, V: { kind: "scalar", T: STRING } },
    { no: 7, name: "network", kind: "scalar", T: STRING },
  ],
);

export interface ProviderEstimate extends Message<ProviderEstimate> {
  resolvedStartBlock: bigint;
  /** Exclusive. */
  resolvedStopBlock: bigint;
  /** Blocks times stages, without what the provider has cached: what it would bill. */
  blocksToProcess: bigint;
  /** Uncompressed, framing included. */
  estimatedEgressBytes: bigint;
  sampling?: ProviderSampling;
  /** Blocks that would be sent: a filtered module sends those that match. */
  estimatedMessageCount: bigint;
}

export interface ProviderSampling extends Message<ProviderSampling> {
  sampledBlocks: bigint;
  sampledBytes: bigint;
}

const ProviderSampling: MessageType<ProviderSampling> = proto3.makeMessageType("sf.substreams.rpc.v4.Sampling", () => [
  { no: 4, name: "sampled_blocks", kind: "scalar", T: UINT64 },
  { no: 5, name: "sampled_bytes", kind: "scalar", T: UINT64 },
]);

export const ProviderEstimate: MessageType<ProviderEstimate> = proto3.makeMessageType(
  "sf.substreams.rpc.v4.Estimate",
  () => [
    { no: 1, name: "resolved_start_block", kind: "scalar", T: UINT64 },
    { no: 2, name: "resolved_stop_block", kind: "scalar", T: UINT64 },
    { no: 5, name: "blocks_to_process", kind: "scalar", T: UINT64 },
    { no: 8, name: "estimated_egress_bytes", kind: "scalar", T: UINT64 },
    { no: 10, name: "sampling", kind: "message", T: ProviderSampling },
    { no: 12, name: "estimated_message_count", kind: "scalar", T: UINT64 },
  ],
);

/** Progress comes before it; the last message has the estimate. */
export interface EstimateResponse extends Message<EstimateResponse> {
  estimate?: ProviderEstimate;
}

export const EstimateResponse: MessageType<EstimateResponse> = proto3.makeMessageType(
  "sf.substreams.rpc.v4.EstimateResponse",
  () => [{ no: 2, name: "estimate", kind: "message", T: ProviderEstimate }],
);

/** Comes first in every stream. */
export interface SessionInit extends Message<SessionInit> {
  /** What the provider's support asks for. */
  traceId: string;
  resolvedStartBlock: bigint;
  /** From here on blocks are processed one after the other; before, in parallel. */
  linearHandoffBlock: bigint;
  maxParallelWorkers: bigint;
  chainHead: bigint;
  /** Blocks times stages; the effective numbers leave out what is cached. */
  effectiveBlocksToProcessBeforeStartBlock: bigint;
  effectiveBlocksToProcessAfterStartBlock: bigint;
}

export const SessionInit: MessageType<SessionInit> = proto3.makeMessageType("sf.substreams.rpc.v2.SessionInit", () => [
  { no: 1, name: "trace_id", kind: "scalar", T: STRING },
  { no: 2, name: "resolved_start_block", kind: "scalar", T: UINT64 },
  { no: 3, name: "linear_handoff_block", kind: "scalar", T: UINT64 },
  { no: 4, name: "max_parallel_workers", kind: "scalar", T: UINT64 },
  { no: 6, name: "chain_head", kind: "scalar", T: UINT64 },
  { no: 8, name: "effective_blocks_to_process_before_start_block", kind: "scalar", T: UINT64 },
  { no: 10, name: "effective_blocks_to_process_after_start_block", kind: "scalar", T: UINT64 },
]);

export interface Job extends Message<Job> {
  stage: number;
  startBlock: bigint;
  stopBlock: bigint;
  progressBlocks: bigint;
}

const Job: MessageType<Job> = proto3.makeMessageType("sf.substreams.rpc.v2.Job", () => [
  { no: 1, name: "stage", kind: "scalar", T: UINT32 },
  { no: 2, name: "start_block", kind: "scalar", T: UINT64 },
  { no: 3, name: "stop_block", kind: "scalar", T: UINT64 },
  { no: 4, name: "progress_blocks", kind: "scalar", T: UINT64 },
]);

/** Modules that the server runs together. */
export interface ProcessingStage extends Message<ProcessingStage> {
  modules: string[];
  completedRanges: BlockRange[];
  /** Up to here the stage can be used; a range may be complete and still wait to be merged. */
  readyUpToExclusive: bigint;
}

const ProcessingStage: MessageType<ProcessingStage> = proto3.makeMessageType("sf.substreams.rpc.v2.Stage", () => [
  { no: 1, name: "modules", kind: "scalar", T: STRING, repeated: true },
  { no: 2, name: "completed_ranges", kind: "message", T: BlockRange, repeated: true },
  { no: 3, name: "ready_up_to_exclusive", kind: "scalar", T: UINT64 },
]);

/** Sent while the server prepares data; a sign of life when there is none to send. */
export interface ModulesProgress extends Message<ModulesProgress> {
  runningJobs: Job[];
  stages: ProcessingStage[];
  /** Since the session began. */
  processedBlocks: bigint;
}

export const ModulesProgress: MessageType<ModulesProgress> = proto3.makeMessageType(
  "sf.substreams.rpc.v2.ModulesProgress",
  () => [
    { no: 2, name: "running_jobs", kind: "message", T: Job, repeated: true },
    { no: 4, name: "stages", kind: "message", T: ProcessingStage, repeated: true },
    { no: 6, name: "processed_blocks", kind: "scalar", T: UINT64 },
  ],
);

export interface BlockScopedDatas extends Message<BlockScopedDatas> {
  /** Ascending; each has its own cursor. */
  items: BlockScopedData[];
}

export const BlockScopedDatas: MessageType<BlockScopedDatas> = proto3.makeMessageType(
  "sf.substreams.rpc.v4.BlockScopedDatas",
  () => [{ no: 1, name: "items", kind: "message", T: BlockScopedData, repeated: true }],
);

export type AnyResponse =
  | { case: "session"; value: SessionInit }
  | { case: "progress"; value: ModulesProgress }
  | { case: "blockScopedData"; value: BlockScopedData }
  | { case: "blockScopedDatas"; value: BlockScopedDatas }
  | { case: "blockUndoSignal"; value: BlockUndoSignal }
  | { case: "fatalError"; value: FatalError }
  /** A kind that Sluice does not know or did not ask for. */
  | { case: undefined; value?: undefined };

/** What becomes a signal of a source. */
export type SignalMessage = Extract<AnyResponse, { case: "blockScopedData" | "blockUndoSignal" }>;

/** What any version answers with; a batch comes from v4 only, a single block from v2 and v3. */
export interface StreamResponse extends Message<StreamResponse> {
  message: AnyResponse;
}

const common = [
  { no: 1, name: "session", kind: "message", T: SessionInit, oneof: "message" },
  { no: 2, name: "progress", kind: "message", T: ModulesProgress, oneof: "message" },
  { no: 4, name: "block_undo_signal", kind: "message", T: BlockUndoSignal, oneof: "message" },
  { no: 5, name: "fatal_error", kind: "message", T: FatalError, oneof: "message" },
] as const;

const ResponseV2: MessageType<StreamResponse> = proto3.makeMessageType("sf.substreams.rpc.v2.Response", () => [
  ...common,
  { no: 3, name: "block_scoped_data", kind: "message", T: BlockScopedData, oneof: "message" },
]);

const ResponseV4: MessageType<StreamResponse> = proto3.makeMessageType("sf.substreams.rpc.v4.Response", () => [
  ...common,
  { no: 3, name: "block_scoped_datas", kind: "message", T: BlockScopedDatas, oneof: "message" },
]);

/** The answer type of a version. Decoded payloads are views of the encoded message. */
export function responseType(protocol: Protocol): MessageType<StreamResponse> {
  return protocol === "v4" ? ResponseV4 : ResponseV2;
}

/** Answer of `EndpointInfo/Info`, `sf.firehose.v2.InfoResponse`; the request has no fields. */
export interface InfoResponse extends Message<InfoResponse> {
  /** As the registry of networks names it, "solana-mainnet-beta" for example. */
  chainName: string;
  chainNameAliases: string[];
  firstStreamableBlockNum: bigint;
  firstStreamableBlockId: string;
  blockFeatures: string[];
}

export const InfoResponse: MessageType<InfoResponse> = proto3.makeMessageType("sf.firehose.v2.InfoResponse", () => [
  { no: 1, name: "chain_name", kind: "scalar", T: STRING },
  { no: 2, name: "chain_name_aliases", kind: "scalar", T: STRING, repeated: true },
  { no: 3, name: "first_streamable_block_num", kind: "scalar", T: UINT64 },
  { no: 4, name: "first_streamable_block_id", kind: "scalar", T: STRING },
  { no: 10, name: "block_features", kind: "scalar", T: STRING, repeated: true },
]);
