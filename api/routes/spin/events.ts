/** `/api/events` and what is told about them as a whole. */
import { Type as t } from "@sinclair/typebox";
import type { Backend } from "../../backend.ts";
import { isoSeconds } from "../../clock.ts";
import { sourceStatusOf } from "../../details.ts";
import { address } from "../../params.ts";
import type { ReadStats, TokenReads } from "../../reads/index.ts";
import { type View, viewOf } from "../../view.ts";
import type { Route } from "../route.ts";
import { enveloped, limit, NO_PAGE, offsetOf, order, PAGINATION, page, pagination, required } from "./envelope.ts";
import { addressText, EventSchema, eventBody } from "./rows.ts";

const KINDS = [
  "token_created",
  "buy_sell",
  "long_short",
  "force_liquidate",
  "full_close",
  "partial_close",
  "milestone_discount",
] as const;

const Status = t.Object({
  is_running: t.Boolean(),
  last_event_time: t.Union([t.String({ description: "block time, RFC 3339" }), t.Null()]),
  total_events_processed: t.Integer(),
  connection_status: t.String(),
  program_id: t.String(),
});
const Stats = t.Object(Object.fromEntries([...KINDS, "total"].map((name) => [name, t.Integer()])));

export function eventRoutes(reads: TokenReads, backend: Backend): Route[] {
  return [
    events(reads),
    enveloped({
      method: "GET",
      path: "/api/events/status",
      summary: "Whether events are received, and when the last one was",
      data: Status,
      empty: {
        is_running: false,
        last_event_time: null,
        total_events_processed: 0,
        connection_status: "",
        program_id: "",
      },
      async handle() {
        const view = viewOf(await backend.snapshot(), backend);
        const stats = reads.stats();
        return {
          is_running: view.running,
          last_event_time: stats.lastEvent === null ? null : isoSeconds(stats.lastEvent.time),
          total_events_processed: countsOf(stats)["total"],
          connection_status: connectionOf(view),
          program_id: addressText(stats.lastEvent?.program) ?? "",
        };
      },
    }),
    enveloped({
      method: "GET",
      path: "/api/events/stats",
      summary: "Events received by kind, since the hot stores began",
      data: Stats,
      empty: Object.fromEntries([...KINDS, "total"].map((name) => [name, 0])),
      handle: () => countsOf(reads.stats()),
    }),
    enveloped({
      method: "GET",
      path: "/api/events/db-stats",
      summary: "Size of the hot stores, as text for people",
      data: t.String(),
      empty: "",
      handle: () => sizeText(reads.stats()),
    }),
  ];
}

function events(reads: TokenReads): Route {
  return enveloped({
    method: "GET",
    path: "/api/events",
    summary: "Events of a token in chain order, as far back as the hot store keeps them",
    params: {
      mint: required(address("the token")),
      limit,
      page,
      order_by: order(["slot_asc", "slot_desc"], null),
    },
    data: t.Object({ events: t.Array(EventSchema), ...PAGINATION }),
    empty: { events: [], ...NO_PAGE },
    version: ({ params }) => reads.version(params.mint),
    handle({ params }) {
      const { mint, limit, order_by } = params;
      const { data } = reads.events(mint, { order: order_by, limit, offset: offsetOf(params) });
      return { events: data.map(eventBody), ...pagination(reads.eventCount(mint), params) };
    },
  });
}

function countsOf({ appended }: ReadStats): Record<string, number> {
  const counts = KINDS.map((name) => [name, appended.get(name) ?? 0] as const);
  return { ...Object.fromEntries(counts), total: counts.reduce((sum, [, rows]) => sum + rows, 0) };
}

function connectionOf(view: View): string {
  const status = view.ingest === null ? null : sourceStatusOf(view.ingest.details);
  if (view.running && (status === null || status.connected)) return "Connected";
  const reason = view.ingest?.errors.at(-1)?.code;
  return reason === undefined ? "Connection failed" : `Connection error: ${reason}`;
}

function sizeText({ lanes, lanesTotal, mints, bytes, appended }: ReadStats): string {
  const total = [...appended.values()].reduce((sum, rows) => sum + rows, 0);
  const counts = [...appended].map(([name, rows]) => `  ${name}: ${rows}`);
  const size = `${(bytes / 1024 / 1024).toFixed(2)} MB`;
  return [
    `Total Keys: ${total + mints}`,
    `Estimated Size: ${size}`,
    `Lanes: ${lanes} of ${lanesTotal}`,
    `Mints: ${mints}`,
    "Rows:",
    ...counts,
  ].join("\n");
}
