/**
 * Which lane a hot store is, of how many: written into the file when it is made, and held to from then on. A file of another
 * number of lanes holds other tokens than the lane it would be taken for.
 */
import type { Database } from "bun:sqlite";
import { Fatal } from "../../pipeline/errors.ts";
import { schemaError } from "./sqlite-error.ts";

export interface LaneNumber {
  /** From 0. */
  readonly lane: number;
  /** Lanes of the deployment. */
  readonly lanes: number;
}

/** A store that holds the tokens of all lanes. */
export const ONLY_LANE: LaneNumber = { lane: 0, lanes: 1 };

export const LANE_TABLE =
  "CREATE TABLE _lane (id INTEGER PRIMARY KEY CHECK (id = 1), lane INTEGER NOT NULL, lanes INTEGER NOT NULL) STRICT";

export function writeLane(db: Database, { lane, lanes }: LaneNumber): void {
  db.prepare("INSERT INTO _lane VALUES (1, ?, ?)").run(lane, lanes);
}

export function readLane(db: Database): LaneNumber {
  const [lane, lanes] = db.prepare("SELECT lane, lanes FROM _lane").values()[0]!;
  return { lane: Number(lane), lanes: Number(lanes) };
}

/** Throws `Fatal` LANES_CHANGED, or HOT_SCHEMA when it is another lane of the same number. */
export function mustBeLane(db: Database, file: string, wanted: LaneNumber): void {
  const { lane, lanes } = readLane(db);
  if (lanes !== wanted.lanes) throw lanesChanged(lanes, wanted.lanes, file);
  if (lane !== wanted.lane) throw schemaError(`the file is lane ${lane}, not lane ${wanted.lane}`, file);
}

/** `where` the number was found that the deployment was begun with. */
export function lanesChanged(was: number, now: number, where: string): Fatal {
  return new Fatal("LANES_CHANGED", `lanes is ${now}, but the deployment was begun with ${was}`, {
    where,
    hint: `Set lanes to ${was} again: the number decides which lane holds a token. To have another, also set a new hot.dir and a new nats.prefix: the lanes are made from the lake (OPERATIONS.md, "Lanes").`,
  });
}
