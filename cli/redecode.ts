/** `sluice redecode`, and `sluice quarantine redecode`: what was archived is decoded anew, and no provider is asked. */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { folders } from "./folders.ts";
import { activeConfig, keptGenerations } from "./generations.ts";
import { oneSource } from "./one-source.ts";

interface Options {
  readonly program: string;
  readonly from?: string;
  readonly to?: string;
  readonly source?: string;
  readonly dryRun?: boolean;
  readonly allowRemoval?: boolean;
  readonly rebuild?: boolean;
}

export function register(program: Command, context: CliContext): void {
  common(program.command("redecode"), context, false)
    .description("decode a program's archived events anew, with the decoders configured now, and put the lake right")
    .addHelpText(
      "after",
      `
Examples:
  sluice redecode --program pumpfun --dry-run
  sluice redecode --program pumpfun --from 370500000 --to 370600000
  sluice redecode --program pumpfun --rebuild        and make the hot stores of this host anew

First add the layout (docs/decoders.md) and restart the stages with it. Blocks are read from the stream that holds them, as far
back as streams.blocksMaxBytes reaches, and from the lake where archive.rawBlocks has kept them; of other slots, payloads that were
kept in quarantine are read again. Wrong rows are
replaced, missing ones added, and what is understood leaves the quarantine. Other programs' rows, and those of blocks that could not
be read again, stay as they are. Where more than 1 % of a dataset's rows would go and nothing come of their events, nothing is
changed unless --allow-removal is given.`,
    );
}

/** Adds `redecode` to the commands of the quarantine. */
export function registerForQuarantine(quarantine: Command, context: CliContext): void {
  common(quarantine.command("redecode"), context, true)
    .description("read a program's kept payloads again, with the decoders configured now, and put the lake right")
    .addHelpText(
      "after",
      `
Examples:
  sluice quarantine redecode --program spinpet --dry-run
  sluice quarantine redecode --program spinpet --rebuild

As \`sluice redecode\`, from what is in quarantine alone.`,
    );
}

function common(command: Command, context: CliContext, keptOnly: boolean): Command {
  return command
    .requiredOption("--program <name>", "the program: its name, or its address")
    .option("--from <slot>", "first slot (default: the first that the lake has)")
    .option("--to <slot>", "last slot (default: the last that the lake has)")
    .option("--source <name>", "one source of several")
    .option("--rebuild", "then make the hot stores of this host anew, which hold what was decoded before")
    .option("--allow-removal", "also where many rows would go and nothing would come of their events")
    .option("--dry-run", "say what would change, and change nothing")
    .action(async (options: Options, own: Command) => {
      const { config: loaded, json } = context.load(own);
      const config: Config = activeConfig(oneSource(loaded, options.source), keptGenerations(loaded));
      const { program, dryRun = false, allowRemoval = false, rebuild = false } = options;
      const from = options.from === undefined ? null : wholeNumber("--from", options.from, 0);
      const to = options.to === undefined ? null : wholeNumber("--to", options.to, from ?? 0);
      const { runRedecode } = await import("./redecode/command.ts");
      const hotRoot = folders(loaded).hot;
      const range = { from, to, keptOnly };
      await runRedecode({ config, program, ...range, dryRun, allowRemoval, rebuild, json, hotRoot }, context);
    });
}
