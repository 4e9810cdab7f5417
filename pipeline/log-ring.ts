/** The last lines that a process logged, for `GET /api/indexer/logs`: bounded in number and in the size of each. */
import { LIMITS } from "./limits.ts";
import { LOG_LEVELS, type LogLevel } from "./log-levels.ts";

export interface LogEntry {
  /** ms since the Unix epoch. */
  readonly time: number;
  readonly level: LogLevel;
  /** Stage, or part of the process. */
  readonly component: string;
  readonly message: string;
  /** What belongs to the message: unit, code, where, hint, numbers. JSON values. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Which lines are wanted; what is left out does not matter. */
export interface LogQuery {
  /** At most so many, the latest. */
  readonly lines: number;
  /** This level and higher ones. */
  readonly level?: LogLevel;
  readonly component?: string;
  /** Somewhere in the message or its fields, in any case of letters. */
  readonly search?: string;
}

export class LogRing {
  private readonly entries: LogEntry[] = [];
  private next = 0;
  private readonly capacity: number;

  constructor(capacity: number = LIMITS.logLinesKept) {
    this.capacity = capacity;
  }

  add(entry: LogEntry): void {
    this.entries[this.next] = shortened(entry);
    this.next = (this.next + 1) % this.capacity;
  }

  /** The latest that fit, oldest first. */
  select(query: LogQuery): LogEntry[] {
    const inOrder = [...this.entries.slice(this.next), ...this.entries.slice(0, this.next)];
    const fitting = inOrder.filter((entry) => fits(entry, query));
    return query.lines <= 0 ? [] : fitting.slice(-query.lines);
  }
}

function fits(entry: LogEntry, { level, component, search }: LogQuery): boolean {
  if (level !== undefined && LOG_LEVELS.indexOf(entry.level) < LOG_LEVELS.indexOf(level)) return false;
  if (component !== undefined && entry.component !== component) return false;
  if (search === undefined) return true;
  return `${entry.component} ${entry.message} ${JSON.stringify(entry.fields)}`
    .toLowerCase()
    .includes(search.toLowerCase());
}

/** A line is a line: what is much longer (a stack, a module's log) is cut here, not in the log itself. */
function shortened(entry: LogEntry): LogEntry {
  const max = LIMITS.logLineCharactersMax;
  const fields = Object.fromEntries(
    Object.entries(entry.fields).map(([name, value]) => [
      name,
      typeof value === "string" ? cut(value, max / 4) : value,
    ]),
  );
  const fit = JSON.stringify(fields).length <= max;
  return { ...entry, message: cut(entry.message, max), fields: fit ? fields : { cut: true } };
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}…`;
}
