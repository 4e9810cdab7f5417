/** `sluice api`: the HTTP API in a process of its own, so that the pipeline's work never starves it. */
import { hostname } from "node:os";
import type { Command } from "commander";
import type { AccessSettings } from "../api/access/access.ts";
import type { RunningApi } from "../api/server.ts";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import { configureLogging, logFor, recentLog } from "../pipeline/log.ts";
import { answerLogRequests, deploymentLogs } from "../pipeline/log-exchange.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import type { Connection } from "./deployment.ts";
import { oneSource } from "./one-source.ts";
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
      const told = new Promise<void>((resolve) => {
        for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
      });
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

/** Serves the API on the configured address: control of all sources, and what is known of the tokens of one. */
export async function serveApi(
  config: Config,
  { broker, control }: Pick<Connection, "broker" | "control">,
  sourceName?: string,
): Promise<RunningApi> {
  const served = sourceName === undefined ? sourceConfigs(config)[0]! : oneSource(config, sourceName);
  const [{ startApi }, { TokenFile }, { ControlBackend }, { names }, { openReads }] = await Promise.all([
    import("../api/server.ts"),
    import("../api/access/tokens.ts"),
    import("../api/control-backend.ts"),
    import("../pipeline/names.ts"),
    import("./token-reads.ts"),
  ]);
  const sources = sourceConfigs(config);
  const backends = sources.map((own) => {
    const source = own["source.name"];
    const n = names(own["nats.prefix"], source);
    const laneUnits = Array.from({ length: own.lanes }, (_, lane) => n.unit("lane", lane));
    return new ControlBackend({ control, source, ingestUnit: n.unit("ingest"), laneUnits });
  });
  const source = served["source.name"];
  const backend = backends.find((own) => own.source === source)!;
  const others = backends.filter((own) => own !== backend);
  const known = await openReads(served);
  const own = { node: `${hostname()}-api-${process.pid}`, ring: recentLog };
  const prefix = config["nats.prefix"];
  const api = await startApi({
    host: config["api.host"],
    port: config["api.port"],
    tokens: new TokenFile(tokensPath(config), systemWorld),
    access: accessSettings(config),
    backend,
    others,
    ...known,
    stores: known.reads,
    logs: (query) => deploymentLogs(broker.connection, prefix, own, query),
    version: VERSION,
    serverId: `${hostname()}-api`,
    log: logFor("api"),
  });
  const answering = answerLogRequests(broker.connection, prefix, own.node, own.ring);
  return {
    url: api.url,
    async stop() {
      await api.stop();
      answering.stop();
      await known.close();
    },
  };
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
