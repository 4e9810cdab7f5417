/**
 * Puts a lane's new file in the place of the one it has, if any. Only for who owns the lane, with both files closed. Who
 * still reads the old one goes on doing so until it looks again; a crash in between leaves no file, which is rebuilt.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Fatal } from "../../pipeline/errors.ts";

/** A file and what SQLite keeps beside it. A log left of the old file would be taken for one of the new. */
const PARTS = ["", "-wal", "-shm"];

/** Throws `Fatal` HOT_SWAP; the old file is where it was then. */
export function swapHotStore(made: string, file: string): void {
  if (existsSync(`${made}-wal`)) {
    throw new Fatal("HOT_SWAP", "the new file still has a log of its own: somebody has it open", { where: made });
  }
  const aside = `${file}.replaced`;
  try {
    for (const part of PARTS) rmSync(aside + part, { force: true });
    for (const part of PARTS) if (existsSync(file + part)) renameSync(file + part, aside + part);
    renameSync(made, file);
    syncFolder(dirname(file));
  } catch (cause) {
    if (!existsSync(file))
      for (const part of PARTS) if (existsSync(aside + part)) renameSync(aside + part, file + part);
    throw new Fatal("HOT_SWAP", `the new file cannot be put in place: ${(cause as Error).message}`, {
      where: file,
      hint: "The folder must be writable, and on one file system.",
      cause,
    });
  }
  for (const part of PARTS) rmSync(aside + part, { force: true });
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
