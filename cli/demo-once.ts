/** `sluice demo --once`: exactly N simulated blocks through everything, verified against the simulator's truth. */
import { join } from "node:path";
import type { Config } from "../pipeline/config.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type WrittenSimulation, writeSimulation } from "../simulator/index.ts";
import type { CliContext } from "./context.ts";
import { LocalRun, throughSlot } from "./local-run.ts";
import { startProgress } from "./progress.ts";
import { holdAgainst, type Verdict } from "./verdict.ts";

export interface OnceOptions {
  readonly context: CliContext;
  readonly config: Config;
  readonly data: string;
  readonly blocks: number;
  readonly seed: number;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

/** What the run was and did: the last line on stdout with --json. */
interface OnceResult {
  readonly blocks: number;
  readonly transactions: number;
  readonly events: number;
  readonly quarantined: number;
  readonly undos: number;
  readonly hot_rows: number;
  readonly lake_rows: number;
  readonly lake_files: number;
  readonly candles: number;
  readonly seconds: number;
  readonly events_per_second: number;
  /** Peak resident memory of the process that runs the stages, and of nats-server, MB (10^6 bytes). */
  readonly peak_rss_mb: number;
  readonly nats_rss_mb: number;
  readonly verified: boolean;
}

/** Resolves to the exit code. */
export async function runOnce(options: OnceOptions): Promise<number> {
  const { context, data, blocks, seed } = options;
  const say = (text: string) => context.stderr.write(`${text}\n`);
  const { config } = options;
  say(`simulating ${blocks} blocks of a token market, seed ${seed}`);
  const recording = join(data, "market.recording.zst");
  const truth = await writeSimulation({ seed, blocks, output: "transactions", out: recording });
  say(`indexing ${truth.transactions} transactions, ${truth.eventsTotal} events, ${truth.chain.undos} undos`);
  const startedAt = systemWorld.monotonic();
  const settings = throughSlot(truth.chain.lastSlot);
  const run = await LocalRun.start({ config, recording, blocksPerSecond: 0, settings });
  try {
    const seconds = await indexAll(run, options, startedAt);
    const { stagesMb, natsMb } = await run.memory();
    await run.stopStages();
    const verdict = await holdAgainst(config, truth);
    return report(
      options,
      {
        ...countsOf(truth, verdict, seconds),
        peak_rss_mb: stagesMb,
        nats_rss_mb: natsMb,
        verified: verdict.differences.length === 0,
      },
      verdict,
    );
  } finally {
    await run.stop();
  }
}

async function indexAll(run: LocalRun, options: OnceOptions, startedAt: number): Promise<number> {
  const progress = startProgress(options.context.stderr, { targetBlocks: options.blocks });
  try {
    await run.untilEnded(options.signal, ({ nodes }) => progress.show(nodes));
    return (systemWorld.monotonic() - startedAt) / 1000;
  } finally {
    progress.stop();
  }
}

function countsOf(truth: WrittenSimulation, verdict: Verdict, seconds: number) {
  return {
    blocks: truth.blocks,
    transactions: truth.transactions,
    events: truth.eventsTotal,
    quarantined: truth.quarantined,
    undos: truth.chain.undos,
    hot_rows: verdict.hotRows,
    lake_rows: verdict.lakeRows,
    lake_files: verdict.lakeFiles,
    candles: verdict.candles,
    seconds: Math.round(seconds * 1000) / 1000,
    events_per_second: Math.round(truth.eventsTotal / seconds),
  };
}

function report(options: OnceOptions, result: OnceResult, verdict: Verdict): number {
  const { stdout, stderr } = options.context;
  for (const line of verdict.differences) stderr.write(`differs from the truth: ${line}\n`);
  if (options.json) stdout.write(`${JSON.stringify(result)}\n`);
  else {
    for (const [name, value] of Object.entries(result)) stdout.write(`${name.padEnd(18)} ${value}\n`);
    stdout.write(
      result.verified ? "hot store and lake hold exactly the truth\n" : "hot store and lake do NOT hold the truth\n",
    );
  }
  return result.verified ? 0 : 1;
}
