/** State: one row for each token a lane has seen, with what its events say about it now. Kept for ever. */
import type { DatasetSpec } from "./dataset.ts";

export const MINTS: DatasetSpec = {
  name: "mints",
  version: 1,
  doc: "Tokens, in the order in which they were first seen, with their present state. Sums stop at the largest u64.",
  columns: [
    { name: "mint", type: "bytes32", doc: "The token." },
    { name: "first_slot", type: "u64", doc: "Slot of the first event seen of the token; orders the list of tokens." },
    { name: "first_time", type: "i64", unit: "seconds", doc: "Block time of that event." },
    {
      name: "created_by",
      type: "bytes32",
      nullable: true,
      doc: "Payer of the creation. Null until the creation is seen.",
    },
    { name: "create_timestamp", type: "i64", nullable: true, unit: "seconds", doc: "Block time of the creation." },
    { name: "curve_account", type: "bytes32", nullable: true, doc: "Bonding curve." },
    { name: "pool_token_account", type: "bytes32", nullable: true, doc: "Token account of the pool." },
    { name: "pool_sol_account", type: "bytes32", nullable: true, doc: "SOL account of the pool." },
    { name: "fee_recipient", type: "bytes32", nullable: true, doc: "Receiver of the token's fees." },
    { name: "base_fee_recipient", type: "bytes32", nullable: true, doc: "Receiver of the base fees." },
    { name: "params_account", type: "bytes32", nullable: true, doc: "Parameters that the token was created with." },
    { name: "swap_fee", type: "u16", nullable: true, unit: "1/100000", doc: "Fee of a swap." },
    { name: "borrow_fee", type: "u16", nullable: true, unit: "1/100000", doc: "Fee of borrowing." },
    { name: "fee_discount_flag", type: "u8", nullable: true, doc: "0 full fee, 1 = 50 %, 2 = 25 %, 3 = 12.5 %." },
    { name: "name", type: "utf8", nullable: true, doc: "Name of the token." },
    { name: "symbol", type: "utf8", nullable: true, doc: "Symbol of the token." },
    { name: "uri", type: "utf8", nullable: true, doc: "Where the token's metadata lies." },
    {
      name: "latest_price",
      type: "u128",
      nullable: true,
      unit: "1e-28 SOL per token",
      doc: "Price after the last trade.",
    },
    {
      name: "latest_trade_time",
      type: "i64",
      nullable: true,
      unit: "seconds",
      doc: "Greatest block time of the token's trades.",
    },
    { name: "total_sol_amount", type: "u64", unit: "lamports", doc: "Sum of SOL swapped on the curve." },
    { name: "total_margin_sol_amount", type: "u64", unit: "lamports", doc: "Sum of margins of opened positions." },
    { name: "total_force_liquidations", type: "u64", doc: "Number of positions liquidated." },
    { name: "total_close_profit", type: "u64", unit: "lamports", doc: "Sum of the profits of closed positions." },
    {
      name: "last_updated_at",
      type: "i64",
      unit: "seconds",
      doc: "Block time of the last event that changed this row.",
    },
  ],
  key: ["mint"],
  order: ["first_slot", "mint"],
};

/** A row of `mints`, as state holds it. */
export interface MintRow {
  readonly mint: Uint8Array;
  readonly first_slot: bigint;
  readonly first_time: bigint;
  readonly created_by: Uint8Array | null;
  readonly create_timestamp: bigint | null;
  readonly curve_account: Uint8Array | null;
  readonly pool_token_account: Uint8Array | null;
  readonly pool_sol_account: Uint8Array | null;
  readonly fee_recipient: Uint8Array | null;
  readonly base_fee_recipient: Uint8Array | null;
  readonly params_account: Uint8Array | null;
  readonly swap_fee: number | null;
  readonly borrow_fee: number | null;
  readonly fee_discount_flag: number | null;
  readonly name: string | null;
  readonly symbol: string | null;
  readonly uri: string | null;
  readonly latest_price: bigint | null;
  readonly latest_trade_time: bigint | null;
  readonly total_sol_amount: bigint;
  readonly total_margin_sol_amount: bigint;
  readonly total_force_liquidations: bigint;
  readonly total_close_profit: bigint;
  readonly last_updated_at: bigint;
}

/** The row of a token of which nothing is known yet but that it exists. */
export function newMint(mint: Uint8Array, slot: bigint, time: bigint): MintRow {
  return {
    mint,
    first_slot: slot,
    first_time: time,
    created_by: null,
    create_timestamp: null,
    curve_account: null,
    pool_token_account: null,
    pool_sol_account: null,
    fee_recipient: null,
    base_fee_recipient: null,
    params_account: null,
    swap_fee: null,
    borrow_fee: null,
    fee_discount_flag: null,
    name: null,
    symbol: null,
    uri: null,
    latest_price: null,
    latest_trade_time: null,
    total_sol_amount: 0n,
    total_margin_sol_amount: 0n,
    total_force_liquidations: 0n,
    total_close_profit: 0n,
    last_updated_at: time,
  };
}
