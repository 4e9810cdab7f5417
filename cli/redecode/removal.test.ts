/** Goal: rows do not vanish unasked, while what is replaced, and a few, may. Method: changes as the lake would tell them. */
import { expect, test } from "bun:test";
import type { Corrected } from "../../storage/lake/correction.ts";
import { mustNotRemove, removals } from "./removal.ts";

const change = (dataset: string, rowsRemoved: number, rowsCompared: number): Corrected => ({
  ...{ dataset, slots: { first: 1, last: 2 }, rowsGone: rowsCompared, rowsCome: 0, rowsRemoved, rowsCompared },
  ...{ filesBefore: 1, filesAfter: 1 },
});

test("more than one in a hundred of a dataset is refused, over all stretches together", () => {
  const few = [change("trades", 1, 50), change("trades", 0, 50), change("quarantine", 0, 7)];
  expect(removals(few)).toEqual([]);
  expect(() => mustNotRemove(few)).not.toThrow();
  const many = [...few, change("buy_sell", 2, 150), change("buy_sell", 0, 49)];
  expect(removals(many)).toEqual([{ dataset: "buy_sell", rows: 2, of: 199 }]);
  expect(() => mustNotRemove(many)).toThrow(expect.objectContaining({ code: "REDECODE_REMOVES" }));
  expect(() => mustNotRemove([change("trades", 3, 3)])).toThrow("3 of 3 rows of trades");
});
