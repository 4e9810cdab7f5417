/** `/v1/users/:user`: what a user has traded, the orders that are open for a user, and what has happened to them. */
import { Type as t } from "@sinclair/typebox";
import { afterEvent, afterOffset, afterPlace, eventCursor, offsetCursor } from "../../cursor.ts";
import { address, choice, integer, optional } from "../../params.ts";
import type { TokenReads, UserEvent } from "../../reads/index.ts";
import { ok, type Route, route } from "../route.ts";
import { pageOf } from "./mints.ts";
import {
  addressText,
  eventBody,
  listed,
  Order,
  orderBody,
  PLACE,
  pageBody,
  placeBody,
  Trade,
  tradeBody,
} from "./shapes.ts";

const user = address("the user");
const mint = optional(address("of this token only"));
const limit = integer("entries of a page", { min: 1, max: 500, default: 50 });
const order = choice("newest or oldest first", ["desc", "asc"], "desc");

const History = t.Object(
  {
    ...PLACE,
    user: t.String({ description: "owner of the order, or payer where no order is concerned" }),
    mint: t.String(),
    event: t.String({ description: "dataset of the event" }),
    fields: t.Union([t.Record(t.String(), t.Unknown()), t.Null()], { description: "the event's own columns" }),
  },
  { title: "UserEvent" },
);

export function userRoutes(reads: TokenReads): Route[] {
  const version = () => reads.version(null);
  return [
    route({
      method: "GET",
      path: "/v1/users/:user/orders",
      summary: "Open orders of a user by the time they were opened",
      audience: "read",
      params: { user, mint, order, limit, cursor: offsetCursor },
      answers: { 200: listed(Order) },
      version,
      handle({ params }) {
        const offset = params.cursor ?? 0;
        const found = reads.userOrders(params.user, params.mint, {
          order: params.order,
          limit: params.limit + 1,
          offset,
        });
        return ok(pageBody(found, params.limit, orderBody, () => afterOffset(offset + params.limit)));
      },
    }),
    route({
      method: "GET",
      path: "/v1/users/:user/trades",
      summary:
        "Trades of a user in chain order, old ones included. No index has them: a page may end before it is full, or empty, while next_cursor leads on",
      audience: "read",
      params: { user, mint, order, limit, cursor: eventCursor },
      answers: { 200: listed(Trade) },
      version,
      async handle({ params }) {
        const found = await reads.userTrades(params.user, params.mint, pageOf(params));
        const body = pageBody(found, params.limit, tradeBody, afterEvent);
        return ok(
          found.looked === null ? body : { ...body, next_cursor: body.next_cursor ?? afterPlace(found.looked) },
        );
      },
    }),
    route({
      method: "GET",
      path: "/v1/users/:user/events",
      summary:
        "What happened to a user's orders, in chain order, as far back as the hot store keeps it. Plain swaps are among the user's trades",
      audience: "read",
      params: { user, mint, order, limit, cursor: eventCursor },
      answers: { 200: listed(History) },
      version,
      handle({ params }) {
        const found = reads.userEvents(params.user, params.mint, pageOf(params));
        return ok(pageBody(found, params.limit, historyBody, ({ row }) => afterEvent(row)));
      },
    }),
  ];
}

function historyBody({ row, event }: UserEvent) {
  return {
    ...placeBody(row),
    user: addressText(row["user"]),
    mint: addressText(row["mint"]),
    event: String(row["event"]),
    fields: event === null ? null : eventBody(event).fields,
  };
}
