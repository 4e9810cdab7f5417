/** `sluice simulate`: writes a recording of a simulated market and prints what an indexer must find in it. */
import type { Command } from "commander";
import type { GrownAt, OutputKind, Profile, WrittenSimulation } from "../simulator/index.ts";
import { type CliContext, oneOf, wholeNumber } from "./context.ts";
import { type CommandIo, table, toJson } from "./output.ts";
import { formatNumber, ProgressLine } from "./progress-line.ts";

interface Options {
  readonly seed: string;
  readonly blocks: string;
  readonly out: string;
  readonly profile: string;
  readonly output: string;
  readonly lines?: boolean;
  readonly growAfter?: string;
  readonly growAt: string;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("simulate")
    .description("write a recording of a simulated market, and print the truth about it")
    .requiredOption("--out <file>", "recording to write")
    .option("--seed <n>", "the same seed and options give the same bytes", "1")
    .option("--blocks <n>", "blocks that survive; forked ones come on top", "1000")
    .option(
      "--profile <name>",
      "market: every nuisance of real blocks; dense: about 400 transactions a block",
      "market",
    )
    .option("--output <kind>", "transactions: those that touch the program; block: whole blocks", "transactions")
    .option("--grow-after <slots>", "the program is upgraded so many slots after the first: its swaps have more fields")
    .option("--grow-at <where>", "end: the new fields stand behind the others; middle: between them", "end")
    .option("--lines", "with --json: every canonical line of the truth too, for small chains")
    .addHelpText(
      "after",
      `
Examples:
  sluice simulate --blocks 500 --out chain.zst
  sluice simulate --seed 7 --blocks 20000 --profile dense --out dense.zst --json > truth.json

  sluice simulate --blocks 2000 --grow-after 500 --out upgraded.zst      what a stale decoder meets

Serve the recording with \`sluice replay\`.`,
    )
    .action(async (options: Options, command: Command) => {
      const { json } = context.load(command);
      await simulateToFile({ ...parsed(options), json }, context);
    });
}

function parsed(options: Options): Omit<SimulateOptions, "json"> {
  return {
    seed: wholeNumber("--seed", options.seed, 0),
    blocks: wholeNumber("--blocks", options.blocks, 1, 100_000_000),
    profile: oneOf<Profile>("--profile", options.profile, ["market", "dense"]),
    output: oneOf<OutputKind>("--output", options.output, ["transactions", "block"]),
    out: options.out,
    lines: options.lines === true,
    growth:
      options.growAfter === undefined
        ? null
        : {
            afterSlots: wholeNumber("--grow-after", options.growAfter, 1),
            at: oneOf<GrownAt>("--grow-at", options.growAt, ["end", "middle"]),
          },
  };
}

export interface SimulateOptions {
  readonly seed: number;
  readonly blocks: number;
  readonly profile: Profile;
  readonly output: OutputKind;
  /** The program's upgrade: so many slots after the first, new fields in its swaps. */
  readonly growth: { readonly afterSlots: number; readonly at: GrownAt } | null;
  /** Path of the recording. */
  readonly out: string;
  /** Print the truth as JSON instead of a summary. */
  readonly json: boolean;
  /** Canonical lines in the JSON. */
  readonly lines: boolean;
}

export async function simulateToFile(options: SimulateOptions, { stdout, stderr }: CommandIo): Promise<void> {
  const { writeSimulation, DEFAULT_START_SLOT } = await import("../simulator/index.ts");
  const { seed, blocks, profile, output, out, json, lines, growth } = options;
  const line = new ProgressLine(stderr);
  let messages = 0;
  line.show(() => `simulating: ${formatNumber(blocks)} blocks, seed ${seed}`);
  const truth = await writeSimulation({
    ...{ seed, blocks, profile, output, out },
    ...(growth === null ? {} : { grows: { fromSlot: DEFAULT_START_SLOT + growth.afterSlots, at: growth.at } }),
    truth: lines ? "lines" : true,
    onMessage: ({ slot }) => {
      const written = ++messages;
      line.show(() => `simulating: ${formatNumber(written)} messages, slot ${formatNumber(slot)}`);
    },
  });
  line.end();
  stdout.write(json ? `${toJson(truth)}\n` : summary(options, truth, { stdout }));
}

function summary(options: SimulateOptions, truth: WrittenSimulation, { stdout }: Pick<CommandIo, "stdout">): string {
  const { chain, recording } = truth;
  const figures: [string, string | number][] = [
    ["recording", options.out],
    ["messages", recording.messages],
    ["bytes before compression", recording.rawBytes],
    ["blocks that survive", truth.blocks],
    ["slots", `${chain.firstSlot} to ${chain.lastSlot}`],
    ["forks taken back", `${chain.undos} (${chain.undoneBlocks} blocks, deepest ${chain.deepestUndo})`],
    ["transactions", truth.transactions],
    ["events", truth.eventsTotal],
    ["trades", truth.trades],
    ["tokens", truth.mints.length],
    ["open orders", truth.orders.length],
    ["quarantined payloads", truth.quarantined],
  ];
  const rows = figures.map(([name, value]) => [name, typeof value === "number" ? formatNumber(value) : value]);
  return table(stdout, [{ name: "what" }, { name: "value" }], rows);
}
