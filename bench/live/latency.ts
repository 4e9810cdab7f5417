/**
 * From a block's arrival to the message at the client, through the whole pipeline: a recording played in real time, real
 * gRPC, all stages in one process, the API in another, durable JetStream in between, 200 clients in a third. The clock starts
 * when ingest publishes the block; it ends when a client has a trade of it. 20 clients follow all trades, 180 one token each.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startService } from "../../cli/child.ts";
import { LocalRun } from "../../cli/local-run.ts";
import { BATCH_HEADER } from "../../pipeline/chunks.ts";
import { loadConfig } from "../../pipeline/config.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { names } from "../../pipeline/names.ts";
import type { BatchHeader } from "../../pipeline/wire/message.ts";
import { writeSimulation } from "../../simulator/index.ts";
import type { BenchRow } from "../harness.ts";

const BLOCKS = 325;
const BLOCKS_PER_SECOND = 2.5;
/** Blocks until everything is warm. */
const WARM_UP_BLOCKS = 25;
const BOUND_MS = 100;
const CLIENTS = 200;

export async function latency(): Promise<BenchRow> {
  const data = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  try {
    return await measure(data);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}

async function measure(data: string): Promise<BenchRow> {
  const recording = join(data, "live.recording.zst");
  const startTime = Math.floor(Date.now() / 1000);
  const truth = await writeSimulation({
    seed: 21,
    blocks: BLOCKS,
    output: "transactions",
    profile: "dense",
    out: recording,
    startTime,
  });
  const { values: config } = loadConfig({ flags: { "data.dir": data, "api.port": 0 } });
  await Bun.write(join(data, "replay.log"), "");
  const run = await LocalRun.start({ config, recording, blocksPerSecond: BLOCKS_PER_SECOND });
  try {
    const n = names(config["nats.prefix"], config["source.name"]);
    const arrivals = arrivalsOf(run, n.blocks.subject);
    const hops = [n.events.subject, n.lanes.subject(0), n.live.subject(0)].map(
      (subject) => [subject, arrivalsOf(run, subject)] as const,
    );
    const settings = ["--set", `data.dir=${data}`, "--set", "api.port=0"];
    const api = await startService<{ url: string }>({
      args: ["api", "--json", ...settings],
      logFile: join(data, "api.log"),
    });
    const mints = truth.mints.map((mint) => String(Object.values(mint)[0]));
    const clients = Bun.spawn([process.execPath, join(import.meta.dir, "clients.ts"), api.ready.url, String(CLIENTS)], {
      stdin: new Blob([JSON.stringify(mints)]),
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, SECONDS: String(BLOCKS / BLOCKS_PER_SECOND + 10) },
    });
    const told = JSON.parse(await new Response(clients.stdout).text()) as [
      hash: string,
      at: number,
      messages: number,
    ][];
    await api.stop();
    for (const [subject, at] of hops) console.error(`live latency: ${subject} after ${hopText(arrivals, at)}`);
    return rowOf(arrivals, told);
  } finally {
    await run.stop();
  }
}

/** Time from ingest to the publish on another subject. */
function hopText(from: ReadonlyMap<string, number>, to: ReadonlyMap<string, number>): string {
  const delays = [...from].slice(WARM_UP_BLOCKS).flatMap(([hash, at]) => (to.has(hash) ? [to.get(hash)! - at] : []));
  delays.sort((a, b) => a - b);
  const at = (share: number) => Math.round(delays[Math.floor(delays.length * share)] ?? Number.NaN);
  return `p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms`;
}

/** When each block was published on a subject, ms since the Unix epoch. */
function arrivalsOf(run: LocalRun, subject: string): ReadonlyMap<string, number> {
  const arrivals = new Map<string, number>();
  run.connection.broker.connection.subscribe(subject, {
    callback(error, message) {
      const text = message.headers?.get(BATCH_HEADER) ?? "";
      if (error !== null || text === "") return;
      const { blocks } = JSON.parse(text) as BatchHeader;
      for (const [, hash] of blocks) if (!arrivals.has(hash)) arrivals.set(hash, now());
    },
  });
  return arrivals;
}

const now = () => performance.timeOrigin + performance.now();

function rowOf(arrivals: ReadonlyMap<string, number>, told: readonly [string, number, number][]): BenchRow {
  const warm = new Set([...arrivals.keys()].slice(0, WARM_UP_BLOCKS));
  const delays = told.flatMap(([hash, at, messages]) => {
    const arrived = arrivals.get(hash);
    return arrived === undefined || warm.has(hash) ? [] : [{ ms: at - arrived, messages }];
  });
  if (delays.length === 0)
    throw new Fatal("BENCH_GATE", "no client was told of any block", { hint: "See the logs of the API." });
  delays.sort((a, b) => a.ms - b.ms);
  const total = delays.reduce((sum, { messages }) => sum + messages, 0);
  const quantile = (share: number) => {
    let seen = 0;
    return delays.find(({ messages }) => (seen += messages) >= share * total)!.ms;
  };
  const [p50, p99, max] = [quantile(0.5), quantile(0.99), delays.at(-1)!.ms].map((ms) => Math.round(ms * 10) / 10);
  console.error(`live latency: p50 ${p50} ms, p99 ${p99} ms, max ${max} ms over ${total} messages`);
  const ratio = Math.round((BOUND_MS / p99!) * 100) / 100;
  const common = { ratio_median: ratio, ratio_min: ratio, ratio_max: ratio, peak_rss_mb: 0 };
  return {
    name: "live latency p99",
    peer: `bound of ${BOUND_MS} ms`,
    unit: "ms",
    ours: p99!,
    theirs: BOUND_MS,
    ...common,
  };
}
