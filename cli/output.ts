/**
 * How commands talk: data on stdout, messages on stderr, JSON when asked for, colour only on a terminal that wants it, and
 * exit codes that scripts can act on.
 */
import { classify } from "../pipeline/errors.ts";

/** Exit codes. `retryLater` is EX_TEMPFAIL of sysexits.h: the same command may succeed when repeated. */
export const EXIT = { ok: 0, failed: 1, usage: 2, retryLater: 75 } as const;

/** One stream of a command, as commands see it; tests hand in a buffer. */
export interface Output {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width of the terminal, characters; 80 where there is none. */
  readonly columns: number;
  readonly colour: boolean;
}

export interface CommandIo {
  /** Data. */
  readonly stdout: Output;
  /** Everything meant for a human who watches. */
  readonly stderr: Output;
}

/** The part of `process.stdout` and `process.stderr` that is used. */
export type OutputStream = Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns" | "on">;

export function streamOutput(stream: OutputStream, env: Readonly<Record<string, string | undefined>>): Output {
  const isTTY = stream.isTTY === true;
  // A reader that has seen enough (`sluice sql ... | head`) is not a failure.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    throw error;
  });
  return {
    write: (text) => void stream.write(text),
    isTTY,
    get columns() {
      return stream.columns ?? 80;
    },
    colour: isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb",
  };
}

/** Collects what is written, for tests and for callers that post-process. */
export class BufferOutput implements Output {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;
  readonly colour = false;

  constructor(options: { isTTY?: boolean; columns?: number } = {}) {
    this.isTTY = options.isTTY ?? false;
    this.columns = options.columns ?? 80;
  }

  write(text: string): void {
    this.text += text;
  }
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

export function paint(out: Output, style: keyof typeof STYLES, text: string): string {
  return out.colour ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text;
}

/** JSON for people and programs: exact integers beyond 2^53 become decimal text, bytes become hex. */
export function toJson(value: unknown, indent = 2): string {
  return JSON.stringify(value, exact, indent);
}

function exact(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return value;
}

export interface Column {
  readonly name: string;
  readonly align?: "left" | "right";
}

/** Rows under a header, columns two blanks apart. Cells are one line: line breaks and control characters are escaped. */
export function table(out: Output, columns: readonly Column[], rows: readonly (readonly unknown[])[]): string {
  const cells = rows.map((row) => columns.map((_, i) => cellText(row[i])));
  const widths = columns.map((column, i) => Math.max(column.name.length, ...cells.map((row) => row[i]!.length), 0));
  const line = (row: readonly string[]) =>
    columns
      .map((column, i) => (column.align === "right" ? row[i]!.padStart(widths[i]!) : row[i]!.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const header = paint(out, "bold", line(columns.map((column) => column.name)));
  return `${[header, ...cells.map(line)].join("\n")}\n`;
}

/** Control characters, and marks that hide or turn around what follows: token names are chosen by strangers. */
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** A value as one cell, safe to print; nothing is an empty cell. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" ? value : typeof value === "object" ? toJson(value, 0) : String(value);
  return text.replace(UNSAFE, (c) => (c === "\n" ? "\\n" : `\\u{${c.codePointAt(0)!.toString(16)}}`));
}

/** What a thrown error makes of the exit code. */
export function exitCodeOf(error: unknown): number {
  const { kind, code } = classify(error);
  if (kind === "shutdown") return EXIT.ok;
  if (kind === "transient") return EXIT.retryLater;
  return code.startsWith("CONFIG_") || code === "USAGE" ? EXIT.usage : EXIT.failed;
}
