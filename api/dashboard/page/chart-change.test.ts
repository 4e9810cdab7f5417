/**
 * Goal: a chart shows the candles that are, also after forks, and is never given what it refuses. Method: a chart of the
 * library's rules in ten lines, taken through random histories of restated, removed and added candles.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import type { CandleRow } from "./answers.ts";
import { newestOnly } from "./chart-change.ts";

const candle = (time: number, close = 1): CandleRow => [time, 1, 1, 1, close, 1, 1];

test("the newest candle again, and those behind it, are put in place", () => {
  const drawn = [candle(1), candle(2)];
  expect(newestOnly(drawn, [candle(1), candle(2, 5)])).toEqual([candle(2, 5)]);
  expect(newestOnly(drawn, [candle(1), candle(2), candle(3)])).toEqual([candle(3)]);
  expect(newestOnly(drawn, [candle(1), candle(2, 5), candle(3)])).toEqual([candle(2, 5), candle(3)]);
  expect(newestOnly(drawn, [candle(1), candle(2)])).toEqual([]);
});

test("where the newest candle is another one, all are drawn: it would stay, or the older one be refused", () => {
  const drawn = [candle(1), candle(3)];
  expect(newestOnly(drawn, [candle(1), candle(2)])).toBeNull();
  expect(newestOnly(drawn, [candle(1), candle(4)])).toBeNull();
  expect(newestOnly(drawn, [candle(1)])).toBeNull();
  expect(newestOnly([], [candle(1)])).toBeNull();
});

/** As lightweight-charts has it: `update` takes the newest again, or a newer one. */
class Series {
  rows: CandleRow[] = [];
  update(row: CandleRow): void {
    const last = this.rows.at(-1);
    if (last !== undefined && row[0] < last[0]) throw new Error("Cannot update oldest data");
    if (last?.[0] === row[0]) this.rows.pop();
    this.rows.push(row);
  }
}

test("whatever follows whatever, the chart shows it", () => {
  const rows = fc
    .uniqueArray(fc.tuple(fc.nat(6), fc.nat(2)), { selector: ([time]) => time })
    .map((pairs) => pairs.sort(([a], [b]) => a - b).map(([time, close]) => candle(time, close)));
  fc.assert(
    fc.property(fc.array(rows, { maxLength: 8 }), (states) => {
      const series = new Series();
      let drawn: readonly CandleRow[] = [];
      for (const state of states) {
        const changed = newestOnly(drawn, state);
        if (changed === null) series.rows = [...state];
        else for (const row of changed) series.update(row);
        drawn = state;
        expect(series.rows).toEqual([...state]);
      }
    }),
  );
});
