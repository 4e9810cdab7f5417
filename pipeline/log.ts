/**
 * One shape for every log call; where it goes is decided here: JSON lines off a terminal, text on one, and the last lines
 * in a ring for the API. Secrets never get here: nobody logs a configuration or a header.
 */
import { configure, getLogger, type LogRecord } from "@logtape/logtape";
import { Fatal } from "./errors.ts";
import { isLogged, LOG_LEVELS, type LogLevel, type LogLevels, parseLogLevels } from "./log-levels.ts";
import { type LogEntry, LogRing } from "./log-ring.ts";

export type { LogLevel } from "./log-levels.ts";
export type Log = (level: LogLevel, message: string, fields?: Record<string, unknown>) => void;

export interface LogOptions {
  /** Levels as `parseLogLevels` reads them. */
  readonly level: string;
  /** auto: text when stderr is a terminal, JSON lines elsewhere. */
  readonly format: "auto" | "json" | "text";
}

/** What this process logged last. */
export const recentLog = new LogRing();

/** Sets up logging to stderr for the whole process; stdout is for data. Throws `Fatal` CONFIG_VALUE for levels that are none. */
export async function configureLogging(options: LogOptions): Promise<void> {
  const levels = parseLogLevels(options.level);
  if (levels === null) {
    throw new Fatal("CONFIG_VALUE", `log.level cannot be ${JSON.stringify(options.level)}`, {
      where: "log.level",
      hint: "Write a level (debug, info, warning, error, off), and others for components: info,decode=debug.",
    });
  }
  const terminal = process.stderr.isTTY === true;
  const json = options.format === "json" || (options.format === "auto" && !terminal);
  const colour = terminal && (process.env["NO_COLOR"] ?? "") === "";
  const write = (record: LogRecord) => {
    const entry = entryOf(record);
    if (!isLogged(levels, entry.component, entry.level)) return;
    recentLog.add(entry);
    process.stderr.write(`${json ? jsonLine(entry) : textLine(entry, colour)}\n`);
  };
  await configure({
    reset: true,
    sinks: { write },
    loggers: [
      { category: ["sluice"], lowestLevel: lowestOf(levels), sinks: ["write"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["write"] },
    ],
  });
}

export function logFor(component: string): Log {
  const logger = getLogger(["sluice", component]);
  return (level, message, fields) => logger[level](escapeBraces(message), { ...fields });
}

/** For tests and tools that want silence. */
export const silentLog: Log = () => undefined;

/** One object a line: time (ISO 8601), level, component, message, then the fields. */
export function jsonLine({ time, level, component, message, fields }: LogEntry): string {
  const head = { time: new Date(time).toISOString(), level, component, message };
  return JSON.stringify({ ...head, ...fields, ...head });
}

const MARKS: Readonly<Record<LogLevel, readonly [mark: string, colour: number]>> = {
  debug: ["DBG", 2],
  info: ["INF", 32],
  warning: ["WRN", 33],
  error: ["ERR", 31],
};

/** For people: local time of day, level, component, message, fields. One line but for a stack, and nothing that steers a terminal. */
export function textLine({ time, level, component, message, fields }: LogEntry, colour: boolean): string {
  const [mark, code] = MARKS[level];
  const { stack, ...rest } = fields;
  const shown = Object.entries(rest).filter(([, value]) => value !== undefined && value !== "");
  const pairs = shown
    .map(([key, value]) => ` ${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
  const paint = (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const at = new Date(time);
  const clock = `${[at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, "0")).join(":")}`;
  const line = harmless(`${component}: ${message}${pairs}`);
  const below = level === "error" && typeof stack === "string" ? `\n${stack.split("\n").map(harmless).join("\n")}` : "";
  return `${clock}.${String(at.getMilliseconds()).padStart(3, "0")} ${paint(mark)} ${line}${below}`;
}

/** Providers and modules are quoted in messages: their line breaks and escapes are shown, not obeyed. */
function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) =>
    c === "\n" ? "\\n" : `\\u{${c.codePointAt(0)!.toString(16)}}`,
  );
}

/** The component of a unit's line is its stage, of others the part of the process that logs. */
function entryOf(record: LogRecord): LogEntry {
  const fields = plain(record.properties);
  const unit = fields["unit"];
  const component = typeof unit === "string" ? unit.split(".")[0]! : (record.category[1] ?? record.category[0] ?? "");
  const level = record.level === "trace" ? "debug" : record.level === "fatal" ? "error" : record.level;
  return { time: record.timestamp, level, component, message: record.message.join(""), fields };
}

/** JSON values only: what is logged may travel. */
function plain(properties: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(properties, (_key, value: unknown) => {
    if (typeof value === "bigint") return value.toString();
    return value instanceof Error ? value.message : value;
  });
  return JSON.parse(text) as Record<string, unknown>;
}

function lowestOf({ all, components }: LogLevels): LogLevel {
  return LOG_LEVELS.find((level) => [all, ...components.values()].includes(level)) ?? "error";
}

/** LogTape fills {placeholders}; our messages are plain text. */
function escapeBraces(message: string): string {
  return message.replace(/[{}]/g, (brace) => brace + brace);
}
