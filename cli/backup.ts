/** `sluice backup`: what only this host has, copied while everything runs: hot stores, tokens, the record of generations. */
import { copyFileSync, existsSync, readdirSync } from "node:fs";
import { basename, join, relative } from "node:path";
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { HotCopy } from "../storage/hot/backup.ts";
import { laneFilesIn } from "../storage/hot/lane-files.ts";
import type { CliContext } from "./context.ts";
import { folders } from "./folders.ts";
import { generationsFile, keptGenerations, runConfigs } from "./generations.ts";
import { type CommandIo, EXIT, toJson } from "./output.ts";
import { formatNumber } from "./progress-line.ts";
import { tokensPath } from "./token.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("backup")
    .description("copy the hot stores of this host, checked and of one moment each, while everything runs")
    .argument("<folder>", "where to; must be empty or not there yet")
    .addHelpText(
      "after",
      `
Examples:
  sluice backup /backup/$(date +%F)
  sluice backup /backup/now --json

To restore: stop the stages, empty the folder of the hot stores, copy hot/ of the backup there, start again. Each lane goes on
from where its copy stands. The lake is not copied: any tool does that, see OPERATIONS.md.`,
    )
    .action(async (folder: string, _options: unknown, command: Command) => {
      const { config, json } = context.load(command);
      context.setExitCode(await backUp(config, folder, json, context));
    });
}

/** Throws `Fatal` USAGE when the folder holds something, HOT_MISSING when there is nothing to copy, HOT_BACKUP. */
export async function backUp(config: Config, folder: string, json: boolean, { stdout }: CommandIo): Promise<number> {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new Fatal("USAGE", `${folder} is not empty`, { hint: "Name a new folder: a backup never replaces another." });
  }
  const { copyHotStore } = await import("../storage/hot/backup.ts");
  const copies: HotCopy[] = [];
  for (const file of laneFiles(config)) {
    const copy = copyHotStore(file, join(folder, "hot", relative(folders(config).hot, file)));
    copies.push(copy);
    if (!json) stdout.write(`${copy.file}: ${formatNumber(copy.bytes / 1e6)} MB, to slot ${copy.slot ?? "none"}\n`);
  }
  if (copies.length === 0) {
    throw new Fatal("USAGE", "there are no hot stores on this host", {
      where: folders(config).hot,
      hint: "Name the deployment's data folder with --data.",
    });
  }
  const others = [tokensPath(config), generationsFile(config)].filter((file) => existsSync(file));
  for (const file of others) copyFileSync(file, join(folder, basename(file)));
  if (json) stdout.write(`${toJson({ folder, lanes: copies, files: others.map((file) => basename(file)) })}\n`);
  return EXIT.ok;
}

/** Files of all lanes, of all sources and generations, that are on this host. */
function laneFiles(config: Config): string[] {
  const hot = runConfigs(config, keptGenerations(config)).map((own) => folders(own).hot);
  return [...new Set(hot)].flatMap(laneFilesIn);
}
