/**
 * End to end: a fixed, filtered recording of final blocks, as a catch-up sees them, through a real Substreams endpoint, real
 * gRPC, durable JetStream between all stages, to hot store and lake. The peer is real time: 1,050 transactions a second,
 * what Solana carries without votes. Time runs from the start of the processes to the last commit of the last unit, and a
 * round counts only if hot store and lake then hold exactly the simulator's truth.
 *
 * Once with all stages in one process, as `sluice stages` runs them, which must stay within 512 MB; once in two. The replay
 * endpoint and the nats-server share the cores with them.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalRun } from "../../cli/local-run.ts";
import { holdAgainst } from "../../cli/verdict.ts";
import { loadConfig } from "../../pipeline/config.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { type Truth, writeSimulation } from "../../simulator/index.ts";
import type { BenchRow } from "../harness.ts";

/** Non-vote transactions a second on mainnet. */
const REAL_TIME = 1_050;
const BLOCKS = 600;
const SEED = 20;
const ROUNDS = 3;
const CASES: ReadonlyMap<string, readonly (readonly string[])[]> = new Map([
  ["e2e", [[]]],
  [
    "e2e, two processes",
    [
      ["ingest", "decode", "shard", "janitor"],
      ["lane", "archive"],
    ],
  ],
]);
const TIMEOUT_MS = 300_000;

interface Round {
  readonly perSecond: number;
  readonly stagesMb: number;
  readonly natsMb: number;
}

export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  try {
    const recording = join(folder, "dense.recording.zst");
    const truth = await writeSimulation({
      seed: SEED,
      blocks: BLOCKS,
      output: "transactions",
      profile: "dense",
      out: recording,
    });
    const rounds = new Map([...CASES.keys()].map((name) => [name, [] as Round[]]));
    for (let i = 0; i <= ROUNDS; i++) {
      for (const [name, processes] of CASES) {
        const round = await measure(join(folder, `round-${i}`), recording, truth, processes);
        console.error(
          `${name}, round ${i}: ${Math.round(round.perSecond)} tx/s, stages ${round.stagesMb} MB, nats ${round.natsMb} MB`,
        );
        // The first one warms the disk and the page cache.
        if (i > 0) rounds.get(name)!.push(round);
      }
    }
    return Array.from(rounds, ([name, measured]) => rowOf(name, measured));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(
  data: string,
  recording: string,
  truth: Truth,
  processes: readonly (readonly string[])[],
): Promise<Round> {
  const { values: config } = loadConfig({ flags: { "data.dir": data } });
  await Bun.write(join(data, "replay.log"), "");
  const settings = [`source.stopBlock=${truth.chain.lastSlot + 1}`, "source.finalBlocksOnly=true"];
  const run = await LocalRun.start({ config, recording, blocksPerSecond: 0, settings, processes });
  const startedAt = systemWorld.monotonic();
  try {
    await run.untilEnded(AbortSignal.timeout(TIMEOUT_MS));
    const seconds = (systemWorld.monotonic() - startedAt) / 1000;
    const memory = await run.memory();
    await run.stopStages();
    const { differences } = await holdAgainst(config, truth);
    if (differences.length > 0) throw new Fatal("BENCH_GATE", `e2e did not do the work: ${differences.join("; ")}`);
    return { perSecond: truth.transactions / seconds, ...memory };
  } finally {
    await run.stop();
    await rm(data, { recursive: true, force: true });
  }
}

function rowOf(name: string, rounds: readonly Round[]): BenchRow {
  const ratios = rounds.map((round) => round.perSecond / REAL_TIME).sort((a, b) => a - b);
  const fixed = (value: number) => Math.round(value * 100) / 100;
  const median = ratios[Math.floor(ratios.length / 2)]!;
  return {
    name,
    peer: "real-time",
    unit: "tx/s",
    ours: Math.round(median * REAL_TIME),
    theirs: REAL_TIME,
    ratio_median: fixed(median),
    ratio_min: fixed(ratios[0]!),
    ratio_max: fixed(ratios.at(-1)!),
    peak_rss_mb: Math.max(...rounds.map((round) => round.stagesMb)),
  };
}
