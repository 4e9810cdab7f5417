/** How state changes a token's row: sums that stop at u64, times that do not run backwards. */
import { latin1 } from "../../pipeline/datasets/key.ts";
import { MINTS, type MintRow, newMint } from "../../pipeline/datasets/mints.ts";
import type { State } from "../stage.ts";
import type { EventRow } from "./event-row.ts";

const U64_MAX = (1n << 64n) - 1n;

/** Sums of on-chain u64 amounts stop at the largest u64, as the program's own counters do. */
export function addU64(a: bigint, b: bigint): bigint {
  const sum = a + b;
  return sum > U64_MAX ? U64_MAX : sum;
}

export function later(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Changes the row of the event's token, which begins to exist with the first event that is seen of it. */
export function changeMint(event: EventRow, state: State, change: (row: MintRow) => Partial<MintRow>): void {
  const mint = event.bytes("mint");
  const key = latin1(mint);
  const time = event.bigint("block_time");
  const row = state.get<MintRow>(MINTS.name, key) ?? newMint(mint, event.bigint("slot"), time);
  state.put<MintRow>(MINTS.name, key, { ...row, ...change(row), last_updated_at: later(row.last_updated_at, time) });
}
