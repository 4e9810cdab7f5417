/** Removes what a generation has: its streams, and its stores on this host. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Config } from "../pipeline/config.ts";
import type { NodeReport } from "../pipeline/control.ts";
import { Transient } from "../pipeline/errors.ts";
import { names } from "../pipeline/names.ts";
import { systemWorld } from "../pipeline/world.ts";
import { laneFile } from "../storage/hot/file.ts";
import type { Connection } from "./deployment.ts";
import { folders } from "./folders.ts";

export interface Parts {
  readonly streams: readonly string[];
  /** Files and folders of this host. */
  readonly paths: readonly string[];
  /** What stays, in words; null: nothing. */
  readonly kept: string | null;
}

/** Its processes notice within two seconds that they are not to run it any more, and reports of dead ones end. */
const ENDED_AFTER_MS = 20_000;

/** `sharesLake`: other sources have lineages in its lake. */
export function partsOf(config: Config, sharesLake: boolean): Parts {
  const n = names(config["nats.prefix"], config["source.name"]);
  const paths = folders(config);
  // The first generation's stores lie in a folder that others have theirs in as well.
  const lanes = Array.from({ length: config.lanes }, (_, lane) => laneFile(paths.hot, lane));
  const files = lanes.flatMap((file) => [file, `${file}-wal`, `${file}-shm`]);
  const bucket = config["lake.url"];
  const ownFolder = bucket === "" && !sharesLake;
  const place = bucket === "" ? paths.lake : bucket;
  const reason = sharesLake ? "other sources are in it as well" : "remove it with your provider's tools";
  return {
    streams: [n.blocks, n.events, n.lanes, n.live, n.quarantine].map(({ stream }) => stream),
    paths: [...files, ...(ownFolder ? [paths.lake] : [])].filter((path) => existsSync(path)),
    kept: ownFolder ? null : `the lake ${place}: ${reason}`,
  };
}

/**
 * Can be done again, also after it was interrupted anywhere. Throws `Transient` GENERATION_IN_USE while a process runs it:
 * what is removed would come back.
 */
export async function removeGeneration(config: Config, parts: Parts, connection: Connection): Promise<void> {
  const { broker, control } = connection;
  const deadline = systemWorld.monotonic() + ENDED_AFTER_MS;
  const source = config["source.name"];
  for (;;) {
    const nodes = await control.nodes();
    const running = nodes.filter((node) => node.units.some((unit) => unit.source === source));
    if (running.length === 0) break;
    if (systemWorld.monotonic() >= deadline) throw inUse(source, running);
    await systemWorld.sleep(500);
  }
  for (const stream of parts.streams) await broker.deleteStream(stream);
  for (const path of parts.paths) await rm(path, { recursive: true, force: true });
}

function inUse(source: string, nodes: readonly NodeReport[]): Transient {
  return new Transient("GENERATION_IN_USE", `${source} is still run by ${nodes.map(({ node }) => node).join(", ")}`, {
    hint: "Nothing was removed yet. Processes end it when they hear of it; then ask for the drop again.",
  });
}
