/**
 * A pipeline on this machine, in processes of its own: a replay endpoint for a recording and the stages that index it.
 * What the demo, the end-to-end benchmark and the chaos runs have in common.
 */
import { join } from "node:path";
import type { Config } from "../pipeline/config.ts";
import type { NodeReport, UnitReport } from "../pipeline/control.ts";
import { Fatal } from "../pipeline/errors.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type Child, lastLines, startChild, startService } from "./child.ts";
import { type Connection, connectBroker } from "./deployment.ts";

export interface LocalRunOptions {
  /** Settings with `data.dir` set to a folder of the run's own. */
  readonly config: Config;
  readonly recording: string;
  /** 0 = as fast as it is read. */
  readonly blocksPerSecond: number;
  /** More settings for the stages, name=value. */
  readonly settings?: readonly string[];
}

export interface LocalRun {
  readonly connection: Connection;
  readonly stages: Child;
  readonly endpoint: string;
  /** Reports of all units, freshest of each. */
  units(): Promise<{ readonly nodes: readonly NodeReport[]; readonly units: readonly UnitReport[] }>;
  /** Throws when a part has died or failed for good. */
  check(units: readonly UnitReport[]): void;
  stop(): Promise<void>;
}

export async function startLocalRun(options: LocalRunOptions): Promise<LocalRun> {
  const data = options.config["data.dir"];
  const replay = await startReplay(options, data);
  const endpoint = `http://127.0.0.1:${replay.ready.port}`;
  const stages = startChild({
    args: stageArgs(data, endpoint, options.settings ?? []),
    logFile: join(data, "stages.log"),
  });
  const connection = await connectBroker(options.config, "sluice-local-run");
  return {
    connection,
    stages,
    endpoint,
    async units() {
      const nodes = await connection.control.nodes();
      return {
        nodes,
        units: nodes.flatMap((node) => node.units).filter((u) => u.state !== "waiting" && u.state !== "stopped"),
      };
    },
    check(units) {
      const failed = units.find((unit) => unit.state === "failed");
      const error = failed?.errors.at(-1);
      if (failed !== undefined) {
        throw new Fatal("RUN_FAILED", `${failed.unit} failed: ${error?.code} ${error?.message}`, {
          where: join(data, "stages.log"),
          ...(error?.hint === undefined ? {} : { hint: error.hint }),
        });
      }
      for (const [name, child] of [
        ["stages", stages],
        ["replay", replay],
      ] as const) {
        if (child.exitCode === null) continue;
        const file = join(data, `${name}.log`);
        throw new Fatal("RUN_FAILED", `sluice ${name} ended with exit code ${child.exitCode}`, {
          where: file,
          hint: lastLines(file, 3),
        });
      }
    },
    async stop() {
      await stages.stop();
      await replay.stop();
      await connection.close();
    },
  };
}

/** Arguments of `sluice stages` for an endpoint on this machine that serves the simulator's package. */
export function stageArgs(data: string, endpoint: string, settings: readonly string[]): string[] {
  const all = [`source.endpoint=${endpoint}`, "source.startBlock=0", "source.package=", ...settings];
  return ["stages", "--data", data, ...all.flatMap((setting) => ["--set", setting])];
}

function startReplay(options: LocalRunOptions, data: string) {
  const args = [
    "replay",
    options.recording,
    "--port",
    "0",
    "--blocks-per-second",
    String(options.blocksPerSecond),
    "--json",
  ];
  return startService<{ port: number }>({ args, logFile: join(data, "replay.log") });
}

/** A bounded range up to and including `lastSlot`, with its forks: everything ends when it is reached. */
export function throughSlot(lastSlot: number): string[] {
  return [`source.stopBlock=${lastSlot + 1}`, "source.finalBlocksOnly=false"];
}

/** Waits until every unit of the pipeline has seen the end of its input; calls `onReport` twice a second. */
export async function untilEnded(
  run: LocalRun,
  signal: AbortSignal,
  onReport: (nodes: readonly NodeReport[], units: readonly UnitReport[]) => void,
): Promise<readonly UnitReport[]> {
  for (;;) {
    signal.throwIfAborted();
    const { nodes, units } = await run.units();
    run.check(units);
    onReport(nodes, units);
    const flowing = units.filter((unit) => unit.stage !== "janitor");
    const stages = new Set(flowing.map((unit) => unit.stage));
    if (stages.size === 5 && flowing.every((unit) => unit.ended)) return flowing;
    await systemWorld.sleep(100, signal);
  }
}
