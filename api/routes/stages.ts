/** `/v1/stages`: every unit with its numbers and how far it is behind, and what limits the pipeline now. */
import { Type as t } from "@sinclair/typebox";
import { type Backend, chosen } from "../backend.ts";
import { optional, text } from "../params.ts";
import { type View, viewOf } from "../view.ts";
import { ok, type Route, route } from "./route.ts";

const Ref = t.Union([t.Object({ slot: t.Integer(), hash: t.String() }), t.Null()]);
const Lag = t.Object({
  blocks: t.Union([t.Integer(), t.Null()], { description: "slots behind ingest" }),
  seconds: t.Union([t.Number(), t.Null()], { description: "seconds of block time behind ingest" }),
  headSeconds: t.Union([t.Number(), t.Null()], { description: "seconds between block time and now" }),
  headBlocks: t.Union([t.Integer(), t.Null()], { description: "the same in slots of 0.4 s" }),
});
const Unit = t.Object(
  {
    unit: t.String(),
    stage: t.String(),
    source: t.String(),
    node: t.String(),
    state: t.String(),
    since: t.Integer({ description: "ms since the Unix epoch" }),
    position: Ref,
    finalSlot: t.Integer(),
    blockTime: t.Integer({ description: "Unix seconds; 0 before the first block" }),
    lag: Lag,
    busy: t.Number({ description: "share of the last second at work, 0 to 1" }),
    blocked: t.Boolean({ description: "waiting for room in a full stream" }),
    ended: t.Boolean(),
    metrics: t.Record(t.String(), t.Number(), { description: "counters since the process started; times in ms" }),
    errors: t.Array(t.Record(t.String(), t.Unknown())),
    details: t.Record(t.String(), t.Unknown()),
  },
  { title: "Unit" },
);
const Node = t.Object({
  node: t.String(),
  host: t.String(),
  pid: t.Integer(),
  version: t.String(),
  startedAt: t.Integer(),
  at: t.Integer({ description: "time of its last report" }),
  stages: t.Array(t.String()),
  rssBytes: t.Integer(),
});
const Stages = t.Object(
  {
    at: t.Integer({ description: "ms since the Unix epoch" }),
    source: t.String(),
    wanted: t.Boolean(),
    running: t.Boolean(),
    startedAt: t.Union([t.Integer(), t.Null()]),
    uptime: t.Integer({ description: "ms" }),
    lastBlock: t.Integer(),
    totalBlocks: t.Integer(),
    limiter: t.Object({ stage: t.String(), unit: t.Union([t.String(), t.Null()]), reason: t.String() }),
    units: t.Array(Unit),
    nodes: t.Array(Node),
  },
  { title: "Stages" },
);

/** Names one source of several. */
export const SourceParam = optional(
  text("name of a source; without it, all of them or the first", { min: 1, max: 64 }),
);

export function stagesRoutes(backends: readonly Backend[]): Route[] {
  return [
    route({
      method: "GET",
      path: "/v1/stages",
      audience: "read",
      summary: "Every unit of the pipeline, its lag, and what limits the pipeline now",
      answers: { 200: Stages },
      params: { source: SourceParam },
      handle: async ({ params }) => {
        const [backend] = chosen(backends, params.source);
        return ok(stagesBody(viewOf(await backend!.snapshot(), backend!)));
      },
    }),
  ];
}

function stagesBody(view: View) {
  const { at, source, wanted, running, startedAt, uptimeMs, lastBlock, totalBlocks, limiter } = view;
  return {
    at,
    source,
    wanted,
    running,
    startedAt,
    uptime: uptimeMs,
    lastBlock,
    totalBlocks,
    limiter,
    units: view.units.map(({ metrics, ...unit }) => {
      const { position, finalSlot, blockTime, ...counters } = metrics;
      const ref = position === null ? null : { slot: position.slot, hash: position.hash };
      return { ...unit, position: ref, finalSlot, blockTime, metrics: counters };
    }),
    nodes: view.nodes.map(({ units: _units, ...node }) => node),
  };
}
