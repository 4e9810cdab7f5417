/** `/v1/mints`: tokens as they came, by how much they trade, by name; and one token with its trades, events and orders. */
import { LONG, SHORT } from "../../../pipeline/datasets/orders.ts";
import { afterEvent, afterMint, afterOffset, eventCursor, mintCursor, offsetCursor } from "../../cursor.ts";
import { refused } from "../../errors.ts";
import { address, choice, integer, text } from "../../params.ts";
import type { EventPoint, Page, TokenReads } from "../../reads/index.ts";
import { ok, type Route, route } from "../route.ts";
import {
  Event,
  eventBody,
  listed,
  type MetadataOf,
  Mint,
  mintBody,
  Order,
  one,
  orderBody,
  pageBody,
  Ranked,
  rankedBody,
  standingBody,
  Trade,
  tradeBody,
} from "./shapes.ts";

const limit = integer("entries of a page", { min: 1, max: 500, default: 50 });
const order = choice("newest or oldest first", ["desc", "asc"], "desc");
const mint = address("the token");

export function mintRoutes(reads: TokenReads, metadataOf: MetadataOf): Route[] {
  return [...lists(reads, metadataOf), ...ofMint(reads, metadataOf)];
}

function lists(reads: TokenReads, metadataOf: MetadataOf): Route[] {
  const anyVersion = () => reads.version(null);
  return [
    route({
      method: "GET",
      path: "/v1/mints",
      summary: "Tokens by the slot in which they were first seen",
      audience: "read",
      params: { limit, order, cursor: mintCursor },
      answers: { 200: listed(Mint) },
      version: anyVersion,
      handle({ params }) {
        const page = { order: params.order, limit: params.limit + 1, ...(params.cursor && { after: params.cursor }) };
        return ok(pageBody(reads.mints(page), params.limit, (row) => mintBody(row, metadataOf), afterMint));
      },
    }),
    route({
      method: "GET",
      path: "/v1/mints/ranked",
      summary: "Tokens that trade most: `hot` by trades of the last hour, `volume` by SOL swapped in the last day",
      audience: "read",
      params: {
        by: choice("what counts", ["hot", "volume"], "hot"),
        limit,
        cursor: offsetCursor,
      },
      answers: { 200: listed(Ranked) },
      async handle({ params }) {
        const offset = params.cursor ?? 0;
        const found = await reads.ranked(params.by, { offset, limit: params.limit + 1 });
        const next = () => afterOffset(offset + params.limit);
        return ok(pageBody(found, params.limit, (ranked) => rankedBody(ranked, metadataOf), next));
      },
    }),
    route({
      method: "GET",
      path: "/v1/mints/search",
      summary: "Tokens whose name or symbol has the text in it: whole words first, then beginnings, then the rest",
      audience: "read",
      params: {
        q: text("part of a name or symbol, in any case", { min: 1, max: 64 }),
        limit: integer("tokens", { min: 1, max: 100, default: 20 }),
      },
      answers: { 200: listed(Ranked) },
      async handle({ params }) {
        const found = await reads.search(params.q, params.limit);
        return ok(
          pageBody(
            found,
            params.limit,
            (ranked) => rankedBody(ranked, metadataOf),
            () => "",
          ),
        );
      },
    }),
  ];
}

function ofMint(reads: TokenReads, metadataOf: MetadataOf): Route[] {
  const version = ({ params }: { params: { mint: Uint8Array } }) => reads.version(params.mint);
  const events = { mint, limit, order, cursor: eventCursor };
  return [
    route({
      method: "GET",
      path: "/v1/mints/:mint",
      summary: "One token: what it is, what it costs, and its sums",
      audience: "read",
      params: { mint },
      answers: { 200: one(Mint) },
      version,
      handle({ params }) {
        const { data, standing } = reads.mint(params.mint);
        if (data === null) throw refused("NOT_FOUND", "this token was never seen");
        return ok({ data: mintBody(data, metadataOf), ...standingBody(standing) });
      },
    }),
    route({
      method: "GET",
      path: "/v1/mints/:mint/trades",
      summary: "Trades of a token in chain order, old ones included",
      audience: "read",
      params: events,
      answers: { 200: listed(Trade) },
      version,
      async handle({ params }) {
        return ok(pageBody(await reads.trades(params.mint, pageOf(params)), params.limit, tradeBody, afterEvent));
      },
    }),
    route({
      method: "GET",
      path: "/v1/mints/:mint/events",
      summary: "Events of a token in chain order, as far back as the hot store keeps them",
      audience: "read",
      params: events,
      answers: { 200: listed(Event) },
      version,
      handle({ params }) {
        const found = reads.events(params.mint, pageOf(params));
        return ok(pageBody(found, params.limit, eventBody, ({ row }) => afterEvent(row)));
      },
    }),
    route({
      method: "GET",
      path: "/v1/mints/:mint/orders",
      summary: "Open orders of a token: longs by falling, shorts by rising start price",
      audience: "read",
      params: { mint, side: choice("which orders", ["long", "short"], null), limit, cursor: offsetCursor },
      answers: { 200: listed(Order) },
      version,
      handle({ params }) {
        const isLong = params.side === "long";
        const offset = params.cursor ?? 0;
        const page = { order: isLong ? ("desc" as const) : ("asc" as const), limit: params.limit + 1, offset };
        const found = reads.orders(params.mint, isLong ? LONG : SHORT, page);
        return ok(pageBody(found, params.limit, orderBody, () => afterOffset(offset + params.limit)));
      },
    }),
  ];
}

/** Looks for one entry more than the page has: then it is known whether there is a next one. */
export function pageOf(params: { order: "asc" | "desc"; limit: number; cursor: EventPoint | null }): Page<EventPoint> {
  return { order: params.order, limit: params.limit + 1, ...(params.cursor && { after: params.cursor }) };
}
