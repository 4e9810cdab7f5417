/**
 * Reads the LIVE stream from a block on, or from a little before its end, as one chain of blocks (`live-merge.ts`). Any
 * number of feeds may read at once; each is bounded by what its lanes may be ahead of each other.
 */
import type { Broker } from "./broker.ts";
import type { Delivery } from "./chunks.ts";
import { Poison } from "./errors.ts";
import type { FeedStart } from "./live-lane.ts";
import { type FeedStep, LiveMerge } from "./live-merge.ts";
import { liveCatalog } from "./live-message.ts";
import type { BlockRef } from "./position.ts";
import type { DatasetCatalog } from "./wire/batch.ts";
import type { BatchHeader } from "./wire/message.ts";

export interface LiveFeedOptions {
  readonly broker: Pick<Broker, "read" | "header" | "firstHeader">;
  readonly stream: string;
  /** Of each lane, in their order. */
  readonly subjects: readonly string[];
  /** The deployment's datasets. */
  readonly catalog: DatasetCatalog;
  /** Messages of each lane read from before the end, so that there is something to resume from. Default 64. */
  readonly recent?: number;
}

/**
 * When a block was told, the chain was settled at most so many slots before it: the search for it begins there. Many times
 * what Solana needs to make a block final (32).
 */
const UNFINAL_SLOTS = 512;

export class LiveFeed {
  private readonly o: LiveFeedOptions;
  private readonly catalog: DatasetCatalog;

  constructor(options: LiveFeedOptions) {
    this.o = options;
    this.catalog = liveCatalog(options.catalog);
  }

  /** Whether nothing can have been told: a block is told when all lanes have stored it. */
  async isEmpty(): Promise<boolean> {
    const { broker, stream, subjects } = this.o;
    const lasts = await Promise.all(subjects.map((subject) => broker.header(stream, { lastOn: subject })));
    return lasts.includes(null);
  }

  /** The block before the oldest that can be told; null when nothing is kept, or it is kept from the beginning. */
  async oldest(): Promise<BlockRef | null> {
    const { broker, stream, subjects } = this.o;
    const firsts = await Promise.all(subjects.map((subject) => broker.firstHeader(stream, subject, 1)));
    const blocks = firsts.flatMap((first) => (first?.header.prev == null ? [] : [first.header.prev]));
    const newest = blocks.reduce<BlockRef | null>((a, b) => (a === null || b.slot > a.slot ? b : a), null);
    return newest === null ? null : { slot: newest.slot, hash: newest.hash };
  }

  /**
   * Steps after a block (or with it), from the first block on, or from a little before the end, until `signal` aborts. Throws `Poison` LIVE_POSITION
   * when the stream does not hold the block (any more), `Transient` when the broker does not answer.
   *
   * `recentAfter`: the block told before, undefined for none. When the reading does not go on behind it, a gap is told.
   */
  async *read(
    from: FeedStart | { readonly recentAfter: BlockRef | null | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<FeedStep> {
    const { stream, subjects } = this.o;
    const start = "block" in from ? from : null;
    const told = "block" in from ? undefined : from.recentAfter;
    const merge = new LiveMerge(subjects.length, this.catalog, start, told);
    const stop = new AbortController();
    const lanes = subjects.map((subject) => {
      const readable = this.deliveries(subject, start, AbortSignal.any([signal, stop.signal]));
      return { readable, coming: null as Promise<Arrived> | null };
    });
    try {
      while (!signal.aborted) {
        const coming = lanes.flatMap((lane, i) => {
          if (lane.coming === null && merge.hasRoom(i)) lane.coming = arrival(i, lane.readable);
          return lane.coming === null ? [] : [lane.coming];
        });
        const { lane, delivery } = await Promise.race(coming);
        if (delivery === null) return;
        lanes[lane]!.coming = null;
        yield* merge.add(lane, delivery, delivery.newest);
        if (start !== null && !merge.hasBegun(lane)) mustCome(delivery, start.block, stream);
      }
    } finally {
      stop.abort();
      await Promise.all(lanes.map(({ coming, readable }) => settled(coming).then(() => readable.return(undefined))));
    }
  }

  private async *deliveries(subject: string, start: FeedStart | null, signal: AbortSignal): AsyncGenerator<Delivery> {
    const { broker, stream } = this.o;
    const fromSeq = start === null ? await this.recentSeq(subject) : await this.seqOf(subject, start.block);
    yield* broker.read(stream, { fromSeq, subject, signal });
  }

  private async recentSeq(subject: string): Promise<number> {
    const { broker, stream, subjects, recent = 64 } = this.o;
    const last = await broker.header(stream, { lastOn: subject });
    return last === null ? 1 : Math.max(1, last.seq - recent * subjects.length);
  }

  /** Where to begin reading. Throws `Poison` when what follows the block is not kept; before the first it may come yet. */
  private async seqOf(subject: string, block: BlockRef | null): Promise<number> {
    if (block !== null) return this.seqBefore(subject, block);
    const { broker, stream } = this.o;
    const first = await broker.firstHeader(stream, subject, 1);
    if (first !== null && first.header.prev !== null) throw notHeld(block, stream);
    return first?.seq ?? 1;
  }

  /** A sequence at or before the message that holds the block, found by halving. Throws `Poison` when there is none. */
  private async seqBefore(subject: string, block: BlockRef): Promise<number> {
    const { broker, stream } = this.o;
    const first = await broker.firstHeader(stream, subject, 1);
    const last = await broker.header(stream, { lastOn: subject });
    if (first === null || last === null || firstSlot(first.header) > block.slot) throw notHeld(block, stream);
    let low = first.seq;
    let high = last.seq;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const found = await broker.firstHeader(stream, subject, middle);
      if (found === null || settledSlot(found.header) >= block.slot - UNFINAL_SLOTS) high = middle;
      else low = found.seq + 1;
    }
    return low;
  }
}

interface Arrived {
  readonly lane: number;
  /** Null: the lane's reading has ended. */
  readonly delivery: Delivery | null;
}

async function arrival(lane: number, readable: AsyncGenerator<Delivery>): Promise<Arrived> {
  const { done, value } = await readable.next();
  return { lane, delivery: done === true ? null : value };
}

/** Waits for what is under way, however it ends: whoever reads has been told already. */
async function settled(coming: Promise<unknown> | null): Promise<void> {
  if (coming !== null) await Promise.allSettled([coming]);
}

/** The oldest block that a message tells of, or stands on. */
function firstSlot({ prev, blocks, next }: BatchHeader): number {
  return prev?.slot ?? blocks[0]?.[0] ?? next.slot;
}

/** Up to where the chain was settled when the message was told; it never goes back along a lane. */
function settledSlot({ final, next }: BatchHeader): number {
  return Math.min(final, next.slot);
}

/** Throws `Poison` when the block will not come any more. */
function mustCome({ header, newest }: Delivery, block: BlockRef | null, stream: string): void {
  if (newest || block === null || settledSlot(header) > block.slot) throw notHeld(block, stream);
}

function notHeld(block: BlockRef | null, stream: string): Poison {
  const what = block === null ? "its first block" : `the block ${block.hash} at slot ${block.slot}`;
  return new Poison("LIVE_POSITION", `the live stream does not hold ${what}`, {
    where: stream,
    hint: "It was dropped, or abandoned before it was told. Read the present state, and go on from its position.",
  });
}
