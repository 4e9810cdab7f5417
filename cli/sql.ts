/**
 * `sluice sql`: one SELECT over the lake and, above it, the rows that the hot stores of this host hold. What it was
 * answered from is told with the answer.
 */
import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import { systemWorld } from "../pipeline/world.ts";
import type { Analytics, LakeView, Seen } from "../storage/analytics/analytics.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { folders } from "./folders.ts";
import { sourcesOfLake } from "./one-source.ts";
import { type CommandIo, paint } from "./output.ts";
import type { ShellSettings } from "./sql-shell.ts";

interface Options {
  readonly csv?: boolean;
  readonly parquet?: string;
  readonly force?: boolean;
  readonly file?: string;
  readonly maxRows: string;
  readonly lakeOnly?: boolean;
  readonly source?: string;
  readonly explainFiles?: boolean;
  readonly timing?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("sql")
    .description("ask the lake and the hot stores: one SELECT, or an interactive shell")
    .argument("[query]", 'a SELECT, or "-" to read it from stdin; without it a shell opens')
    .option("--file <path>", "read the query from a file, for example one of docs/queries/")
    .option("--csv", "print CSV (RFC 4180)")
    .option("--parquet <path>", "write the whole answer to a Parquet file")
    .option("--force", "replace the file of --parquet when it is there")
    .option("--max-rows <n>", "cut the result off after so many rows", "10000")
    .option("--source <name>", "one source of several (default: all that share a lake)")
    .option("--lake-only", "leave the hot stores out: only events that are final and archived")
    .option("--explain-files", "tell which files of the lake were opened, and which the query ruled out")
    .option("--timing", "tell how long it took")
    .addHelpText(
      "after",
      `
Examples:
  sluice sql                          a shell: history, completion of tables and columns; .help
  sluice sql "show tables"
  sluice sql "select kind, count(*) as trades, sum(quote_amount) / 1e9 as sol from trades group by kind"
  sluice sql "select * from candles order by time desc limit 5" --json
  sluice sql --file docs/queries/hot-mints.sql
  sluice sql "select * from trades where date = '2026-11-21'" --parquet day.parquet --explain-files
  sluice sql - --csv < report.sql > report.csv

Integers of 64 bits and more are text in JSON, because many readers of JSON would round them. In Parquet, which has none of more
than 64 bits, sums are DECIMAL(38, 0) and 128-bit columns (prices) text: all are exact.`,
    )
    .action(async (query: string | undefined, options: Options, command: Command) => {
      const { config, json } = context.load(command);
      mustChooseOne({ "--json": json, "--csv": options.csv === true, "--parquet": options.parquet !== undefined });
      mustChooseOne({ "a query": query !== undefined, "--file": options.file !== undefined });
      const how: Asking = {
        format: json ? "json" : options.csv === true ? "csv" : "table",
        maxRows: wholeNumber("--max-rows", options.maxRows, 1, 100_000_000),
        files: options.explainFiles === true,
        timing: options.timing === true,
        ...(options.parquet === undefined ? {} : { parquet: options.parquet }),
      };
      if (options.parquet !== undefined) mustBeWritable(options.parquet, options.force === true);
      const sources = sourcesOfLake(config, options.source);
      const opened = await openStores(sources, { lakeOnly: options.lakeOnly, onlyThis: options.source !== undefined });
      try {
        const sql = await queryText(query, options.file);
        if (sql === null) await openShell(opened.analytics, how, config, context);
        else await askOnce(sql, opened.analytics, how, context);
      } finally {
        opened.close();
      }
    });
}

function mustChooseOne(options: Readonly<Record<string, boolean>>): void {
  const given = Object.keys(options).filter((name) => options[name]);
  if (given.length > 1) throw new Fatal("USAGE", `${given.join(" and ")} exclude each other`);
}

/** Said before a query has run for long. Throws `Fatal` FILE_MISSING or FILE_KIND. */
export function mustBeWritable(parquet: string, force: boolean): void {
  const folder = dirname(resolve(parquet));
  if (!existsSync(folder)) {
    const hint = "Make it first, or name another path with --parquet.";
    throw new Fatal("FILE_MISSING", "the folder of the Parquet file does not exist", { where: folder, hint });
  }
  const there = statSync(parquet, { throwIfNoEntry: false });
  if (there === undefined || (force && there.isFile())) return;
  const hint = there.isFile() ? "--force replaces it." : "Name a file with --parquet.";
  const what = there.isFile() ? "there is a file of this name already" : "this is no file";
  throw new Fatal("FILE_KIND", what, { where: parquet, hint });
}

/** Null: none was given, and the shell is to ask for it. */
async function queryText(query: string | undefined, file: string | undefined): Promise<string | null> {
  if (file !== undefined) {
    return readFile(file, "utf8").catch((cause) => {
      throw new Fatal("USAGE", `the query cannot be read: ${(cause as Error).message}`, { where: "--file" });
    });
  }
  return query === undefined ? null : query === "-" ? Bun.stdin.text() : query;
}

async function askOnce(sql: string, analytics: Analytics, how: Asking, io: CommandIo): Promise<void> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  await runSql({ sql, analytics, ...how, signal: stop.signal }, io);
}

async function openShell(analytics: Analytics, how: Asking, config: Config, context: CliContext): Promise<void> {
  if (how.parquet !== undefined) throw new Fatal("USAGE", "--parquet needs a query");
  const { runShell } = await import("./sql-shell.ts");
  await runShell({
    stdout: context.stdout,
    stderr: context.stderr,
    input: process.stdin,
    terminal: process.stdout,
    isTerminal: process.stdin.isTTY === true && context.stdout.isTTY,
    analytics,
    historyFile: join(folders(config).data, "sql_history"),
    initial: how,
    answer: (sql, settings, signal) => runSql({ sql, analytics, maxRows: how.maxRows, ...settings, signal }, context),
  });
}

/** How answers are given. */
interface Asking extends Readonly<ShellSettings> {
  readonly maxRows: number;
  /** Write the answer to this file instead. */
  readonly parquet?: string;
}

export interface SqlOptions extends Asking {
  readonly sql: string;
  readonly analytics: Pick<Analytics, "query" | "exportParquet">;
  readonly signal?: AbortSignal;
}

/** The result goes to stdout; on stderr: what it was answered from, and whether it was cut off. */
export async function runSql(options: SqlOptions, io: CommandIo): Promise<void> {
  const { stderr } = io;
  const startedAt = systemWorld.monotonic();
  const seen = options.parquet === undefined ? await printAnswer(options, io) : await exportAnswer(options, io);
  stderr.write(`${paint(stderr, "dim", describeSeen(seen))}\n`);
  if (options.files) stderr.write(`${describeFiles(seen)}\n`);
  if (options.timing) stderr.write(`took ${((systemWorld.monotonic() - startedAt) / 1000).toFixed(3)} s\n`);
}

async function printAnswer(options: SqlOptions, { stdout, stderr }: CommandIo): Promise<Seen> {
  const { formatCsv, formatJson, formatTable } = await import("../storage/analytics/format.ts");
  const { sql, format, maxRows, analytics, signal } = options;
  const maxBytes = Math.max(10 * 1024 * 1024, maxRows * 1024);
  const result = await analytics.query(sql, { maxRows, maxBytes, ...(signal === undefined ? {} : { signal }) });
  if (format === "json") stdout.write(`${formatJson(result)}\n`);
  else stdout.write(format === "csv" ? formatCsv(result) : formatTable(result));
  if (result.truncated) {
    stderr.write(`cut off after ${result.rows.length} rows: add LIMIT, raise --max-rows, or write --parquet FILE\n`);
  }
  return result.seen;
}

async function exportAnswer({ sql, analytics, parquet, signal }: SqlOptions, { stdout }: CommandIo): Promise<Seen> {
  const { rows, seen } = await analytics.exportParquet(sql, resolve(parquet!), signal);
  stdout.write(`${rows} ${rows === 1 ? "row" : "rows"} in ${parquet}\n`);
  return seen;
}

function describeFiles({ files }: Seen): string {
  const lines = files.flatMap(({ dataset, opened, ruledOut }) => [
    `${dataset}: ${opened.length} of ${opened.length + ruledOut.length} files opened`,
    ...opened.map((key) => `  + ${key}`),
    ...ruledOut.map((key) => `  - ${key}`),
  ]);
  return lines.length === 0 ? "no dataset of the lake is named in the query" : lines.join("\n");
}

function describeSeen({ lake, lineages, hot }: Seen): string {
  // Compaction and re-decoding write anew what these have brought.
  const rows = lineages.filter(({ kind, dataset }) => dataset === "all" && (kind === "live" || kind === "backfill"));
  const upTo = [...Map.groupBy(rows, ({ kind, source }) => `${kind} ${source}`)].map(([what, own]) => {
    const last = `up to slot ${Math.max(...own.map(({ slot }) => slot))}`;
    return own.length === 1 ? `${what} ${last}` : `${what} ${last} in ${own.length} ranges`;
  });
  const inLake = lake === null ? "an empty lake" : `the lake at entry ${lake.number} (${upTo.join(", ")})`;
  const several = new Set(hot.map(({ source }) => source)).size > 1;
  const inHot = hot.map(({ source, name, position }) => {
    const of = several ? `${name} of ${source}` : name;
    return `${of} at ${position === null ? "nothing" : `slot ${position.slot}`}`;
  });
  return `answered from ${[inLake, ...inHot].join("; ")}`;
}

interface Opened {
  readonly analytics: Analytics;
  close(): void;
}

export interface StoresOptions {
  /** Without the hot stores. */
  readonly lakeOnly?: boolean | undefined;
  /** Of the lake, too, only what is this source's; there may be others in it. Default: all that it holds. */
  readonly onlyThis?: boolean | undefined;
}

/**
 * Analytics over this host's lake and lanes, of sources that share a lake. Lanes that other hosts own are not here; `seen`
 * names those that are. Throws `Fatal` STORES_EMPTY where there is neither, and what reading the lake throws.
 */
export async function openStores(
  sources: readonly Config[],
  { lakeOnly = false, onlyThis = false }: StoresOptions = {},
): Promise<Opened> {
  const [{ lakeView, openAnalytics }, { STATE_TABLES }, local, programs, { lakeStore }] = await Promise.all([
    import("../storage/analytics/analytics.ts"),
    import("../storage/hot/layout.ts"),
    import("./local-lanes.ts"),
    import("./programs.ts"),
    import("./lake.ts"),
  ]);
  const asked = lakeOnly ? [] : sources;
  const lanes = asked.map((own) => new local.LocalLanes(own["source.name"], folders(own).hot, own.lanes));
  const store = await lakeStore(sources[0]!);
  const lake = lakeView(store, onlyThis ? sources[0]!["source.name"] : undefined);
  const close = () => {
    for (const own of lanes) own.close();
  };
  try {
    await requireStores(sources, lake);
  } catch (error) {
    close();
    throw error;
  }
  const decoders = await Promise.all(sources.map((own) => programs.decodersFor(own)));
  const analytics = openAnalytics({
    lake,
    hot: lanes,
    catalog: mergeCatalogs(decoders.map(({ catalog }) => catalog)),
    state: STATE_TABLES.map(({ spec }) => spec),
    workDir: folders(sources[0]!).temp,
  });
  return { analytics, close };
}

/** That there is anything to ask: an empty answer from a folder that is not the right one would be taken for the truth. */
async function requireStores(sources: readonly Config[], lake: LakeView): Promise<void> {
  const { laneFile } = await import("../storage/hot/file.ts");
  const files = sources.flatMap((own) =>
    Array.from({ length: own.lanes }, (_, lane) => laneFile(folders(own).hot, lane)),
  );
  if (files.some((file) => existsSync(file)) || (await lake.read()).head !== null) return;
  const hot = sources.map((own) => folders(own).hot).join(", ");
  throw new Fatal("STORES_EMPTY", `there is no lake in ${lake.name}, and no hot store in ${hot}`, {
    where: folders(sources[0]!).data,
    hint: "Name the folder of a deployment (--data, or data.dir and lake.* in its config); one that has just begun has its hot stores within seconds.",
  });
}

/** Sources that decode the same program fill the same datasets. */
function mergeCatalogs(catalogs: readonly DatasetCatalog[]): DatasetCatalog {
  return new Map(catalogs.flatMap((catalog) => [...catalog]));
}
