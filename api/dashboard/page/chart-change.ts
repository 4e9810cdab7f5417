/** What a chart that shows some candles has to be given to show others. Pure. */
import type { CandleRow } from "./answers.ts";

/**
 * The candles to put in place, when none but the newest of those drawn has another figure and the rest are newer; null when
 * all must be drawn: the chart's `update` replaces the newest or adds behind it, and refuses what is older.
 */
export function newestOnly(drawn: readonly CandleRow[], rows: readonly CandleRow[]): readonly CandleRow[] | null {
  const last = drawn.length - 1;
  if (last < 0 || rows[last]?.[0] !== drawn[last]![0]) return null;
  const from = firstDifference(drawn, rows);
  return from >= last ? rows.slice(from) : null;
}

function firstDifference(a: readonly CandleRow[], b: readonly CandleRow[]): number {
  const at = b.findIndex((row, i) => row !== a[i] && row.some((value, j) => value !== a[i]?.[j]));
  return at < 0 ? b.length : at;
}
