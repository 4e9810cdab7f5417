/** Blocks as the provider delivered them: what any later decoder can start from. Kept in the lake where asked for. */
import type { DatasetSpec } from "./dataset.ts";

export const RAW_BLOCKS: DatasetSpec = {
  name: "raw_blocks",
  version: 1,
  doc: "The module's output for each final block, as it was received.",
  columns: [
    { name: "slot", type: "u64", doc: "Slot." },
    { name: "block_time", type: "i64", unit: "seconds", doc: "Block time, Unix seconds." },
    { name: "hash", type: "utf8", doc: "Block hash, base58." },
    { name: "type", type: "utf8", doc: "Type of the output, for example sf.substreams.solana.v1.Transactions." },
    { name: "payload", type: "bytes", doc: "The module's output." },
  ],
  key: ["slot"],
  order: ["slot"],
};
