/** Several sources in one process: a deployment for each, and one that cannot be opened does not stop the others. */
import type { Config } from "../pipeline/config.ts";
import { classify, describe, Fatal } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import { names, type StageName } from "../pipeline/names.ts";
import { streams, units } from "../pipeline/topology.ts";
import type { UnitSpec } from "../pipeline/unit.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type Connection, openDeployment } from "./deployment.ts";
import { requireLake } from "./lake.ts";
import { requireSource } from "./source.ts";

export interface Sources {
  readonly units: readonly UnitSpec[];
  /** Sees to it that the streams of a source are there. */
  prepare(source: string): Promise<void>;
}

/** `configs`: one for each. Throws what opening throws when not a single source can be opened. */
export async function openSources(
  configs: readonly Config[],
  connection: Connection,
  stages: readonly StageName[],
  log: Log,
): Promise<Sources> {
  const opened: UnitSpec[] = [];
  const failures: { readonly source: string; readonly error: unknown }[] = [];
  const prepared = new Map<string, () => Promise<void>>();
  for (const own of configs) {
    const source = own["source.name"];
    try {
      if (stages.includes("ingest")) await requireSource(own, systemWorld, log);
      if (stages.includes("archive")) await requireLake(own, log);
      const deployment = await openDeployment(own, connection);
      opened.push(...units(deployment, stages));
      prepared.set(source, async () => {
        for (const spec of streams(deployment)) await connection.broker.ensureStream(spec);
      });
    } catch (error) {
      failures.push({ source, error });
      opened.push(unopened(own, error));
    }
  }
  if (prepared.size === 0) throw failures[0]?.error;
  for (const { source, error } of failures) {
    log("error", "a source cannot be opened; the others go on", { source, reason: describe(error) });
  }
  return { units: opened, prepare: async (source) => prepared.get(source)?.() };
}

/** Stands for a source that cannot be opened, so that reports say so. */
function unopened(config: Config, error: unknown): UnitSpec {
  const source = config["source.name"];
  const { code, message, where, hint } = classify(error);
  return {
    name: names(config["nats.prefix"], source).unit("ingest"),
    stage: "ingest",
    source,
    inputStream: null,
    outputStream: null,
    async run() {
      throw new Fatal(code, `the source cannot be opened: ${message}`, {
        ...(where === undefined ? {} : { where }),
        hint: `${hint ?? "Put it right."} Then start this process again.`,
        retry: "when asked",
      });
    },
  };
}
