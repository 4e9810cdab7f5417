/** `sluice spend`: what was received from providers, day by day, what that makes of a month, and what a range may cost. */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { classify, describe } from "../pipeline/errors.ts";
import { configureLogging, type Log, logFor } from "../pipeline/log.ts";
import type { Estimate } from "../pipeline/source/estimate.ts";
import type { SelectedModule } from "../pipeline/source/module.ts";
import type { Range } from "../pipeline/source/range.ts";
import { type BudgetUse, budgetOf, budgetUse, type Ledger, type Spend, spendAt } from "../pipeline/spend.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { keptGenerations, runConfigs } from "./generations.ts";
import { oneSource } from "./one-source.ts";
import { type CommandIo, EXIT, paint, table, toJson } from "./output.ts";
import { formatNumber } from "./progress-line.ts";

interface Options {
  readonly days: string;
  readonly estimate?: boolean;
  readonly start?: string;
  readonly stop?: string;
  readonly sample: string;
  readonly source?: string;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("spend")
    .description("what was received from the provider, the projected month, the budget; or what a range may cost")
    .option("--days <n>", "days to show", "14")
    .option("--source <name>", "one source of several")
    .option(
      "--estimate",
      "estimate the configured range before it is run; the provider's estimate or a sample, both paid for",
    )
    .option("--start <block>", "with --estimate: first block (setting source.startBlock)")
    .option("--stop <block>", "with --estimate: first block that is not wanted, or +N (setting source.stopBlock)")
    .option("--sample <blocks>", "with --estimate: blocks to measure; a provider rounds up to its segments", "20")
    .addHelpText(
      "after",
      `
Examples:
  sluice spend
  sluice spend --estimate --start 370500000 --stop +1000000

Counted is what comes over the wire, uncompressed, by \`sluice stages\`; a provider's bill may count otherwise. Budgets are the settings
spend.*; \`sluice config show\` explains them.`,
    )
    .action(async (options: Options, command: Command) => {
      const flags = {
        ...(options.start === undefined ? {} : { "source.startBlock": options.start }),
        ...(options.stop === undefined ? {} : { "source.stopBlock": options.stop }),
      };
      const { config, json } = context.load(command, flags);
      await configureLogging({ level: config["log.level"], format: config["log.format"] });
      if (options.estimate === true) {
        const sample = wholeNumber("--sample", options.sample, 1, 10_000);
        await printEstimate(oneSource(config, options.source), sample, json, context);
        return;
      }
      const asked = options.source === undefined ? config : oneSource(config, options.source);
      const ledgers = await readLedgers(config, runConfigs(asked, keptGenerations(config)));
      const days = wholeNumber("--days", options.days, 1, 400);
      context.setExitCode(printSpend(ledgers, days, json, systemWorld.now(), context));
    });
}

export interface SourceLedger {
  readonly config: Config;
  readonly ledger: Ledger | null;
}

async function readLedgers(config: Config, sources: readonly Config[]): Promise<SourceLedger[]> {
  const { connectBroker } = await import("./deployment.ts");
  const connection = await connectBroker(config, `sluice-spend-${process.pid}`);
  try {
    return await Promise.all(
      sources.map(async (own) => ({ config: own, ledger: await connection.control.spend(own["source.name"]) })),
    );
  } finally {
    await connection.close();
  }
}

/** Prints what was spent; the exit code is 1 when a budget is used up. */
export function printSpend(
  ledgers: readonly SourceLedger[],
  days: number,
  json: boolean,
  at: number,
  { stdout }: Pick<CommandIo, "stdout">,
): number {
  const told = ledgers.map(({ config, ledger }) => {
    const spend = spendAt(ledger, at);
    const shown = Object.entries(ledger?.days ?? {})
      .sort()
      .slice(-days);
    return {
      source: config["source.name"],
      ...spend,
      budget: budgetUse(spend, budgetOf(config)),
      days: Object.fromEntries(shown),
    };
  });
  if (json) stdout.write(`${toJson(told)}\n`);
  else for (const one of told) stdout.write(spendText(one, { stdout }));
  return told.some(({ budget }) => budget !== null && budget.percent >= 100) ? EXIT.failed : EXIT.ok;
}

interface Told extends Spend {
  readonly source: string;
  readonly budget: BudgetUse | null;
  readonly days: Ledger["days"];
}

function spendText({ source, days, month, projectedMonth, budget }: Told, io: Pick<CommandIo, "stdout">): string {
  const lines = Object.entries(days).map(([day, amount]) => [day, amount] as const);
  const rows = [...lines, ["this month", month] as const, ["projected month", projectedMonth] as const].map(
    ([period, { blocks, bytes }]) => [period, formatNumber(blocks), formatNumber(bytes / 1e6)],
  );
  const columns = [
    { name: `source ${source}` },
    { name: "blocks", align: "right" as const },
    { name: "MB", align: "right" as const },
  ];
  const used =
    budget === null
      ? "no budget is set"
      : paint(
          io.stdout,
          budget.percent >= 100 ? "red" : "green",
          `${formatNumber(budget.percent)} % of the budget is used: ${formatNumber(budget.used)} of ${formatNumber(budget.limit)} ${budget.what}`,
        );
  return `${table(io.stdout, columns, rows)}${used}\n\n`;
}

/** A provider runs whole segments of the range for its estimate: that takes its time. */
const ESTIMATE_TIMEOUT_MS = 600_000;

async function printEstimate(config: Config, sample: number, json: boolean, io: CommandIo): Promise<void> {
  const found = await estimateRange(config, sample);
  if (json) {
    io.stdout.write(`${toJson(found)}\n`);
    return;
  }
  const { by, slots, firstSlot, lastSlot, sampleBlocks, sampleBytes, blocks, bytes } = found;
  const who = by === "provider" ? "by the provider" : "here";
  const rows: [string, string][] = [
    ["slots of the range", `${formatNumber(slots)} (${firstSlot} to ${lastSlot})`],
    [`measured ${who}`, `${formatNumber(sampleBlocks)} blocks, ${formatNumber(sampleBytes / 1e6)} MB`],
    ["blocks to receive", `about ${formatNumber(blocks)}`],
    ["bytes to receive", `about ${formatNumber(bytes / 1e6)} MB, uncompressed`],
  ];
  if (found.blocksToProcess !== null) {
    rows.push(["blocks the provider processes", formatNumber(found.blocksToProcess)]);
  } else rows.push(["blocks the provider prepares first", formatNumber(found.blocksToPrepare)]);
  io.stdout.write(table(io.stdout, [{ name: "estimate" }, { name: "value" }], rows));
}

/** By the provider, where it offers that; else from a sample. */
export async function estimateRange(config: Config, sample: number): Promise<Estimate> {
  const log = logFor("estimate");
  const found = await askForEstimate(config, sample, log);
  if (found !== null) return found;
  const [{ openSource }, { estimate }] = await Promise.all([
    import("./source.ts"),
    import("../pipeline/source/estimate.ts"),
  ]);
  const { range } = await rangeOf(config);
  return estimate(await openSource(config, systemWorld, log), range, sample);
}

/** What the provider says of the configured range; null where it says nothing. Throws what no source would get past. */
export async function askForEstimate(config: Config, sample: number, log: Log): Promise<Estimate | null> {
  const [{ asking }, { providerEstimate }, { module, range }] = await Promise.all([
    import("./source.ts"),
    import("../pipeline/source/estimate.ts"),
    rangeOf(config),
  ]);
  try {
    return await providerEstimate(asking(config, systemWorld, ESTIMATE_TIMEOUT_MS), module, range, sample);
  } catch (error) {
    const { code } = classify(error);
    if (code === "SUBSTREAMS_AUTH" || code === "ENDPOINT_INVALID") throw error;
    log("warning", "the provider gives no estimate, so a sample is read", { reason: describe(error) });
    return null;
  }
}

async function rangeOf(config: Config): Promise<{ module: SelectedModule; range: Range }> {
  const [{ openModule }, { parseRange }] = await Promise.all([
    import("./source.ts"),
    import("../pipeline/source/range.ts"),
  ]);
  const module = await openModule(config);
  return { module, range: parseRange(config["source.startBlock"], config["source.stopBlock"], module.initialBlock) };
}
