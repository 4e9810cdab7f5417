/** Goal: the two windows hold what was counted in them, at any pace. Method: random blocks against sums over all that was ever added. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { LONG_SECONDS, SHORT_SECONDS, SlidingCounts } from "./sliding-counts.ts";

const START = 1_759_276_740;

test("sums of both windows, whatever the steps of block time", () => {
  const blocks = fc.array(
    fc.record({ wait: fc.oneof(fc.integer({ min: -20, max: 30 }), fc.integer({ min: 0, max: 5_000 })), n: fc.nat(9) }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(blocks, (steps) => {
      const counts = new SlidingCounts(2);
      const added: { time: number; n: number }[] = [];
      let time = START;
      let newest = START;
      for (const { wait, n } of steps) {
        time += wait;
        newest = Math.max(newest, time);
        counts.advance(time);
        counts.add(time, 1, n);
        added.push({ time, n });
        const within = (seconds: number) =>
          added
            .filter((a) => Math.floor(newest / 10) - Math.floor(a.time / 10) < seconds / 10)
            .reduce((sum, a) => sum + a.n, 0);
        expect([counts.short[1], counts.long[1]]).toEqual([within(SHORT_SECONDS), within(LONG_SECONDS)]);
        expect([counts.short[0], counts.long[0]]).toEqual([0, 0]);
      }
    }),
  );
});
