/**
 * The only loop: read, apply, commit. Order, gaps, forks, repeats, poison and fencing are handled here, once, for every
 * stage and every sink. It holds no state of its own: where it stands is read back from the sink at every start, so
 * stopping it at any moment and starting it again, here or elsewhere, is the same as never having stopped.
 *
 * | what is noticed | what is done |
 * |---|---|
 * | repeat of what is held | skipped |
 * | undo, or a batch from a block that we have moved past | the sink is rolled back, then goes on |
 * | gap after a seek by hint | read again from the oldest message |
 * | gap even so; a damaged message | `Rewind`: the producer replays from the lowest position of its consumers |
 * | poison (a batch the stage can never process) | quarantined with its bytes, then its blocks pass without content |
 * | another writer moved the output | `Fenced`: give up ownership |
 */
import type { Stage } from "../stages/stage.ts";
import type { Head, Sink, Step } from "../storage/sink.ts";
import type { Bell } from "./bell.ts";
import { afterData, afterUndo, type ChainState, EMPTY_CHAIN, judge, type Verdict } from "./chain.ts";
import { Fatal, Poison, Rewind, Shutdown, Transient } from "./errors.ts";
import type { UnitMetrics } from "./metrics.ts";
import { type BlockRef, formatBlock, type Position, sameBlock } from "./position.ts";
import type { Incoming, Reader, Seek } from "./reader.ts";
import type { Signal } from "./wire/batch.ts";
import type { BodyCodec } from "./wire/message.ts";
import type { World } from "./world.ts";

export interface Quarantined {
  readonly unit: string;
  readonly position: Position;
  readonly reason: string;
  readonly bytes: Uint8Array;
}

export interface RunnerOptions<In, Out> {
  readonly unit: string;
  readonly reader: Reader<In>;
  readonly stage: Stage<In, Out>;
  readonly sink: Sink<Out>;
  readonly codec: Pick<BodyCodec<In>, "blocks" | "above" | "empty">;
  readonly world: World;
  readonly metrics: UnitMetrics;
  readonly log: (
    level: "debug" | "info" | "warning" | "error",
    message: string,
    fields?: Record<string, unknown>,
  ) => void;
  /** Keeps a batch that cannot be processed. Must be durable when it resolves; a repeat soon after is a no-op, a later one may be kept again. */
  readonly quarantine: (item: Quarantined) => Promise<void>;
  /** Where the output stands, at the start (null: empty) and after every commit: for trimming and for lost streams. */
  readonly onStanding?: (standing: RunnerStanding) => void;
  /** Where to stand when the output is empty but its consumers are not (a rebuilt stream); null = at the beginning. */
  readonly startWhenEmpty?: () => Promise<Head | null>;
  /** Called when the input says that it is complete, with its last block. */
  readonly onEnd?: (at: BlockRef) => void;
  /** Rung when the stage should be asked for what it has gathered, though no input comes: see `Stage.flush`. */
  readonly bell?: Bell;
}

/** Where a unit's output stands, and what it remembers of the chain from its last final block on, oldest first. */
export interface RunnerStanding {
  readonly position: Position | null;
  readonly finalSlot: number;
  readonly inputSeq: number;
  readonly recent: readonly BlockRef[];
}

/** More poisoned batches than this in a thousand, and it is us rather than the data. */
const POISON_PER_THOUSAND_MAX = 10;

/** Runs until `signal` aborts (then it resolves), or until an error that a restart may cure or not (then it throws). */
export async function run<In, Out>(options: RunnerOptions<In, Out>, signal: AbortSignal): Promise<void> {
  const runner = new Runner(options, signal);
  try {
    await runner.open();
    let seek: Seek = "hint";
    for (let stuckAt: Gap | null = null; !signal.aborted; seek = "oldest") {
      const gap = await runner.follow(seek);
      if (gap === null) return;
      // Progress made by taking back and applying the same blocks again is none.
      const stuck = seek === "oldest" && (!gap.afterProgress || sameBlock(gap.at, stuckAt?.at ?? null));
      if (stuck) throw new Rewind("GAP", gap.reason, { where: options.reader.name });
      options.log("warning", "gap in the input; looking again from its oldest message", { reason: gap.reason });
      stuckAt = gap;
    }
  } catch (error) {
    if (signal.aborted && (error instanceof Shutdown || error === signal.reason)) return;
    throw error;
  } finally {
    await options.sink.close();
  }
}

interface Gap {
  readonly reason: string;
  /** Where we stood. */
  readonly at: Position | null;
  readonly afterProgress: boolean;
}

class Runner<In, Out> {
  private readonly o: RunnerOptions<In, Out>;
  private readonly signal: AbortSignal;
  private head: Head | null = null;
  /** What has been applied; the sink may stand further back while the stage gathers. */
  private chain: ChainState = EMPTY_CHAIN;
  private committed: Position | null = null;
  private uncommitted: BlockRef[] = [];
  /** Input messages since the last commit, by the slot they end at: a gathering stage commits only some of them. */
  private uncommittedSeqs: { readonly slot: number; readonly seq: number }[] = [];
  private poisoned: number[] = [];

  constructor(options: RunnerOptions<In, Out>, signal: AbortSignal) {
    this.o = options;
    this.signal = signal;
  }

  async open(): Promise<void> {
    this.head = await this.o.sink.open();
    if (this.head === null && this.o.startWhenEmpty !== undefined) this.head = await this.o.startWhenEmpty();
    this.committed = this.head?.position ?? null;
    if (this.head !== null) {
      const { position, finalSlot, recent } = this.head;
      this.chain = { position, finalSlot: Math.min(finalSlot, position.slot), recent };
    }
    this.tell(this.committed, this.head?.inputSeq ?? 0);
    this.o.log("info", `standing at ${formatBlock(this.chain.position)}`);
  }

  /** Reads until the signal aborts (null) or a gap shows. */
  async follow(seek: Seek): Promise<Gap | null> {
    const { metrics } = this.o;
    const incoming = this.o.reader.read(this.head, seek, this.signal)[Symbol.asyncIterator]();
    let progress = false;
    try {
      while (!this.signal.aborted) {
        const next = await this.next(incoming);
        if (next === null) return null;
        metrics.receivedBatches++;
        metrics.receivedBytes += next.bytes;
        const verdict = judge(this.chain, next.link, seek === "oldest" && !next.newest);
        if (verdict.action === "gap") {
          metrics.gaps++;
          return { reason: verdict.reason, at: this.chain.position, afterProgress: progress };
        }
        if (verdict.action === "skip") {
          metrics.skippedBatches++;
          this.pass(next);
          continue;
        }
        await this.take(next, verdict);
        progress = true;
      }
      return null;
    } finally {
      await incoming.return?.();
    }
  }

  private async next(incoming: AsyncIterator<Incoming<In>>): Promise<Incoming<In> | null> {
    const { metrics, world, bell } = this.o;
    const from = world.monotonic();
    try {
      const coming = incoming.next();
      while (bell !== undefined && (await bell.rungBefore(coming))) await this.flush();
      const { done, value } = await coming;
      if (this.signal.aborted) return null;
      if (done === true) throw new Transient("READ_ENDED", "the input ended", { where: this.o.reader.name });
      return value;
    } catch (error) {
      if (error instanceof Poison) throw damaged(error, this.o.reader.name);
      throw error;
    } finally {
      metrics.waitingMs += world.monotonic() - from;
    }
  }

  /** Nothing to do for this one, but nobody needs to keep it for us: a stream full of such must not stay full. */
  private pass({ link, seq }: Incoming<In>): void {
    if (this.uncommittedSeqs.length > 0) this.uncommittedSeqs.push({ slot: link.next.slot, seq });
    else this.tell(this.committed, seq);
  }

  private async take(incoming: Incoming<In>, verdict: Exclude<Verdict, { action: "gap" | "skip" }>): Promise<void> {
    const { link, seq } = incoming;
    if (verdict.action === "undo") {
      await this.undo(verdict.to, link.finalSlot, seq);
      return;
    }
    const signal = this.read(incoming);
    if (verdict.undoTo !== null) {
      this.o.log("warning", `the input goes on from ${formatBlock(verdict.undoTo)}: taking back what came after`);
      await this.undo(this.withOwnCursor(verdict.undoTo, signal), link.finalSlot, seq - 1);
    }
    if (signal.kind === "data") await this.applyData(incoming, signal, verdict.aboveSlot);
    else if (signal.kind === "end") await this.end(signal, seq);
  }

  private read(incoming: Incoming<In>): Signal<In> {
    try {
      return incoming.signal();
    } catch (error) {
      if (error instanceof Poison) throw damaged(error, this.o.reader.name);
      throw error;
    }
  }

  /** A block in the middle of a batch has a cursor of its own: better than that of the block before the batch. */
  private withOwnCursor(to: Position, signal: Signal<In>): Position {
    const block = signal.kind === "data" ? this.o.codec.blocks(signal.body).find((b) => sameBlock(b, to)) : undefined;
    return block === undefined ? to : { ...to, cursor: block.cursor };
  }

  private async applyData(
    incoming: Incoming<In>,
    signal: Signal<In> & { kind: "data" },
    aboveSlot: number,
  ): Promise<void> {
    const { codec, metrics, world, stage } = this.o;
    const from = world.monotonic();
    let out: Out | null;
    let blocks: readonly BlockRef[];
    try {
      // The header says which blocks they are: a body that nobody looks into is never decoded.
      blocks = incoming.link.blocks.filter((b) => b.slot > aboveSlot);
      const trimmed = blocks.length < incoming.link.blocks.length;
      const body = trimmed ? codec.above(signal.body, aboveSlot) : signal.body;
      out = await this.applyOrQuarantine(incoming, body);
    } finally {
      metrics.applyingMs += world.monotonic() - from;
    }
    metrics.receivedBlocks += blocks.length;
    this.uncommitted.push(...blocks);
    this.uncommittedSeqs.push({ slot: signal.next.slot, seq: incoming.seq });
    this.chain = afterData(this.chain, signal.next, signal.finalSlot, blocks);
    metrics.blockTime = incoming.link.time;
    if (out !== null) await this.commit(out, incoming.seq);
    else this.o.log("debug", `${stage.name} gathers`, { blocks: this.uncommitted.length });
  }

  private async applyOrQuarantine(incoming: Incoming<In>, body: In): Promise<Out | null> {
    try {
      return this.o.stage.apply(body);
    } catch (error) {
      if (!(error instanceof Poison)) throw error;
      if (error.code.startsWith("WIRE_")) throw damaged(error, this.o.reader.name);
      this.countPoison(error);
      const position = incoming.link.next;
      this.o.log("error", "a batch cannot be processed: quarantined", { reason: error.message, slot: position.slot });
      await this.o.quarantine({ unit: this.o.unit, position, reason: error.message, bytes: incoming.raw() });
      return this.o.stage.apply(this.o.codec.empty(body));
    }
  }

  private countPoison(cause: Poison): void {
    const { metrics } = this.o;
    metrics.quarantined++;
    this.poisoned = [...this.poisoned.filter((n) => n > metrics.receivedBatches - 1000), metrics.receivedBatches];
    if (this.poisoned.length > POISON_PER_THOUSAND_MAX) {
      throw new Fatal("POISON_FLOOD", `${this.poisoned.length} of the last 1,000 batches could not be processed`, {
        hint: `Last: ${cause.message}. So many point to this program or its settings rather than to the data.`,
        cause,
        // Each try would let more of them pass without content.
        retry: "when asked",
      });
    }
  }

  private async commit(out: Out, inputSeq: number): Promise<void> {
    // A stage that gathers may commit only some of its messages: then the hint stays at what was committed whole before.
    const whole = this.uncommittedSeqs.length > 1 ? this.o.metrics.inputSeq : inputSeq;
    const step = this.step(this.chain.position!, whole);
    const stands = await this.timed(() => this.o.sink.commit(step, out));
    this.o.metrics.sentBatches++;
    const left = this.uncommitted.filter((b) => b.slot > stands.slot);
    this.o.metrics.sentBlocks += this.uncommitted.length - left.length;
    this.stand(stands, left);
  }

  /** Commits what the stage has gathered, without waiting for more. */
  private async flush(): Promise<void> {
    const out = this.o.stage.flush?.() ?? null;
    if (out !== null) await this.commit(out, this.uncommittedSeqs.at(-1)?.seq ?? this.o.metrics.inputSeq);
  }

  private async undo(to: Position, finalSlot: number, inputSeq: number): Promise<void> {
    this.chain = afterUndo(this.chain, to, finalSlot);
    const left = this.uncommitted.filter((b) => b.slot < to.slot || sameBlock(b, to));
    this.uncommittedSeqs.push({ slot: to.slot, seq: inputSeq });
    this.o.stage.undo?.(to);
    this.o.metrics.undos++;
    // A stage that gathers may not have committed what is taken back: then the sink has nothing to do with it.
    const gathering = this.committed === null || this.committed.slot < to.slot;
    if (gathering && this.o.stage.undo !== undefined) {
      this.uncommitted = left;
      return;
    }
    await this.timed(() => this.o.sink.rollback({ ...this.step(to, inputSeq), blocks: [] }));
    this.stand(to, []);
  }

  private async end(signal: Signal<In> & { kind: "end" }, inputSeq: number): Promise<void> {
    const out = this.o.stage.end?.() ?? null;
    if (out !== null) await this.commit(out, inputSeq);
    // Told before a restart, and nothing came since: once is enough.
    const told = this.head?.complete === true && sameBlock(this.head.position, this.chain.position);
    if (!told) await this.o.sink.end?.({ ...this.step(signal.next, inputSeq), blocks: [] });
    this.o.log("info", `the input is complete at ${formatBlock(signal.next)}`);
    this.o.onEnd?.(signal.next);
  }

  private step(next: Position, inputSeq: number): Step {
    return { prev: this.committed, next, finalSlot: this.chain.finalSlot, blocks: this.uncommitted, inputSeq };
  }

  private stand(position: Position, left: BlockRef[]): void {
    this.committed = position;
    this.uncommitted = left;
    // Up to the last message that is committed whole: a restart reads on from there.
    let inputSeq = this.o.metrics.inputSeq;
    let done = 0;
    while (
      done < this.uncommittedSeqs.length &&
      (left.length === 0 || this.uncommittedSeqs[done]!.slot <= position.slot)
    ) {
      inputSeq = this.uncommittedSeqs[done++]!.seq;
    }
    this.uncommittedSeqs = this.uncommittedSeqs.slice(done);
    this.tell(position, inputSeq);
  }

  private tell(position: Position | null, inputSeq: number): void {
    const { finalSlot } = this.chain;
    Object.assign(this.o.metrics, { position, finalSlot, inputSeq });
    if (this.o.onStanding === undefined) return;
    // The chain may be further on than the output: a stage gathers.
    const held = this.chain.recent.filter((b) => position !== null && b.slot <= position.slot);
    const recent = held.slice(
      Math.max(
        0,
        held.findLastIndex((b) => b.slot <= finalSlot),
      ),
    );
    this.o.onStanding({ position, finalSlot, inputSeq, recent });
  }

  private async timed<T>(action: () => Promise<T>): Promise<T> {
    const from = this.o.world.monotonic();
    try {
      return await action();
    } finally {
      this.o.metrics.committingMs += this.o.world.monotonic() - from;
    }
  }
}

function damaged(cause: Poison, where: string): Rewind {
  return new Rewind("DAMAGED_MESSAGE", cause.message, { where, cause });
}
