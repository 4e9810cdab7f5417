/** The feed in the API's document: how it is asked for, and what its messages have. In words: docs/live.md. */
import { type TSchema, Type as t } from "@sinclair/typebox";
import { CANDLE_SECONDS } from "../../pipeline/datasets/candles.ts";
import { ProblemSchema } from "../openapi.ts";
import { Event, Mint, Trade } from "../routes/v1/shapes.ts";
import type { TransportOperation } from "../transport.ts";

const Nullable = <T extends TSchema>(schema: T) => t.Union([schema, t.Null()]);
const literals = (...texts: readonly string[]) => t.Union(texts.map((text) => t.Literal(text)));

const Place = t.Object(
  {
    slot: t.Integer(),
    hash: t.String({ description: "of the block" }),
    ordinal: Nullable(t.Integer({ description: "counts what a block tells, from 1; null is behind all of it" })),
  },
  { title: "LivePlace", description: "a place in the feed, the same for every client: resume_from takes it" },
);
const Block = t.Object({ slot: t.Integer(), hash: t.String() });
const Final = t.Integer({ description: "nothing up to this slot will be undone" });
const Topics = t.Array(t.String({ description: "trades, events, candles or mints, with what narrows them" }));
const Interval = literals(...Object.keys(CANDLE_SECONDS));
const Revision = t.Integer({ description: "of two statements about one candle the one with the greater is the later" });
const Candle = t.Array(t.Number(), {
  description: "time, open, high, low, close, volume, trades; numbers with all their digits",
});
const RequestId = t.Union([t.String({ maxLength: 64 }), t.Number()], { description: "given back in the answer" });

const frame = (type: string, description: string, members: Record<string, TSchema>) =>
  t.Object(
    { type: t.Literal(type), ...members },
    { title: `Live${type.slice(0, 1).toUpperCase()}${type.slice(1)}`, description },
  );

const Correction = t.Object(
  {
    mint: t.String(),
    interval: Interval,
    revision: Revision,
    row: t.Optional(Candle),
    time: t.Optional(t.Integer({ description: "start of the candle that is no more" })),
    removed: t.Optional(t.Literal(true)),
  },
  { title: "LiveCorrection", description: "a candle as it is again, or that it is no more" },
);

/** Every message that a client can be sent, by its `type`. */
export const FRAMES = [
  frame("trade", "a trade", { at: Place, trade: Trade }),
  frame("event", "a decoded event", { at: Place, event: Event }),
  frame("candle", "a candle is now so", {
    at: Place,
    mint: t.String(),
    interval: Interval,
    revision: Revision,
    row: Candle,
  }),
  frame("mint", "a token was seen for the first time", { at: Place, mint: Mint }),
  frame("undo", "a fork was left: what came after the block `at` did not happen", {
    at: Place,
    from: Nullable(Block),
    candles: t.Array(Correction),
    removed_mints: t.Array(t.String()),
  }),
  frame("final", "nothing up to this slot will be undone", { at: Place, final_up_to: Final }),
  frame("gap", "what lies between `from` and `at` cannot be told: read the state, go on from here", {
    at: Place,
    from: Nullable(Block),
    message: t.String(),
  }),
  frame("heartbeat", "all is well", { at: Nullable(Place), final_up_to: t.Integer(), feed: literals("up", "down") }),
  frame("subscribed", "an answer", { topics: Topics, at: Nullable(Place), final_up_to: t.Integer() }),
  frame("unsubscribed", "an answer", { topics: Topics }),
  frame("pong", "an answer", { id: t.Optional(RequestId) }),
  frame("error", "a request cannot be served; the connection goes on", {
    code: t.String({ description: "stable: match on it" }),
    message: t.String(),
    error_id: t.String({ description: "names the entry in the server's log" }),
    id: t.Optional(RequestId),
    oldest: t.Optional(Nullable(Place)),
    head: t.Optional(Nullable(Place)),
  }),
  frame("closed", "Server-Sent Events end, with what would be the code and reason of a WebSocket's close", {
    code: t.Integer(),
    reason: t.String(),
  }),
] as const;

const Request = t.Object(
  {
    op: literals("subscribe", "unsubscribe", "ping"),
    topics: t.Optional(Topics),
    resume_from: t.Optional(Nullable(t.Union([Place, t.String({ description: "slot:hash:ordinal" })]))),
    id: t.Optional(RequestId),
  },
  { title: "LiveRequest", description: "what a client sends on a WebSocket, as JSON in a text frame" },
);

const message = { schema: t.Union([...FRAMES]) };
const problem = (description: string) => ({
  description,
  content: { "application/problem+json": { schema: ProblemSchema } },
});

export const LIVE_OPERATION: TransportOperation = {
  tag: "live",
  summary: "The live feed: trades, events, candles and new tokens as they are committed, resumable, forks told",
  description:
    "A WebSocket where an upgrade is asked for: then requests are `LiveRequest` frames and the query is not read. " +
    "Otherwise Server-Sent Events. How to resume, what an undo asks for, and limits: docs/live.md.",
  parameters: [
    {
      name: "topic",
      in: "query",
      required: false,
      description:
        "what to follow, once or more; needed without a WebSocket. trades, trades:MINT, events, events:MINT, events:*:TYPE, " +
        "events:MINT:TYPE, candles:MINT:INTERVAL, candles:*:INTERVAL, mints",
      schema: t.Array(t.String({ maxLength: 128 })),
    },
    {
      name: "resume_from",
      in: "query",
      required: false,
      description: "go on behind this place: slot:hash:ordinal as an event's id, or slot:hash",
      schema: t.String(),
    },
    {
      name: "Last-Event-ID",
      in: "header",
      required: false,
      description: "the same, as browsers send it when they come back; it goes before resume_from",
      schema: t.String(),
    },
  ],
  responses: {
    101: {
      description: "A WebSocket. Each text frame is a message.",
      content: { "application/json": message },
    },
    200: {
      description: "An endless stream. Each event's data is a message, its id the place to go on from.",
      content: { "text/event-stream": message },
    },
    410: problem("POSITION_NOT_KEPT: the place to go on from is no longer kept"),
    default: problem("Error"),
  },
  "x-websocket": { send: { schema: Request }, receive: message },
};
