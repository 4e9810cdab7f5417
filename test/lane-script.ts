/**
 * A lane's life as a script: the same number gives the same action, undos among them, so that a run that was killed, or
 * taken over, can be compared with one that was not.
 */
import type { Position } from "../pipeline/position.ts";
import type { RowBatch } from "../pipeline/wire/batch.ts";
import { address, event, type LaneBlock, type LaneEvent, laneBatch } from "../stages/sync/lane-fixture.ts";
import { LaneStage } from "../stages/sync/lane-stage.ts";
import { SPINPET_EFFECTS } from "../stages/sync/spinpet.ts";
import type { HotStore } from "../storage/hot/store.ts";

/** Every sixth action takes back the two blocks before it; the next five go on from there on another fork. */
const ROUND = 6;
const UNDONE = 2;

/** What the script does as its `n`th action, from 0: the block it goes to, and what it adds (nothing: an undo). */
export function action(n: number): { to: LaneBlock; finalSlot: number; isUndo: boolean } {
  const round = Math.floor(n / ROUND);
  const step = n % ROUND;
  const base = round * (ROUND - 1 - UNDONE);
  const isUndo = step === ROUND - 1;
  const slot = 100 + (isUndo ? base + ROUND - 2 - UNDONE : base + step);
  const fork = isUndo || step < ROUND - 1 - UNDONE ? "" : `-${round}`;
  const block = { slot, hash: `${slot}${fork}`, time: 1_700_000_000 + slot * 20, transactions: eventsOf(slot, fork) };
  return { to: block, finalSlot: Math.max(0, 100 + base - 2), isUndo };
}

function eventsOf(slot: number, fork: string): LaneEvent[][] {
  const seed = slot * 7 + fork.length;
  return Array.from({ length: 12 }, (_, i) => {
    const mint = address(1 + ((seed + i) % 5));
    const order = {
      mint,
      payer: address(40),
      order_pda: address(60 + (i % 4)),
      latest_price: BigInt(seed * 1000 + i) << 60n,
    };
    const swap = { mint, latest_price: order.latest_price, sol_amount: BigInt(i + 1), token_amount: BigInt(seed) };
    const kinds = [
      event("buy_sell", swap),
      event("long_short", { ...order, user: address(50 + (i % 3)), order_type: 1 + (i % 2), margin_sol_amount: 3n }),
      event("full_close", { ...order, user_close_profit: 2n }),
    ];
    return [kinds[(seed + i) % 3]!, event("buy_sell", swap)];
  });
}

export function positionOf(n: number): Position {
  const { slot, hash } = action(n).to;
  return { slot, hash: hash!, cursor: `${n}`, moduleHash: "m" };
}

/** Does the action `n` on an open store that stands after `n - 1`. */
export async function perform(store: HotStore, n: number): Promise<void> {
  const { to, finalSlot, isUndo } = action(n);
  const prev = n === 0 ? null : positionOf(n - 1);
  const step = { prev, next: positionOf(n), finalSlot, inputSeq: n };
  if (isUndo) {
    await store.rollback({ ...step, blocks: [] });
    return;
  }
  const batch: RowBatch = laneBatch([to], finalSlot);
  const out = new LaneStage(store.state, SPINPET_EFFECTS).apply(batch);
  await store.commit({ ...step, blocks: batch.blocks }, out);
}

/** Number of the action that the store did last; -1 for an empty one. */
export function lastAction(position: Position | undefined): number {
  return position === undefined ? -1 : Number(position.cursor);
}
