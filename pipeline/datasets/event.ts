/**
 * Columns that every event row starts with, whatever program it came from. Identity of an event is (slot, signature,
 * instruction_path, ordinal): the same whatever filter delivered it. `tx_index` and `event_index` are positions in the
 * received block: they order, they do not identify.
 */
import type { ColumnSpec, DatasetSpec } from "./dataset.ts";

export const EVENT_COLUMNS: readonly ColumnSpec[] = [
  { name: "slot", type: "u64", doc: "Slot of the block." },
  { name: "block_time", type: "i64", unit: "seconds", doc: "Block time, Unix seconds. Event time is block time." },
  { name: "tx_index", type: "u32", doc: "Position of the transaction in the received block; orders only." },
  {
    name: "event_index",
    type: "u32",
    doc: "Position of the event in its transaction, in execution order; orders only.",
  },
  { name: "signature", type: "bytes64", doc: "First signature of the transaction." },
  {
    name: "instruction_path",
    type: "utf8",
    doc: 'Path of the instruction that emitted the event: "2" is the third top-level one, "2.0" its first inner one.',
  },
  { name: "ordinal", type: "u32", doc: "Number of the event among those its instruction emitted, from 0." },
  { name: "program", type: "bytes32", doc: "Program that emitted the event." },
  {
    name: "mint",
    type: "bytes32",
    nullable: true,
    doc: "Token the event belongs to; decides its shard. Null when the event names none.",
  },
];

export const EVENT_KEY = ["slot", "signature", "instruction_path", "ordinal"] as const;
/** Lake order: by mint, then in chain order. */
export const EVENT_ORDER = ["mint", "slot", "tx_index", "event_index"] as const;

/** A dataset of decoded events: the common columns, then the event's own. */
export function eventDataset(options: {
  name: string;
  version: number;
  doc: string;
  fields: readonly ColumnSpec[];
}): DatasetSpec {
  return {
    name: options.name,
    version: options.version,
    doc: options.doc,
    columns: [...EVENT_COLUMNS, ...options.fields],
    key: EVENT_KEY,
    order: EVENT_ORDER,
  };
}
