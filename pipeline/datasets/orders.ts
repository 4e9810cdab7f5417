/** State: the margin orders that are open now. A row goes when its order is closed or liquidated. */
import type { DatasetSpec } from "./dataset.ts";

/** `order_type` of a long position ("dn") and of a short one ("up"). */
export const LONG = 1;
export const SHORT = 2;

export const ORDERS: DatasetSpec = {
  name: "orders",
  version: 1,
  doc: "Open margin orders with the values of their last event.",
  columns: [
    { name: "mint", type: "bytes32", doc: "Token of the order." },
    { name: "order_pda", type: "bytes32", doc: "Account of the order; identifies it within its token." },
    { name: "order_type", type: "u8", doc: '1 = long ("dn" orders), 2 = short ("up" orders).' },
    { name: "user", type: "bytes32", doc: "Owner of the order." },
    { name: "lock_lp_start_price", type: "u128", unit: "1e-28 SOL per token", doc: "Start of the locked price range." },
    { name: "lock_lp_end_price", type: "u128", unit: "1e-28 SOL per token", doc: "End of the locked price range." },
    { name: "lock_lp_sol_amount", type: "u64", unit: "lamports", doc: "SOL locked in the range." },
    { name: "lock_lp_token_amount", type: "u64", unit: "base units", doc: "Tokens locked in the range." },
    { name: "start_time", type: "u32", unit: "seconds", doc: "Opened at, Unix seconds." },
    { name: "end_time", type: "u32", unit: "seconds", doc: "Due at, Unix seconds." },
    { name: "margin_sol_amount", type: "u64", unit: "lamports", doc: "Margin." },
    { name: "borrow_amount", type: "u64", doc: "Borrowed: lamports for a long, base units for a short." },
    { name: "position_asset_amount", type: "u64", doc: "Held: base units for a long, lamports for a short." },
    { name: "borrow_fee", type: "u16", unit: "1/100000", doc: "Fee of borrowing." },
  ],
  key: ["mint", "order_pda"],
  order: ["mint", "order_type", "lock_lp_start_price"],
};

/** A row of `orders`, as state holds it. */
export interface OrderRow {
  readonly mint: Uint8Array;
  readonly order_pda: Uint8Array;
  readonly order_type: number;
  readonly user: Uint8Array;
  readonly lock_lp_start_price: bigint;
  readonly lock_lp_end_price: bigint;
  readonly lock_lp_sol_amount: bigint;
  readonly lock_lp_token_amount: bigint;
  readonly start_time: number;
  readonly end_time: number;
  readonly margin_sol_amount: bigint;
  readonly borrow_amount: bigint;
  readonly position_asset_amount: bigint;
  readonly borrow_fee: number;
}
