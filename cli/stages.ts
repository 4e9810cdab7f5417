/** `sluice stages`: runs the pipeline's units until told to stop. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Command } from "commander";
import { closest } from "../pipeline/closest.ts";
import type { Config } from "../pipeline/config.ts";
import { describe, Fatal, Shutdown } from "../pipeline/errors.ts";
import { configureLogging, logFor, recentLog } from "../pipeline/log.ts";
import { answerLogRequests } from "../pipeline/log-exchange.ts";
import { keepMemoryLow } from "../pipeline/memory.ts";
import { STAGES, type StageName } from "../pipeline/names.ts";
import { Quiet } from "../pipeline/quiet.ts";
import { systemWorld } from "../pipeline/world.ts";
import { endWithParent } from "./child.ts";
import type { CliContext } from "./context.ts";
import type { Connection } from "./deployment.ts";
import { type AllGenerations, keepGenerations, readGenerations, runConfigs, settleGenerations } from "./generations.ts";
import { checkLanes } from "./lanes.ts";
import { stopWhenTold } from "./signals.ts";
import { VERSION } from "./version.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("stages")
    .description("run stages of the pipeline: all of them, or the named ones")
    .argument("[names...]", "ingest, decode, shard, lane, archive, janitor (default: all)")
    .option("--node <name>", "name of this process in the fleet (default: host, pid and a random part)")
    .option("--exit-at-end", "exit when a bounded range is complete everywhere: 0; or stands still at its beginning: 1")
    .addHelpText(
      "after",
      `
Examples:
  sluice stages                       all stages on this host, embedded NATS
  sluice stages decode shard          only these two; others may run elsewhere on the same NATS
  SUBSTREAMS_API_KEY=... sluice stages --set source.package=./my.spkg --set source.module=map_events

Two processes on one data folder share the units; when one dies the other takes over.`,
    )
    .action(async (names: string[], options: { node?: string; exitAtEnd?: boolean }, command: Command) => {
      const reload = () => context.load(command).config;
      const config = reload();
      await configureLogging({ level: config["log.level"], format: config["log.format"] });
      process.exitCode = await runStages({ config, reload, names, ...options });
    });
}

/** Longest orderly stop. Service managers kill after 30 to 90 seconds. */
const STOP_WITHIN_MS = 20_000;

/** How often other generations of a source are looked for. */
const GENERATIONS_EVERY_MS = 2_000;

interface RunStagesOptions {
  readonly config: Config;
  /** The settings as they are now, for a source that could not be opened. */
  readonly reload: () => Config;
  readonly names: readonly string[];
  readonly node?: string;
  readonly exitAtEnd?: boolean;
}

/** Resolves to the exit code: 0 when asked to stop, 1 when every unit failed for good, or the end was asked for and cannot come. */
export async function runStages({ config, reload, names, node, exitAtEnd }: RunStagesOptions): Promise<number> {
  const log = logFor("stages");
  const stages = names.length === 0 ? [...STAGES] : names.map((name) => stageNamed(name, STAGES));
  const stop = new AbortController();
  stopWhenTold(stop, {
    onTold: (signal) => log("info", `${signal}: finishing commits, giving up leases (SIGINT again to stop at once)`),
    withinMs: STOP_WITHIN_MS,
  });
  endWithParent();
  const { connectBroker } = await import("./deployment.ts");
  const connection = await connectBroker(config, `sluice-stages-${process.pid}`);
  const name = node ?? `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`.replaceAll(/[^\w-]/g, "-");
  answerLogRequests(connection.broker.connection, config["nats.prefix"], name, recentLog);
  try {
    const quiet = new Quiet(systemWorld);
    const running = { config, reload, connection, stages, name, stop, quiet, exitAtEnd: exitAtEnd === true };
    const memory = keepMemoryLow(systemWorld, quiet, stop.signal);
    let failed = false;
    while (!stop.signal.aborted) failed = await runGenerations(running);
    await memory;
    return failed ? 1 : 0;
  } finally {
    // What goes on beside the units would keep a process alive that cannot even begin.
    stop.abort(new Shutdown());
    await connection.close().catch((error) => log("debug", "closing", { reason: describe(error) }));
  }
}

interface Running {
  readonly config: Config;
  readonly reload: () => Config;
  readonly connection: Connection;
  readonly stages: readonly StageName[];
  /** Of this process in the fleet. */
  readonly name: string;
  readonly stop: AbortController;
  /** Of all that this process runs. */
  readonly quiet: Quiet;
  readonly exitAtEnd: boolean;
}

/**
 * Runs the generations that there are of every source, until told to stop or until there are others. Resolves to whether all
 * units failed for good.
 */
async function runGenerations({
  config,
  reload,
  connection,
  stages,
  name,
  stop,
  quiet,
  exitAtEnd,
}: Running): Promise<boolean> {
  const [{ openSources }, { Supervisor }] = await Promise.all([
    import("./sources.ts"),
    import("../pipeline/supervisor.ts"),
  ]);
  const { broker, control } = connection;
  const log = logFor("stages");
  const generations = await readGenerations(config, control);
  await keepGenerations(config, generations);
  const configs = runConfigs(config, generations);
  // Before anything is opened, and for all: with another number of lanes a source that is new would begin with the wrong one.
  for (const own of configs) await checkLanes(own, control);
  const sources = await openSources(configs, {
    ...{ connection, stages, log, quiet },
    reload: (source) => configOf(source, reload(), generations),
    onOpened: (units) => supervisor.add(units),
  });
  const supervisor: InstanceType<typeof Supervisor> = new Supervisor({
    ...{ node: name, version: VERSION, stages, units: sources.units, control, world: systemWorld, log },
    leaseTtlMs: config["lease.ttlMs"],
    purge: (stream) => broker.purge(stream),
    prepare: (unit) => sources.prepare(unit.source),
  });
  const others = new AbortController();
  const signal = AbortSignal.any([stop.signal, others.signal]);
  const watching = [
    watchOutcome(supervisor, stop, signal, exitAtEnd),
    watchGenerations(config, control, generations, signal).then((changed) => changed && others.abort(new Shutdown())),
  ];
  await supervisor.run(signal);
  others.abort(new Shutdown());
  await Promise.all(watching);
  return supervisor.allFailed || (exitAtEnd && supervisor.anyStuck);
}

/** Throws `Fatal` SOURCE_GONE. */
function configOf(source: string, config: Config, generations: AllGenerations): Config {
  const found = runConfigs(config, generations).find((own) => own["source.name"] === source);
  if (found !== undefined) return found;
  throw new Fatal("SOURCE_GONE", `the settings name no source ${source} any more`, {
    where: "sources",
    hint: "Restart the stages: they run the sources that are named then.",
  });
}

/** Resolves to true when other generations are to be run, to false when `signal` aborts. Which is active is noted on the way. */
async function watchGenerations(
  config: Config,
  control: Connection["control"],
  running: AllGenerations,
  signal: AbortSignal,
): Promise<boolean> {
  const listOf = (all: AllGenerations) => JSON.stringify(runConfigs(config, all).map((own) => own["source.name"]));
  while (!signal.aborted) {
    await systemWorld.sleep(GENERATIONS_EVERY_MS, signal).catch(() => undefined);
    if (signal.aborted) break;
    try {
      const now = await readGenerations(config, control);
      await keepGenerations(config, now);
      await settleGenerations(config, now, control);
      if (listOf(now) !== listOf(running)) return true;
    } catch (error) {
      logFor("stages")("debug", "could not read the generations", { reason: describe(error) });
    }
  }
  return false;
}

/** Stops the process when nothing is left to do: all units failed, or the bounded range is complete. */
async function watchOutcome(
  supervisor: { readonly allFailed: boolean; readonly allOver: boolean },
  stop: AbortController,
  signal: AbortSignal,
  exitAtEnd: boolean,
): Promise<void> {
  while (!signal.aborted) {
    if (supervisor.allFailed || (exitAtEnd && supervisor.allOver)) stop.abort(new Shutdown());
    else await systemWorld.sleep(200, signal).catch(() => undefined);
  }
}

function stageNamed<T extends string>(name: string, known: readonly T[]): T {
  const found = known.find((stage) => stage === name);
  if (found !== undefined) return found;
  const near = closest(name, known);
  const meant = near === null ? "" : `Did you mean "${near}"? `;
  throw new Fatal("USAGE", `there is no stage "${name}"`, { hint: `${meant}Stages: ${known.join(", ")}.` });
}
