/**
 * A source as something the runner can read: single blocks become batches. Whatever is there when the runner asks goes
 * into one batch (many blocks while catching up, one when live), within limits; nobody waits for a batch to fill.
 */

import type { Stage } from "../stages/stage.ts";
import type { Head } from "../storage/sink.ts";
import { Fatal, Shutdown, Transient } from "./errors.ts";
import { type BlockMeta, type BlockRef, formatBlock, type Position, sameBlock } from "./position.ts";
import type { Incoming, Reader, Seek } from "./reader.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import type { BlockBatch, Signal } from "./wire/batch.ts";

export interface BatchLimits {
  readonly maxBlocks: number;
  readonly maxBytes: number;
}

/** What to do when what is stored came from a module with another hash. */
export type ModuleHashPolicy = "error" | "warn" | "ignore";

export class SourceReader implements Reader<BlockBatch> {
  readonly name: string;
  private readonly source: Source;
  private readonly limits: BatchLimits;
  private readonly checkModule: (stored: string) => void;
  private readonly onEmpty: () => void;

  /** `onEmpty`: the range is complete, and nothing was ever in it; so there is no block that a message could end with. */
  constructor(
    source: Source,
    limits: BatchLimits,
    checkModule: (stored: string) => void,
    onEmpty: () => void = () => undefined,
  ) {
    this.source = source;
    this.limits = limits;
    this.name = source.name;
    this.checkModule = checkModule;
    this.onEmpty = onEmpty;
  }

  async *read(head: Head | null, _seek: Seek, signal: AbortSignal): AsyncGenerator<Incoming<BlockBatch>> {
    if (head !== null) this.checkModule(head.position.moduleHash);
    // An empty cursor stands for the beginning.
    const from = head === null || head.position.cursor === "" ? null : head.position;
    // Closing must end a source that waits for its next block, also when the runner stops reading by itself.
    const closing = new AbortController();
    const feed = new Feed(this.source.blocks(from, AbortSignal.any([signal, closing.signal])), this.limits);
    const batcher = new Batcher(this.source.moduleHash, head);
    try {
      for (;;) {
        const items = await feed.take();
        if (items === null) return;
        for (const out of batcher.batches(items)) yield incoming(out);
        if (batcher.ended) {
          if (batcher.isEmpty) this.onEmpty();
          // A complete range stays complete: wait to be stopped instead of asking the provider again.
          await new Promise<void>((resolve) => {
            if (signal.aborted) resolve();
            signal.addEventListener("abort", () => resolve(), { once: true });
          });
          return;
        }
      }
    } finally {
      closing.abort(new Shutdown());
      await feed.close();
    }
  }
}

/** Ingest passes batches on as they are: the source is the stage. */
export const ingestStage: Stage<BlockBatch, BlockBatch> = { name: "ingest", apply: (batch) => batch };

export function moduleHashCheck(policy: ModuleHashPolicy, current: string, warn: (message: string) => void) {
  return (stored: string): void => {
    if (stored === current || policy === "ignore") return;
    const message = `the module's hash is ${current}, what is stored came from ${stored}`;
    if (policy === "warn") {
      warn(`${message}; going on with the stored cursor`);
      return;
    }
    throw new Fatal("MODULE_HASH", message, {
      where: "source.package",
      hint: "Use the package that the data came from, start a deployment of its own (nats.prefix, data.dir) for the new one, or set source.moduleHashPolicy to warn.",
    });
  };
}

function incoming(signal: Signal<BlockBatch>): Incoming<BlockBatch> {
  const blocks = signal.kind === "data" ? signal.body.blocks : [];
  const { kind, prev, next, finalSlot } = signal;
  const bytes = signal.kind === "data" ? signal.body.payloads.reduce((sum, p) => sum + p.length, 0) : 0;
  return {
    link: { kind, prev, next, finalSlot, blocks, time: blocks.at(-1)?.time ?? 0 },
    seq: 0,
    newest: true,
    bytes,
    signal: () => signal,
    raw: () => (signal.kind === "data" ? Buffer.concat(signal.body.payloads) : new Uint8Array(0)),
  };
}

/** Groups what came into chained signals, and checks that the source keeps its word on order. */
class Batcher {
  ended = false;
  private readonly moduleHash: string;
  private last: Position | null;
  private finalSlot: number;
  /** Blocks delivered and valid, oldest first; not all that ever were. */
  private known: BlockRef[];
  /** The last block that the source sent again, as long as nothing new has come after it. */
  private repeated: BlockRef | null = null;

  constructor(moduleHash: string, head: Head | null) {
    this.moduleHash = moduleHash;
    this.last = head?.position ?? null;
    this.finalSlot = Math.min(head?.finalSlot ?? 0, head?.position.slot ?? 0);
    this.known = [...(head?.recent ?? [])];
  }

  /** Nothing was ever delivered, now or before. */
  get isEmpty(): boolean {
    return this.last === null;
  }

  *batches(items: readonly BlockSignal[]): Generator<Signal<BlockBatch>> {
    let run: BlockItem[] = [];
    for (const item of items) {
      if (item.kind === "block") {
        if (this.isRepeat(item.block, run.at(-1)?.block ?? this.last)) {
          this.repeated = item.block;
          continue;
        }
        this.mustLeadBack(item.block);
        if (run.length > 0 && !sameType(run, item)) {
          yield this.data(run);
          run = [];
        }
        run.push(item);
        this.remember(item.block);
        continue;
      }
      if (run.length > 0) yield this.data(run);
      run = [];
      this.repeated = null;
      const prev = this.last;
      if (item.kind === "undo") {
        if (prev !== null && this.takeBack(item)) {
          yield { kind: "undo", prev, next: this.last!, finalSlot: this.finalSlot };
        }
      } else {
        this.ended = true;
        if (prev !== null) yield { kind: "end", prev, next: prev, finalSlot: this.finalSlot };
      }
    }
    if (run.length > 0) yield this.data(run);
  }

  private data(run: readonly BlockItem[]): Signal<BlockBatch> {
    const prev = this.last;
    const blocks = run.map(({ block }) => ({ ...block, finalSlot: this.lastFinal(block) }));
    const end = blocks.at(-1)!;
    this.last = { slot: end.slot, hash: end.hash, cursor: end.cursor, moduleHash: this.moduleHash };
    this.finalSlot = blocks.reduce((max, b) => Math.max(max, b.finalSlot), this.finalSlot);
    const typeName = run.find((item) => item.payload.length > 0)?.typeName ?? run[0]!.typeName;
    const body = { blocks, typeName, payloads: run.map((item) => item.payload) };
    return { kind: "data", prev, next: this.last, finalSlot: this.finalSlot, body };
  }

  /**
   * Goes back to the last block that we delivered and that is still valid; the source may name a later one, which it never
   * sent. False when nothing that was delivered is taken back.
   */
  private takeBack({ to }: Extract<BlockSignal, { kind: "undo" }>): boolean {
    const valid = this.known.findLast((b) => b.slot < to.slot || sameBlock(b, to)) ?? to;
    // Another block at the final slot itself takes the final one back as well.
    const final = this.known.findLast((b) => b.slot <= this.finalSlot);
    if (to.slot < this.finalSlot || valid.slot < (final?.slot ?? 0)) throw belowFinal(to, this.finalSlot);
    if (sameBlock(valid, this.last)) return false;
    this.known = this.known.filter((b) => b.slot <= valid.slot);
    this.last = { slot: valid.slot, hash: valid.hash, cursor: to.cursor, moduleHash: this.moduleHash };
    return true;
  }

  /**
   * Slot of the last final block that we know we delivered, at most that of `upTo` itself. The source may know of later ones, which
   * it left out or has yet to send; but whoever reads our stream a second time may on the way there meet forks again that
   * were abandoned: for them, finality counts up to where they stand.
   */
  private lastFinal(upTo: BlockMeta): number {
    const finalSlot = Math.min(upTo.finalSlot, upTo.slot);
    return Math.max(this.finalSlot, this.known.findLast((b) => b.slot <= finalSlot)?.slot ?? finalSlot);
  }

  private remember({ slot, hash }: BlockMeta): void {
    this.known.push({ slot, hash });
    if (this.known.length > 2_000) this.known.splice(0, 1_000);
  }

  /**
   * What is sent again must lead back to the last block that we delivered. New blocks before that mean that those between
   * were abandoned while the source stood below them, and that nobody will say so: asked from our cursor, it does.
   */
  private mustLeadBack(next: BlockMeta): void {
    const { repeated } = this;
    this.repeated = null;
    const delivered = this.known.at(-1);
    if (repeated === null || delivered === undefined || repeated.slot >= delivered.slot) return;
    const after = `after ${formatBlock(repeated)}, though ${formatBlock(delivered)} was sent before`;
    throw new Transient("SOURCE_ORDER", `the source sent block ${formatBlock(next)} ${after}`, {
      hint: "Reconnecting from the stored cursor.",
    });
  }

  /** Some servers send blocks at or below the cursor again: those are dropped. Others beside what we know mean trouble. */
  private isRepeat(block: BlockMeta, last: BlockRef | null): boolean {
    if (last === null || block.slot > last.slot) return false;
    const forgotten = block.slot < (this.known[0] ?? last).slot;
    if (forgotten || sameBlock(block, last) || this.known.some((b) => sameBlock(b, block))) return true;
    const message = `the source sent block ${formatBlock(block)} after ${formatBlock(last)} without an undo`;
    if (block.slot <= this.finalSlot) {
      throw new Fatal("FINAL_BLOCK_CHANGED", `${message}, below the final slot ${this.finalSlot}`, {
        hint: "The endpoint serves another chain than before. Check endpoint and network.",
      });
    }
    throw new Transient("SOURCE_ORDER", message, { hint: "Reconnecting from the stored cursor." });
  }
}

function belowFinal(to: BlockRef, finalSlot: number): Fatal {
  return new Fatal(
    "UNDO_BELOW_FINAL",
    `the source undoes to ${formatBlock(to)}, below the final block at ${finalSlot}`,
    {
      hint: "Finality was broken upstream, or the endpoint serves another network. Check it before going on.",
    },
  );
}

type BlockItem = Extract<BlockSignal, { kind: "block" }>;

/** A block without matches may come without a type; it fits anywhere. */
function sameType(run: readonly BlockItem[], item: BlockItem): boolean {
  const typed = run.find((other) => other.payload.length > 0);
  return typed === undefined || item.payload.length === 0 || typed.typeName === item.typeName;
}

/** Pulls from the source in the background, a bounded piece ahead, so that a batch takes all that is there. */
class Feed {
  private readonly iterator: AsyncIterator<BlockSignal>;
  private readonly limits: BatchLimits;
  private queue: BlockSignal[] = [];
  private queuedBytes = 0;
  private failure: { readonly error: unknown } | null = null;
  private done = false;
  private closed = false;
  private wakeReader: (() => void) | null = null;
  private wakePump: (() => void) | null = null;
  private readonly pumping: Promise<void>;

  constructor(items: AsyncIterable<BlockSignal>, limits: BatchLimits) {
    this.iterator = items[Symbol.asyncIterator]();
    this.limits = limits;
    this.pumping = this.pump();
  }

  /** Everything that fits into one batch; null when the source has ended. Rethrows the source's error after its items. */
  async take(): Promise<BlockSignal[] | null> {
    while (this.queue.length === 0) {
      if (this.failure !== null) throw this.failure.error;
      if (this.done) return null;
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
      this.wakeReader = null;
    }
    let count = 0;
    let bytes = 0;
    while (count < this.queue.length && count < this.limits.maxBlocks) {
      bytes += sizeOf(this.queue[count]!);
      if (count > 0 && bytes > this.limits.maxBytes) break;
      count++;
    }
    const taken = this.queue.splice(0, count);
    for (const item of taken) this.queuedBytes -= sizeOf(item);
    this.wakePump?.();
    return taken;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.wakePump?.();
    await this.iterator.return?.();
    await this.pumping;
  }

  private async pump(): Promise<void> {
    try {
      while (!this.closed) {
        const { done, value } = await this.iterator.next();
        if (done === true) break;
        this.queue.push(value);
        this.queuedBytes += sizeOf(value);
        this.wakeReader?.();
        while (
          !this.closed &&
          (this.queue.length >= 2 * this.limits.maxBlocks || this.queuedBytes >= 2 * this.limits.maxBytes)
        ) {
          await new Promise<void>((resolve) => {
            this.wakePump = resolve;
          });
          this.wakePump = null;
        }
      }
    } catch (error) {
      this.failure = { error };
    } finally {
      this.done = true;
      this.wakeReader?.();
    }
  }
}

function sizeOf(item: BlockSignal): number {
  return item.kind === "block" ? item.payload.length + 200 : 200;
}
