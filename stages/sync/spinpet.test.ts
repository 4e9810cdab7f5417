/**
 * Goal: each event changes state as the table of effects says, and the known defects of the program's own server are
 * absent. Method: one small chain per rule, applied by the lane's stage on a Map.
 */
import { describe, expect, test } from "bun:test";
import { LONG, ORDERS, type OrderRow, SHORT } from "../../pipeline/datasets/orders.ts";
import { USER_EVENTS, type UserEventRow } from "../../pipeline/datasets/user_events.ts";
import { address, blockOf, event, type LaneEvent, stateAfter } from "./lane-fixture.ts";

const U64_MAX = (1n << 64n) - 1n;
const OWNER = address(7);
const PAYER = address(8);
const PDA = address(9);

const opened = (fields: LaneEvent["fields"] = {}) =>
  event("long_short", { payer: PAYER, user: OWNER, order_pda: PDA, order_type: LONG, latest_price: 5n, ...fields });
const closed = (fields: LaneEvent["fields"] = {}) =>
  event("full_close", { payer: PAYER, order_pda: PDA, latest_price: 5n, ...fields });
const liquidated = () => event("force_liquidate", { payer: PAYER, order_pda: PDA });

const orders = (state: ReturnType<typeof stateAfter>) => state.rows<OrderRow>(ORDERS.name);
const userEvents = (state: ReturnType<typeof stateAfter>) => state.rows<UserEventRow>(USER_EVENTS.name);

describe("token_created", () => {
  const created = (fields: LaneEvent["fields"] = {}) =>
    event("token_created", {
      payer: PAYER,
      curve_account: address(3),
      name: "Hello",
      symbol: "HLO",
      uri: "u",
      ...fields,
    });

  test("describes the token, by block time", () => {
    const mint = stateAfter(blockOf(10, created({ swap_fee: 250, params_account: address(4) }))).mint();
    expect(mint).toMatchObject({ name: "Hello", symbol: "HLO", uri: "u", swap_fee: 250, curve_account: address(3) });
    expect(mint).toMatchObject({ created_by: PAYER, create_timestamp: 1_700_000_010n, params_account: address(4) });
    expect(mint).toMatchObject({ first_slot: 10n, first_time: 1_700_000_010n, last_updated_at: 1_700_000_010n });
    expect(mint.latest_price).toBeNull();
  });

  test("leaves unknown what the early layout lacks", () => {
    const mint = stateAfter(blockOf(10, created())).mint();
    expect(mint).toMatchObject({ params_account: null, swap_fee: null, fee_discount_flag: null, name: "Hello" });
  });

  test("a second one renews the description, but neither place in the list nor sums", () => {
    const swap = event("buy_sell", { sol_amount: 40n, latest_price: 6n });
    const state = stateAfter(blockOf(10, created()), blockOf(11, swap), blockOf(12, created({ name: "Again" })));
    expect(state.mint()).toMatchObject({ name: "Again", create_timestamp: 1_700_000_012n, first_slot: 10n });
    expect(state.mint()).toMatchObject({ total_sol_amount: 40n, latest_price: 6n });
  });

  test("of a token that traded before completes its row", () => {
    const state = stateAfter(
      blockOf(9, event("buy_sell", { sol_amount: 1n, latest_price: 6n })),
      blockOf(10, created()),
    );
    expect(state.mint()).toMatchObject({ name: "Hello", first_slot: 9n, create_timestamp: 1_700_000_010n });
  });
});

describe("buy_sell", () => {
  test("sets price and time and adds to the volume", () => {
    const swap = (sol: bigint, price: bigint) => event("buy_sell", { sol_amount: sol, latest_price: price });
    const state = stateAfter(blockOf(10, swap(3n, 7n), swap(4n, 6n)));
    expect(state.mint()).toMatchObject({ latest_price: 6n, latest_trade_time: 1_700_000_010n, total_sol_amount: 7n });
    expect(userEvents(state)).toEqual([]);
  });

  test("sums stop at the largest u64", () => {
    const swap = event("buy_sell", { sol_amount: U64_MAX - 1n, latest_price: 1n });
    expect(stateAfter(blockOf(10, swap), blockOf(11, swap)).mint().total_sol_amount).toBe(U64_MAX);
    expect(stateAfter(blockOf(10, swap, swap)).mint().total_sol_amount).toBe(U64_MAX);
  });
});

describe("long_short", () => {
  test("opens an order, adds its margin, moves the price without volume", () => {
    const state = stateAfter(blockOf(10, opened({ margin_sol_amount: 30n, lock_lp_start_price: 1n << 127n })));
    expect(orders(state)).toHaveLength(1);
    expect(orders(state)[0]).toMatchObject({ order_pda: PDA, user: OWNER, order_type: LONG, margin_sol_amount: 30n });
    expect(orders(state)[0]!.lock_lp_start_price).toBe(1n << 127n);
    expect(state.mint()).toMatchObject({ total_margin_sol_amount: 30n, total_sol_amount: 0n, latest_price: 5n });
    expect(userEvents(state)).toMatchObject([
      { user: OWNER, event: "long_short", slot: 10n, block_time: 1_700_000_010n },
    ]);
  });

  test("an order is one of its token: the same account of another token is another order", () => {
    const state = stateAfter(blockOf(10, opened(), opened({ mint: address(2), order_type: SHORT })));
    expect(orders(state).map((o) => o.order_type)).toEqual([LONG, SHORT]);
  });
});

describe("partial_close", () => {
  const partly = (fields: LaneEvent["fields"]) =>
    event("partial_close", {
      payer: PAYER,
      user: OWNER,
      order_pda: PDA,
      order_type: LONG,
      latest_price: 4n,
      ...fields,
    });

  test("replaces the order and adds the profit", () => {
    const state = stateAfter(
      blockOf(10, opened({ borrow_amount: 100n })),
      blockOf(11, partly({ borrow_amount: 60n, user_close_profit: 12n })),
    );
    expect(orders(state)).toHaveLength(1);
    expect(orders(state)[0]!.borrow_amount).toBe(60n);
    expect(state.mint()).toMatchObject({ total_close_profit: 12n, latest_price: 4n });
    expect(userEvents(state).map((e) => e.event)).toEqual(["long_short", "partial_close"]);
  });

  test("brings an order that was never seen", () => {
    expect(orders(stateAfter(blockOf(11, partly({ order_type: SHORT })))).map((o) => o.order_type)).toEqual([SHORT]);
  });
});

describe("full_close", () => {
  test("removes the order of either side, whatever the event says of the side", () => {
    for (const [order_type, is_close_long] of [
      [LONG, false],
      [SHORT, true],
      [SHORT, false],
    ] as const) {
      expect(orders(stateAfter(blockOf(10, opened({ order_type })), blockOf(11, closed({ is_close_long }))))).toEqual(
        [],
      );
    }
  });

  test("belongs to the order's owner, not to the payer", () => {
    const state = stateAfter(blockOf(10, opened()), blockOf(11, closed({ user_close_profit: 5n })));
    expect(userEvents(state).map((e) => [e.user, e.event])).toEqual([
      [OWNER, "long_short"],
      [OWNER, "full_close"],
    ]);
    expect(state.mint().total_close_profit).toBe(5n);
  });

  test("of an order never seen belongs to the payer", () => {
    const state = stateAfter(blockOf(11, closed()));
    expect(userEvents(state)).toMatchObject([{ user: PAYER, event: "full_close" }]);
    expect(state.mint()).toMatchObject({ first_slot: 11n, latest_price: 5n, name: null });
  });
});

describe("force_liquidate", () => {
  test("removes the order, counts, belongs to the owner, moves no price", () => {
    const state = stateAfter(blockOf(10, opened({ order_type: SHORT })), blockOf(11, liquidated()));
    expect(orders(state)).toEqual([]);
    expect(state.mint()).toMatchObject({ total_force_liquidations: 1n, latest_trade_time: 1_700_000_010n });
    expect(state.mint().last_updated_at).toBe(1_700_000_011n);
    expect(userEvents(state).at(-1)).toMatchObject({ user: OWNER, event: "force_liquidate" });
  });

  test("of an order and token never seen begins the token's row", () => {
    const state = stateAfter(blockOf(11, liquidated()));
    expect(state.mint()).toMatchObject({ total_force_liquidations: 1n, first_slot: 11n, latest_price: null });
    expect(userEvents(state)).toMatchObject([{ user: PAYER }]);
  });
});

describe("milestone_discount", () => {
  test("sets the fees and is one event of the payer", () => {
    const discount = event("milestone_discount", { payer: PAYER, swap_fee: 1, borrow_fee: 2, fee_discount_flag: 3 });
    const state = stateAfter(blockOf(10, discount));
    expect(state.mint()).toMatchObject({ swap_fee: 1, borrow_fee: 2, fee_discount_flag: 3, latest_price: null });
    expect(userEvents(state)).toMatchObject([{ user: PAYER, event: "milestone_discount" }]);
  });
});

describe("order within a block", () => {
  test("events of one transaction and slot all count, in chain order", () => {
    const again = opened({ margin_sol_amount: 2n, borrow_amount: 9n });
    const state = stateAfter({
      slot: 10,
      transactions: [[opened({ margin_sol_amount: 1n }), closed(), again], [liquidated()]],
    });
    expect(orders(state)).toEqual([]);
    expect(state.mint()).toMatchObject({ total_margin_sol_amount: 3n, total_force_liquidations: 1n });
    expect(userEvents(state).map((e) => [e.event, e.tx_index, e.event_index, e.instruction_path])).toEqual([
      ["long_short", 0, 0, "0"],
      ["full_close", 0, 1, "1"],
      ["long_short", 0, 2, "2"],
      ["force_liquidate", 1, 0, "0"],
    ]);
  });

  test("an order opened and closed in one block leaves nothing, closed and opened again leaves the new one", () => {
    expect(orders(stateAfter(blockOf(10, opened(), closed())))).toEqual([]);
    expect(
      orders(stateAfter(blockOf(10, opened(), closed(), opened({ borrow_amount: 4n })))).map((o) => o.borrow_amount),
    ).toEqual([4n]);
  });
});
