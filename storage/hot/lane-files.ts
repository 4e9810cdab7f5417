/** The files of lanes that lie in a folder, whatever the settings say of their number. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../../pipeline/errors.ts";
import { openForReading } from "./file.ts";
import { lanesChanged, readLane } from "./lanes.ts";
import { sortSqliteError } from "./sqlite-error.ts";

const BUSY_TIMEOUT_MS = 2_000;

export function laneFilesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^lane-\d+\.sqlite$/.test(name));
  return names.sort().map((name) => join(folder, name));
}

/** Throws `Fatal` LANES_CHANGED when a file in the folder is one of another number of lanes. */
export function checkLaneFiles(folder: string, lanes: number): void {
  for (const file of laneFilesIn(folder)) {
    const was = lanesOf(file);
    if (was !== null && was !== lanes) throw lanesChanged(was, lanes, file);
  }
}

/** Null for a file that is empty or cannot be read: whoever opens it says why. */
function lanesOf(file: string): number | null {
  try {
    const db = openForReading(file, BUSY_TIMEOUT_MS);
    try {
      return readLane(db).lanes;
    } finally {
      db.close();
    }
  } catch (error) {
    if (sortSqliteError(error, file) instanceof SluiceError) return null;
    throw error;
  }
}
