/**
 * Tells a client what came after the place where it goes on, at the client's pace, until it is at the head: from the window
 * in memory, or first from a reading of the LIVE stream of its own, as far back as that is kept.
 */
import { Poison, Transient } from "../../pipeline/errors.ts";
import type { LiveFeed } from "../../pipeline/live-feed.ts";
import type { FeedStep } from "../../pipeline/live-merge.ts";
import { sameBlock } from "../../pipeline/position.ts";
import type { World } from "../../pipeline/world.ts";
import { blockOf, type Place } from "./place.ts";
import { CLOSE, type Session } from "./session.ts";
import { type FeedWindow, HeldStep } from "./window.ts";

/** Readings of the stream that clients may have at once; others wait for their turn. */
const READINGS_MAX = 4;
/** Bytes that may wait for a client that catches up before it is given more. */
const WAITING_BYTES = 128 * 1024;
/** A place may be ahead of us: who read the hot store a moment ago knows more than the stream has told. */
const AHEAD_MS = 3_000;
const LOOK_MS = 20;
const DRAIN_LOOK_MS = 250;

export interface CatchUpOptions {
  readonly feed: () => Pick<LiveFeed, "read">;
  readonly world: Pick<World, "sleep" | "monotonic">;
  readonly window: FeedWindow;
  /** The highest slot that the feed has come to, forks included. */
  readonly highestSlot: () => number;
}

export class CatchUp {
  private readonly o: CatchUpOptions;
  private readings = 0;
  private readonly turns: (() => void)[] = [];

  constructor(options: CatchUpOptions) {
    this.o = options;
  }

  /**
   * `found` is called once the place was found; `atHead` once the client has been told everything, in the same turn of
   * the event loop, so that it can be told what comes next with the others. Rejects with `Poison` LIVE_POSITION when the
   * place is not held.
   */
  async run(session: Session, from: Place, found: () => void, atHead: () => void): Promise<void> {
    const { window } = this.o;
    await this.untilReached(session, from);
    let number = window.resume(from);
    let afterOrdinal = from.ordinal ?? 0;
    session.place = from;
    if (number !== null) found();
    else {
      number = await this.readUntilWindow(session, from, found);
      afterOrdinal = 0;
    }
    for (; number < window.end; number++) {
      const held = window.at(number);
      // It took so long that the window has moved on; the client's next attempt reads the stream.
      if (held === undefined) {
        session.close(CLOSE.tooSlow, "too slow to catch up; resume from your last position");
        return;
      }
      session.tell(held, afterOrdinal);
      afterOrdinal = 0;
      await this.room(session);
      if (session.closed.signal.aborted) return;
    }
    atHead();
  }

  /** Waits a moment for the feed to come to the place. */
  private async untilReached(session: Session, { slot }: Place): Promise<void> {
    const { world, highestSlot } = this.o;
    const until = world.monotonic() + AHEAD_MS;
    while (highestSlot() < slot && world.monotonic() < until && !session.closed.signal.aborted) {
      await world.sleep(LOOK_MS);
    }
  }

  /** Tells from the stream until the window can take over; gives the number of the step to go on with. */
  private async readUntilWindow(session: Session, from: Place, found: () => void): Promise<number> {
    await this.turn();
    const done = new AbortController();
    try {
      const signal = AbortSignal.any([done.signal, session.closed.signal]);
      const isIncluded = from.ordinal !== null;
      let isFirst = true;
      for await (const step of this.o.feed().read({ block: blockOf(from), isIncluded }, signal)) {
        if (isFirst) mustBegin(step, from);
        if (isFirst) found();
        const held = new HeldStep(step);
        session.tell(held, isFirst ? (from.ordinal ?? 0) : 0);
        isFirst = false;
        await this.room(session);
        const number = this.o.window.resume(held.place);
        if (number !== null) return number;
      }
      throw new Transient("LIVE_READING", "the reading of the live stream has ended");
    } finally {
      done.abort();
      this.readings--;
      this.turns.shift()?.();
    }
  }

  private async turn(): Promise<void> {
    while (this.readings >= READINGS_MAX) await new Promise<void>((resolve) => this.turns.push(resolve));
    this.readings++;
  }

  /** Waits until the client has taken most of what it was sent. */
  private async room(session: Session): Promise<void> {
    const { world } = this.o;
    const { signal } = session.closed;
    while (session.outlet.waiting > WAITING_BYTES && !signal.aborted) {
      await Promise.race([session.drain, world.sleep(DRAIN_LOOK_MS, signal).catch(() => undefined)]);
    }
  }
}

/** A place inside of a block is gone on from with the block itself. */
function mustBegin(step: FeedStep, from: Place): void {
  if (from.ordinal === null || (step.kind === "block" && sameBlock(step.block, from))) return;
  throw new Poison("LIVE_POSITION", `the live stream does not hold all of the block at slot ${from.slot}`);
}
