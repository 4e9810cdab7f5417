/**
 * Several sources in one process: a deployment for each, and one that cannot be opened does not stop the others. It is
 * tried again as a unit that has failed is, with the settings as they are then.
 */
import type { Config } from "../pipeline/config.ts";
import type { Deployment } from "../pipeline/deployment.ts";
import { classify, describe, Fatal } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import type { StageName } from "../pipeline/names.ts";
import type { Quiet } from "../pipeline/quiet.ts";
import { streams, units } from "../pipeline/topology.ts";
import type { UnitSpec } from "../pipeline/unit.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type Connection, openDeployment } from "./deployment.ts";
import { requireLake } from "./lake.ts";
import { holdLanes } from "./lanes.ts";
import { requireSource } from "./source.ts";

export interface Sources {
  readonly units: readonly UnitSpec[];
  /** Sees to it that the source is open and its streams are there. Throws what opening throws. */
  prepare(source: string): Promise<void>;
}

export interface Opening {
  readonly connection: Connection;
  readonly stages: readonly StageName[];
  /** Of all sources. */
  readonly quiet: Quiet;
  readonly log: Log;
  /** The settings of a source as they are now. Throws what loading them throws. */
  readonly reload: (source: string) => Config;
  /** Takes the other units of a source that could not be opened at first. */
  readonly onOpened: (units: readonly UnitSpec[]) => void;
}

/** `configs`: one for each. Throws what opening throws when not a single source can be opened. */
export async function openSources(configs: readonly Config[], o: Opening): Promise<Sources> {
  const offered: UnitSpec[] = [];
  const failures: { readonly source: string; readonly error: unknown }[] = [];
  const prepared = new Map<string, () => Promise<void>>();
  for (const own of configs) {
    const source = own["source.name"];
    try {
      const deployment = await open(own, o);
      offered.push(...units(own, o.stages, () => deployment));
      prepared.set(source, () => ensureStreams(deployment));
    } catch (error) {
      failures.push({ source, error });
      const late = lateSource(own, o);
      offered.push(late.unit);
      prepared.set(source, late.prepare);
    }
  }
  if (failures.length === configs.length) throw failures[0]?.error;
  for (const { source, error } of failures) {
    o.log("error", "a source cannot be opened; the others go on", { source, reason: describe(error) });
  }
  return { units: offered, prepare: async (source) => prepared.get(source)?.() };
}

async function open(own: Config, { connection, stages, quiet, log }: Opening): Promise<Deployment> {
  if (stages.includes("ingest")) await requireSource(own, systemWorld, log);
  if (stages.includes("archive")) await requireLake(own, log);
  return openDeployment(own, connection, quiet);
}

/** Also what is recorded of it: a server that was lost has neither. */
async function ensureStreams(deployment: Deployment): Promise<void> {
  await holdLanes(deployment.config, deployment.control);
  for (const spec of streams(deployment)) await deployment.broker.ensureStream(spec);
}

/** A source that could not be opened, as its first unit: preparing it opens the source, and then the other units follow. */
function lateSource(own: Config, o: Opening): { readonly unit: UnitSpec; prepare(): Promise<void> } {
  const source = own["source.name"];
  let opened: Deployment | null = null;
  const deployment = () => {
    if (opened === null) throw new Error("a unit runs before its source is prepared");
    return opened;
  };
  const [unit] = units(own, o.stages, deployment);
  return {
    unit: unit!,
    async prepare() {
      if (opened === null) {
        const now = await openLate(own, o);
        opened = now;
        o.log("info", "the source can be opened now", { source });
        const [, ...others] = units(now.config, o.stages, deployment);
        o.onOpened(others);
      }
      await ensureStreams(opened);
    },
  };
}

async function openLate(own: Config, o: Opening): Promise<Deployment> {
  const source = own["source.name"];
  try {
    const now = o.reload(source);
    // What the whole process has in common is what it began with.
    const common = Object.entries(own).filter(([name]) => name.startsWith("nats.") || COMMON.includes(name));
    return await open({ ...now, ...Object.fromEntries(common) } as Config, o);
  } catch (error) {
    const known = classify(error);
    if (known.kind !== "fatal") throw error;
    throw new Fatal(known.code, `the source cannot be opened: ${known.message}`, {
      ...(known.where === undefined ? {} : { where: known.where }),
      hint: `${known.hint ?? "Put it right."} Settings and files are read again, after minutes or when a start of ${source} is asked for.`,
      cause: error,
    });
  }
}

const COMMON: readonly string[] = ["data.dir", "source.name", "lanes", "lease.ttlMs"];
