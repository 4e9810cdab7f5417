/** The Substreams source, from the settings `source.*`. */
import type { Config } from "../pipeline/config.ts";
import { classify, describe } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import type { Asked } from "../pipeline/source/ask.ts";
import { type SubstreamsOptions, SubstreamsSource } from "../pipeline/source/client.ts";
import { parseEndpoint } from "../pipeline/source/endpoint.ts";
import { type EndpointInfo, endpointInfo, mismatches } from "../pipeline/source/info.ts";
import { type SelectedModule, selectModule } from "../pipeline/source/module.ts";
import { loadPackage, parsePackage, type SubstreamsPackage } from "../pipeline/source/package.ts";
import { parseRange } from "../pipeline/source/range.ts";
import type { World } from "../pipeline/world.ts";

/** How long an endpoint may take to say what it serves, ms. */
const INFO_TIMEOUT_MS = 5_000;

export async function openModule(config: Config): Promise<SelectedModule> {
  return selectModule(await openPackage(config["source.package"]), {
    module: config["source.module"],
    params: config["source.params"],
    network: config["source.network"],
  });
}

export async function openSource(
  config: Config,
  world: World,
  log: Log,
  tap: Pick<SubstreamsOptions, "tap"> = {},
): Promise<SubstreamsSource> {
  const module = await openModule(config);
  const source = sourceOf(config, module, world, log, tap);
  await adviseOnEndpoint(config, module, world, log);
  return source;
}

/**
 * Throws the `Fatal` that `openSource` throws for settings that cannot work: no such file, no such module, no credentials,
 * an address or a range that is none. Asks nobody elsewhere; a package that cannot be fetched now may be there later.
 */
export async function requireSource(config: Config, world: World, log: Log): Promise<void> {
  try {
    sourceOf(config, await openModule(config), world, log);
  } catch (error) {
    if (classify(error).kind !== "transient") throw error;
  }
}

function sourceOf(
  config: Config,
  module: SelectedModule,
  world: World,
  log: Log,
  tap: Pick<SubstreamsOptions, "tap"> = {},
): SubstreamsSource {
  const finalOnly = config["source.finalBlocksOnly"];
  return new SubstreamsSource({
    ...tap,
    name: config["source.name"],
    endpoint: config["source.endpoint"],
    credentials: credentialsOf(config),
    module,
    startBlock: config["source.startBlock"],
    stopBlock: config["source.stopBlock"],
    finalBlocksOnly: finalOnly === "auto" ? "auto" : finalOnly === "true",
    productionMode: config["source.productionMode"],
    limitProcessedBlocks: config["source.limitProcessedBlocks"],
    parallelJobs: config["source.parallelJobs"],
    protocol: config["source.protocol"],
    compression: compressionFor(config),
    maxMessageBytes: config["source.maxMessageBytes"],
    idleTimeoutMs: config["source.idleTimeoutMs"],
    maxAttempts: config["source.maxAttempts"],
    keepaliveMs: config["source.keepaliveMs"],
    world,
    log,
  });
}

function credentialsOf(config: Config): SubstreamsOptions["credentials"] {
  return {
    token: config["source.token"],
    apiKey: config["source.apiKey"],
    exchangeUrl: config["source.authUrl"],
  };
}

/** What the endpoint says of itself; null when it says nothing. Throws what `endpointInfo` throws. */
export function askEndpoint(config: Config, world: World): Promise<EndpointInfo | null> {
  return endpointInfo(asking(config, world, INFO_TIMEOUT_MS));
}

/** The configured endpoint, for calls that are answered once. */
export function asking(config: Config, world: World, timeoutMs: number): Asked {
  return {
    endpoint: config["source.endpoint"],
    credentials: credentialsOf(config),
    timeoutMs,
    world,
    signal: new AbortController().signal,
  };
}

/** Says in the log what will not fit. Only advice: the stream itself tells what cannot be. */
async function adviseOnEndpoint(config: Config, module: SelectedModule, world: World, log: Log): Promise<void> {
  try {
    const info = await askEndpoint(config, world);
    if (info === null) return;
    const { start } = parseRange(config["source.startBlock"], config["source.stopBlock"], module.initialBlock);
    log("info", "the endpoint answers", { chain: info.chain, firstSlot: info.firstSlot });
    for (const mismatch of mismatches(info, module, start)) log("warning", mismatch);
  } catch (error) {
    log("debug", "the endpoint did not say what it serves", { reason: describe(error) });
  }
}

function compressionFor(config: Config): "gzip" | "none" {
  const asked = config["source.compression"];
  if (asked !== "auto") return asked;
  return parseEndpoint(config["source.endpoint"]).loopback ? "none" : "gzip";
}

/** The named package; without a name, the project's own, which the simulator's recordings come from. */
async function openPackage(location: string): Promise<SubstreamsPackage> {
  if (location !== "") return loadPackage(location);
  const { buildDemoPackage } = await import("../simulator/index.ts");
  return parsePackage(buildDemoPackage(), "the built-in demo package");
}
