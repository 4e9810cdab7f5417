/**
 * `sluice quarantine`: what could not be decoded. Payloads are rows of the dataset `quarantine`, in the lake and above it in
 * the hot stores; batches that no stage could process are in a stream of their own, under ids that begin with "batch-".
 */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { QUARANTINE } from "../pipeline/datasets/quarantine.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { KeptBatch } from "../pipeline/quarantine.ts";
import { type CliContext, oneOf, wholeNumber } from "./context.ts";
import { activeConfig, keptGenerations } from "./generations.ts";
import { oneSource, sourcesOfLake } from "./one-source.ts";
import { type CommandIo, table, toJson } from "./output.ts";
import { formatNumber } from "./progress-line.ts";
import {
  batchNumber,
  notThere,
  type PayloadFacts,
  payloads,
  payloadsById,
  type Selection,
  summary,
  whereOf,
  withBroker,
} from "./quarantine-reads.ts";
import { registerForQuarantine } from "./redecode.ts";
import { openStores } from "./sql.ts";

const REASONS = ["unknown_length", "bad_value", "bytes_left_over", "truncated_payload", "bad_block"] as const;

interface Choice {
  readonly program?: string;
  readonly reason?: string;
  readonly before?: string;
  readonly since?: string;
  readonly source?: string;
  readonly batches?: boolean;
}

export function register(program: Command, context: CliContext): void {
  const quarantine = program
    .command("quarantine")
    .description("what could not be decoded: look at it, decode it anew, or drop it");
  chosen(quarantine.command("list"))
    .description("the newest payloads, and how many there are of which program and reason")
    .option("--limit <n>", "payloads or batches to show", "20")
    .addHelpText(
      "after",
      `
Examples:
  sluice quarantine list
  sluice quarantine list --reason bytes_left_over --since 370500000 --limit 100 --json
  sluice quarantine list --batches

Reasons: ${REASONS.join(", ")}.
All of them as SQL: sluice sql "select * from quarantine"`,
    )
    .action(async (options: Choice & { limit: string }, command: Command) => {
      const { config, json } = context.load(command);
      const limit = wholeNumber("--limit", options.limit, 1, 10_000);
      await (options.batches === true ? listBatches : listPayloads)({ config, options, limit, json }, context);
    });
  quarantine
    .command("show")
    .description("one payload or batch with all that is known of it, and its bytes as hex")
    .argument("<id>", "as `list` shows it: 370500301-4-2, or batch-17")
    .option("--source <name>", "one source of several")
    .option("--out <file>", "write the bytes to this file instead of showing them")
    .action(async (id: string, options: { source?: string; out?: string }, command: Command) => {
      const { config, json } = context.load(command);
      await show({ config, id, ...options, json }, context);
    });
  registerForQuarantine(quarantine, context);
  chosen(quarantine.command("drop"))
    .description("remove payloads from the lake, or batches from their stream, for good; says first what would go")
    .option("--all", "everything")
    .option("--yes", "do it")
    .addHelpText(
      "after",
      `
Examples:
  sluice quarantine drop --reason unknown_length --before 370500000
  sluice quarantine drop --reason unknown_length --before 370500000 --yes
  sluice quarantine drop --batches --all --yes

Without --yes nothing is changed. In the lake, files are written anew without the rows, as one entry of the manifest; \`sluice
collect\` takes the old ones a day later. Copies in the hot stores age out by themselves; what is not in the lake yet stays.`,
    )
    .action(async (options: Choice & { all?: boolean; yes?: boolean }, command: Command) => {
      const { config, json } = context.load(command);
      const selection = await selectionOf(options, config);
      if (Object.keys(selection).length === 0 && options.all !== true) {
        throw new Fatal("USAGE", "it is not said what to drop", {
          hint: "Give --reason, --program, --before or --since, or --all.",
        });
      }
      const drop = options.batches === true ? dropBatches : dropPayloads;
      await drop({ config, options, selection, yes: options.yes === true, json }, context);
    });
}

function chosen(command: Command): Command {
  return command
    .option("--program <name>", "payloads of this program: its name, or its address")
    .option("--reason <reason>", "set aside for this reason")
    .option("--before <slot>", "in blocks before this slot")
    .option("--since <slot>", "in this slot and later")
    .option("--source <name>", "one source of several")
    .option("--batches", "whole batches that no stage could process, instead of payloads");
}

/** Throws `Fatal` USAGE for options that are no choice. */
async function selectionOf(
  { program, reason, before, since, batches, source }: Choice,
  config: Config,
): Promise<Selection> {
  if (batches === true && (program ?? reason) !== undefined) {
    throw new Fatal("USAGE", "batches have no program and no such reason", { hint: "Use --before or --since." });
  }
  const first = since === undefined ? 0 : wholeNumber("--since", since, 0);
  return {
    ...(program === undefined ? {} : { program: await addressOf(program, sourcesOfLake(config, source)) }),
    ...(reason === undefined ? {} : { reason: oneOf("--reason", reason, REASONS) }),
    ...(before === undefined ? {} : { before: wholeNumber("--before", before, first + 1) }),
    ...(since === undefined ? {} : { since: first }),
  };
}

async function addressOf(program: string, sources: readonly Config[]): Promise<string> {
  const [{ decodersFor }, { programAddress }] = await Promise.all([
    import("./programs.ts"),
    import("./program-named.ts"),
  ]);
  const decoders = await Promise.all(sources.map((own) => decodersFor(own)));
  return programAddress(
    decoders.flatMap(({ programs }) => programs),
    program,
  );
}

interface Listing {
  readonly config: Config;
  readonly options: Choice;
  readonly limit: number;
  readonly json: boolean;
}

async function listPayloads({ config, options, limit, json }: Listing, { stdout }: CommandIo): Promise<void> {
  const selection = await selectionOf(options, config);
  const { analytics, close } = await openStores(sourcesOfLake(config, options.source), {
    onlyThis: options.source !== undefined,
  });
  try {
    const [groups, newest] = [await summary(analytics, selection), await payloads(analytics, selection, limit)];
    if (json) {
      stdout.write(`${toJson({ groups, payloads: newest })}\n`);
      return;
    }
    if (groups.length === 0) {
      const isPart = Object.keys(selection).length > 0;
      stdout.write(isPart ? "nothing like that is in quarantine\n" : "nothing is in quarantine\n");
      return;
    }
    const counts = groups.map((g) => [g.program, g.reason, formatNumber(g.payloads), `${g.firstSlot}-${g.lastSlot}`]);
    stdout.write(table(stdout, named("program", "reason", "payloads", "slots"), counts));
    stdout.write("\n");
    const rows = newest.map((p) => [p.id, isoTime(p.time * 1000), p.reason, formatNumber(p.bytes), p.detail]);
    stdout.write(table(stdout, named("id", "block time", "reason", "bytes", "detail"), rows));
  } finally {
    close();
  }
}

async function listBatches({ config, options, limit, json }: Listing, { stdout }: CommandIo): Promise<void> {
  const all = await chosenBatches(config, options, await selectionOf(options, config));
  const newest = all.slice(-limit).reverse();
  if (json) {
    stdout.write(`${toJson({ batches: newest.map(batchFacts), total: all.length })}\n`);
    return;
  }
  if (all.length === 0) {
    stdout.write("no batch is in quarantine\n");
    return;
  }
  const rows = newest.map((b) => [
    `batch-${b.seq}`,
    b.position.slot,
    b.unit,
    isoTime(b.at),
    formatNumber(b.size),
    b.reason,
  ]);
  stdout.write(table(stdout, named("id", "up to slot", "unit", "set aside", "bytes", "reason"), rows));
}

interface Showing {
  readonly config: Config;
  readonly id: string;
  readonly source?: string;
  readonly out?: string;
  readonly json: boolean;
}

async function show({ config, id, source, out, json }: Showing, { stdout }: CommandIo): Promise<void> {
  const found = batchNumber(id) === null ? await payloadFacts(config, id, source) : [await batchOf(config, id, source)];
  if (out !== undefined && found.length > 1) {
    throw new Fatal("USAGE", `several sources have a payload ${id}`, { hint: "Name one with --source." });
  }
  for (const { bytes, facts } of found) {
    if (out !== undefined) {
      const written = await Bun.write(out, bytes);
      stdout.write(json ? `${toJson({ ...facts, out })}\n` : `${formatNumber(written)} bytes in ${out}\n`);
    } else if (json) stdout.write(`${toJson({ ...facts, payload: Buffer.from(bytes).toString("hex") })}\n`);
    else {
      stdout.write(table(stdout, named("what", "value"), Object.entries(facts)));
      stdout.write(`\n${hexLines(bytes)}\n`);
    }
  }
}

interface Shown {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly bytes: Uint8Array;
}

async function payloadFacts(config: Config, id: string, source: string | undefined): Promise<Shown[]> {
  const { analytics, close } = await openStores(sourcesOfLake(config, source), { onlyThis: source !== undefined });
  try {
    return (await payloadsById(analytics, id)).map(({ payload, time, ...rest }) => {
      const facts: Omit<PayloadFacts, "time"> & { time: string } = { ...rest, time: isoTime(time * 1000) };
      return { facts: { ...facts }, bytes: payload };
    });
  } finally {
    close();
  }
}

async function batchOf(config: Config, id: string, source: string | undefined): Promise<Shown> {
  const { keptBatch } = await import("../pipeline/quarantine.ts");
  const own = activeConfig(oneSource(config, source), keptGenerations(config));
  const batch = await withBroker(own, (broker, stream) => keptBatch(broker, stream, batchNumber(id)!));
  if (batch === null) throw notThere(id);
  return { facts: batchFacts(batch), bytes: batch.bytes };
}

interface Dropping {
  readonly config: Config;
  readonly options: Choice;
  readonly selection: Selection;
  readonly yes: boolean;
  readonly json: boolean;
}

async function dropPayloads({ config, options, selection, yes, json }: Dropping, io: CliContext): Promise<void> {
  const [{ dropRows }, { lakeWriter }, { folders }] = await Promise.all([
    import("../storage/lake/drop-rows.ts"),
    import("./lake.ts"),
    import("./folders.ts"),
  ]);
  const [first] = sourcesOfLake(config, options.source);
  const { store, close } = await lakeWriter(first!);
  try {
    const { rows, files, kept } = await dropRows({
      ...{ store, workDir: folders(first!).temp, dataset: QUARANTINE.name, where: whereOf(selection), dryRun: !yes },
      ...(options.source === undefined ? {} : { source: first!["source.name"] }),
    });
    if (json) io.stdout.write(`${toJson({ dropped: yes, rows, files, kept })}\n`);
    else {
      const what = `${formatNumber(rows)} payloads in ${formatNumber(files)} files`;
      io.stdout.write(`${what} ${yes ? "dropped" : "would go"}; ${formatNumber(kept)} stay\n`);
    }
    hintYes(rows, yes, io);
  } finally {
    await close();
  }
}

async function dropBatches({ config, options, selection, yes, json }: Dropping, io: CliContext): Promise<void> {
  const found = await chosenBatches(config, options, selection);
  const own = activeConfig(oneSource(config, options.source), keptGenerations(config));
  if (yes && found.length > 0) {
    await withBroker(own, async (broker, stream) => {
      for (const { seq } of found) await broker.deleteMessage(stream, seq);
    });
  }
  if (json) io.stdout.write(`${toJson({ dropped: yes, batches: found.length })}\n`);
  else io.stdout.write(`${formatNumber(found.length)} batches ${yes ? "dropped" : "would go"}\n`);
  hintYes(found.length, yes, io);
}

/** Without --yes it was a rehearsal. */
function hintYes(count: number, yes: boolean, { stderr }: CommandIo): void {
  if (yes || count === 0) return;
  stderr.write("nothing was changed: add --yes to do it\n");
}

async function chosenBatches(config: Config, options: Choice, { before, since }: Selection): Promise<KeptBatch[]> {
  const { keptBatches } = await import("../pipeline/quarantine.ts");
  const own = activeConfig(oneSource(config, options.source), keptGenerations(config));
  const all = await withBroker(own, (broker, stream) => Array.fromAsync(keptBatches(broker, stream)));
  return all.filter(({ position: { slot } }) => slot < (before ?? Number.POSITIVE_INFINITY) && slot >= (since ?? 0));
}

function batchFacts({ seq, at, unit, position, reason, size }: KeptBatch) {
  return { id: `batch-${seq}`, slot: position.slot, hash: position.hash, unit, reason, bytes: size, time: isoTime(at) };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function hexLines(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("hex")
      .match(/.{1,64}/g) ?? [];
  return lines
    .map((line, i) => `${String(i * 32).padStart(6)}  ${line.replaceAll(/(.{8})/g, "$1 ").trimEnd()}`)
    .join("\n");
}

const named = (...names: readonly string[]) => names.map((name) => ({ name }));
