/** `sluice logs`: the last log lines of every process of the deployment, and those to come, wherever the processes run. */
import type { Command } from "commander";
import { LIMITS } from "../pipeline/limits.ts";
import { textLine } from "../pipeline/log.ts";
import { collectLogs, type NodeLogEntry } from "../pipeline/log-exchange.ts";
import { LOG_LEVELS } from "../pipeline/log-levels.ts";
import type { LogQuery } from "../pipeline/log-ring.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, oneOf, wholeNumber } from "./context.ts";
import { type CommandIo, paint, toJson } from "./output.ts";
import { stopWhenTold } from "./signals.ts";

const ASK_AGAIN_MS = 1_000;

interface Options {
  readonly lines: string;
  readonly level?: string;
  readonly component?: string;
  readonly search?: string;
  readonly follow?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("logs")
    .description("the last log lines of every process, wherever it runs; with --follow those to come, too")
    .option("--lines <n>", "at most so many, the latest", "100")
    .option("--level <level>", `this level and higher ones: ${LOG_LEVELS.join(", ")}`)
    .option("--component <name>", "a stage (decode, lane), or a part of a process (nats, api)")
    .option("--search <words>", "only lines that hold these words")
    .option("-f, --follow", "go on until Ctrl-C")
    .addHelpText(
      "after",
      `
Examples:
  sluice logs --level error
  sluice logs -f --component lane
  sluice logs --json | jq .message

With --json, one object a line.`,
    )
    .action(async (options: Options, command: Command) => {
      const { config, json } = context.load(command);
      const query = queryOf(options);
      const stop = new AbortController();
      stopWhenTold(stop);
      const { connectBroker } = await import("./deployment.ts");
      const connection = await connectBroker(config, `sluice-logs-${process.pid}`);
      try {
        const ask = async () => (await collectLogs(connection.broker.connection, config["nats.prefix"], query)).entries;
        await printLogs(ask, { json, follow: options.follow === true, signal: stop.signal }, context);
      } finally {
        await connection.close();
      }
    });
}

function queryOf({ lines, level, component, search }: Options): LogQuery {
  return {
    lines: wholeNumber("--lines", lines, 1, LIMITS.logLinesKept),
    ...(level === undefined ? {} : { level: oneOf("--level", level, LOG_LEVELS) }),
    ...(component === undefined ? {} : { component }),
    ...(search === undefined ? {} : { search }),
  };
}

export interface PrintOptions {
  readonly json: boolean;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/** Prints what `ask` gives, each line once; when following, asks again every second until `signal` aborts. */
export async function printLogs(
  ask: () => Promise<readonly NodeLogEntry[]>,
  { json, follow, signal }: PrintOptions,
  { stdout }: Pick<CommandIo, "stdout">,
  world = systemWorld,
): Promise<void> {
  let before: ReadonlySet<string> = new Set();
  for (;;) {
    const entries = (await ask()).map((entry) => ({ entry, key: JSON.stringify(entry) }));
    for (const { entry, key } of entries) if (!before.has(key)) stdout.write(`${lineOf(entry, json, stdout)}\n`);
    // What is no longer among the latest will not come again.
    before = new Set(entries.map(({ key }) => key));
    if (!follow || signal.aborted) return;
    await world.sleep(ASK_AGAIN_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
  }
}

function lineOf(entry: NodeLogEntry, json: boolean, out: CommandIo["stdout"]): string {
  if (!json) return `${paint(out, "dim", entry.node)} ${textLine(entry, out.colour)}`;
  const { fields, time, ...head } = entry;
  return toJson({ time: new Date(time).toISOString(), ...head, ...fields }, 0);
}
