/** Goal: rows of several tables come in chain order, each once, and misplaced rows are refused. Method: small tables. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DatasetSpec } from "../datasets/dataset.ts";
import { ChainWalk } from "./chain-order.ts";
import { type Table, TableBuilder } from "./table.ts";

const PLACE: DatasetSpec = {
  name: "place",
  version: 1,
  doc: "",
  columns: [
    { name: "slot", type: "u64", doc: "" },
    { name: "tx_index", type: "u32", doc: "" },
    { name: "event_index", type: "u32", doc: "" },
  ],
  key: [],
  order: [],
};

type Place = readonly [slot: number, tx: number, event: number];
const byPlace = (a: Place, b: Place) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

function table(places: readonly Place[]): Table {
  const builder = new TableBuilder(PLACE);
  for (const [slot, tx, event] of places) {
    builder.appendCells({ slot: BigInt(slot), tx_index: tx, event_index: event });
  }
  return builder.finish();
}

describe("a walk in chain order", () => {
  test("merges any tables, earlier tables first at the same place", () => {
    const place = fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 3 }), fc.nat({ max: 3 }));
    fc.assert(
      fc.property(fc.array(fc.array(place, { maxLength: 20 }), { maxLength: 4 }), (lists) => {
        const sorted = lists.map((list) => list.toSorted(byPlace));
        const expected = sorted
          .flatMap((list, t) => list.map((p, row) => ({ t, row, p })))
          .toSorted((a, b) => byPlace(a.p, b.p) || a.t - b.t || a.row - b.row)
          .map(({ t, row }) => [t, row]);
        const seen: number[][] = [];
        const walk = new ChainWalk(sorted.map(table));
        for (let slot = 0; slot <= 5; slot++) walk.block(slot, (t, row) => seen.push([t, row]));
        walk.end();
        expect(seen).toEqual(expected);
      }),
    );
  });

  test("refuses rows out of order", () => {
    const walk = new ChainWalk([
      table([
        [7, 2, 0],
        [7, 1, 9],
      ]),
    ]);
    expect(() => walk.block(7, () => undefined)).toThrow("out of chain order");
  });

  test("refuses rows of no block", () => {
    const rows = [
      [7, 0, 0],
      [9, 0, 0],
    ] as const;
    expect(() => new ChainWalk([table(rows)]).block(8, () => undefined)).toThrow("no block");
    const walk = new ChainWalk([table(rows)]);
    walk.block(7, () => undefined);
    expect(() => walk.end()).toThrow("no block");
  });
});
