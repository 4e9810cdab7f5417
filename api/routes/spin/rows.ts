/**
 * Rows in the form that existing clients know. u64 are JSON numbers with all their digits, u128 are text; `field` names of
 * the datasets are the names they have here.
 */
import { Type as t } from "@sinclair/typebox";
import type { ColumnSpec } from "../../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../../../pipeline/datasets/event.ts";
import { base58 } from "../../../storage/lake/base58.ts";
import { isoSeconds } from "../../clock.ts";
import type { HotEvent, Row } from "../../reads/index.ts";

type Cell = Row[string] | undefined;

export const EventSchema = t.Object(
  {
    event_type: t.String(),
    mint_account: t.Union([t.String(), t.Null()]),
    timestamp: t.String({ description: "block time, RFC 3339" }),
    signature: t.String(),
    slot: t.Integer(),
  },
  { additionalProperties: true, description: "the event's fields as its program names them" },
);

const COMMON = new Set(EVENT_COLUMNS.map((column) => column.name).filter((name) => name !== "mint"));

/** `event_type`, the event's own fields, and where it happened. */
export function eventBody({ spec, row }: HotEvent): Record<string, unknown> {
  const body: Record<string, unknown> = { event_type: variantOf(spec.name) };
  for (const column of spec.columns) {
    if (!COMMON.has(column.name)) body[column.field ?? column.name] = cellBody(column, row[column.name]);
  }
  body["timestamp"] = isoSeconds(Number(row["block_time"]));
  body["signature"] = base58(row["signature"] as Uint8Array, 0, 64);
  body["slot"] = Number(row["slot"]);
  return body;
}

/** "token_created" is "TokenCreated". */
function variantOf(dataset: string): string {
  return dataset.replaceAll(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function cellBody({ type }: ColumnSpec, cell: Cell): unknown {
  if (cell === undefined || cell === null) return null;
  if (cell instanceof Uint8Array) return type === "bytes" ? Buffer.from(cell).toString("hex") : addressText(cell);
  return type === "u128" || type === "i128" ? String(cell) : cell;
}

/** A token's metadata, as far as it is known. */
export type UriData = Readonly<Record<string, unknown>> | null;
export type UriDataOf = (mint: Row) => UriData;

const text = t.Union([t.String(), t.Null()]);
const whole = t.Union([t.Integer(), t.Null()]);

export const OrderSchema = t.Object(
  {
    order_type: t.Integer({ description: "1 long, 2 short" }),
    mint: t.String(),
    user: t.String(),
    lock_lp_start_price: t.String(),
    lock_lp_end_price: t.String(),
    lock_lp_sol_amount: t.Integer(),
    lock_lp_token_amount: t.Integer(),
    start_time: t.Integer(),
    end_time: t.Integer(),
    margin_sol_amount: t.Integer(),
    borrow_amount: t.Integer(),
    position_asset_amount: t.Integer(),
    borrow_fee: t.Integer(),
    order_pda: t.String(),
    latest_price: text,
    latest_trade_time: whole,
    name: text,
    symbol: text,
    image: text,
  },
  { title: "SpinpetOrder" },
);

/** An order with what is known of its token. */
export function orderBody(order: Row, mint: Row | null, uriDataOf: UriDataOf) {
  const uriData = mint === null ? null : uriDataOf(mint);
  return {
    order_type: order["order_type"],
    mint: addressText(order["mint"]),
    user: addressText(order["user"]),
    lock_lp_start_price: String(order["lock_lp_start_price"]),
    lock_lp_end_price: String(order["lock_lp_end_price"]),
    lock_lp_sol_amount: order["lock_lp_sol_amount"],
    lock_lp_token_amount: order["lock_lp_token_amount"],
    start_time: order["start_time"],
    end_time: order["end_time"],
    margin_sol_amount: order["margin_sol_amount"],
    borrow_amount: order["borrow_amount"],
    position_asset_amount: order["position_asset_amount"],
    borrow_fee: order["borrow_fee"],
    order_pda: addressText(order["order_pda"]),
    latest_price: bigText(mint?.["latest_price"]),
    latest_trade_time: mint?.["latest_trade_time"] ?? null,
    name: mint?.["name"] ?? uriData?.["name"] ?? null,
    symbol: mint?.["symbol"] ?? uriData?.["symbol"] ?? null,
    image: uriData?.["image"] ?? null,
  };
}

export const DetailSchema = t.Object(
  {
    mint_account: t.String(),
    payer: text,
    curve_account: text,
    pool_token_account: text,
    pool_sol_account: text,
    fee_recipient: text,
    base_fee_recipient: text,
    params_account: text,
    name: text,
    symbol: text,
    uri: text,
    swap_fee: whole,
    borrow_fee: whole,
    fee_discount_flag: whole,
    create_timestamp: whole,
    latest_price: text,
    latest_trade_time: whole,
    total_sol_amount: t.Integer(),
    total_margin_sol_amount: t.Integer(),
    total_force_liquidations: t.Integer(),
    total_close_profit: t.Integer(),
    created_by: text,
    last_updated_at: text,
    uri_data: t.Union([t.Record(t.String(), t.Unknown()), t.Null()]),
  },
  { title: "SpinpetDetail" },
);

export function detailBody(mint: Row, uriDataOf: UriDataOf) {
  const createdBy = addressText(mint["created_by"]);
  return {
    mint_account: addressText(mint["mint"]),
    payer: createdBy,
    curve_account: addressText(mint["curve_account"]),
    pool_token_account: addressText(mint["pool_token_account"]),
    pool_sol_account: addressText(mint["pool_sol_account"]),
    fee_recipient: addressText(mint["fee_recipient"]),
    base_fee_recipient: addressText(mint["base_fee_recipient"]),
    params_account: addressText(mint["params_account"]),
    name: mint["name"],
    symbol: mint["symbol"],
    uri: mint["uri"],
    swap_fee: mint["swap_fee"],
    borrow_fee: mint["borrow_fee"],
    fee_discount_flag: mint["fee_discount_flag"],
    create_timestamp: mint["create_timestamp"],
    latest_price: bigText(mint["latest_price"]),
    latest_trade_time: mint["latest_trade_time"],
    total_sol_amount: mint["total_sol_amount"],
    total_margin_sol_amount: mint["total_margin_sol_amount"],
    total_force_liquidations: mint["total_force_liquidations"],
    total_close_profit: mint["total_close_profit"],
    created_by: createdBy,
    last_updated_at: isoSeconds(Number(mint["last_updated_at"])),
    uri_data: uriDataOf(mint),
  };
}

export function addressText(cell: Cell): string | null {
  return cell instanceof Uint8Array ? base58(cell, 0, cell.length as 32 | 64) : null;
}

function bigText(cell: Cell): string | null {
  return cell === undefined || cell === null ? null : String(cell);
}
