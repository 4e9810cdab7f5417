/** The blocks of a batch: the first section of every message. On BLOCKS streams each row also carries the raw output. */
import type { DatasetSpec } from "./dataset.ts";

export const BLOCKS: DatasetSpec = {
  name: "blocks",
  version: 1,
  doc: "Blocks of a batch, in chain order.",
  columns: [
    { name: "slot", type: "u64", doc: "Slot." },
    { name: "hash", type: "utf8", doc: "Block hash, base58." },
    { name: "cursor", type: "utf8", doc: "Substreams cursor: resuming from it yields the next block. Opaque." },
    { name: "block_time", type: "i64", unit: "seconds", doc: "Block time, Unix seconds." },
    { name: "final_slot", type: "u64", doc: "Highest final slot known when the block arrived." },
    { name: "payload", type: "bytes", nullable: true, doc: "The module's output; only on BLOCKS streams." },
  ],
  key: ["slot", "hash"],
  order: ["slot"],
};
