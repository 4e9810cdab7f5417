/** A copy of a lane's file while its owner goes on writing: of one moment, whole, checked, with its position inside. */
import { Database } from "bun:sqlite";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Fatal, Transient } from "../../pipeline/errors.ts";
import { HotReader } from "./reader.ts";

export interface HotCopy {
  readonly file: string;
  readonly bytes: number;
  /** Where the copy stands; null when the lane was empty. */
  readonly slot: number | null;
}

/** Throws `Transient` HOT_MISSING, `Fatal` HOT_BACKUP when the copy is there already or is not whole; then none is left. */
export function copyHotStore(file: string, to: string): HotCopy {
  if (!existsSync(file)) throw new Transient("HOT_MISSING", "the lane has no hot store yet", { where: file });
  if (existsSync(to)) throw bad("there is a file of this name", to, "Name a folder that is empty.");
  mkdirSync(dirname(to), { recursive: true });
  try {
    const db = new Database(file, { readonly: true });
    try {
      // One read transaction: what the owner commits meanwhile is not in it.
      db.run("VACUUM INTO ?", [to]);
    } finally {
      db.close();
    }
    syncFile(to);
    return checked(to);
  } catch (error) {
    for (const part of [to, `${to}-wal`, `${to}-shm`]) rmSync(part, { force: true });
    if (error instanceof Fatal) throw error;
    throw bad(
      `the copy failed: ${(error as Error).message}`,
      to,
      "See that there is room for it, and that the folder is writable.",
    );
  }
}

function checked(file: string): HotCopy {
  const db = new Database(file, { readonly: true });
  try {
    const [result] = db.query("PRAGMA quick_check").values()[0] as [string];
    if (result !== "ok")
      throw bad(
        `the copy is not whole: ${result}`,
        file,
        "Check the disk of the hot store: `sluice explain HOT_CORRUPT`.",
      );
  } finally {
    db.close();
  }
  const reader = new HotReader(file);
  try {
    return { file, bytes: statSync(file).size, slot: reader.stand()?.position.slot ?? null };
  } finally {
    reader.close();
  }
}

function syncFile(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function bad(message: string, where: string, hint: string): Fatal {
  return new Fatal("HOT_BACKUP", message, { where, hint });
}
