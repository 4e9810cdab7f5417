/** `/api/mint_orders`, `/api/user_orders` and `/api/user_event`. */
import { Type as t } from "@sinclair/typebox";
import { LONG, SHORT } from "../../../pipeline/datasets/orders.ts";
import { address, bad, oneOf, type Param } from "../../params.ts";
import type { Row, TokenReads, UserEvent } from "../../reads/index.ts";
import type { Route } from "../route.ts";
import {
  enveloped,
  limit,
  NO_PAGE,
  offsetOf,
  order,
  orNone,
  PAGINATION,
  page,
  pagination,
  required,
} from "./envelope.ts";
import { addressText, EventSchema, eventBody, OrderSchema, orderBody, type UriDataOf } from "./rows.ts";

const mint = required(address("the token"));
const user = required(address("the user"));
const ofMint = orNone(address("of this token only"));

const side: Param<"up_orders" | "down_orders"> = {
  schema: oneOf(["up_orders", "down_orders"]),
  required: true,
  doc: "up_orders are shorts, down_orders longs",
  read(text) {
    if (text === "up_orders" || text === "down_orders") return text;
    throw bad("type parameter must be 'up_orders' or 'down_orders'");
  },
};

const OfUser = { user: t.String(), mint_account: t.Union([t.String(), t.Null()]) };
const NO_USER = { user: "", mint_account: null };

export function orderRoutes(reads: TokenReads, uriDataOf: UriDataOf): Route[] {
  const bodies = (orders: readonly Row[]) => {
    const mints = new Map<string, Row | null>();
    return orders.map((row) => {
      const key = addressText(row["mint"])!;
      if (!mints.has(key)) mints.set(key, reads.mint(row["mint"] as Uint8Array).data);
      return orderBody(row, mints.get(key)!, uriDataOf);
    });
  };
  return [ofToken(reads, bodies), ofUser(reads, bodies), history(reads)];
}

type Bodies = (orders: readonly Row[]) => ReturnType<typeof orderBody>[];

function ofToken(reads: TokenReads, bodies: Bodies): Route {
  return enveloped({
    method: "GET",
    path: "/api/mint_orders",
    summary: "Open orders of a token: up by rising, down by falling start price",
    params: { mint, type: side, limit, page },
    data: t.Object({ orders: t.Array(OrderSchema), order_type: t.String(), mint_account: t.String(), ...PAGINATION }),
    empty: { orders: [], order_type: "", mint_account: "", ...NO_PAGE },
    version: ({ params }) => reads.version(params.mint),
    handle({ params }) {
      const isUp = params.type === "up_orders";
      const orderType = isUp ? SHORT : LONG;
      const part = {
        order: isUp ? ("asc" as const) : ("desc" as const),
        limit: params.limit,
        offset: offsetOf(params),
      };
      return {
        orders: bodies(reads.orders(params.mint, orderType, part).data),
        order_type: params.type,
        mint_account: addressText(params.mint),
        ...pagination(reads.orderCount(params.mint, orderType), params),
      };
    },
  });
}

function ofUser(reads: TokenReads, bodies: Bodies): Route {
  return enveloped({
    method: "GET",
    path: "/api/user_orders",
    summary: "Open orders of a user by the time they were opened",
    params: {
      user,
      mint: ofMint,
      limit,
      page,
      order_by: order(["start_time_asc", "start_time_desc"], "order_by must be 'start_time_asc' or 'start_time_desc'"),
    },
    data: t.Object({ orders: t.Array(OrderSchema), ...OfUser, ...PAGINATION }),
    empty: { orders: [], ...NO_USER, ...NO_PAGE },
    version: () => reads.version(null),
    handle({ params }) {
      const { user, mint, limit, order_by } = params;
      const found = reads.userOrders(user, mint, { order: order_by, limit, offset: offsetOf(params) });
      return {
        orders: bodies(found.data),
        user: addressText(user),
        mint_account: mint && addressText(mint),
        ...pagination(reads.userOrderCount(user, mint), params),
      };
    },
  });
}

function history(reads: TokenReads): Route {
  const Transaction = t.Object({
    event_type: t.String(),
    user: t.String(),
    mint_account: t.String(),
    slot: t.Integer(),
    timestamp: t.Integer({ description: "Unix seconds" }),
    signature: t.String(),
    event_data: t.Union([EventSchema, t.Null()]),
  });
  return enveloped({
    method: "GET",
    path: "/api/user_event",
    summary: "Events that concern a user, in chain order",
    params: { user, mint: ofMint, limit, page, order_by: order(["slot_asc", "slot_desc"], null) },
    data: t.Object({ transactions: t.Array(Transaction), ...OfUser, ...PAGINATION }),
    empty: { transactions: [], ...NO_USER, ...NO_PAGE },
    version: () => reads.version(null),
    handle({ params }) {
      const { user, mint, limit, order_by } = params;
      const found = reads.userEvents(user, mint, { order: order_by, limit, offset: offsetOf(params) });
      return {
        transactions: found.data.map(transactionBody),
        user: addressText(user),
        mint_account: mint && addressText(mint),
        ...pagination(reads.userEventCount(user, mint), params),
      };
    },
  });
}

function transactionBody({ row, event }: UserEvent) {
  return {
    event_type: row["event"],
    user: addressText(row["user"]),
    mint_account: addressText(row["mint"]),
    slot: row["slot"],
    timestamp: row["block_time"],
    signature: addressText(row["signature"]),
    event_data: event === null ? null : eventBody(event),
  };
}
