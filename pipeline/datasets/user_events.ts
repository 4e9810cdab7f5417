/**
 * State: which events concern which user, with the owner of a closed or liquidated order resolved from the order itself.
 * Ages out together with the events.
 */
import type { DatasetSpec } from "./dataset.ts";

export const USER_EVENTS: DatasetSpec = {
  name: "user_events",
  version: 1,
  doc: "Events by the user they concern. The event itself is the row of dataset `event` at the same position.",
  columns: [
    { name: "user", type: "bytes32", doc: "Owner of the order, or payer where no order is concerned or known." },
    { name: "slot", type: "u64", doc: "Slot of the event." },
    { name: "tx_index", type: "u32", doc: "Position of the transaction in the block." },
    { name: "event_index", type: "u32", doc: "Position of the event in its transaction." },
    { name: "mint", type: "bytes32", doc: "Token of the event." },
    { name: "event", type: "utf8", doc: "Dataset of the event: long_short, partial_close, full_close, ..." },
    { name: "block_time", type: "i64", unit: "seconds", doc: "Block time, Unix seconds." },
    { name: "signature", type: "bytes64", doc: "First signature of the transaction." },
    { name: "instruction_path", type: "utf8", doc: "Path of the instruction that emitted the event." },
    { name: "ordinal", type: "u32", doc: "Number of the event among those its instruction emitted." },
  ],
  key: ["user", "slot", "tx_index", "event_index"],
  order: ["user", "slot", "tx_index", "event_index"],
};

/** A row of `user_events`, as state holds it. */
export interface UserEventRow {
  readonly user: Uint8Array;
  readonly slot: bigint;
  readonly tx_index: number;
  readonly event_index: number;
  readonly mint: Uint8Array;
  readonly event: string;
  readonly block_time: bigint;
  readonly signature: Uint8Array;
  readonly instruction_path: string;
  readonly ordinal: number;
}
