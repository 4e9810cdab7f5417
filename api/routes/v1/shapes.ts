/** Bodies of `/v1`: rows of datasets as clients see them, and the envelope that every answer has. */
import { type Static, type TSchema, Type as t } from "@sinclair/typebox";
import { EVENT_COLUMNS } from "../../../pipeline/datasets/event.ts";
import { LONG } from "../../../pipeline/datasets/orders.ts";
import { base58 } from "../../../storage/lake/base58.ts";
import { decimal } from "../../json.ts";
import type { Answered, HotEvent, RankedMint, Row, Standing } from "../../reads/index.ts";

/** Decimals of a price (SOL per token) and of SOL. */
export const PRICE_DIGITS = 28;
export const SOL_DIGITS = 9;

const Nullable = <T extends TSchema>(schema: T) => t.Union([schema, t.Null()]);
const Address = t.String({ description: "base58" });
const Amount = t.String({ description: "whole number of base units or lamports, exact" });
const Price = t.String({ description: "SOL per token, exact decimal" });
const Seconds = t.Integer({ description: "Unix seconds" });

/** What every answer says of itself. */
const STANDING = {
  final_up_to: t.Integer({ description: "up to this slot nothing that was answered will change" }),
  as_of: Nullable(t.Object({ slot: t.Integer(), hash: t.String() }, { description: "the newest block that was seen" })),
  source: t.Union([t.Literal("hot"), t.Literal("lake"), t.Literal("lake+hot")], { description: "where it was read" }),
};

export const one = (schema: TSchema) => t.Object({ data: schema, ...STANDING });
export const listed = (schema: TSchema) =>
  t.Object({
    data: t.Array(schema),
    next_cursor: Nullable(t.String({ description: "for the next page; null on the last" })),
    ...STANDING,
  });

export function standingBody({ finalUpTo, asOf, source }: Standing) {
  return { final_up_to: finalUpTo, as_of: asOf, source };
}

/** A page of `limit` entries out of `limit + 1` that were looked for: whether there is a next one is known, not guessed. */
export function pageBody<T>(
  { data, standing }: Answered<readonly T[]>,
  limit: number,
  shape: (entry: T) => unknown,
  after: (last: T) => string,
) {
  const entries = data.slice(0, limit);
  const next = data.length > limit ? after(entries.at(-1)!) : null;
  return { data: entries.map(shape), next_cursor: next, ...standingBody(standing) };
}

export const Mint = t.Object(
  {
    mint: Address,
    name: Nullable(t.String()),
    symbol: Nullable(t.String()),
    uri: Nullable(t.String()),
    metadata: Nullable(t.Record(t.String(), t.Unknown(), { description: "what `uri` says, once it was fetched" })),
    created_by: Nullable(Address),
    created_at: Nullable(Seconds),
    first_slot: t.Integer(),
    price: Nullable(Price),
    latest_trade_at: Nullable(Seconds),
    swap_fee: Nullable(t.Integer({ description: "1/100000" })),
    borrow_fee: Nullable(t.Integer({ description: "1/100000" })),
    fee_discount_flag: Nullable(t.Integer()),
    curve_account: Nullable(Address),
    pool_token_account: Nullable(Address),
    pool_sol_account: Nullable(Address),
    fee_recipient: Nullable(Address),
    base_fee_recipient: Nullable(Address),
    params_account: Nullable(Address),
    total_sol_amount: Amount,
    total_margin_sol_amount: Amount,
    total_force_liquidations: Amount,
    total_close_profit: Amount,
    updated_at: Seconds,
  },
  { title: "Mint" },
);

export const Ranked = t.Composite(
  [
    Mint,
    t.Object({
      trades_1h: t.Integer({ description: "in the hour up to the newest block" }),
      volume_24h: Amount,
    }),
  ],
  { title: "RankedMint" },
);

/** What a token's `uri` says, as far as it is known. */
export type MetadataOf = (row: Row) => Readonly<Record<string, unknown>> | null;

export function mintBody(row: Row, metadataOf: MetadataOf): Static<typeof Mint> {
  return {
    mint: addressText(row["mint"])!,
    name: textOf(row["name"]),
    symbol: textOf(row["symbol"]),
    uri: textOf(row["uri"]),
    metadata: metadataOf(row),
    created_by: addressText(row["created_by"]),
    created_at: numberOf(row["create_timestamp"]),
    first_slot: Number(row["first_slot"]),
    price: row["latest_price"] === null ? null : priceText(row["latest_price"] as bigint),
    latest_trade_at: numberOf(row["latest_trade_time"]),
    swap_fee: numberOf(row["swap_fee"]),
    borrow_fee: numberOf(row["borrow_fee"]),
    fee_discount_flag: numberOf(row["fee_discount_flag"]),
    curve_account: addressText(row["curve_account"]),
    pool_token_account: addressText(row["pool_token_account"]),
    pool_sol_account: addressText(row["pool_sol_account"]),
    fee_recipient: addressText(row["fee_recipient"]),
    base_fee_recipient: addressText(row["base_fee_recipient"]),
    params_account: addressText(row["params_account"]),
    total_sol_amount: String(row["total_sol_amount"]),
    total_margin_sol_amount: String(row["total_margin_sol_amount"]),
    total_force_liquidations: String(row["total_force_liquidations"]),
    total_close_profit: String(row["total_close_profit"]),
    updated_at: Number(row["last_updated_at"]),
  };
}

export function rankedBody({ row, trades1h, volume24h }: RankedMint, metadataOf: MetadataOf): Static<typeof Ranked> {
  return { ...mintBody(row, metadataOf), trades_1h: trades1h, volume_24h: String(volume24h) };
}

/** Schema of what `placeBody` makes. */
export const PLACE = {
  slot: t.Integer(),
  time: Seconds,
  tx_index: t.Integer(),
  event_index: t.Integer(),
  signature: t.String(),
  instruction_path: t.String(),
  ordinal: t.Integer(),
};

export const Trade = t.Object(
  {
    ...PLACE,
    mint: Address,
    kind: t.String({ description: "the event it came from" }),
    user: Address,
    is_buy: Nullable(t.Boolean({ description: "null where the event is not a swap" })),
    base_amount: Nullable(Amount),
    quote_amount: Nullable(Amount),
    price: Price,
  },
  { title: "Trade" },
);

export function tradeBody(row: Row): Static<typeof Trade> {
  return {
    ...placeBody(row),
    mint: addressText(row["mint"])!,
    kind: String(row["kind"]),
    user: addressText(row["user"])!,
    is_buy: row["is_buy"] as boolean | null,
    base_amount: amountText(row["base_amount"]),
    quote_amount: amountText(row["quote_amount"]),
    price: priceText(row["price"] as bigint),
  };
}

export const Order = t.Object(
  {
    order: Address,
    mint: Address,
    user: Address,
    side: t.Union([t.Literal("long"), t.Literal("short")]),
    start_price: Price,
    end_price: Price,
    locked_sol: Amount,
    locked_tokens: Amount,
    opened_at: Seconds,
    due_at: Seconds,
    margin_sol: Amount,
    borrowed: Amount,
    position: Amount,
    borrow_fee: t.Integer({ description: "1/100000" }),
  },
  { title: "Order" },
);

export function orderBody(row: Row): Static<typeof Order> {
  return {
    order: addressText(row["order_pda"])!,
    mint: addressText(row["mint"])!,
    user: addressText(row["user"])!,
    side: row["order_type"] === LONG ? "long" : "short",
    start_price: priceText(row["lock_lp_start_price"] as bigint),
    end_price: priceText(row["lock_lp_end_price"] as bigint),
    locked_sol: String(row["lock_lp_sol_amount"]),
    locked_tokens: String(row["lock_lp_token_amount"]),
    opened_at: row["start_time"] as number,
    due_at: row["end_time"] as number,
    margin_sol: String(row["margin_sol_amount"]),
    borrowed: String(row["borrow_amount"]),
    position: String(row["position_asset_amount"]),
    borrow_fee: row["borrow_fee"] as number,
  };
}

export const Event = t.Object(
  {
    ...PLACE,
    mint: Nullable(Address),
    event: t.String({ description: "dataset of the event" }),
    fields: t.Record(t.String(), t.Unknown(), { description: "the event's own columns; wide integers are text" }),
  },
  { title: "Event" },
);

const COMMON = new Set(EVENT_COLUMNS.map((column) => column.name));

/** An event's own columns by name: addresses in base58, other bytes in hex, integers of 64 bits and more as text. */
export function eventBody({ dataset, spec, row }: HotEvent): Static<typeof Event> {
  const own = spec.columns.filter(({ name }) => !COMMON.has(name));
  const fields = Object.fromEntries(own.map(({ name, field }) => [field ?? name, cellBody(row[name])]));
  return { ...placeBody(row), mint: addressText(row["mint"]), event: dataset, fields };
}

function cellBody(cell: Row[string] | undefined): string | number | boolean | null {
  if (cell === undefined || cell === null) return null;
  if (typeof cell === "bigint") return String(cell);
  if (!(cell instanceof Uint8Array)) return cell;
  return cell.length === 32 || cell.length === 64 ? base58(cell, 0, cell.length) : Buffer.from(cell).toString("hex");
}

export function placeBody(row: Row) {
  return {
    slot: Number(row["slot"]),
    time: Number(row["block_time"]),
    tx_index: row["tx_index"] as number,
    event_index: row["event_index"] as number,
    signature: base58(row["signature"] as Uint8Array, 0, 64),
    instruction_path: String(row["instruction_path"]),
    ordinal: row["ordinal"] as number,
  };
}

export function addressText(cell: Row[string] | undefined): string | null {
  return cell instanceof Uint8Array ? base58(cell, 0, 32) : null;
}

export function priceText(price: bigint): string {
  return decimal(price, PRICE_DIGITS);
}

function textOf(cell: Row[string] | undefined): string | null {
  return typeof cell === "string" ? cell : null;
}

function numberOf(cell: Row[string] | undefined): number | null {
  return cell === null || cell === undefined ? null : Number(cell);
}

function amountText(cell: Row[string] | undefined): string | null {
  return cell === null || cell === undefined ? null : String(cell);
}
