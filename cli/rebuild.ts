/**
 * `sluice rebuild`: makes hot stores anew from a backup, the lake and the stream, beside the ones in use, and puts them in
 * place. Also how a host joins that has nothing but settings.
 */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { folders } from "./folders.ts";
import { activeConfig, keptGenerations } from "./generations.ts";
import { oneSource } from "./one-source.ts";

interface Options {
  readonly lane?: string;
  readonly source?: string;
  readonly snapshot?: string;
  readonly dryRun?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("rebuild")
    .description("make the hot stores of this host anew from lake and stream, beside the ones in use, and swap")
    .option("--lane <n>", "this lane only (default: all)")
    .option("--source <name>", "the lanes of one source, where there are several")
    .option("--snapshot <folder>", "begin from a folder that `sluice backup` made: only what came after it is read")
    .option("--dry-run", "say what would be read and replaced, and do nothing")
    .addHelpText(
      "after",
      `
Examples:
  sluice rebuild --dry-run
  sluice rebuild --lane 3
  sluice rebuild --snapshot /backup/2025-10-01

Stages may run meanwhile. A lane is handed over only while its new file is brought up to the moment and put in place; then
whoever ran it goes on with the new one. The provider is not asked for anything that lake and streams hold. Stages do the
same by themselves for a lane that has no file, which is how a new host joins: give it the settings and start it.`,
    )
    .action(async (options: Options, command: Command) => {
      const { config: loaded, json } = context.load(command);
      const config = activeConfig(oneSource(loaded, options.source), keptGenerations(loaded));
      const lanes = lanesOf(config, options.lane);
      const { snapshot = null, dryRun = false } = options;
      const { rebuild } = await import("./rebuild/command.ts");
      await rebuild(
        { config, lanes, snapshot, dryRun, json, mayFallBehind: false, hotRoot: folders(loaded).hot },
        context,
      );
    });
}

function lanesOf(config: Config, lane: string | undefined): number[] {
  const all = Array.from({ length: config.lanes }, (_, i) => i);
  return lane === undefined ? all : [wholeNumber("--lane", lane, 0, config.lanes - 1)];
}
