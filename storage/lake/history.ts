/**
 * How far the lake reaches back, for a backfill to join: what a source's live archive covers, where each of its backfills
 * stands, and which of the range that is asked for is still to be done. Read from the manifest alone, so any host can go on.
 */
import { Fatal } from "../../pipeline/errors.ts";
import { cover, overlap, type SlotRange } from "./coverage.ts";
import { isComplete, type Lineage, lineageId } from "./entry.ts";
import { Manifest } from "./manifest.ts";
import { slotsOf } from "./reader.ts";
import type { ObjectStore } from "./store.ts";

/** The lineage of one segment of history: `start` is its first slot, `stop` the first one after it. */
export function backfillLineage(source: string, start: number, stop: number): Lineage {
  return { kind: "backfill", source, dataset: "all", start, stop };
}

/** One segment that was begun: by its lineage's entries, or on this host, where nothing of it is in the lake yet. */
export interface Begun {
  readonly start: number;
  readonly stop: number;
  /** Slot up to which it has come; `start - 1`: nothing yet. */
  readonly slot: number;
}

export interface History {
  /** Slots that the live archive covers. */
  readonly live: readonly SlotRange[];
  readonly begun: readonly Begun[];
  /** Blocks received and slots covered, by the live archive and all backfills: how dense the chain is for this module. */
  readonly blocks: number;
  readonly slots: number;
}

export async function readHistory(store: ObjectStore, source: string): Promise<History> {
  let live: readonly SlotRange[] = [];
  const begun = new Map<string, Begun>();
  let [blocks, slots] = [0, 0];
  const manifest = new Manifest(store);
  await manifest.requireWhole();
  for await (const { entry } of manifest.after(null)) {
    const { lineage } = entry;
    // Raw blocks are no history of rows.
    if (
      lineage.dataset !== "all" ||
      lineage.source !== source ||
      (lineage.kind !== "live" && lineage.kind !== "backfill")
    )
      continue;
    const range = slotsOf(entry);
    blocks += entry.blocks;
    slots += range.last - range.first + 1;
    if (lineage.kind === "live") live = cover(live, range);
    else begun.set(lineageId(lineage), { start: lineage.start!, stop: lineage.stop!, slot: range.last });
  }
  return { live, begun: [...begun.values()].sort((a, b) => a.start - b.start), blocks, slots };
}

/** A segment that is to be filled, from the first slot that it lacks. */
export interface Segment {
  readonly start: number;
  readonly stop: number;
  readonly from: number;
}

export interface PlanOptions {
  /** The range: `from` is its first slot, `to` the first one after it. */
  readonly from: number;
  readonly to: number;
  /** Slots of a segment at most; a short range is divided so that each stream has one. */
  readonly segmentSlots: number;
  readonly streams: number;
}

/** A segment of less is not worth a stream of its own. */
const SEGMENT_SLOTS_MIN = 1_000;

/**
 * What is left to do of a range, in the order of slots; empty when all of it is in the lake. Segments that were begun are
 * gone on with as they are. Throws `Fatal` BACKFILL_COVERED when the lake holds a part of the range by other means,
 * BACKFILL_UNFINISHED when a segment that was begun reaches beyond the range.
 */
export function planBackfill(history: History, options: PlanOptions): Segment[] {
  const { from, to } = options;
  const claimed = history.begun.filter(({ start, stop }) => start < to && stop > from);
  const across = claimed.filter(({ start, stop }) => start < from || stop > to);
  const unfinished = across.find((segment) => !isDone(segment));
  if (unfinished !== undefined) throw unfinishedSegment(unfinished, options);
  const foreign = across
    .map(({ start, stop }) => ({ first: start, last: stop - 1 }))
    .reduce((ranges, range) => cover(ranges, range), history.live);
  const twice = overlap(foreign, { first: from, last: to - 1 });
  if (twice !== null) throw covered(foreign, options);
  const resumed = claimed
    .filter((segment) => !isDone(segment))
    .map(({ start, stop, slot }) => ({ start, stop, from: slot + 1 }));
  const taken = claimed.map(({ start, stop }) => ({ first: start, last: stop - 1 }));
  const fresh = gapsIn(taken, { first: from, last: to - 1 }).flatMap((gap) => divide(gap, options));
  return [...resumed, ...fresh].sort((a, b) => a.start - b.start);
}

function isDone({ start, stop, slot }: Begun): boolean {
  return isComplete(backfillLineage("", start, stop), slot);
}

/** What of `range` is in none of `ranges`. */
export function gapsIn(ranges: readonly SlotRange[], range: SlotRange): SlotRange[] {
  const gaps: SlotRange[] = [];
  let next = range.first;
  for (const { first, last } of ranges.reduce<readonly SlotRange[]>(cover, [])) {
    if (last < next || first > range.last) continue;
    if (first > next) gaps.push({ first: next, last: first - 1 });
    next = last + 1;
  }
  if (next <= range.last) gaps.push({ first: next, last: range.last });
  return gaps;
}

function divide({ first, last }: SlotRange, { segmentSlots, streams }: PlanOptions): Segment[] {
  const slots = last - first + 1;
  const count = Math.max(Math.ceil(slots / segmentSlots), Math.min(streams, Math.floor(slots / SEGMENT_SLOTS_MIN)));
  return Array.from({ length: count }, (_, i) => {
    const start = first + Math.floor((slots * i) / count);
    return { start, stop: first + Math.floor((slots * (i + 1)) / count), from: start };
  });
}

function covered(ranges: readonly SlotRange[], { from, to }: PlanOptions): Fatal {
  const range = { first: from, last: to - 1 };
  const held = ranges.filter(({ first, last }) => first <= range.last && last >= range.first);
  const free = gapsIn(ranges, range).map(({ first, last }) => `--from ${first} --to ${last + 1}`);
  const what = held.map(({ first, last }) => `${first} to ${last}`).join(", ");
  return new Fatal("BACKFILL_COVERED", `the lake covers slots ${what} already; asked for are ${from} to ${to - 1}`, {
    hint:
      free.length === 0 ? "Nothing of the range is missing." : `What is missing of the range: ${free.join(", or ")}.`,
  });
}

function unfinishedSegment({ start, stop, slot }: Begun, { from, to }: PlanOptions): Fatal {
  const what = `an earlier backfill of slots ${start} to ${stop - 1} stands at ${slot} and reaches beyond ${from} to ${to - 1}`;
  return new Fatal("BACKFILL_UNFINISHED", what, {
    hint: `Ask for a range that holds all of it: --from ${Math.min(from, start)} --to ${Math.max(to, stop)}.`,
  });
}
