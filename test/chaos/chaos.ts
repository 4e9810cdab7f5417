/**
 * Kills the pipeline's processes, over and over, while it indexes a simulated chain with forks; then lets it finish and
 * holds hot stores and lake against the truth. Two `sluice stages` processes share one data folder; victims are either of
 * them or the nats-server, always with SIGKILL. What was killed is started again, the nats-server by whoever notices.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lastLines } from "../../cli/child.ts";
import { folders } from "../../cli/folders.ts";
import { LocalRun, throughSlot } from "../../cli/local-run.ts";
import { holdAgainst } from "../../cli/verdict.ts";
import { type Config, loadConfig } from "../../pipeline/config.ts";
import { isAlive } from "../../pipeline/embedded-nats.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { seededRandom, systemWorld } from "../../pipeline/world.ts";
import { writeSimulation } from "../../simulator/index.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly kills: number;
  readonly lanes: number;
  readonly say: (text: string) => void;
}

export interface ChaosResult {
  readonly blocks: number;
  readonly killed: Readonly<Record<"stages-a" | "stages-b" | "nats", number>>;
  /** What hot stores and lake say that the truth does not. */
  readonly differences: readonly string[];
  readonly seconds: number;
}

/** Pauses between kills, ms: from in the middle of a start to some seconds of work. */
const PAUSE_MS = { min: 50, max: 2_000 };
/** Blocks served a second, and how many a kill needs to leave work for the next. */
const BLOCKS_PER_SECOND = 60;
const BLOCKS_PER_KILL = 75;
/** When no unit has come further than ever before for so long, none will, however busy the machine is. */
const PATIENCE_MS = 120_000;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const data = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
  const startedAt = systemWorld.monotonic();
  const blocks = options.kills * BLOCKS_PER_KILL;
  const recording = join(data, "chaos.recording.zst");
  const truth = await writeSimulation({ seed: options.seed, blocks, output: "transactions", out: recording });
  const own = [`lanes=${options.lanes}`, "archive.rollSeconds=20", "lease.ttlMs=2000"];
  const settings = [...own, ...throughSlot(truth.chain.lastSlot)];
  const { values } = loadConfig({ flags: { "data.dir": data, lanes: options.lanes } });
  const run = await LocalRun.start({
    config: values,
    recording,
    blocksPerSecond: BLOCKS_PER_SECOND,
    settings,
    processes: [[], []],
  });
  try {
    const killed = await killAtRandom(options, values, run);
    options.say("no more kills; waiting for the rest");
    await untilEnded(run, options.say);
    await run.stopStages();
    const verdict = await holdAgainst(values, truth);
    const seconds = (systemWorld.monotonic() - startedAt) / 1000;
    await run.stop();
    await rm(data, { recursive: true, force: true });
    return { blocks, killed, differences: verdict.differences, seconds };
  } catch (error) {
    options.say(`what there is, and the logs of all processes, stays in ${data}`);
    await run.stop();
    throw error;
  }
}

/** Replays and restarts are no progress: what counts is how far each unit has ever come. */
async function untilEnded(run: LocalRun, say: (text: string) => void): Promise<void> {
  const furthest = new Map<string, number>();
  const stuck = new AbortController();
  let timer = setTimeout(() => stuck.abort(), PATIENCE_MS);
  try {
    await run.untilEnded(
      stuck.signal,
      ({ units }) => {
        for (const { unit, ended, metrics } of units) {
          // To be told of the end is one step more.
          const at = (metrics.position?.slot ?? 0) + (ended ? 1 : 0);
          if (at <= (furthest.get(unit) ?? -1)) continue;
          furthest.set(unit, at);
          clearTimeout(timer);
          timer = setTimeout(() => stuck.abort(), PATIENCE_MS);
        }
      },
      true,
    );
  } catch (error) {
    if (!stuck.signal.aborted) throw error;
    for (const { node, units } of (await run.observe())?.nodes ?? []) {
      for (const { unit, state, ended, metrics: m, errors } of units) {
        const trouble = errors.map((e) => `${e.code} ${e.message}`).join("; ");
        const done = `${m.receivedBatches} read, ${m.skippedBatches} skipped, ${m.sentBatches} sent, ${m.gaps} gaps, ${m.undos} undos`;
        const spent = `${m.waitingMs | 0} ms waiting, ${m.applyingMs | 0} applying, ${m.committingMs | 0} committing`;
        say(
          `${node} ${unit} ${state} ${ended ? "ended" : "not ended"} at ${m.position?.slot}: ${done}; ${spent} ${trouble}`,
        );
      }
    }
    throw new Fatal("CHAOS_STUCK", `nothing has moved for ${PATIENCE_MS / 1000} s`, {
      hint: lastLines(run.logFile(0), 5),
    });
  } finally {
    clearTimeout(timer);
  }
}

async function killAtRandom(
  { seed, kills, say }: ChaosOptions,
  config: Config,
  run: LocalRun,
): Promise<ChaosResult["killed"]> {
  const random = seededRandom(seed);
  const names = ["stages-a", "stages-b", "nats"] as const;
  const killed = { "stages-a": 0, "stages-b": 0, nats: 0 };
  for (let kill = 1; kill <= kills; kill++) {
    await systemWorld.sleep(PAUSE_MS.min + random() * (PAUSE_MS.max - PAUSE_MS.min));
    const victim = Math.floor(random() * names.length);
    const name = names[victim]!;
    if (name === "nats") await killNats(config);
    else {
      run.stages[victim]!.kill("SIGKILL");
      await run.stages[victim]!.exited;
      run.startStages(victim);
    }
    killed[name]++;
    say(`kill ${kill}/${kills}: ${name}`);
  }
  return killed;
}

async function killNats(config: Config): Promise<void> {
  const { pid } = JSON.parse(await readFile(join(folders(config).nats, "server.json"), "utf8")) as { pid: number };
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
}
