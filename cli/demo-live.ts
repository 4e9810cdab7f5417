/** `sluice demo`: a live market at the chosen speed, the API on loopback, and what to try next. */
import { join } from "node:path";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { World } from "../pipeline/world.ts";
import { writeSimulation } from "../simulator/index.ts";
import { serveApi } from "./api.ts";
import type { CliContext } from "./context.ts";
import { LocalRun } from "./local-run.ts";
import { startProgress } from "./progress.ts";

export interface LiveOptions {
  readonly context: CliContext;
  readonly config: Config;
  readonly data: string;
  readonly blocks: number;
  readonly seed: number;
  /** Blocks per second. */
  readonly speed: number;
  /** Of the API; absent: the configured one, or a free one when that is taken. */
  readonly port?: number;
  readonly signal: AbortSignal;
  readonly world: World;
}

/** A demo shows its lake within a minute, not within an hour. */
const DEMO_SETTINGS = ["archive.rollSeconds=30"];

export async function runLive(options: LiveOptions): Promise<void> {
  const { context, data, blocks, seed, world } = options;
  const say = (text: string) => context.stderr.write(`${text}\n`);
  const { config } = options;
  say(`simulating ${blocks} blocks of a token market, seed ${seed}`);
  const recording = join(data, "market.recording.zst");
  const startTime = Math.floor(world.now() / 1000);
  const truth = await writeSimulation({ seed, blocks, output: "transactions", out: recording, startTime });
  const run = await LocalRun.start({
    config,
    recording,
    blocksPerSecond: options.speed,
    settings: DEMO_SETTINGS,
  });
  try {
    const api = await listen(options, config, run.connection);
    try {
      context.stdout.write(welcome(api.url, data));
      say(`${truth.transactions} transactions to come, ${options.speed} blocks a second; Ctrl-C ends the demo`);
      const whenDone = `all ${blocks} blocks are indexed; the API goes on at ${api.url}; Ctrl-C ends the demo`;
      const progress = startProgress(context.stderr, { targetBlocks: blocks, whenDone });
      while (!options.signal.aborted) {
        const observation = await run.observe();
        if (options.signal.aborted) break;
        run.check(observation);
        if (observation !== null) progress.show(observation.nodes);
        await world.sleep(500, options.signal).catch(() => undefined);
      }
      progress.stop();
    } finally {
      await api.stop();
    }
  } finally {
    await run.stop();
  }
  say(`the demo has ended; what it stored is in ${data}`);
}

/** On the asked port exactly; on the usual one unless it is taken. */
async function listen(options: LiveOptions, configured: Config, connection: Parameters<typeof serveApi>[1]) {
  // A simulated token's `uri` leads nowhere.
  const config = { ...configured, "api.metadata": false };
  if (options.port !== undefined) return serveApi({ ...config, "api.port": options.port }, connection);
  try {
    return await serveApi(config, connection);
  } catch (error) {
    if (!(error instanceof Fatal) || error.code !== "API_PORT") throw error;
    return serveApi({ ...config, "api.port": 0 }, connection);
  }
}

function welcome(url: string, data: string): string {
  const at = data === "data/demo" ? " --data data/demo" : ` --data ${data}`;
  return [
    "",
    `Sluice is running: ${url}`,
    "",
    "Try in another terminal:",
    `  curl ${url}/api/indexer/status`,
    `  bun run sql "select kind, count(*) as trades, sum(quote_amount) / 1e9 as sol from trades group by kind"${at}`,
    `  bun run sluice verify${at}`,
    "",
    "",
  ].join("\n");
}
