/**
 * A pipeline on this machine, in processes of its own: a replay endpoint for a recording and the stages that index it.
 * What the demo, the end-to-end benchmark and the chaos runs have in common.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../pipeline/config.ts";
import type { NodeReport, UnitReport } from "../pipeline/control.ts";
import { Fatal, Transient } from "../pipeline/errors.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type Child, lastLines, peakRssMb, startChild, startService } from "./child.ts";
import { type Connection, connectBroker } from "./deployment.ts";
import { folders } from "./folders.ts";

export interface LocalRunOptions {
  /** Settings with `data.dir` set to a folder of the run's own. Its processes know these, and nothing of the environment. */
  readonly config: Config;
  readonly recording: string;
  /** 0 = as fast as it is read. */
  readonly blocksPerSecond: number;
  /** More settings for the stages, name=value. */
  readonly settings?: readonly string[];
  /** Stages of each process; an empty list is all of them. Absent: one process runs all. */
  readonly processes?: readonly (readonly string[])[];
}

/** Reports of all live processes, and of the units that one of them holds. */
export interface Observation {
  readonly nodes: readonly NodeReport[];
  readonly units: readonly UnitReport[];
}

export class LocalRun {
  readonly connection: Connection;
  /** The processes that run stages, in the order of the options. */
  readonly stages: Child[] = [];
  private readonly options: LocalRunOptions;
  private readonly replay: Child;
  private readonly endpoint: string;

  static async start(options: LocalRunOptions): Promise<LocalRun> {
    const { recording, blocksPerSecond, config, processes = [[]] } = options;
    const args = ["replay", recording, "--port", "0", "--blocks-per-second", String(blocksPerSecond), "--json"];
    const logFile = join(config["data.dir"], "replay.log");
    const replay = await startService<{ port: number }>({ args, logFile });
    try {
      // In a file that only we can read: command lines can be read by everybody.
      await writeFile(settingsFile(config), JSON.stringify(config, null, 2), { mode: 0o600 });
      const connection = await connectBroker(config, "sluice-local-run");
      const run = new LocalRun(options, connection, replay, `http://127.0.0.1:${replay.ready.port}`);
      for (const i of processes.keys()) run.startStages(i);
      return run;
    } catch (error) {
      await replay.stop();
      throw error;
    }
  }

  private constructor(options: LocalRunOptions, connection: Connection, replay: Child, endpoint: string) {
    this.options = options;
    this.connection = connection;
    this.replay = replay;
    this.endpoint = endpoint;
  }

  /** Starts process `i`, again when it ran before. */
  startStages(i: number): void {
    const { config, settings = [], processes = [[]] } = this.options;
    const all = [`source.endpoint=${this.endpoint}`, "source.startBlock=0", "source.package=", ...settings];
    const flags = all.flatMap((setting) => ["--set", setting]);
    const args = ["--config", settingsFile(config), "stages", ...processes[i]!, ...flags];
    this.stages[i] = startChild({ args, logFile: this.logFile(i) });
  }

  logFile(i: number): string {
    return join(this.options.config["data.dir"], i === 0 ? "stages.log" : `stages-${i + 1}.log`);
  }

  /** Null when the server does not answer just now: on a busy machine that says nothing about the run. */
  async observe(): Promise<Observation | null> {
    const nodes = await this.connection.control.nodes().catch((error) => {
      if (error instanceof Transient) return null;
      throw error;
    });
    if (nodes === null) return null;
    const units = nodes.flatMap((node) => node.units).filter((u) => u.state !== "waiting" && u.state !== "stopped");
    return { nodes, units };
  }

  /** Throws when a process has died or a unit has failed for good. */
  check(observation: Observation | null): void {
    const failed = observation?.units.find((unit) => unit.state === "failed");
    const error = failed?.errors.at(-1);
    if (failed !== undefined) {
      throw new Fatal("RUN_FAILED", `${failed.unit} failed: ${error?.code} ${error?.message}`, {
        where: this.logFile(0),
        ...(error?.hint === undefined ? {} : { hint: error.hint }),
      });
    }
    const replayLog = join(this.options.config["data.dir"], "replay.log");
    const parts = [
      ["replay", this.replay, replayLog] as const,
      ...this.stages.map((c, i) => ["stages", c, this.logFile(i)] as const),
    ];
    for (const [name, child, log] of parts) {
      if (child.exitCode === null) continue;
      const what = `sluice ${name} ended with exit code ${child.exitCode}`;
      throw new Fatal("RUN_FAILED", what, { where: log, hint: lastLines(log, 3) });
    }
  }

  /**
   * Waits until every unit of the pipeline has seen the end of its input; `onObserved` sees each look on the way. With
   * `tolerant`, processes may die and units fail in between.
   */
  async untilEnded(
    signal: AbortSignal,
    onObserved: (observation: Observation) => void = () => undefined,
    tolerant = false,
  ): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const observation = await this.observe();
      if (!tolerant) this.check(observation);
      if (observation !== null) {
        onObserved(observation);
        const flowing = observation.units.filter((unit) => unit.stage !== "janitor");
        const stages = new Set(flowing.map((unit) => unit.stage));
        if (stages.size === 5 && flowing.every((unit) => unit.ended)) return;
      }
      await systemWorld.sleep(100, signal);
    }
  }

  /** Peak resident memory of all processes that run stages, and of the embedded nats-server; MB (10^6 bytes). */
  async memory(): Promise<{ stagesMb: number; natsMb: number }> {
    const file = join(folders(this.options.config).nats, "server.json");
    const { pid } = JSON.parse(await readFile(file, "utf8")) as { pid: number };
    return { stagesMb: this.stages.reduce((sum, child) => sum + peakRssMb(child.pid), 0), natsMb: peakRssMb(pid) };
  }

  async stopStages(): Promise<void> {
    await Promise.all(this.stages.map((child) => (child.exitCode === null ? child.stop() : undefined)));
  }

  async stop(): Promise<void> {
    await this.stopStages();
    await this.replay.stop();
    await this.connection.close();
  }
}

function settingsFile(config: Config): string {
  return join(config["data.dir"], "settings.json");
}

/** A bounded range up to and including `lastSlot`, with its forks: everything ends when it is reached. */
export function throughSlot(lastSlot: number): string[] {
  return [`source.stopBlock=${lastSlot + 1}`, "source.finalBlocksOnly=false"];
}
