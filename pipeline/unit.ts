/** The contract of what a supervisor keeps running: a runner with what it reads and writes, or the janitor. */
import type { Standing } from "./control.ts";
import type { Log } from "./log.ts";
import type { UnitMetrics } from "./metrics.ts";
import type { BlockRef } from "./position.ts";

export interface UnitSpec {
  /** "decode.main", "lane.main.3": name of the lease and of the position. */
  readonly name: string;
  readonly stage: string;
  readonly source: string;
  /** Streams it reads and writes; null where it does not. */
  readonly inputStream: string | null;
  readonly outputStream: string | null;
  /** Runs until aborted or failed; opens everything anew each time. */
  run(context: UnitContext): Promise<void>;
}

export interface UnitContext {
  readonly unit: string;
  readonly signal: AbortSignal;
  readonly metrics: UnitMetrics;
  readonly log: Log;
  setBlocked(blocked: boolean): void;
  /** The input is complete, with this block; null: there was none in it. */
  setEnded(at: BlockRef | null): void;
  /** Not wanted for now: holding the unit, doing nothing. */
  setPaused(paused: boolean): void;
  /** Reported with the unit; called when a report is made. */
  setDetails(details: () => Record<string, unknown>): void;
  standing(standing: Omit<Standing, "at">): void;
}
