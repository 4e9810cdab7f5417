/**
 * Every error is sorted by what the caller should do, not by where it came from:
 *
 * - `Transient`: try the same thing again later (network, busy disk, full stream).
 * - `Poison`:    this input can never be processed; quarantine it with its bytes and go on.
 * - `Fatal`:     a human has to look at it; stop the unit, commit nothing more, say so. Tried again after minutes.
 * - `Fenced`:    a `Fatal` with a benign cause: another owner has moved the output on. Drop the unit and re-acquire it.
 * - `Rewind`:    the input no longer holds what follows our position; ask its producer to replay from there.
 * - `Shutdown`:  we were asked to stop; not a failure.
 */
export type ErrorKind = "transient" | "poison" | "fatal" | "fenced" | "rewind" | "shutdown";

export interface ErrorDetails {
  /** Where it happened: a setting, file, stream or endpoint. Never contains a secret. */
  readonly where?: string;
  /** What the reader of the message should do next. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** For a `Fatal` of which every further try costs something: not tried again until somebody asks for a start. */
  readonly retry?: "when asked";
}

/** Base of all errors that Sluice raises on purpose. `code` is stable: match on it, never on the text. */
export abstract class SluiceError extends Error {
  abstract readonly kind: ErrorKind;
  readonly code: string;
  readonly where: string | undefined;
  readonly hint: string | undefined;
  readonly retry: "when asked" | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.where = details.where;
    this.hint = details.hint;
    this.retry = details.retry;
  }
}

export class Transient extends SluiceError {
  readonly kind = "transient";
}

export class Poison extends SluiceError {
  readonly kind = "poison";
}

export class Fatal extends SluiceError {
  readonly kind: ErrorKind = "fatal";
}

export class Fenced extends Fatal {
  override readonly kind = "fenced";
}

export class Rewind extends SluiceError {
  readonly kind = "rewind";
}

export class Shutdown extends SluiceError {
  readonly kind = "shutdown";

  constructor(message = "asked to stop") {
    super("SHUTDOWN", message);
  }
}

/**
 * Errors we did not raise ourselves are bugs until proven otherwise: they stop the unit instead of being retried blindly.
 * What the system says of files is no bug: it has codes of its own.
 */
export function classify(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  if (!(error instanceof Error)) return new Fatal("UNEXPECTED", String(error), { cause: error });
  if (error.name === "AbortError") return new Shutdown();
  return ofFiles(error) ?? new Fatal("UNEXPECTED", error.message, { cause: error });
}

/** The stack of what nobody foresaw; of everything else, code and place say more. */
export function stackOf({ code, cause }: SluiceError): string | undefined {
  return code === "UNEXPECTED" && cause instanceof Error ? cause.stack : undefined;
}

/** An error of a file, folder or disk as the operating system gives it (errno(3)); null of any other. */
function ofFiles(error: Error): SluiceError | null {
  const { code, path, dest } = error as NodeJS.ErrnoException & { readonly dest?: string };
  const place = [path, dest].filter((at) => at !== undefined && at !== "").join(" to ");
  const details = { cause: error, ...(place === "" ? {} : { where: place }) };
  switch (code) {
    case "ENOENT":
      return new Fatal("FILE_MISSING", "there is no such file or folder", {
        ...details,
        hint: "Check the path, and that the folder that it lies in exists.",
      });
    case "ENOTDIR":
    case "EISDIR":
    case "EEXIST":
      return new Fatal("FILE_KIND", FILE_KINDS[code], {
        ...details,
        hint: "Name another path, or move this one away.",
      });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new Fatal("FILE_ACCESS", code === "EROFS" ? "this lies on a read-only disk" : "access is not permitted", {
        ...details,
        hint: "Name another path, or give the user that runs this the right to it.",
      });
    case "ENOSPC":
    case "EDQUOT":
      return new Transient("DISK_FULL", "there is no space left for this", {
        ...details,
        hint: "Free space on the disk, or name a path on another.",
      });
    default:
      return null;
  }
}

const FILE_KINDS = {
  ENOTDIR: "a file stands where a folder belongs",
  EISDIR: "a folder stands where a file belongs",
  EEXIST: "something is there already",
} as const;

/** One paragraph for a human: what, where, what to do. Stack traces go to the debug log only. */
export function describe(error: unknown): string {
  const e = classify(error);
  const where = e.where === undefined ? "" : ` (${e.where})`;
  const hint = e.hint === undefined ? "" : `\n  ${e.hint}`;
  return `${e.code}: ${e.message}${where}${hint}`;
}
