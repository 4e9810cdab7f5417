/** `/api/sync/*`: how far behind the chain each source is, and a push for one that stands still. */
import { Type as t } from "@sinclair/typebox";
import { type Backend, chosen } from "../backend.ts";
import { blocksBehind, LAG_BLOCKS_MAX } from "../health.ts";
import { type View, viewOf } from "../view.ts";
import { type IndexerOptions, startIndexer } from "./indexer.ts";
import { ok, type Route, route } from "./route.ts";
import { SourceParam } from "./stages.ts";

const STATUS = {
  source: t.String(),
  status: t.Union(
    ["stopped", "failed", "waiting", "syncing", "synced"].map((word) => t.Literal(word)),
    { description: `synced: fewer than ${LAG_BLOCKS_MAX} blocks behind; waiting: no process runs ingest` },
  ),
  running: t.Boolean(),
  lastBlock: t.Integer({ description: "lowest slot that all lanes hold" }),
  blocksBehind: t.Union([t.Integer(), t.Null()], { description: "to the head; null while nothing has come" }),
  totalBlocks: t.Integer({ description: "blocks processed since start" }),
  limiter: t.Object({ stage: t.String(), unit: t.Union([t.String(), t.Null()]), reason: t.String() }),
};
const Sync = t.Object({
  success: t.Literal(true),
  ...STATUS,
  sources: t.Optional(t.Array(t.Object(STATUS), { description: "each source, where there are several" })),
});
const Triggered = t.Composite([t.Object({ message: t.String() }), Sync]);

export function syncRoutes(options: Pick<IndexerOptions, "backends" | "obeyWithinMs" | "world">): Route[] {
  const { backends } = options;
  const params = { source: SourceParam };
  return [
    route({
      method: "GET",
      path: "/api/sync/status",
      audience: "read",
      summary: "How far behind the chain the indexer is",
      answers: { 200: Sync },
      params,
      handle: async (asked) => ok(await syncBody(chosen(backends, asked.params.source))),
    }),
    route({
      method: "POST",
      path: "/api/sync/trigger",
      audience: "control",
      summary: "Sync now: what is stopped starts, what has failed is tried again at once",
      answers: { 200: Triggered },
      params,
      handle: async (asked) => {
        const wanted = chosen(backends, asked.params.source);
        const started = await Promise.allSettled(wanted.map((backend) => startIndexer(options, backend)));
        for (const result of started) if (result.status === "rejected") throw result.reason;
        return ok({ message: "Sync triggered", ...(await syncBody(wanted)) });
      },
    }),
  ];
}

async function syncBody(wanted: readonly Backend[]) {
  const sources = await Promise.all(wanted.map(async (b) => sourceBody(viewOf(await b.snapshot(), b))));
  return { success: true, ...sources[0]!, ...(sources.length === 1 ? {} : { sources }) };
}

function sourceBody(view: View) {
  const { source, running, lastBlock, totalBlocks, limiter } = view;
  const behind = blocksBehind(view);
  const known = behind !== null && Number.isFinite(behind) ? behind : null;
  return { source, status: statusOf(view, known), running, lastBlock, blocksBehind: known, totalBlocks, limiter };
}

function statusOf({ wanted, ingest, lanes, running }: View, behind: number | null) {
  if (!wanted) return "stopped";
  if ([ingest, ...lanes].some((unit) => unit?.state === "failed")) return "failed";
  if (!running) return "waiting";
  return behind !== null && behind < LAG_BLOCKS_MAX ? "synced" : "syncing";
}
