/** `sluice record`: keeps what an endpoint streams in a file, to be served again by `sluice replay`. */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import { configureLogging, type Log, logFor } from "../pipeline/log.ts";
import type { Recorded, RecordingEnd } from "../pipeline/source/recorder.ts";
import type { SignalMessage } from "../pipeline/source/rpc.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { oneSource } from "./one-source.ts";
import { type CommandIo, EXIT, toJson } from "./output.ts";
import { formatNumber, ProgressLine } from "./progress-line.ts";
import { stopWhenTold } from "./signals.ts";

interface Options {
  readonly start?: string;
  readonly stop?: string;
  readonly blocks?: string;
  readonly maxSize?: string;
  readonly forks?: boolean;
  readonly resume?: boolean;
  readonly force?: boolean;
  readonly source?: string;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("record")
    .description("record what the configured endpoint streams, for `sluice replay`")
    .argument("<file>", "recording to write; its usual name ends in .substreams.zst")
    .option("--start <block>", "first block, or -N from the head (setting source.startBlock)")
    .option("--stop <block>", "first block that is not wanted, or +N after the start (setting source.stopBlock)")
    .option("--blocks <n>", "stop after so many blocks")
    .option("--max-size <size>", "stop when the file has so many bytes; 500MB and 2GB are understood")
    .option("--forks", "keep blocks that are not final, and the undo signals that take some of them back")
    .option("--resume", "go on where an earlier recording of this name ended, whether it was stopped or broke off")
    .option("--source <name>", "which source, where there are several")
    .option("--force", "replace a recording that is there")
    .addHelpText(
      "after",
      `
Examples:
  SUBSTREAMS_API_KEY=... sluice record sol.substreams.zst --set source.package=./my.spkg \\
      --set source.module=map_events --start 370500000 --stop +1000
  sluice record head.substreams.zst --start -100 --forks --max-size 500MB
  sluice record sol.substreams.zst --resume

Everything that the provider sends is paid for; \`sluice spend --estimate\` says beforehand what a range may cost. A
recording that is under way is FILE.part. Ctrl-C ends it in good order: what came so far can be replayed, or resumed.`,
    )
    .action(async (file: string, options: Options, command: Command) => {
      const flags = {
        ...(options.start === undefined ? {} : { "source.startBlock": options.start }),
        ...(options.stop === undefined ? {} : { "source.stopBlock": options.stop }),
        ...(options.forks === true ? { "source.finalBlocksOnly": "false" } : {}),
      };
      const { config: loaded, json } = context.load(command, flags);
      const config = oneSource(loaded, options.source);
      await configureLogging({ level: config["log.level"], format: config["log.format"] });
      const stop = new AbortController();
      stopWhenTold(stop);
      const code = await recordToFile({ config, file, json, ...parsed(options) }, context, stop.signal);
      context.setExitCode(code);
    });
}

export interface RecordOptions {
  readonly config: Config;
  readonly file: string;
  readonly blocks: number | null;
  readonly maxBytes: number | null;
  readonly resume: boolean;
  readonly force: boolean;
  readonly json: boolean;
}

function parsed(options: Options): Omit<RecordOptions, "config" | "file" | "json"> {
  if (options.resume === true && options.force === true)
    throw new Fatal("USAGE", "--resume and --force exclude each other");
  return {
    blocks: options.blocks === undefined ? null : wholeNumber("--blocks", options.blocks, 1),
    maxBytes: options.maxSize === undefined ? null : parseSize(options.maxSize),
    resume: options.resume === true,
    force: options.force === true,
  };
}

const UNITS = { "": 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 } as const;

/** "500MB", "2GB", "1048576" as bytes; units are powers of ten. Throws `Fatal` USAGE. */
export function parseSize(text: string): number {
  const match = /^(\d{1,12})\s*(|KB|MB|GB|TB)$/i.exec(text.trim());
  const bytes = match === null ? 0 : Number(match[1]) * UNITS[match[2]!.toUpperCase() as keyof typeof UNITS];
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new Fatal("USAGE", `--max-size takes a size such as 500MB, not ${JSON.stringify(text.slice(0, 40))}`);
}

const ENDS: Readonly<Record<RecordingEnd, string>> = {
  range: "the range is complete",
  bytes: "the file has its size",
  blocks: "it has its blocks",
  stopped: "stopped; --resume goes on from here",
};

/** Records until the range ends, a limit is reached or `signal` aborts; resolves to the exit code. */
export async function recordToFile(options: RecordOptions, io: CommandIo, signal: AbortSignal): Promise<number> {
  const [{ openSource }, { record, recordingExists }] = await Promise.all([
    import("./source.ts"),
    import("../pipeline/source/recorder.ts"),
  ]);
  const { config, file, blocks, maxBytes, resume, force, json } = options;
  if (!resume && !force && recordingExists(file)) {
    throw new Fatal("RECORDING_EXISTS", "there is a recording of this name, or the beginning of one", {
      where: file,
      hint: "--resume goes on where it ended, --force replaces it.",
    });
  }
  let last: SignalMessage | null = null;
  const line = new ProgressLine(io.stderr);
  const log = quietingLog(logFor("record"), line);
  const tap = (message: SignalMessage) => {
    last = message;
  };
  const source = await openSource(config, systemWorld, log, { tap });
  const startedAt = systemWorld.monotonic();
  let first: Recorded | null = null;
  const recorded = await record({ source, message: () => last! }, progressing(), signal).finally(() => line.end());
  const { end, ...totals } = recorded;
  const { receivedBytes, attempts } = source.status;
  if (json) io.stdout.write(`${toJson({ file, end, ...totals, receivedBytes, attempts })}\n`);
  else io.stdout.write(`${file}: ${summary(totals)}; ${ENDS[end]}\n`);
  return EXIT.ok;

  function progressing() {
    const onProgress = (now: Recorded) => {
      first ??= now;
      const seconds = (systemWorld.monotonic() - startedAt) / 1000;
      line.show(() => `recording: ${summary(now)}, ${formatNumber((now.blocks - first!.blocks) / seconds)} blocks/s`);
    };
    return { path: file, resume, maxBytes, maxBlocks: blocks, world: systemWorld, onProgress };
  }
}

function summary({ blocks, undos, firstSlot, lastSlot, fileBytes }: Recorded): string {
  const range = firstSlot === null ? "" : `, slots ${formatNumber(firstSlot)} to ${formatNumber(lastSlot ?? 0)}`;
  const undone = undos === 0 ? "" : `, ${formatNumber(undos)} undo signals`;
  return `${formatNumber(blocks)} blocks${undone}${range}, ${formatNumber(fileBytes / 1e6)} MB`;
}

/** Log lines stand on lines of their own. */
function quietingLog(log: Log, line: ProgressLine): Log {
  return (level, message, fields) => {
    line.end();
    log(level, message, fields);
  };
}
