/** `sluice compact` and `sluice collect`: the lake's upkeep, to be run now and then, for example once a day by cron. */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import type { Collected } from "../storage/lake/collection.ts";
import type { CompactedRun } from "../storage/lake/compaction.ts";
import type { ObjectStore } from "../storage/lake/store.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { sourcesOfLake } from "./one-source.ts";
import { type CommandIo, table, toJson } from "./output.ts";
import { formatNumber } from "./progress-line.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("compact")
    .description("merge the lake's small files of days that have ended into large sorted ones")
    .option("--target-mb <n>", "size at which a file is large enough, MB", "128")
    .option("--source <name>", "the lake of one source, where they have lakes of their own")
    .option("--dry-run", "say what would be merged, and do nothing")
    .addHelpText(
      "after",
      `
Examples:
  sluice compact --dry-run
  sluice compact && sluice collect

Readers see the old files or the new ones, never both; the old ones stay until \`sluice collect\` takes them a day later.
It may run beside the archive; of two compactions at once, one gives up.`,
    )
    .action(async (options: { targetMb: string; dryRun?: boolean; source?: string }, command: Command) => {
      const { config: loaded, json } = context.load(command);
      const config = sourcesOfLake(loaded, options.source)[0]!;
      const targetBytes = wholeNumber("--target-mb", options.targetMb, 1, 4_096) * 1_000_000;
      const [{ compactLake }, { folders }] = await Promise.all([
        import("../storage/lake/compaction.ts"),
        import("./folders.ts"),
      ]);
      const dryRun = options.dryRun === true;
      await withWriter(config, async (store) => {
        const runs = await compactLake({ store, workDir: folders(config).temp, targetBytes, dryRun });
        showRuns(runs, dryRun, json, context);
      });
    });
  program
    .command("collect")
    .description("remove the lake's files that were replaced, or left by a crash, more than a day ago")
    .option("--older-than-hours <n>", "leave younger ones alone: somebody may be reading or committing them", "24")
    .option("--source <name>", "the lake of one source, where they have lakes of their own")
    .option("--dry-run", "say what would be removed, and do nothing")
    .addHelpText(
      "after",
      `
A file that no entry of the manifest names goes only where the lake covers its slots by other files. One whose slots nobody
covers is shown and stays: its entry may have been lost.`,
    )
    .action(async (options: { olderThanHours: string; dryRun?: boolean; source?: string }, command: Command) => {
      const { config: loaded, json } = context.load(command);
      const config = sourcesOfLake(loaded, options.source)[0]!;
      const olderThanMs = wholeNumber("--older-than-hours", options.olderThanHours, 1, 100_000) * 3_600_000;
      const [{ collectLake }, { systemWorld }] = await Promise.all([
        import("../storage/lake/collection.ts"),
        import("../pipeline/world.ts"),
      ]);
      const dryRun = options.dryRun === true;
      await withWriter(config, async (store) => {
        const collected = await collectLake({ store, world: systemWorld, olderThanMs, dryRun });
        showCollected(collected, dryRun, json, context);
      });
    });
}

/** The lake as one that may be written to; where a lease stands in for conditional writes, NATS is needed for it. */
async function withWriter(config: Config, use: (store: ObjectStore) => Promise<void>): Promise<void> {
  const { lakeWriter } = await import("./lake.ts");
  const { store, close } = await lakeWriter(config);
  try {
    await use(store);
  } finally {
    await close();
  }
}

function showRuns(runs: readonly CompactedRun[], dryRun: boolean, json: boolean, { stdout }: CommandIo): void {
  if (json) {
    stdout.write(`${toJson({ dryRun, runs })}\n`);
    return;
  }
  const rows = runs.map((run) => [
    run.dataset,
    run.source,
    `${run.slots.first}-${run.slots.last}`,
    `${formatNumber(run.filesBefore)} to ${formatNumber(run.filesAfter)}`,
    dryRun ? formatNumber(run.bytesBefore) : `${formatNumber(run.bytesBefore)} to ${formatNumber(run.bytesAfter)}`,
  ]);
  const columns = ["dataset", "source", "slots", "files", "bytes"].map((name) => ({ name }));
  if (runs.length > 0) stdout.write(table(stdout, columns, rows));
  const what = dryRun ? "would be merged" : "merged";
  const count = `${formatNumber(runs.length)} ${runs.length === 1 ? "run" : "runs"}`;
  stdout.write(runs.length === 0 ? "nothing to merge\n" : `${count} ${what}\n`);
}

function showCollected(found: readonly Collected[], dryRun: boolean, json: boolean, { stdout }: CommandIo): void {
  if (json) {
    stdout.write(`${toJson({ dryRun, collected: found })}\n`);
    return;
  }
  for (const { why, key, bytes } of found) stdout.write(`${why} ${key} ${formatNumber(bytes)} bytes\n`);
  const going = found.filter(({ why }) => why !== "uncovered");
  const bytes = going.reduce((sum, file) => sum + file.bytes, 0);
  stdout.write(
    `${formatNumber(going.length)} files, ${formatNumber(bytes)} bytes ${dryRun ? "would go" : "removed"}\n`,
  );
  const staying = found.length - going.length;
  if (staying === 0) return;
  stdout.write(
    `${formatNumber(staying)} stay: no entry names them, and none covers their slots. Has the manifest lost its end?\n`,
  );
}
