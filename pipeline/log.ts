/** One shape for every log call; rendering is LogTape's. Secrets never get here: nobody logs a configuration or a header. */
import { configure, getJsonLinesFormatter, getLogger, getTextFormatter } from "@logtape/logtape";

export type LogLevel = "debug" | "info" | "warning" | "error";
export type Log = (level: LogLevel, message: string, fields?: Record<string, unknown>) => void;

export interface LogOptions {
  readonly level: LogLevel;
  /** auto: text when stderr is a terminal, JSON lines elsewhere. */
  readonly format: "auto" | "json" | "text";
}

/** Sets up logging to stderr for the whole process; stdout is for data. */
export async function configureLogging(options: LogOptions): Promise<void> {
  const json = options.format === "json" || (options.format === "auto" && process.stderr.isTTY !== true);
  const format = json
    ? getJsonLinesFormatter({ properties: "flatten" })
    : getTextFormatter({ timestamp: "time", category: "." });
  const stderr = (record: Parameters<typeof format>[0]) => {
    const fields = json ? "" : renderFields(record.properties);
    process.stderr.write(json ? format(record) : `${format(record).trimEnd()}${fields}\n`);
  };
  await configure({
    reset: true,
    sinks: { stderr },
    loggers: [
      { category: ["sluice"], lowestLevel: options.level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["stderr"] },
    ],
  });
}

export function logFor(component: string): Log {
  const logger = getLogger(["sluice", component]);
  return (level, message, fields) => logger[level](escapeBraces(message), { ...fields });
}

/** For tests and tools that want silence. */
export const silentLog: Log = () => undefined;

/** LogTape fills {placeholders}; our messages are plain text. */
function escapeBraces(message: string): string {
  return message.replace(/[{}]/g, (brace) => brace + brace);
}

function renderFields(properties: Record<string, unknown>): string {
  const parts = Object.entries(properties).filter(([, value]) => value !== undefined && value !== "");
  return parts.map(([key, value]) => ` ${key}=${typeof value === "string" ? value : JSON.stringify(value)}`).join("");
}
