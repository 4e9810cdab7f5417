/**
 * The contract of everything that keeps what a stage makes: a JetStream stream, a lane's SQLite file, the lake.
 * One conformance suite (`sink.conformance.ts`) runs on every implementation.
 */
import type { BlockRef, Position } from "../pipeline/position.ts";

/** Where an output durably stands, read back from the output itself: never from a side file. */
export interface Head {
  readonly position: Position;
  /** Highest slot known to be final. */
  readonly finalSlot: number;
  /** Blocks held, oldest first: all above `finalSlot`, and as many below as the output still remembers. Ends with `position`. */
  readonly recent: readonly BlockRef[];
  /** Sequence of the input message that was committed last. A hint for seeking; wrong after a stream was lost. */
  readonly inputSeq: number;
  /** The last thing passed on was that the input is complete. */
  readonly complete?: boolean;
}

/** What a commit moves, compare-and-set. */
export interface Step {
  /** Where the writer believes the output stands; anything else there means that another writer was here: `Fenced`. */
  readonly prev: Position | null;
  readonly next: Position;
  readonly finalSlot: number;
  /** Blocks that this commit adds, oldest first. Empty for an undo. */
  readonly blocks: readonly BlockRef[];
  readonly inputSeq: number;
}

export interface Sink<Out> {
  readonly name: string;
  /**
   * Takes ownership and says where the output stands; null when it is empty. Must be called before any commit.
   * A second open of the same output, by anyone, fences the first.
   */
  open(): Promise<Head | null>;
  /**
   * Makes `out` and its position durable in one indivisible action and says where the output stands now: at `step.next`,
   * or further back for an output of a stage that gathers (the runner replays the rest after a restart).
   * When it rejects with `Fenced`, nothing was written. When it rejects with `Transient`, the outcome may be unknown: the
   * caller re-opens and reads where the output stands.
   */
  commit(step: Step, out: Out): Promise<Position>;
  /**
   * Takes back every block above `to.slot`, and any other block at `to.slot`, and moves to `to`; indivisible and
   * compare-and-set like a commit. Below the recorded final slot it is `Fatal`: final blocks are never undone.
   */
  rollback(step: Step): Promise<void>;
  /** Passes on that the input is complete. Only outputs that others read in order need it. */
  end?(step: Step): Promise<void>;
  close(): Promise<void>;
}
