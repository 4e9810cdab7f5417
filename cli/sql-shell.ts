/**
 * The interactive shell of `sluice sql`: statements end with a semicolon and may span lines; words with a dot in front
 * steer the shell. Names of tables and columns are completed, and what was asked is kept for the next time.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { closest } from "../pipeline/closest.ts";
import type { DatasetSpec } from "../pipeline/datasets/dataset.ts";
import { classify, describe, Fatal } from "../pipeline/errors.ts";
import type { Analytics } from "../storage/analytics/analytics.ts";
import { oneOf } from "./context.ts";
import type { CommandIo } from "./output.ts";

export const FORMATS = ["table", "json", "csv"] as const;
export type Format = (typeof FORMATS)[number];

/** What the shell remembers between statements. */
export interface ShellSettings {
  format: Format;
  /** Tell after each answer how long it took. */
  timing: boolean;
  /** Tell after each answer which files of the lake were opened. */
  files: boolean;
}

export interface ShellOptions extends CommandIo {
  readonly input: NodeJS.ReadableStream;
  /** Where the terminal shows what is typed. */
  readonly terminal: NodeJS.WritableStream;
  readonly isTerminal: boolean;
  readonly analytics: Pick<Analytics, "datasets">;
  readonly historyFile: string;
  readonly initial: ShellSettings;
  /** Answers one statement. */
  readonly answer: (sql: string, settings: ShellSettings, signal: AbortSignal) => Promise<void>;
}

const HISTORY_MAX = 1_000;
const KEYWORDS = (
  "SELECT FROM WHERE GROUP BY ORDER LIMIT JOIN LEFT USING HAVING WITH UNION ALL DISTINCT COUNT SUM MIN MAX AVG BETWEEN AND OR NOT " +
  "NULL IS IN LIKE CASE WHEN THEN ELSE END DESC ASC DESCRIBE SHOW TABLES OVER PARTITION QUALIFY"
).split(" ");

const HELP = `Statements end with ";". Ctrl-C stops a query, or clears what was typed; Ctrl-D leaves.
  .tables             what can be asked
  .columns NAME       columns of a table, with their types and what they mean
  .format table|json|csv
  .timing on|off      how long each answer took
  .files on|off       which files of the lake each answer opened
  .quit`;

/** Runs until the input ends or `.quit`. Errors of statements are shown and do not end it. */
export async function runShell(options: ShellOptions): Promise<void> {
  const datasets = await options.analytics.datasets();
  const shell = new Shell(options, datasets);
  await shell.run();
}

class Shell {
  private readonly o: ShellOptions;
  private readonly datasets: readonly DatasetSpec[];
  private readonly settings: ShellSettings;
  private readonly lines: Interface;
  /** Lines of a statement that has not ended yet. */
  private typed: string[] = [];
  private running: AbortController | null = null;

  constructor(options: ShellOptions, datasets: readonly DatasetSpec[]) {
    this.o = options;
    this.datasets = datasets;
    this.settings = { ...options.initial };
    this.lines = createInterface({
      input: options.input,
      output: options.isTerminal ? options.terminal : undefined,
      terminal: options.isTerminal,
      completer: (line: string) => completions(line, datasets),
      history: options.isTerminal ? readHistory(options.historyFile) : [],
      historySize: HISTORY_MAX,
      removeHistoryDuplicates: true,
    } as Parameters<typeof createInterface>[0]);
  }

  async run(): Promise<void> {
    const { lines } = this;
    lines.on("SIGINT", () => this.interrupt());
    lines.on("history", (history: string[]) => this.keep(history));
    if (this.o.isTerminal) this.o.stderr.write('Type SQL, or ".help".\n');
    this.prompt();
    for await (const line of lines) {
      if (await this.take(line)) break;
      this.prompt();
    }
    lines.close();
    const rest = this.typed.join("\n").trim();
    // A script whose last statement lacks its semicolon means it.
    if (rest !== "" && !this.o.isTerminal) await this.answer(rest);
  }

  /** True when the shell is to end. */
  private async take(line: string): Promise<boolean> {
    if (this.typed.length === 0 && line.trim().startsWith(".")) return this.command(line.trim());
    if (line.trim() !== "" || this.typed.length > 0) this.typed.push(line);
    if (!line.trimEnd().endsWith(";")) return false;
    const sql = this.typed.join("\n");
    this.typed = [];
    await this.answer(sql);
    return false;
  }

  private async answer(sql: string): Promise<void> {
    const stop = new AbortController();
    this.running = stop;
    try {
      await this.o.answer(sql, this.settings, stop.signal);
    } catch (error) {
      this.o.stderr.write(`${describe(classify(error))}\n`);
    } finally {
      this.running = null;
    }
  }

  private async command(line: string): Promise<boolean> {
    const [name, argument = ""] = line.split(/\s+/, 2) as [string, string?];
    try {
      switch (name) {
        case ".quit":
        case ".exit":
          return true;
        case ".help":
          this.say(HELP);
          break;
        case ".tables":
          this.say(this.datasets.map((d) => d.name).join("\n"));
          break;
        case ".columns":
          this.say(columnsOf(this.datasets, argument));
          break;
        case ".format":
          this.settings.format = oneOf(name, argument, FORMATS);
          break;
        case ".timing":
          this.settings.timing = oneOf(name, argument, ["on", "off"]) === "on";
          break;
        case ".files":
          this.settings.files = oneOf(name, argument, ["on", "off"]) === "on";
          break;
        default:
          throw new Fatal("USAGE", `there is no ${name}`, { hint: HELP });
      }
    } catch (error) {
      this.say(describe(classify(error)));
    }
    return false;
  }

  private interrupt(): void {
    if (this.running !== null) {
      this.running.abort();
      return;
    }
    this.typed = [];
    this.o.terminal.write("\n");
    this.lines.write(null, { ctrl: true, name: "u" });
    this.prompt();
  }

  private prompt(): void {
    if (!this.o.isTerminal) return;
    this.lines.setPrompt(this.typed.length === 0 ? "sluice> " : "   ...> ");
    this.lines.prompt(true);
  }

  private say(text: string): void {
    this.o.stderr.write(`${text}\n`);
  }

  /** What was asked may name wallets that somebody watches: for the owner's eyes. */
  private keep(history: readonly string[]): void {
    mkdirSync(dirname(this.o.historyFile), { recursive: true });
    writeFileSync(this.o.historyFile, `${history.join("\n")}\n`, { mode: 0o600 });
  }
}

/** Newest first, as readline wants it. */
function readHistory(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean).slice(0, HISTORY_MAX);
  } catch (error) {
    // The first time there is none; without it the shell works as well.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new Fatal("SQL_HISTORY", `the shell's history cannot be read: ${(error as Error).message}`, {
      where: file,
      hint: "Remove the file, or make it readable.",
    });
  }
}

/** Names that the last word of `line` may become; columns of the tables named in the line come first. */
export function completions(line: string, datasets: readonly DatasetSpec[]): [string[], string] {
  const word = /[\w.]*$/.exec(line)![0];
  const lower = line.toLowerCase();
  const named = datasets.filter((d) => new RegExp(`\\b${d.name}\\b`).test(lower));
  const columns = (of: readonly DatasetSpec[]) => of.flatMap((d) => d.columns.map((c) => c.name));
  const names = [...columns(named.length > 0 ? named : datasets), ...datasets.map((d) => d.name)];
  const keywords = KEYWORDS.map((keyword) => (/[A-Z]/.test(word) ? keyword : keyword.toLowerCase()));
  const start = word.slice(word.lastIndexOf(".") + 1);
  const found = [...new Set([...names, ...keywords])].filter((name) => name.startsWith(start));
  return [start === "" && line !== "" ? datasets.map((d) => d.name) : found.sort(), start];
}

function columnsOf(datasets: readonly DatasetSpec[], name: string): string {
  const spec = datasets.find((d) => d.name === name);
  if (spec === undefined) {
    const names = datasets.map((d) => d.name);
    const near = closest(name, names);
    throw new Fatal("USAGE", `there is no table "${name}"`, {
      hint: `${near === null ? "" : `Did you mean "${near}"? `}Tables: ${names.join(", ")}.`,
    });
  }
  const width = Math.max(...spec.columns.map((c) => c.name.length));
  return spec.columns.map((c) => `${c.name.padEnd(width)}  ${c.type.padEnd(7)}  ${c.doc}`.trimEnd()).join("\n");
}
