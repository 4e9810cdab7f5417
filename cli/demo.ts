/**
 * `sluice demo`: the whole product on one machine with nothing configured. A simulated market is recorded, served by a
 * real Substreams endpoint on loopback, and indexed by the real pipeline in processes of its own, exactly as in production.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { type Config, type LoadedConfig, loadConfig, type Setting } from "../pipeline/config.ts";
import { isAlive } from "../pipeline/embedded-nats.ts";
import { Fatal, Shutdown } from "../pipeline/errors.ts";
import { configureLogging, logFor } from "../pipeline/log.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, wholeNumber } from "./context.ts";

const DEMO_FOLDER = "data/demo";
const MARKER = ".sluice-demo";

interface DemoOptions {
  readonly port?: string;
  readonly once?: boolean;
  readonly blocks: string;
  readonly seed: string;
  readonly speed: string;
  readonly lake?: string;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("demo")
    .description("see everything work: a simulated market through the real pipeline, no account, no network")
    .option("--port <port>", "port of the API (default: 8787, or a free one when that is taken)")
    .option("--once", "process the blocks as fast as possible, verify against the simulator's truth, exit")
    .option("--blocks <n>", "blocks to simulate", "3000")
    .option("--seed <n>", "seed of the simulation: the same seed gives the same chain", "1")
    .option("--speed <n>", "blocks per second served (real time is 2.5); not used with --once", "20")
    .option("--lake <url>", "keep the lake in a bucket, s3://bucket/prefix; lake.s3.* settings say how to reach it")
    .addHelpText(
      "after",
      `
Examples:
  sluice demo                                     live, at http://127.0.0.1:8787
  sluice demo --once --blocks 500 --seed 7 --json one run, verified, result as JSON
  sluice demo --data ./my-demo --port 9000        keep the data in a folder of your own

Without --data the demo lives in ${DEMO_FOLDER}, which each run begins anew.`,
    )
    .action(async (options: DemoOptions, command: Command) => {
      const flags = options.lake === undefined ? {} : { "lake.url": options.lake };
      const { loaded, json } = context.load(command, flags);
      const folder = command.optsWithGlobals<{ data?: string }>().data;
      const blocks = wholeNumber("--blocks", options.blocks, 1, 10_000_000);
      const seed = wholeNumber("--seed", options.seed, 0, Number.MAX_SAFE_INTEGER);
      const data = await demoFolder(folder);
      const config = demoConfig(loaded, data);
      await configureLogging({
        level: config["log.level"] === "info" ? "warning" : config["log.level"],
        format: config["log.format"],
      });
      const stop = new AbortController();
      // Not only once: whoever is impatient must not cut off the end of the processes that we have started.
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
        process.on(signal, () => stop.abort(new Shutdown()));
      if (config["lake.url"] !== "") await requireEmptyLake(config);
      await beginAnew(data);
      if (options.once === true) {
        const { runOnce } = await import("./demo-once.ts");
        process.exitCode = await runOnce({ context, config, data, blocks, seed, json, signal: stop.signal });
        return;
      }
      const speed = wholeNumber("--speed", options.speed, 1, 100_000);
      const port = options.port === undefined ? undefined : wholeNumber("--port", options.port, 0, 65_535);
      const { runLive } = await import("./demo-live.ts");
      await runLive({
        context,
        config,
        data,
        blocks,
        seed,
        speed,
        signal: stop.signal,
        world: systemWorld,
        ...(port === undefined ? {} : { port }),
      });
    });
}

/**
 * The demo keeps to itself: whatever source, server, stores or programs the environment or a settings file name for
 * production, it takes from them only how to log, where to serve and how buckets are reached. What the command line says counts.
 */
function demoConfig({ values, origins }: LoadedConfig, data: string): Config {
  const taken = (Object.keys(values) as Setting[]).filter(
    (name) => origins[name] === "command line" || /^(log|api|lake\.s3)\./.test(name),
  );
  const settings = Object.fromEntries(taken.map((name) => [name, values[name]]));
  return { ...loadConfig().values, ...settings, "data.dir": data };
}

/** Another chain's lake would not match the demo's; nothing of anybody's is written to. */
async function requireEmptyLake(config: Config): Promise<void> {
  const { lakeStore, prepareLake } = await import("./lake.ts");
  await prepareLake(config, logFor("demo"));
  const store = await lakeStore(config);
  if ((await store.list("manifest/")).length === 0) return;
  throw new Fatal("DEMO_LAKE", "there is a lake already", {
    where: store.name,
    hint: "Name another prefix with --lake, so that nothing of yours is touched.",
  });
}

/** A folder of one's own must be empty or a demo's, of one that has ended. Nothing is touched yet. */
async function demoFolder(chosen: string | undefined): Promise<string> {
  const folder = chosen ?? DEMO_FOLDER;
  const marked = existsSync(join(folder, MARKER));
  if (
    existsSync(folder) &&
    !marked &&
    (await Array.fromAsync(new Bun.Glob("*").scan({ cwd: folder, onlyFiles: false }))).length > 0
  ) {
    throw new Fatal("DEMO_FOLDER", "the folder holds something that is not a demo's", {
      where: folder,
      hint: "Name an empty folder with --data, so that nothing of yours is touched.",
    });
  }
  if (marked) await mustHaveEnded(folder);
  return folder;
}

/** Empties the folder for this run. */
async function beginAnew(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const note = "Made by `sluice demo`; the next demo in this folder begins anew.";
  await writeFile(join(folder, MARKER), `${process.pid}\n${note}\n`);
}

async function mustHaveEnded(folder: string): Promise<void> {
  const pid = Number.parseInt(await readFile(join(folder, MARKER), "utf8"), 10);
  if (!(pid > 0) || !isAlive(pid)) return;
  throw new Fatal("DEMO_RUNNING", `a demo is running here already, as process ${pid}`, {
    where: folder,
    hint: `Stop it, or name another folder with --data. If process ${pid} is no demo, remove the folder.`,
  });
}
