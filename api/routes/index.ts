/** All routes of the API, in one table. */
import { systemWorld, type World } from "../../pipeline/world.ts";
import type { ForeignQueries } from "../../storage/analytics/foreign.ts";
import type { Backend } from "../backend.ts";
import { HealthReader } from "../health.ts";
import { klineStatusRoutes } from "../kline/routes.ts";
import type { KlineService } from "../kline/service.ts";
import { LakeCheck } from "../lake-check.ts";
import type { TokenMetadata } from "../metadata/metadata.ts";
import { METRICS_CONTENT_TYPE, renderMetrics } from "../metrics.ts";
import { openApiOf } from "../openapi.ts";
import type { Row, StoreReads, TokenReads } from "../reads/index.ts";
import { Traffic } from "../traffic.ts";
import type { Transport } from "../transport.ts";
import { aliasesOf } from "./aliases.ts";
import { healthRoutes } from "./health.ts";
import { indexerRoutes } from "./indexer.ts";
import { logRoutes, type ReadLogs } from "./logs.ts";
import { pageRoutes } from "./page.ts";
import { queryRoutes } from "./query.ts";
import { ok, type Route } from "./route.ts";
import { eventRoutes } from "./spin/events.ts";
import { klineRoutes } from "./spin/kline.ts";
import { orderRoutes } from "./spin/orders.ts";
import { timeRoutes } from "./spin/time.ts";
import { tokenRoutes as spinTokenRoutes } from "./spin/tokens.ts";
import { stagesRoutes } from "./stages.ts";
import { syncRoutes } from "./sync.ts";
import { candleRoutes } from "./v1/candles.ts";
import { lakeRoutes } from "./v1/lake.ts";
import { mintRoutes } from "./v1/mints.ts";
import { quarantineRoutes } from "./v1/quarantine.ts";
import { userRoutes } from "./v1/users.ts";

export interface RouteOptions {
  readonly backend: Backend;
  /** Those of the other sources, where there are several. */
  readonly others?: readonly Backend[];
  readonly version: string;
  /** Recent log lines of the deployment; without it there is no route that tells them. */
  readonly logs?: ReadLogs;
  /** What is known of tokens; without it there are no routes that tell it. */
  readonly reads?: TokenReads;
  /** What is known of the stores beside tokens; without it there are no routes that tell it. */
  readonly stores?: StoreReads;
  /** Answers SQL; without it there is no route that takes any. */
  readonly queries?: Pick<ForeignQueries, "ask">;
  /** Who pushes candles over Socket.IO; null: nobody. */
  readonly kline?: KlineService | null;
  readonly world?: Pick<World, "now" | "sleep">;
  /** What tokens' `uri` say. */
  readonly metadata?: Pick<TokenMetadata, "of">;
  /** What is not answered once but goes on: told of in the document. */
  readonly described?: readonly Pick<Transport, "path" | "audience" | "operation">[];
  /** Names this server among others. */
  readonly serverId?: string;
  /** What it has answered. */
  readonly traffic?: Traffic;
  /** How long start and stop wait to see their wish obeyed, ms. */
  readonly obeyWithinMs?: number;
}

export async function allRoutes(options: RouteOptions): Promise<Route[]> {
  const { backend, others = [], version, logs, reads, stores, world = systemWorld, obeyWithinMs = 5_000 } = options;
  const { serverId = "sluice", traffic = new Traffic() } = options;
  const backends = [backend, ...others];
  const lake = stores === undefined ? null : new LakeCheck(() => stores.requireLake(), world);
  const health = new HealthReader(backends, world, lake);
  const metrics = async () => ok(await renderMetrics((await health.read()).views, version, traffic));
  const indexer = [
    ...indexerRoutes({ backends, health, metrics, obeyWithinMs, world }),
    ...(logs === undefined ? [] : logRoutes(logs)),
  ];
  const routes: Route[] = [
    ...indexer,
    ...aliasesOf(indexer),
    ...syncRoutes({ backends, obeyWithinMs, world }),
    ...healthRoutes({ health, version, serverId, traffic, ...(reads && { reads }) }),
    {
      method: "GET",
      path: "/metrics",
      audience: "read",
      summary: "Metrics in Prometheus' text format",
      contentType: METRICS_CONTENT_TYPE,
      handle: metrics,
    },
    ...stagesRoutes(backends),
    ...timeRoutes(world),
    ...klineStatusRoutes(options.kline ?? null, world),
    ...(reads === undefined ? [] : tokenRoutes(reads, options).map((timed) => ({ ...timed, timed: true as const }))),
    ...(stores === undefined ? [] : [...lakeRoutes(stores), ...quarantineRoutes(stores)]),
    ...(options.queries === undefined ? [] : queryRoutes(options.queries)),
  ];
  const openApi: Route = {
    method: "GET",
    path: "/v1/openapi.json",
    audience: "anyone",
    summary: "This API as an OpenAPI document",
    handle: async () => ok(document),
  };
  routes.push(openApi);
  const document = openApiOf(routes, version, options.described);
  // Where clients of the spinpet server look for it. Pages are for people: they are no part of the document.
  const asBefore: Route = { ...openApi, path: "/api-docs/openapi.json", summary: "The same as /v1/openapi.json" };
  return [...routes, asBefore, ...(await pageRoutes())];
}

/** Two faces of the same reads: `/api` as existing clients know it, and `/v1`. */
function tokenRoutes(reads: TokenReads, { backend, metadata }: RouteOptions): Route[] {
  const metadataOf = (mint: Row) => metadata?.of(mint["uri"] as string | null) ?? null;
  return [
    ...mintRoutes(reads, metadataOf),
    ...candleRoutes(reads),
    ...userRoutes(reads),
    ...eventRoutes(reads, backend),
    ...spinTokenRoutes(reads, metadataOf),
    ...orderRoutes(reads, metadataOf),
    ...klineRoutes(reads),
  ];
}
