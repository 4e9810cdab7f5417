/**
 * The last steps of the feed, in memory: what clients that were away for a moment go on from. Bounded by steps and bytes;
 * older ones are read from the LIVE stream again.
 */
import type { FeedStep } from "../../pipeline/live-merge.ts";
import { type BlockRef, sameBlock } from "../../pipeline/position.ts";
import { type Frame, type ItemGroup, itemGroups } from "./items.ts";
import { behind, blockOf, type Place, placeText } from "./place.ts";

/** Rows of the steps held, as decoded. */
const BYTES_MAX = 64 * 1024 * 1024;
/** Steps whose messages are kept as made: many clients that come back at once ask for the same. */
const MADE_MAX = 64;

/** A step with what is made of it for clients, made once. */
export class HeldStep {
  readonly step: FeedStep;
  /** Where the feed stands behind it. */
  readonly place: Place;
  /** Bytes of its rows. */
  readonly bytes: number;
  private made: readonly ItemGroup[] | null = null;
  private final: Frame | null = null;

  constructor(step: FeedStep) {
    this.step = step;
    this.place = behind(step.kind === "block" ? step.block : step.to);
    this.bytes = step.kind === "gap" ? 0 : step.commits.reduce((sum, commit) => sum + commit.bytes, 0);
  }

  /** What it tells; empty for undos and gaps. */
  get groups(): readonly ItemGroup[] {
    this.made ??= this.step.kind === "block" ? itemGroups(this.step) : [];
    return this.made;
  }

  finalFrame(at: Place): Frame {
    this.final ??= {
      id: placeText(at),
      text: JSON.stringify({ type: "final", at, final_up_to: this.step.finalSlot }),
    };
    return this.final;
  }

  /** Makes the items again when they are asked for. */
  forgetItems(): void {
    this.made = null;
  }
}

export class FeedWindow {
  private readonly stepsMax: number;
  /** Number of the first step held; steps are numbered as they come. */
  private first = 0;
  private steps: HeldStep[] = [];
  private bytes = 0;
  /** Where the feed stood before the first step held; undefined: nobody knows. */
  private before: Place | undefined = undefined;

  constructor(stepsMax: number) {
    this.stepsMax = stepsMax;
  }

  /** Number that the next step will have. */
  get end(): number {
    return this.first + this.steps.length;
  }

  /** Nothing has come, and what comes follows this place. */
  beginAt(place: Place): void {
    this.before = place;
  }

  add(held: HeldStep): void {
    this.steps.push(held);
    this.bytes += held.bytes;
    this.steps.at(-1 - MADE_MAX)?.forgetItems();
    while (this.steps.length > this.stepsMax || (this.bytes > BYTES_MAX && this.steps.length > 1)) this.drop();
  }

  /** Undefined: it was dropped, or has not come yet. */
  at(number: number): HeldStep | undefined {
    return this.steps[number - this.first];
  }

  /**
   * Number of the step from which to go on for whoever has seen everything up to a place; the step itself holds the rest of
   * the block when the place is inside of it. Null when the place is not in the window.
   */
  resume(place: Place): number | null {
    for (let i = this.steps.length - 1; i >= 0; i--) {
      const { step, place: here } = this.steps[i]!;
      if (!sameBlock(here, place)) continue;
      if (place.ordinal === null) return this.first + i + 1;
      if (step.kind === "block") return this.first + i;
    }
    const isBefore = place.ordinal === null && this.before !== undefined && sameBlock(this.before, place);
    return isBefore ? this.first : null;
  }

  /** The block before the oldest step; null when that is the beginning, or nobody knows. */
  get oldest(): BlockRef | null {
    return this.before === undefined ? null : blockOf(this.before);
  }

  private drop(): void {
    const dropped = this.steps.shift()!;
    this.first++;
    this.bytes -= dropped.bytes;
    this.before = dropped.place;
  }
}
