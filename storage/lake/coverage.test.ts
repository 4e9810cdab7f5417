/** Goal: what ranges leave of another, and whether they hold a slot. Method: against sets of slots, slot by slot. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { cover, includes, type SlotRange, without } from "./coverage.ts";

const RANGE = fc.tuple(fc.nat(40), fc.nat(6)).map(([first, more]): SlotRange => ({ first, last: first + more }));
const slotsOf = (ranges: readonly SlotRange[]) =>
  ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));

test("without and includes say of every slot what a set of slots says", () => {
  fc.assert(
    fc.property(RANGE, fc.array(RANGE, { maxLength: 6 }), (range, others) => {
      const taken = new Set(slotsOf(others));
      expect(slotsOf(without(range, others))).toEqual(slotsOf([range]).filter((slot) => !taken.has(slot)));
      const covered = others.reduce<readonly SlotRange[]>(cover, []);
      for (let slot = 0; slot < 50; slot++) expect(includes(covered, slot)).toBe(taken.has(slot));
    }),
  );
});
