/** The Substreams source, from the settings `source.*`. */
import type { Config } from "../pipeline/config.ts";
import type { Log } from "../pipeline/log.ts";
import { SubstreamsSource } from "../pipeline/source/client.ts";
import { parseEndpoint } from "../pipeline/source/endpoint.ts";
import { selectModule } from "../pipeline/source/module.ts";
import { loadPackage, parsePackage, type SubstreamsPackage } from "../pipeline/source/package.ts";
import type { World } from "../pipeline/world.ts";

export async function openSource(config: Config, world: World, log: Log): Promise<SubstreamsSource> {
  const module = selectModule(await openPackage(config["source.package"]), {
    module: config["source.module"],
    params: config["source.params"],
    network: config["source.network"],
  });
  const finalOnly = config["source.finalBlocksOnly"];
  return new SubstreamsSource({
    name: config["source.name"],
    endpoint: config["source.endpoint"],
    credentials: { token: config["source.token"], apiKey: config["source.apiKey"] },
    module,
    startBlock: config["source.startBlock"],
    stopBlock: config["source.stopBlock"],
    finalBlocksOnly: finalOnly === "auto" ? "auto" : finalOnly === "true",
    productionMode: config["source.productionMode"],
    protocol: config["source.protocol"],
    compression: compressionFor(config),
    maxMessageBytes: config["source.maxMessageBytes"],
    idleTimeoutMs: config["source.idleTimeoutMs"],
    keepaliveMs: config["source.keepaliveMs"],
    world,
    log,
  });
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
