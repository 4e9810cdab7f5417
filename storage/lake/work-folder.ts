/** A folder for files that are being written, gone when the process is: what a crash leaves is removed by the next one. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { storeError } from "./folder-store.ts";

const NAME = /^work-(\d+)-/;

/**
 * Makes a new folder below `parent`, and removes those there whose process is no longer alive. Throws `Transient`
 * LAKE_DISK_FULL, `Fatal` LAKE_IO.
 */
export async function makeWorkFolder(parent: string): Promise<string> {
  try {
    return await makeFolder(parent);
  } catch (error) {
    throw storeError(error, parent);
  }
}

async function makeFolder(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    const pid = Number(NAME.exec(name)?.[1] ?? Number.NaN);
    if (pid > 0 && !isAlive(pid)) await rm(join(parent, name), { recursive: true, force: true });
  }
  const folder = join(parent, `work-${process.pid}-${randomUUID()}`);
  await mkdir(folder);
  return folder;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user is alive too.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
