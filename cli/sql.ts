/**
 * `sluice sql`: one SELECT over the lake and, above it, the rows that the hot stores of this host hold. What it was
 * answered from is told with the answer.
 */
import type { Command } from "commander";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import type { Analytics, Seen } from "../storage/analytics/analytics.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { oneSource } from "./one-source.ts";
import { type CommandIo, paint } from "./output.ts";

interface Options {
  readonly csv?: boolean;
  readonly maxRows: string;
  readonly lakeOnly?: boolean;
  readonly source?: string;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("sql")
    .description("ask the lake and the hot stores: one SELECT")
    .argument("<query>", 'a SELECT, or "-" to read it from stdin')
    .option("--csv", "print CSV (RFC 4180)")
    .option("--max-rows <n>", "cut the result off after so many rows", "10000")
    .option("--source <name>", "one source of several (default: all that share a lake)")
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
      const opened = await openLocal(config, options.lakeOnly === true, options.source);
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
async function openLocal(config: Config, lakeOnly: boolean, name?: string): Promise<Opened> {
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
  const sources = sourcesOfLake(config, name);
  const hot = lakeOnly ? [] : sources.map((own) => new LocalLanes(own["source.name"], folders(own).hot, own.lanes));
  const decoders = await Promise.all(sources.map((own) => programs.decodersFor(own)));
  const analytics = openAnalytics({
    lake: lakeStore(sources[0]!),
    hot,
    catalog: mergeCatalogs(decoders.map(({ catalog }) => catalog)),
    state: STATE_TABLES.map(({ spec }) => spec),
    workDir: folders(config).temp,
  });
  return {
    analytics,
    close: () => {
      for (const lanes of hot) lanes.close();
    },
  };
}

/** The sources that one question is about: the named one, or all, if they share a lake. Throws `Fatal` USAGE. */
function sourcesOfLake(config: Config, name: string | undefined): readonly Config[] {
  if (name !== undefined) return [oneSource(config, name)];
  const sources = sourceConfigs(config);
  if (new Set(sources.map((own) => own["lake.dir"])).size === 1) return sources;
  throw new Fatal("USAGE", "the sources have lakes of their own", {
    hint: `Name one with --source: ${sources.map((own) => own["source.name"]).join(", ")}.`,
  });
}

/** Sources that decode the same program fill the same datasets. */
function mergeCatalogs(catalogs: readonly DatasetCatalog[]): DatasetCatalog {
  return new Map(catalogs.flatMap((catalog) => [...catalog]));
}
