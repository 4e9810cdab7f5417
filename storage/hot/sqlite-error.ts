/** What an error of SQLite means for the caller: try again, or call a human. */
import { SQLiteError } from "bun:sqlite";
import { Fatal, SluiceError, Transient } from "../../pipeline/errors.ts";

const REBUILD =
  "`sluice rebuild` with the number of the lane makes it anew from lake and stream, while the stages run.";

/** Sorts an error by what to do. Errors of our own, and those that are not SQLite's, pass as they are. */
export function sortSqliteError(error: unknown, file: string): unknown {
  if (error instanceof SluiceError || !(error instanceof SQLiteError)) return error;
  const code = error.code ?? "";
  const details = { where: file, cause: error };
  const is = (prefix: string) => code === prefix || code.startsWith(`${prefix}_`);
  if (is("SQLITE_BUSY") || is("SQLITE_LOCKED")) {
    return new Transient("HOT_BUSY", "another process holds the hot store's write lock", {
      ...details,
      hint: "Nothing was written. If it lasts, look for a program that has the file open for writing.",
    });
  }
  if (is("SQLITE_FULL")) {
    return new Transient("HOT_DISK_FULL", "no space is left for the hot store", {
      ...details,
      hint: "Nothing is lost: the batch was taken back whole and the lane goes on by itself once there is space.",
    });
  }
  if (is("SQLITE_CORRUPT") || is("SQLITE_NOTADB")) {
    return new Fatal("HOT_CORRUPT", `the hot store is damaged: ${error.message}`, { ...details, hint: REBUILD });
  }
  if (is("SQLITE_READONLY") || is("SQLITE_CANTOPEN") || is("SQLITE_PERM")) {
    return new Fatal("HOT_UNWRITABLE", `the hot store cannot be opened for writing: ${error.message}`, {
      ...details,
      hint: "Check that the folder exists, that this user may write to it, and that it is not mounted read-only.",
    });
  }
  if (is("SQLITE_IOERR")) {
    return new Transient("HOT_IO", `the disk under the hot store failed: ${error.message}`, {
      ...details,
      hint: "The batch will be tried again. If it lasts, check the disk; the lane can be rebuilt elsewhere.",
    });
  }
  return new Fatal("HOT_SQLITE", `unexpected error of the hot store: ${error.message}`, { ...details, hint: REBUILD });
}

export function schemaError(message: string, file: string, hint = REBUILD): Fatal {
  return new Fatal("HOT_SCHEMA", message, { where: file, hint });
}
