/** Decoding in one call, for tests: transactions in, rows by dataset out. */
import type { BlockMeta } from "../../pipeline/position.ts";
import type { BlockBatch, RowBatch } from "../../pipeline/wire/batch.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { concat, encodeTransactions, type FixtureTransaction } from "./block-fixture.ts";
import type { DecodeHealth } from "./health.ts";
import { type DecodeOptions, DecodeStage } from "./stage.ts";

export type Row = Record<string, Cell>;
export type Rows = Record<string, Row[]>;

export const TRANSACTIONS_TYPE = "sf.substreams.solana.v1.Transactions";

export function blockMeta(slot: number): BlockMeta {
  return { slot, hash: `hash${slot}`, cursor: `cursor${slot}`, time: 1_700_000_000 + slot, finalSlot: slot - 32 };
}

export function batchOf(payloads: readonly Uint8Array[], typeName = TRANSACTIONS_TYPE): BlockBatch {
  return { typeName, payloads, blocks: payloads.map((_, i) => blockMeta(100 + i)) };
}

export function rowsOf(batch: RowBatch): Rows {
  const entries = Array.from(batch.tables, ([name, table]) => [
    name,
    Array.from({ length: table.length }, (_, i) => copyOf(table.row(i))),
  ]);
  return Object.fromEntries(entries);
}

/** Cells that are bytes are views into the batch; a row that outlives it needs its own. */
function copyOf(row: Row): Row {
  return Object.fromEntries(Object.entries(row).map(([k, v]) => [k, v instanceof Uint8Array ? v.slice() : v]));
}

export function decodeTransactions(
  options: DecodeOptions,
  transactions: readonly FixtureTransaction[],
): { rows: Rows; health: DecodeHealth } {
  const stage = new DecodeStage(options);
  const rows = rowsOf(stage.apply(batchOf([encodeTransactions(transactions)])));
  return { rows, health: stage.health() };
}

/** Eight bytes of discriminator from hex, then the body. */
export function payloadOf(discriminator: string, body: Uint8Array): Uint8Array {
  return concat([Buffer.from(discriminator, "hex"), body]);
}
