/** `sluice api`: the HTTP API in a process of its own, so that the pipeline's work never starves it. */
import { hostname } from "node:os";
import type { Command } from "commander";
import type { AccessSettings } from "../api/access/access.ts";
import type { RunningApi } from "../api/server.ts";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import { describe } from "../pipeline/errors.ts";
import { configureLogging, logFor, recentLog } from "../pipeline/log.ts";
import { answerLogRequests, deploymentLogs } from "../pipeline/log-exchange.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import type { Connection } from "./deployment.ts";
import { type AllGenerations, activeConfig, activeConfigs, readGenerations } from "./generations.ts";
import { checkLanes } from "./lanes.ts";
import type { LiveService } from "./live.ts";
import { oneSource } from "./one-source.ts";
import { stopWhenTold } from "./signals.ts";
import { tokensPath } from "./token.ts";
import { VERSION } from "./version.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("api")
    .description("serve the token API, control, health and metrics over HTTP")
    .option("--source <name>", "the source whose tokens it tells of, where there are several (default: the first)")
    .option("--port <port>", "port to listen on; 0 picks a free one (setting api.port)")
    .addHelpText(
      "after",
      `
Examples:
  sluice api                                   http://127.0.0.1:8787
  sluice api --port 0 --json                   a free port, printed as JSON
  curl -X POST http://127.0.0.1:8787/api/indexer/stop`,
    )
    .action(async (options: { port?: string; source?: string }, command: Command) => {
      const { config: loaded, json } = context.load(command);
      const port = options.port === undefined ? loaded["api.port"] : wholeNumber("--port", options.port, 0, 65_535);
      const config = { ...loaded, "api.port": port };
      await configureLogging({ level: config["log.level"], format: config["log.format"] });
      // From now on: whoever ends us early must not leave an embedded server behind.
      const stop = new AbortController();
      stopWhenTold(stop, { withinMs: STOP_WITHIN_MS });
      const told = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
      const { connectBroker } = await import("./deployment.ts");
      const connection = await connectBroker(config, `sluice-api-${process.pid}`);
      try {
        const api = await serveApi(config, connection, options.source);
        context.stdout.write(json ? `${JSON.stringify({ url: api.url })}\n` : `${api.url}\n`);
        await told;
        await api.stop();
      } finally {
        // Also when it could not listen: an open connection would keep the process alive.
        await connection.close();
      }
    });
}

/**
 * Serves the API on the configured address: control of all sources, and what is known of the tokens of one. When another
 * generation of a source becomes the active one, it answers from that, without a pause.
 */
export async function serveApi(
  config: Config,
  { broker, control }: Pick<Connection, "broker" | "control">,
  sourceName?: string,
): Promise<RunningApi> {
  const [{ startApi }, { TokenFile }] = await Promise.all([
    import("../api/server.ts"),
    import("../api/access/tokens.ts"),
  ]);
  const own = { node: `${hostname()}-api-${process.pid}`, ring: recentLog };
  const prefix = config["nats.prefix"];
  const log = logFor("api");
  const common = {
    logs: (query: Parameters<typeof deploymentLogs>[3]) => deploymentLogs(broker.connection, prefix, own, query),
    version: VERSION,
    serverId: `${hostname()}-api`,
  };
  let generations = await readGenerations(config, control);
  let now = await openActive(config, control, generations, sourceName);
  const live: LiveService = new (await import("./live.ts")).LiveService(broker);
  await live.follow(now.served, now.routes.reads);
  const api = await startApi({
    transports: live.transports,
    ...{ ...common, ...now.routes, kline: live.kline, log },
    host: config["api.host"],
    port: config["api.port"],
    tokens: new TokenFile(tokensPath(config), systemWorld),
    access: accessSettings(config),
  });
  live.start();
  const stopping = new AbortController();
  const following = followActive(config, control, stopping.signal, async (others) => {
    if (namesOf(config, others) === namesOf(config, generations)) return;
    const before = now;
    now = await openActive(config, control, others, sourceName);
    generations = others;
    await api.replace({ ...common, ...now.routes, kline: live.kline });
    await live.follow(now.served, now.routes.reads);
    log("info", "another generation is active", { sources: namesOf(config, others) });
    // What was asked before is still being answered.
    await systemWorld.sleep(ANSWERED_WITHIN_MS, stopping.signal).catch(() => undefined);
    await before.close();
  });
  const answering = answerLogRequests(broker.connection, prefix, own.node, own.ring);
  return {
    ...api,
    async stop() {
      stopping.abort();
      await following;
      await api.stop();
      answering.stop();
      await now.close();
    },
  };
}

/** Longest orderly stop: clients that hold on are left. */
const STOP_WITHIN_MS = 20_000;

/** How often it is looked which generation is active, and how long an answer may take. */
const ACTIVE_EVERY_MS = 500;
const ANSWERED_WITHIN_MS = 5_000;

function namesOf(config: Config, generations: AllGenerations): string {
  return activeConfigs(config, generations)
    .map((own) => own["source.name"])
    .join(" ");
}

/** What the API reads: of the active generation of each source the reports, of one source the tokens. */
async function openActive(
  config: Config,
  control: Connection["control"],
  generations: AllGenerations,
  sourceName: string | undefined,
) {
  const [{ ControlBackend }, { names }, { openReads }, { foreignQueries }] = await Promise.all([
    import("../api/control-backend.ts"),
    import("../pipeline/names.ts"),
    import("./token-reads.ts"),
    import("./foreign.ts"),
  ]);
  const wanted = sourceName === undefined ? sourceConfigs(config)[0]! : oneSource(config, sourceName);
  const served = activeConfig(wanted, generations);
  await checkLanes(served, control);
  const backends = sourceConfigs(config).map((own) => {
    const active = activeConfig(own, generations);
    const source = active["source.name"];
    const n = names(active["nats.prefix"], source);
    const laneUnits = Array.from({ length: active.lanes }, (_, lane) => n.unit("lane", lane));
    const settingsName = own["source.name"];
    return new ControlBackend({ control, source, settingsName, ingestUnit: n.unit("ingest"), laneUnits });
  });
  const backend = backends.find((own) => own.source === served["source.name"])!;
  const others = backends.filter((own) => own !== backend);
  const { close, ...known } = await openReads(served);
  const queries = await foreignQueries(served);
  return { served, routes: { backend, others, ...known, stores: known.reads, queries }, close };
}

async function followActive(
  config: Config,
  control: Connection["control"],
  signal: AbortSignal,
  onRead: (now: AllGenerations) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await systemWorld.sleep(ACTIVE_EVERY_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await onRead(await readGenerations(config, control));
    } catch (error) {
      logFor("api")("debug", "could not read which generation is active", { reason: describe(error) });
    }
  }
}

function accessSettings(config: Config): AccessSettings {
  return {
    anonymous: config["api.anonymous"],
    rateLimit: config["api.rateLimit"],
    tokenRateLimit: config["api.tokenRateLimit"],
    rateWindowMs: config["api.rateWindowSeconds"] * 1_000,
    limitLoopback: config["api.rateLimitLoopback"],
    corsOrigins: config["api.cors"].map((origin) => origin.toLowerCase()),
    hosts: config["api.hosts"].map((host) => host.toLowerCase()),
    trustProxy: config["api.trustProxy"],
  };
}
