/**
 * `sluice sql`: one SELECT over the lake and, above it, the rows that the hot stores of this host hold. What it was
 * answered from is told with the answer.
 */
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { Analytics, Seen } from "../storage/analytics/analytics.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { type CommandIo, paint } from "./output.ts";

interface Options {
  readonly csv?: boolean;
  readonly maxRows: string;
  readonly lakeOnly?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("sql")
    .description("ask the lake and the hot stores: one SELECT")
    .argument("<query>", 'a SELECT, or "-" to read it from stdin')
    .option("--csv", "print CSV (RFC 4180)")
    .option("--max-rows <n>", "cut the result off after so many rows", "10000")
    .option("--lake-only", "leave the hot stores out: only what is final and archived")
    .addHelpText(
      "after",
      `
Examples:
  sluice sql "show tables"
  sluice sql "select kind, count(*) as trades, sum(quote_amount) / 1e9 as sol from trades group by kind"
  sluice sql "select * from candles order by time desc limit 5" --json
  sluice sql - --csv < report.sql > report.csv

Integers of 64 bits and more are text in JSON, because many readers of JSON would round them.`,
    )
    .action(async (query: string, options: Options, command: Command) => {
      const { config, json } = context.load(command);
      if (json && options.csv === true) throw new Fatal("USAGE", "--json and --csv exclude each other");
      const maxRows = wholeNumber("--max-rows", options.maxRows, 1, 100_000_000);
      const sql = query === "-" ? await Bun.stdin.text() : query;
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      const format = json ? "json" : options.csv === true ? "csv" : "table";
      const opened = await openLocal(config, options.lakeOnly === true);
      try {
        await runSql({ sql, format, maxRows, analytics: opened.analytics, signal: stop.signal }, context);
      } finally {
        opened.close();
      }
    });
}

export interface SqlOptions {
  readonly sql: string;
  readonly format: "table" | "json" | "csv";
  readonly maxRows: number;
  readonly analytics: Pick<Analytics, "query">;
  readonly signal?: AbortSignal;
}

/** The result goes to stdout; on stderr: what it was answered from, and whether it was cut off. */
export async function runSql(options: SqlOptions, { stdout, stderr }: CommandIo): Promise<void> {
  const { formatCsv, formatJson, formatTable } = await import("../storage/analytics/format.ts");
  const { sql, format, maxRows, analytics, signal } = options;
  const maxBytes = Math.max(10 * 1024 * 1024, maxRows * 1024);
  const result = await analytics.query(sql, { maxRows, maxBytes, ...(signal === undefined ? {} : { signal }) });
  if (format === "json") stdout.write(`${formatJson(result)}\n`);
  else stdout.write(format === "csv" ? formatCsv(result) : formatTable(result));
  stderr.write(`${paint(stderr, "dim", describeSeen(result.seen))}\n`);
  if (!result.truncated) return;
  stderr.write(`cut off after ${result.rows.length} rows: add LIMIT, or raise --max-rows\n`);
}

function describeSeen({ lake, lineages, hot }: Seen): string {
  const upTo = lineages.map(({ kind, source, slot }) => `${kind} ${source} up to slot ${slot}`);
  const inLake = lake === null ? "an empty lake" : `the lake at entry ${lake.number} (${upTo.join(", ")})`;
  const inHot = hot.map(
    ({ name, position }) => `${name} at ${position === null ? "nothing" : `slot ${position.slot}`}`,
  );
  return `answered from ${[inLake, ...inHot].join("; ")}`;
}

interface Opened {
  readonly analytics: Analytics;
  close(): void;
}

/** Analytics over this host's lake and lanes. Lanes that other hosts own are not here; `seen` names those that are. */
async function openLocal(config: Config, lakeOnly: boolean): Promise<Opened> {
  const [{ openAnalytics }, { STATE_TABLES }, { LocalLanes }, programs, { folders }, { lakeStore }] = await Promise.all(
    [
      import("../storage/analytics/analytics.ts"),
      import("../storage/hot/layout.ts"),
      import("./local-lanes.ts"),
      import("./programs.ts"),
      import("./folders.ts"),
      import("./lake.ts"),
    ],
  );
  const { hot, temp } = folders(config);
  const lanes = new LocalLanes(config["source.name"], hot, lakeOnly ? 0 : config.lanes);
  const analytics = openAnalytics({
    lake: lakeStore(config),
    hot: lakeOnly ? [] : [lanes],
    catalog: (await programs.decodersFor(config)).catalog,
    state: STATE_TABLES.map(({ spec }) => spec),
    workDir: temp,
  });
  return { analytics, close: () => lanes.close() };
}
