/**
 * What the events of the spinpet program do to orders, tokens and user histories. Price, volume and candles come from
 * `trades` (`stages/aggregate/`), so a plain swap has no effect here.
 *
 * Decisions where the program's own server is ambiguous or wrong:
 * - An order is one row by (mint, order_pda). Its side is `order_type`: 1 = long ("dn"), 2 = short ("up").
 * - Full close and liquidation find side and owner in the stored order, not in the event: liquidations are sent by
 *   others, so the payer is not the owner. When the order was never seen (the lane began later), the payer stands in.
 * - All events of a user count, also several in one transaction or slot; time is block time.
 * - A second creation of a token renews its description and keeps its place in the list and its sums.
 */
import { keyPart } from "../../pipeline/datasets/key.ts";
import { ORDERS, type OrderRow } from "../../pipeline/datasets/orders.ts";
import { USER_EVENTS, type UserEventRow } from "../../pipeline/datasets/user_events.ts";
import type { State } from "../stage.ts";
import type { Effects, EventRow } from "./event-row.ts";
import { addU64, changeMint } from "./mint-state.ts";

export const SPINPET_EFFECTS: Effects = new Map([
  ["token_created", tokenCreated],
  ["long_short", longShort],
  ["partial_close", partialClose],
  ["full_close", fullClose],
  ["force_liquidate", forceLiquidate],
  ["milestone_discount", milestoneDiscount],
]);

function tokenCreated(event: EventRow, state: State): void {
  changeMint(event, state, () => ({
    created_by: event.bytes("payer"),
    create_timestamp: event.bigint("block_time"),
    curve_account: event.bytes("curve_account"),
    // Early events lack the fields from here on.
    pool_token_account: bytesOrNull(event, "pool_token_account"),
    pool_sol_account: bytesOrNull(event, "pool_sol_account"),
    fee_recipient: bytesOrNull(event, "fee_recipient"),
    base_fee_recipient: bytesOrNull(event, "base_fee_recipient"),
    params_account: bytesOrNull(event, "params_account"),
    ...fees(event),
    name: event.string("name"),
    symbol: event.string("symbol"),
    uri: event.string("uri"),
  }));
}

function longShort(event: EventRow, state: State): void {
  changeMint(event, state, (mint) => ({
    total_margin_sol_amount: addU64(mint.total_margin_sol_amount, event.bigint("margin_sol_amount")),
  }));
  putOrder(event, state);
  putUserEvent(event, state, event.bytes("user"));
}

function partialClose(event: EventRow, state: State): void {
  addCloseProfit(event, state);
  putOrder(event, state);
  putUserEvent(event, state, event.bytes("user"));
}

function fullClose(event: EventRow, state: State): void {
  addCloseProfit(event, state);
  putUserEvent(event, state, removeOrder(event, state));
}

function forceLiquidate(event: EventRow, state: State): void {
  changeMint(event, state, (mint) => ({ total_force_liquidations: addU64(mint.total_force_liquidations, 1n) }));
  putUserEvent(event, state, removeOrder(event, state));
}

function milestoneDiscount(event: EventRow, state: State): void {
  changeMint(event, state, () => fees(event));
  putUserEvent(event, state, event.bytes("payer"));
}

function fees(event: EventRow) {
  return {
    swap_fee: numberOrNull(event, "swap_fee"),
    borrow_fee: numberOrNull(event, "borrow_fee"),
    fee_discount_flag: numberOrNull(event, "fee_discount_flag"),
  };
}

function bytesOrNull(event: EventRow, column: string): Uint8Array | null {
  return event.isNull(column) ? null : event.bytes(column);
}

function numberOrNull(event: EventRow, column: string): number | null {
  return event.isNull(column) ? null : event.number(column);
}

function addCloseProfit(event: EventRow, state: State): void {
  changeMint(event, state, (mint) => ({
    total_close_profit: addU64(mint.total_close_profit, event.bigint("user_close_profit")),
  }));
}

function orderKey(mint: Uint8Array, orderPda: Uint8Array): string {
  return keyPart("bytes32", mint) + keyPart("bytes32", orderPda);
}

/** The event carries the whole order, so it may be one that was never seen before. */
function putOrder(event: EventRow, state: State): void {
  const order: OrderRow = {
    mint: event.bytes("mint"),
    order_pda: event.bytes("order_pda"),
    order_type: event.number("order_type"),
    user: event.bytes("user"),
    lock_lp_start_price: event.bigint("lock_lp_start_price"),
    lock_lp_end_price: event.bigint("lock_lp_end_price"),
    lock_lp_sol_amount: event.bigint("lock_lp_sol_amount"),
    lock_lp_token_amount: event.bigint("lock_lp_token_amount"),
    start_time: event.number("start_time"),
    end_time: event.number("end_time"),
    margin_sol_amount: event.bigint("margin_sol_amount"),
    borrow_amount: event.bigint("borrow_amount"),
    position_asset_amount: event.bigint("position_asset_amount"),
    borrow_fee: event.number("borrow_fee"),
  };
  state.put(ORDERS.name, orderKey(order.mint, order.order_pda), order);
}

/** Removes the order and says whose it was: the payer's, as far as we know, when it was never seen. */
function removeOrder(event: EventRow, state: State): Uint8Array {
  const key = orderKey(event.bytes("mint"), event.bytes("order_pda"));
  const order = state.get<OrderRow>(ORDERS.name, key);
  if (order === undefined) return event.bytes("payer");
  state.delete(ORDERS.name, key);
  return order.user;
}

function putUserEvent(event: EventRow, state: State, user: Uint8Array): void {
  const row: UserEventRow = {
    user,
    slot: event.bigint("slot"),
    tx_index: event.number("tx_index"),
    event_index: event.number("event_index"),
    mint: event.bytes("mint"),
    event: event.dataset,
    block_time: event.bigint("block_time"),
    signature: event.bytes("signature"),
    instruction_path: event.string("instruction_path"),
    ordinal: event.number("ordinal"),
  };
  const key =
    keyPart("bytes32", user) +
    keyPart("u64", row.slot) +
    keyPart("u32", row.tx_index) +
    keyPart("u32", row.event_index);
  state.put(USER_EVENTS.name, key, row);
}
