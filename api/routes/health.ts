/**
 * `/health`, `/ready` and `/api/cluster/health`: views of the one health model. `/health` is the union of what its sources
 * are asked for elsewhere: state, checks, what this server can do, and how much it holds.
 */
import { type Static, Type as t } from "@sinclair/typebox";
import { formatIso8601 } from "../clock.ts";
import { sourceStatusOf } from "../details.ts";
import { type Health, type HealthReader, reasonsNotReady } from "../health.ts";
import type { ReadStats, TokenReads } from "../reads/index.ts";
import type { Traffic } from "../traffic.ts";
import { ok, type Route } from "./route.ts";

const Status = t.Union([t.Literal("healthy"), t.Literal("degraded"), t.Literal("unhealthy")]);
const Timestamp = t.String({ description: "ISO 8601, UTC" });

/** How a server of a cluster tells of itself. The store is SQLite and the listener Substreams, whatever the names say. */
const Server = t.Object({
  server_id: t.String(),
  status: Status,
  timestamp: Timestamp,
  active_connections: t.Integer(),
  rocksdb_status: t.Union([t.Literal("healthy"), t.Literal("unavailable")]),
  solana_listener_status: t.String({ description: "connected, or the state of the source's connection" }),
  mint_count: t.Integer(),
  recent_events_count: t.Integer({ description: "events of the minute up to the newest block" }),
});

const Features = t.Object({
  wasm: t.Boolean(),
  zk_proof: t.Boolean(),
  databases: t.Boolean({ description: "the hot stores of all lanes can be read here" }),
  d1: t.Boolean(),
  kv: t.Boolean({ description: "the broker's key-value store answers" }),
  durable_objects: t.Boolean(),
});

const Document = t.Composite([
  Server,
  t.Object({
    version: t.String(),
    healthy: t.Boolean({ description: "status is healthy, and the indexer runs" }),
    running: t.Boolean(),
    uptime: t.Integer({ description: "ms since the indexer was started" }),
    features: Features,
    checks: t.Array(
      t.Object({
        name: t.String(),
        ok: t.Boolean(),
        detail: t.String(),
        since: t.Integer({ description: "ms since the Unix epoch" }),
      }),
    ),
  }),
]);
const Ready = t.Object({ ready: t.Boolean(), reasons: t.Array(t.String()) });

export interface HealthOptions {
  readonly health: Pick<HealthReader, "read">;
  readonly version: string;
  readonly serverId: string;
  readonly traffic: Traffic;
  readonly reads?: TokenReads;
}

export function healthRoutes(options: HealthOptions): Route[] {
  const { health } = options;
  return [
    {
      method: "GET",
      path: "/health",
      audience: "anyone",
      uncounted: true,
      summary: "How the deployment does, check by check; 503 when nothing moves",
      answers: { 200: Document, 503: Document },
      handle: async () => {
        const seen = await health.read();
        return { status: seen.status === "unhealthy" ? 503 : 200, body: documentOf(seen, options) };
      },
    },
    {
      method: "GET",
      path: "/ready",
      audience: "anyone",
      uncounted: true,
      summary: "200 when what is read here is current, else 503 with the reasons",
      answers: { 200: Ready, 503: Ready },
      handle: async () => {
        const reasons = reasonsNotReady((await health.read()).checks);
        return { status: reasons.length === 0 ? 200 : 503, body: { ready: reasons.length === 0, reasons } };
      },
    },
    {
      method: "GET",
      path: "/api/cluster/health",
      audience: "anyone",
      uncounted: true,
      summary: "How this server does, as clusters ask",
      answers: { 200: Server },
      handle: async () => ok(serverOf(await health.read(), options)),
    },
  ];
}

function documentOf(seen: Health, options: HealthOptions): Static<typeof Document> {
  const running = seen.views.some((view) => view.running);
  const server = serverOf(seen, options);
  return {
    ...server,
    version: options.version,
    healthy: running && seen.status !== "unhealthy",
    running,
    uptime: Math.max(0, ...seen.views.map((view) => view.uptimeMs)),
    features: {
      // Named because they are asked for; there is no such thing here, and none is pretended.
      wasm: false,
      zk_proof: false,
      d1: false,
      durable_objects: false,
      databases: server.rocksdb_status === "healthy",
      kv: seen.checks.some((check) => check.name === "broker" && check.ok),
    },
    checks: [...seen.checks],
  };
}

function serverOf({ at, status, views }: Health, { serverId, traffic, reads }: HealthOptions): Static<typeof Server> {
  const stats = reads?.stats() ?? NOTHING;
  const ingest = views[0]?.ingest;
  const source = ingest == null ? null : sourceStatusOf(ingest.details);
  const isConnected = views[0]?.running === true && (source === null || source.connected);
  return {
    server_id: serverId,
    status,
    timestamp: formatIso8601(Math.floor(at / 1_000) * 1_000),
    active_connections: traffic.connections(),
    rocksdb_status: stats.lanes > 0 && stats.lanes === stats.lanesTotal ? "healthy" : "unavailable",
    solana_listener_status: isConnected ? "connected" : (source?.state ?? "disconnected"),
    mint_count: stats.mints,
    recent_events_count: stats.recentEvents,
  };
}

const NOTHING: Pick<ReadStats, "lanes" | "lanesTotal" | "mints" | "recentEvents"> = {
  lanes: 0,
  lanesTotal: 0,
  mints: 0,
  recentEvents: 0,
};
