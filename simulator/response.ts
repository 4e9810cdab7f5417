/** Encodes `sf.substreams.rpc.v2.Response` messages, and the module outputs inside them. Field numbers from the protos. */
import type { ChainBlock } from "./chain.ts";
import type { ProtoWriter } from "./protobuf.ts";

export type OutputKind = "transactions" | "block";

/** Module and message of each kind of output, as the demo package declares them. */
export const OUTPUTS = {
  transactions: { module: "map_transactions", typeName: "sf.substreams.solana.v1.Transactions", transactionsField: 1 },
  block: { module: "map_blocks", typeName: "sf.solana.type.v1.Block", transactionsField: 4 },
} as const;

const LEADER = "DDnAqxJVFo2GVTujibHt5cjevHMSE9bo8HJaydHoshdp";
const FEE_REWARD = 1;

/** A BlockScopedData. `transactions` writes the module's transactions; it returns how many. */
export function writeBlock(
  out: ProtoWriter,
  options: {
    output: OutputKind;
    block: ChainBlock;
    cursor: string;
    finalHeight: number;
    /** Leave the output out altogether: one of the ways in which an empty block may arrive. */
    bare: boolean;
    transactions: (out: ProtoWriter, field: number) => void;
  },
): void {
  const { block } = options;
  const { module, typeName, transactionsField } = OUTPUTS[options.output];
  const response = out.begin(3);
  const output = out.begin(1);
  out.text(1, module);
  if (!options.bare) {
    const any = out.begin(2);
    out.text(1, `type.googleapis.com/${typeName}`);
    const value = out.begin(2);
    if (options.output === "block") writeBlockHead(out, block);
    options.transactions(out, transactionsField);
    if (options.output === "block") writeBlockTail(out, block);
    out.end(value);
    out.end(any);
  }
  out.end(output);
  const clock = out.begin(2);
  out.text(1, block.hash);
  out.uint(2, block.slot);
  const timestamp = out.begin(3);
  out.uint(1, block.time);
  out.end(timestamp);
  out.end(clock);
  out.text(3, options.cursor);
  out.uint(4, options.finalHeight);
  out.end(response);
}

function writeBlockHead(out: ProtoWriter, block: ChainBlock): void {
  out.text(1, block.parentHash);
  out.text(2, block.hash);
  out.uint(3, block.parentSlot);
}

function writeBlockTail(out: ProtoWriter, block: ChainBlock): void {
  const reward = out.begin(5);
  out.text(1, LEADER);
  out.uint(2, 7_247_500);
  out.uint(3, 37_188_329_304);
  out.uint(4, FEE_REWARD);
  out.end(reward);
  const time = out.begin(6);
  out.uint(1, block.time);
  out.end(time);
  const height = out.begin(7);
  out.uint(1, block.height);
  out.end(height);
  out.uint(20, block.slot);
}

/** A BlockUndoSignal back to `target`. */
export function writeUndo(out: ProtoWriter, target: ChainBlock, cursor: string): void {
  const response = out.begin(4);
  const block = out.begin(1);
  out.text(1, target.hash);
  out.uint(2, target.slot);
  out.end(block);
  out.text(2, cursor);
  out.end(response);
}
