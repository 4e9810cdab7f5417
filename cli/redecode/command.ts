/** What `sluice redecode` does: finds the program, decodes anew, says what has changed, and makes the hot stores anew if asked. */

import type { Config } from "../../pipeline/config.ts";
import type { SlotRange } from "../../storage/lake/coverage.ts";
import { connectBroker, openDeployment } from "../deployment.ts";
import { folders } from "../folders.ts";
import { lakeWriter } from "../lake.ts";
import { type CommandIo, table, toJson } from "../output.ts";
import { programNamed } from "../program-named.ts";
import { formatNumber, ProgressLine } from "../progress-line.ts";
import { rebuild } from "../rebuild/command.ts";
import { stopWhenTold } from "../signals.ts";
import { type Redecoded, redecode } from "./redecode.ts";
import { removals } from "./removal.ts";
import { whileArchiveRests } from "./renew.ts";

export interface RedecodeCommand {
  readonly config: Config;
  readonly program: string;
  readonly from: number | null;
  readonly to: number | null;
  readonly keptOnly: boolean;
  readonly dryRun: boolean;
  readonly allowRemoval: boolean;
  readonly rebuild: boolean;
  readonly json: boolean;
  /** Folder of the hot stores of all sources. */
  readonly hotRoot: string;
}

export async function runRedecode(options: RedecodeCommand, io: CommandIo): Promise<void> {
  const { config, dryRun, json } = options;
  const stop = new AbortController();
  stopWhenTold(stop);
  const connection = await connectBroker(config, "sluice-redecode");
  const line = new ProgressLine(io.stderr);
  try {
    const deployment = await openDeployment(config, connection);
    const program = programNamed(deployment.programs, options.program);
    const { store, close } = await lakeWriter(config);
    const run = (beforeChange: () => Promise<void>) =>
      redecode({
        beforeChange,
        ...{ deployment, store, program, dryRun, workDir: folders(config).temp, signal: stop.signal },
        ...{ from: options.from, to: options.to, keptOnly: options.keptOnly, allowRemoval: options.allowRemoval },
        onProgress: (text) => line.show(() => text),
      });
    let done: Redecoded;
    try {
      const renews = options.rebuild && !dryRun && options.to === null;
      const nothing = async () => undefined;
      done = renews ? await whileArchiveRests(deployment, stop.signal, run) : await run(nothing);
    } finally {
      line.end();
      await close();
    }
    if (!options.rebuild || dryRun) {
      show(done, options, io);
      return;
    }
    if (!json) show(done, options, io);
    const lanes = Array.from({ length: config.lanes }, (_, lane) => lane);
    const rebuilt = await rebuild(
      { config, lanes, snapshot: null, dryRun: false, json: false, mayFallBehind: true, hotRoot: options.hotRoot },
      json ? { ...io, stdout: { ...io.stdout, write: () => undefined } } : io,
    );
    if (json) io.stdout.write(`${toJson({ dryRun, ...done, lanes: rebuilt })}\n`);
  } finally {
    await connection.close();
  }
}

/** Ranges that are written out; of more the rest is counted. */
const SHOWN_RANGES = 5;

function rangesText(ranges: readonly SlotRange[]): string {
  const shown = ranges.slice(0, SHOWN_RANGES).map(({ first, last }) => `${first}-${last}`);
  const more = ranges.length > SHOWN_RANGES ? ` and ${ranges.length - SHOWN_RANGES} more` : "";
  return shown.length === 0 ? "none" : `${shown.join(", ")}${more}`;
}

function show(done: Redecoded, options: RedecodeCommand, { stdout }: CommandIo): void {
  const { dryRun, json, keptOnly, rebuild: rebuilds } = options;
  if (json) {
    stdout.write(`${toJson({ dryRun, ...done })}\n`);
    return;
  }
  const { range, blocks, notRead, kept, corrected } = done;
  stdout.write(`slots ${rangesText([range])}; decoded from blocks: ${rangesText(blocks)}\n`);
  if (notRead.length > 0 && !keptOnly) {
    stdout.write(
      `blocks not at hand: ${rangesText(notRead)}: what the lake has of them stays as it is, but for kept payloads\n`,
    );
  }
  if (kept.read + kept.needBlock > 0) {
    const rest = kept.needBlock === 0 ? "" : `; ${formatNumber(kept.needBlock)} can only be told from their block`;
    stdout.write(
      `kept payloads read again: ${formatNumber(kept.read)}, understood: ${formatNumber(kept.healed)}${rest}\n`,
    );
  }
  const rows = [...Map.groupBy(corrected, ({ dataset }) => dataset)].map(([dataset, all]) => {
    const sum = (of: "rowsGone" | "rowsCome" | "filesBefore" | "filesAfter") =>
      formatNumber(all.reduce((total, change) => total + change[of], 0));
    return [dataset, sum("rowsGone"), sum("rowsCome"), dryRun ? "" : `${sum("filesBefore")} to ${sum("filesAfter")}`];
  });
  const columns = ["dataset", "rows that go", "rows that come", "files"].map((name) => ({ name }));
  if (rows.length > 0) stdout.write(table(stdout, columns, rows));
  for (const { dataset, rows: gone, of } of removals(corrected)) {
    const what = `${formatNumber(gone)} of ${formatNumber(of)} rows of ${dataset}`;
    stdout.write(`${what} go and nothing comes of their events${dryRun ? ": asks for --allow-removal" : ""}\n`);
  }
  if (rows.length === 0) stdout.write("the lake holds all of it already\n");
  else if (dryRun) stdout.write("nothing was changed\n");
  else if (!rebuilds) stdout.write("the hot stores hold what was decoded before: run sluice rebuild\n");
}
