/** `sluice backfill`: fills the lake with history, straight from the provider, up to where the live archive begins. */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import type { Deployment } from "../pipeline/deployment.ts";
import { Fatal } from "../pipeline/errors.ts";
import { requireFirst } from "../pipeline/known-lake.ts";
import { configureLogging, type Log, logFor } from "../pipeline/log.ts";
import { keepMemoryLow } from "../pipeline/memory.ts";
import { names } from "../pipeline/names.ts";
import { parseEndpoint } from "../pipeline/source/endpoint.ts";
import { systemWorld } from "../pipeline/world.ts";
import type { History, Segment } from "../storage/lake/history.ts";
import type { BackfillEstimate } from "./backfill-estimate.ts";
import { progressText, showPlan, showResult } from "./backfill-text.ts";
import { endWithParent } from "./child.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { activeConfig, keptGenerations } from "./generations.ts";
import { oneSource } from "./one-source.ts";
import { type CommandIo, EXIT, toJson } from "./output.ts";
import { ProgressLine } from "./progress-line.ts";
import { stopWhenTold } from "./signals.ts";

interface Options {
  readonly from: string;
  readonly to?: string;
  readonly parallel: string;
  readonly jobs: string;
  readonly segment: string;
  readonly limitBlocks?: string;
  readonly sample: string;
  readonly source?: string;
  readonly dryRun?: boolean;
}

export interface BackfillWish {
  readonly from: number;
  /** Null: up to where the live archive begins. */
  readonly to: number | null;
  readonly parallel: number;
  readonly jobs: number;
  readonly segmentSlots: number;
  readonly limitBlocks: number;
  readonly sample: number;
  readonly dryRun: boolean;
}

/** What would be done. */
export interface BackfillPlan {
  readonly source: string;
  readonly from: number;
  readonly to: number;
  readonly segments: readonly Segment[];
  readonly streams: number;
  /** Of the provider, for each stream. */
  readonly jobs: number;
  readonly limitBlocks: number;
  readonly estimate: BackfillEstimate;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("backfill")
    .description("fill the lake with history, without the hot stores, up to where the live archive begins")
    .requiredOption("--from <slot>", "first slot")
    .option("--to <slot>", "first slot that is not wanted any more (default: where the live archive begins)")
    .option("--parallel <n>", "streams at a time; those that the pipeline has are left to it", "2")
    .option("--jobs <n>", "jobs that the provider may run for all streams together", "5")
    .option("--segment <slots>", "slots that one stream fills and that are gone on with by themselves", "216000")
    .option(
      "--limit-blocks <n>",
      "have the provider refuse to process more blocks than this (default: source.limitProcessedBlocks)",
    )
    .option("--sample <blocks>", "blocks to measure for the estimate, where nothing is known; 0: none", "20")
    .option("--source <name>", "one source of several")
    .option("--dry-run", "say what would be done and what it may bring, and do nothing")
    .addHelpText(
      "after",
      `
Examples:
  sluice backfill --from 370000000 --dry-run
  sluice backfill --from 370000000                 up to where the live archive begins, whether it runs or not
  sluice backfill --from 370000000 --to 370500000 --limit-blocks 600000

Killed at any moment, the same command goes on where it was. Streams, archive and compaction go on meanwhile. Ctrl-C commits
what was gathered and ends. \`sluice verify\` tells the slots that are covered.

Exit code: 0 complete (or a dry run), 1 not complete, 75 try again later.`,
    )
    .action(async (options: Options, command: Command) => {
      const { config: loaded, json } = context.load(command);
      await configureLogging({ level: loaded["log.level"], format: loaded["log.format"] });
      endWithParent();
      const stop = new AbortController();
      stopWhenTold(stop);
      const config = activeConfig(oneSource(loaded, options.source), keptGenerations(loaded));
      context.setExitCode(await backfill(config, parsed(options, config), json, context, stop.signal));
    });
}

function parsed(options: Options, config: Config): BackfillWish {
  const from = wholeNumber("--from", options.from, 0);
  const limit = options.limitBlocks;
  return {
    from,
    to: options.to === undefined ? null : wholeNumber("--to", options.to, from + 1),
    parallel: wholeNumber("--parallel", options.parallel, 1, 64),
    jobs: wholeNumber("--jobs", options.jobs, 1, 1_000),
    segmentSlots: wholeNumber("--segment", options.segment, 10, 100_000_000),
    limitBlocks: limit === undefined ? config["source.limitProcessedBlocks"] : wholeNumber("--limit-blocks", limit, 1),
    sample: wholeNumber("--sample", options.sample, 0, 10_000),
    dryRun: options.dryRun === true,
  };
}

/** Resolves to the exit code. Throws `Fatal`: BACKFILL_*, and what sources and lakes throw. */
export async function backfill(
  config: Config,
  wish: BackfillWish,
  json: boolean,
  io: CommandIo,
  signal: AbortSignal,
): Promise<number> {
  const [{ connectBroker, openDeployment }, { prepareLake }, { onlyOne }] = await Promise.all([
    import("./deployment.ts"),
    import("./lake.ts"),
    import("./backfill-lease.ts"),
  ]);
  const line = new ProgressLine(io.stderr);
  const log: Log = (level, message, fields) => {
    line.end();
    logFor("backfill")(level, message, fields);
  };
  if (!wish.dryRun) await prepareLake(config, log);
  const connection = await connectBroker(config, `sluice-backfill-${process.pid}`);
  try {
    const d = await openDeployment(config, connection);
    if (wish.dryRun) {
      const plan = await planFor(d, wish, log);
      io.stdout.write(json ? `${toJson({ dryRun: true, plan })}\n` : showPlan(plan, io.stdout));
      return EXIT.ok;
    }
    return await onlyOne(d, signal, async (held) => {
      const plan = await planFor(d, wish, log);
      if (!json) io.stderr.write(showPlan(plan, io.stderr));
      return fill(d, plan, { json, io, line, log, signal: held });
    });
  } finally {
    line.end();
    await connection.close();
  }
}

async function planFor(d: Deployment, wish: BackfillWish, log: Log): Promise<BackfillPlan> {
  const [{ readHistory, planBackfill }, { estimateBackfill }] = await Promise.all([
    import("../storage/lake/history.ts"),
    import("./backfill-estimate.ts"),
  ]);
  const history = withSpooled(await readHistory(await d.lake(), d.source), await d.spooledSegments());
  if (history.live.length === 0) await requireFirst(d, names(d.config["nats.prefix"], d.source).unit("archive"));
  const liveFrom = history.live[0]?.first ?? (await firstStreamedSlot(d));
  const to = wish.to ?? liveFrom;
  if (to === null) {
    throw new Fatal("USAGE", "there is no live archive that the history could lead up to", {
      hint: "Name the end of the range with --to.",
    });
  }
  const free = await streamsFor(d, wish.parallel);
  const { from, segmentSlots, limitBlocks } = wish;
  if (to <= from) {
    throw new Fatal("BACKFILL_COVERED", `the live archive begins at slot ${to}, which is not after --from ${from}`, {
      hint: "Nothing is missing from there on.",
    });
  }
  const known = history.live.length > 0 || liveFrom === null ? history : beginningAt(history, liveFrom);
  const segments = planBackfill(known, { from, to, segmentSlots, streams: free });
  const estimate = await estimateBackfill({ deployment: d, segments, history, sample: wish.sample, log });
  if (limitBlocks > 0 && estimate.slots > limitBlocks) {
    throw new Fatal(
      "BACKFILL_LIMIT",
      `${estimate.slots} slots are to be read, but only ${limitBlocks} blocks allowed`,
      {
        where: "--limit-blocks",
        hint: "Raise the limit (--limit-blocks, or source.limitProcessedBlocks), or ask for a part of the range.",
      },
    );
  }
  const streams = Math.max(1, Math.min(free, segments.length));
  const jobs = Math.max(1, Math.floor(wish.jobs / streams));
  return { source: d.source, from, to, segments, streams, jobs, limitBlocks, estimate };
}

/** What this host has begun counts as begun, also where nothing of it is in the bucket yet. */
function withSpooled(history: History, spooled: readonly { readonly first: number; readonly last: number }[]): History {
  const only = spooled.filter(
    ({ first, last }) => !history.begun.some((b) => b.start === first && b.stop === last + 1),
  );
  const begun = only.map(({ first, last }) => ({ start: first, stop: last + 1, slot: first - 1 }));
  return { ...history, begun: [...history.begun, ...begun].sort((a, b) => a.start - b.start) };
}

/** The live archive has not committed anything, but its rows are on their way from this slot on. */
function beginningAt(history: History, slot: number): History {
  return { ...history, live: [{ first: slot, last: Number.MAX_SAFE_INTEGER }] };
}

/** First slot in the streams that the archive will read; null when there is none. */
async function firstStreamedSlot(d: Deployment): Promise<number | null> {
  const n = names(d.config["nats.prefix"], d.source);
  for (const { stream } of [n.events, n.blocks]) {
    const state = await d.broker.streamState(stream);
    if (state === null || state.messages === 0) continue;
    const first = await d.broker.header(stream, { seq: state.firstSeq });
    const slot = first?.header.blocks[0]?.[0];
    if (slot !== undefined) return slot;
  }
  return null;
}

/** Streams that are left of those that the endpoint allows: a restarted pipeline must find its own free. */
async function streamsFor(d: Deployment, asked: number): Promise<number> {
  const { "source.maxStreams": allowed, "source.endpoint": endpoint } = d.config;
  const { origin, loopback } = parseEndpoint(endpoint);
  if (allowed === 0 || loopback) return asked;
  const units = (await d.control.nodes()).flatMap((node) => node.units).filter((unit) => unit.stage === "ingest");
  const taken = units.filter(({ state, details }) => {
    const source = details["source"] as { readonly endpoint?: string } | undefined;
    return state === "running" && source?.endpoint === origin;
  });
  return Math.max(1, Math.min(asked, allowed - taken.length));
}

interface Filling {
  readonly json: boolean;
  readonly io: CommandIo;
  readonly line: ProgressLine;
  readonly log: Log;
  readonly signal: AbortSignal;
}

async function fill(d: Deployment, plan: BackfillPlan, { json, io, line, log, signal }: Filling): Promise<number> {
  const { Backfill } = await import("../pipeline/backfill.ts");
  const { segments, streams, jobs, limitBlocks } = plan;
  const work = new Backfill({ deployment: d, segments, streams, jobs, limitBlocks, log });
  const startedAt = systemWorld.monotonic();
  const seconds = () => (systemWorld.monotonic() - startedAt) / 1000;
  const looking = setInterval(() => line.show(() => progressText(work.progress(), seconds())), 200);
  const over = new AbortController();
  const memory = keepMemoryLow(systemWorld, d.quiet, over.signal);
  try {
    await work.run(signal);
  } finally {
    clearInterval(looking);
    over.abort();
    await memory;
    line.end();
  }
  const progress = work.progress();
  const complete = progress.segmentsDone === progress.segments;
  const result = { complete, seconds: seconds(), ...progress };
  io.stdout.write(json ? `${toJson({ dryRun: false, plan, result })}\n` : showResult(plan, result, io.stdout));
  return complete ? EXIT.ok : EXIT.failed;
}
