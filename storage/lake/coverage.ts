/** Ranges of slots that a lake covers: sorted, apart from each other, both ends included. */

export interface SlotRange {
  readonly first: number;
  readonly last: number;
}

/** The union of `ranges` with one more; neighbours are joined. */
export function cover(ranges: readonly SlotRange[], range: SlotRange): SlotRange[] {
  const before = ranges.filter((r) => r.last + 1 < range.first);
  const after = ranges.filter((r) => range.last + 1 < r.first);
  const touched = ranges.slice(before.length, ranges.length - after.length);
  const first = Math.min(range.first, touched[0]?.first ?? Infinity);
  const last = Math.max(range.last, touched.at(-1)?.last ?? -Infinity);
  return [...before, { first, last }, ...after];
}

/** The part of `range` that `ranges` cover already; null when they cover none of it. */
export function overlap(ranges: readonly SlotRange[], range: SlotRange): SlotRange | null {
  const touched = ranges.filter((r) => r.first <= range.last && range.first <= r.last);
  if (touched.length === 0) return null;
  return { first: Math.max(range.first, touched[0]!.first), last: Math.min(range.last, touched.at(-1)!.last) };
}

/** What of `range` lies in none of `others`, in order. */
export function without(range: SlotRange, others: readonly SlotRange[]): SlotRange[] {
  const parts: SlotRange[] = [];
  let first = range.first;
  for (const other of others.toSorted((a, b) => a.first - b.first)) {
    if (other.last < first) continue;
    if (other.first > range.last) break;
    if (other.first > first) parts.push({ first, last: other.first - 1 });
    first = other.last + 1;
  }
  if (first <= range.last) parts.push({ first, last: range.last });
  return parts;
}

/** Whether all of `range` lies in `ranges`. */
export function covers(ranges: readonly SlotRange[], range: SlotRange): boolean {
  return without(range, ranges).length === 0;
}

/** Whether a slot lies in one of `ranges`, which are sorted and apart from each other. */
export function includes(ranges: readonly SlotRange[], slot: number): boolean {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.last < slot) low = middle + 1;
    else high = middle;
  }
  return low < ranges.length && ranges[low]!.first <= slot;
}
