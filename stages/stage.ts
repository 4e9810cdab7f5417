/**
 * The contract of a stage. A stage turns one batch into the next. It is synchronous and deterministic: no I/O of its own,
 * no clock, no randomness; same input and state, same output. Reading, ordering, retries, undo, fencing, committing and
 * metrics are the runner's work (`pipeline/runner.ts`), once for all stages.
 */
import type { BlockMeta, Position } from "../pipeline/position.ts";

export interface Stage<In, Out> {
  readonly name: string;
  /**
   * Turns one batch into output. Returns null when nothing is to be committed yet (a stage that gathers); the runner then
   * keeps its input uncommitted and would replay it after a crash. `Poison` thrown here quarantines the batch.
   */
  apply(batch: In): Out | null;
  /** Forgets everything above `to`. Only stages that keep something between batches need it. */
  undo?(to: Position): void;
  /** Asked for what it has gathered before its next input comes: what it is ready to give, if anything. */
  flush?(): Out | null;
  /** The input has ended for good (a bounded range is complete): emit what was gathered, if anything. */
  end?(): Out | null;
}

/**
 * Synchronous keyed state: the lane's SQLite transaction in production, a Map in tests. Rows are replaced, never mutated;
 * keys are those of `pipeline/datasets/key.ts`. What is put counts once the sink has committed the batch.
 */
export interface State {
  get<Row extends object>(table: string, key: string): Row | undefined;
  put<Row extends object>(table: string, key: string, row: Row): void;
  delete(table: string, key: string): void;
  /** What follows belongs to this block: undo takes back whole blocks. Blocks above `finalSlot` can still be undone. */
  atBlock(block: BlockMeta, finalSlot: number): void;
  /** Forgets what was put since the last commit: the stage has failed half-way. */
  discard(): void;
}
