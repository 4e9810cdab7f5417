/** `/api/indexer/*`: start, stop and status of the source's ingest. Wishes live in NATS KV, so they outlive this process. */
import { Type as t } from "@sinclair/typebox";
import type { World } from "../../pipeline/world.ts";
import { type Backend, chosen } from "../backend.ts";
import { sourceStatusOf, spendOf } from "../details.ts";
import { unavailable } from "../errors.ts";
import { blocksBehind, type HealthReader, LAG_BLOCKS_MAX } from "../health.ts";
import { METRICS_CONTENT_TYPE } from "../metrics.ts";
import { type View, viewOf } from "../view.ts";
import { ok, type Route, route } from "./route.ts";
import { SourceParam } from "./stages.ts";

export interface IndexerOptions {
  /** One for each source. */
  readonly backends: readonly Backend[];
  readonly health: Pick<HealthReader, "read">;
  readonly metrics: Route["handle"];
  /** How long start and stop wait to see their wish obeyed, ms. */
  readonly obeyWithinMs: number;
  readonly world: Pick<World, "now" | "sleep">;
}

/** What it takes to have a wish obeyed. */
type Steering = Pick<IndexerOptions, "obeyWithinMs" | "world">;

const POLL_MS = 100;

const Started = t.Object({
  success: t.Literal(true),
  message: t.String(),
  status: t.Object({
    running: t.Boolean(),
    startedAt: t.Integer({ description: "ms since the Unix epoch" }),
    lastBlock: t.Integer(),
    totalBlocks: t.Integer({ description: "blocks processed since start" }),
  }),
});
const Stopped = t.Object({ success: t.Literal(true), message: t.String() });
const Amount = t.Object({ blocks: t.Integer(), bytes: t.Integer() });
const Spend = t.Object({
  today: Amount,
  month: Amount,
  projectedMonth: Amount,
  budget: t.Union([
    t.Object({ percent: t.Number(), what: t.String(), used: t.Integer(), limit: t.Integer() }),
    t.Null({ description: "no limit is set" }),
  ]),
});
const Connection = t.Object({
  state: t.String({ description: "idle, waiting, connecting, streaming, backing-off, ended or error" }),
  attempts: t.Integer({ description: "calls made" }),
  failedAttempts: t.Integer({ description: "calls that ended before the range was complete" }),
  reconnects: t.Integer({ description: "calls that went on after a broken one" }),
  lastAttempt: t.Union([t.Integer(), t.Null()], { description: "ms since the Unix epoch" }),
  lastSuccess: t.Union([t.Integer(), t.Null()], { description: "when a message last came, ms since the Unix epoch" }),
  retryAt: t.Union([t.Integer(), t.Null()], { description: "when the next call is due; null while it is not waiting" }),
  lastError: t.Union([t.String(), t.Null()]),
});
const STATUS = {
  running: t.Boolean(),
  startedAt: t.Union([t.Integer(), t.Null()], { description: "ms since the Unix epoch; null while stopped" }),
  lastBlock: t.Integer({ description: "lowest slot that all lanes hold" }),
  totalBlocks: t.Integer({ description: "blocks processed since start" }),
  uptime: t.Integer({ description: "ms" }),
  uptimeFormatted: t.String(),
  health: t.String({ description: `healthy: fewer than ${LAG_BLOCKS_MAX} blocks behind the head; syncing: more` }),
  blocksBehind: t.Union([t.Integer(), t.Null()], { description: "null while nothing has come" }),
  spend: t.Union([Spend, t.Null()], { description: "what was received from the provider; null while unknown" }),
  connection: t.Union([Connection, t.Null()], { description: "to the provider; null while no process runs ingest" }),
  errors: t.Array(
    t.Object({ time: t.Integer(), code: t.String(), message: t.String(), where: t.String(), unit: t.String() }),
  ),
};
const Status = t.Object({
  ...STATUS,
  sources: t.Optional(
    t.Array(t.Object({ source: t.String(), ...STATUS }), { description: "each source, where there are several" }),
  ),
});
const Health = t.Object({
  healthy: t.Boolean(),
  status: t.Object({ running: t.Boolean(), uptime: t.Integer({ description: "ms" }) }),
});

export function indexerRoutes(options: IndexerOptions): Route[] {
  const { backends, health, metrics } = options;
  const params = { source: SourceParam };
  return [
    route({
      method: "POST",
      path: "/api/indexer/start",
      audience: "control",
      summary: "Start the indexer, or leave it running; it goes on where it stopped",
      answers: { 200: Started },
      params,
      handle: async (asked) => {
        const wanted = chosen(backends, asked.params.source);
        // One that does not start keeps none of the others from starting.
        const started = await Promise.allSettled(wanted.map((backend) => startIndexer(options, backend)));
        for (const result of started) if (result.status === "rejected") throw result.reason;
        const views = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
        const { startedAt, lastBlock, totalBlocks } = views[0]!;
        const status = { running: true, startedAt, lastBlock, totalBlocks };
        return ok({ success: true, message: "Indexer started successfully", status });
      },
    }),
    route({
      method: "POST",
      path: "/api/indexer/stop",
      audience: "control",
      summary: "Stop the indexer, or leave it stopped; everything stored stays",
      answers: { 200: Stopped },
      params,
      handle: async (asked) => {
        await Promise.all(chosen(backends, asked.params.source).map((backend) => stop(options, backend)));
        return ok({ success: true, message: "Indexer stopped successfully" });
      },
    }),
    route({
      method: "GET",
      path: "/api/indexer/status",
      audience: "read",
      summary: "Whether the indexer runs, how far it got, and recent errors",
      answers: { 200: Status },
      params,
      handle: async (asked) => {
        const wanted = chosen(backends, asked.params.source);
        const bodies = await Promise.all(wanted.map(async (b) => statusBody(viewOf(await b.snapshot(), b))));
        // With one source there is nothing to tell apart.
        const sources = wanted.map((b, i) => ({ source: b.source, ...bodies[i]! }));
        return ok(wanted.length === 1 ? bodies[0] : { ...bodies[0], sources });
      },
    }),
    {
      method: "GET",
      path: "/api/indexer/health",
      audience: "read",
      summary: "Whether the indexer runs and is well",
      answers: { 200: Health },
      handle: async () => {
        const { views, status } = await health.read();
        const running = views.some((view) => view.running);
        return ok({
          healthy: running && status !== "unhealthy",
          status: { running, uptime: Math.max(0, ...views.map((view) => view.uptimeMs)) },
        });
      },
    },
    {
      method: "GET",
      path: "/api/indexer/metrics",
      audience: "read",
      summary: "Metrics in Prometheus' text format; the same as /metrics",
      contentType: METRICS_CONTENT_TYPE,
      handle: metrics,
    },
  ];
}

function statusBody(view: View) {
  const { running, startedAt, lastBlock, totalBlocks, uptimeMs, errors } = view;
  return {
    running,
    startedAt,
    lastBlock,
    totalBlocks,
    uptime: uptimeMs,
    uptimeFormatted: formatUptime(uptimeMs),
    ...syncBody(view),
    spend: view.ingest === null ? null : spendOf(view.ingest.details),
    connection: connectionBody(view),
    errors,
  };
}

function syncBody(view: View) {
  const behind = blocksBehind(view);
  const health = behind !== null && behind < LAG_BLOCKS_MAX ? "healthy" : "syncing";
  return { health, blocksBehind: behind !== null && Number.isFinite(behind) ? behind : null };
}

function connectionBody({ ingest }: View) {
  const status = ingest === null ? null : sourceStatusOf(ingest.details);
  if (status === null) return null;
  const { state = "idle", attempts, failedAttempts, reconnects, lastError } = status;
  const time = (at: number) => (at === 0 ? null : at);
  const [lastAttempt, lastSuccess] = [time(status.lastAttemptAt), time(status.lastSuccessAt)];
  return {
    ...{ state, attempts, failedAttempts, reconnects, lastAttempt, lastSuccess, lastError },
    retryAt: time(status.retryAt),
  };
}

function formatUptime(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

/** Records the wish and waits until ingest is seen at work: "started" is said of what runs, not of what was asked. */
export async function startIndexer(options: Steering, backend: Backend): Promise<View> {
  let view = viewOf(await backend.snapshot(true), backend);
  const at = options.world.now();
  // Units that have failed look again when they hear of a new wish.
  const asked = !view.wanted || view.units.some((unit) => unit.state === "failed");
  if (asked) {
    const processed = view.ingest?.metrics.sentBlocks ?? 0;
    const blocksBefore = view.wanted ? processed - view.totalBlocks : processed;
    await backend.setDesired({ running: true, at, blocksBefore });
  }
  // That it had failed before is known; what counts is whether it fails again.
  const failed = ({ ingest }: View) => ingest?.state === "failed" && (!asked || ingest.since > at);
  view = await watch(options, backend, (seen) => seen.running || failed(seen));
  if (view.running) return view;
  const { ingest } = view;
  if (ingest === null) {
    throw unavailable("INDEXER_NOT_STARTED", "recorded, but no live process runs ingest: start `sluice stages`");
  }
  const error = ingest.errors.at(-1);
  if (ingest.state === "failed" && error !== undefined) {
    throw unavailable("INDEXER_FAILED", `ingest has failed: ${error.code}: ${error.message}`);
  }
  throw unavailable("INDEXER_NOT_STARTED", `recorded, but ingest is still ${ingest.state}`);
}

async function stop(options: Steering, backend: Backend): Promise<void> {
  const view = viewOf(await backend.snapshot(true), backend);
  if (view.wanted) {
    // What was processed since the start stays told while it is stopped.
    const blocksBefore = (view.ingest?.metrics.sentBlocks ?? 0) - view.totalBlocks;
    await backend.setDesired({ running: false, at: options.world.now(), blocksBefore });
  }
  // A process that does not answer in time finds the wish when it looks next: it is stopped all the same.
  await watch(
    options,
    backend,
    ({ ingest }) => ingest === null || ingest.state === "paused" || ingest.state === "failed",
  );
}

/** Looks until `done` holds or the time is up, and gives what was seen last. */
async function watch(options: Steering, backend: Backend, done: (view: View) => boolean): Promise<View> {
  const { world, obeyWithinMs } = options;
  const deadline = world.now() + obeyWithinMs;
  for (;;) {
    const view = viewOf(await backend.snapshot(true), backend);
    if (done(view) || world.now() >= deadline) return view;
    await world.sleep(POLL_MS);
  }
}
