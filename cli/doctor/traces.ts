/** `sluice doctor` leaves no trace: folders that were made for the checks alone are taken away again. */
import { existsSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Of some folders, and of those above them, the ones that are not there; the deepest first. */
export function missingFolders(folders: readonly string[]): string[] {
  const missing = new Set<string>();
  for (const folder of folders) {
    for (let at = resolve(folder); !existsSync(at); at = dirname(at)) missing.add(at);
  }
  return [...missing].sort((a, b) => b.length - a.length);
}

/** Removes those that are empty: what others have put there meanwhile is theirs. */
export async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rmdir(folder).catch(() => undefined);
}
