/** Goal: the lane's stage puts no more than it must and leaves nothing behind when it fails. Method: a counting Map as state. */
import { describe, expect, test } from "bun:test";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import { MINTS, newMint } from "../../pipeline/datasets/mints.ts";
import { address, blockOf, event, laneBatch, MapState } from "./lane-fixture.ts";
import { LaneStage } from "./lane-stage.ts";
import { SPINPET_EFFECTS } from "./spinpet.ts";

const swap = (price: bigint) => event("buy_sell", { sol_amount: 1n, latest_price: price });
const blocks = [10, 11, 12, 13].map((slot) => ({ ...blockOf(slot, swap(1n), swap(2n), swap(3n)), time: 1_000 }));

describe("the lane's stage", () => {
  test("puts each candle of final blocks once a batch, of others once a block", () => {
    const putsOf = (finalSlot: number) => {
      const state = new MapState();
      new LaneStage(state, SPINPET_EFFECTS).apply(laneBatch(blocks, finalSlot));
      return state.puts.filter((table) => table === CANDLES.name).length;
    };
    expect(putsOf(13)).toBe(8);
    expect(putsOf(11)).toBe(8 + 8 + 8);
    expect(putsOf(9)).toBe(8 * 4);
  });

  test("names every block to the state, empty ones too", () => {
    const state = new MapState();
    new LaneStage(state, SPINPET_EFFECTS).apply(laneBatch([blockOf(10), blockOf(11, swap(1n)), blockOf(12)], 10));
    expect(state.blocks).toEqual([10, 11, 12].map((slot) => ({ slot, finalSlot: 10 })));
  });

  test("hands the batch on as it is", () => {
    const batch = laneBatch(blocks);
    expect(new LaneStage(new MapState(), SPINPET_EFFECTS).apply(batch)).toBe(batch);
  });

  test("discards what it has put when it fails", () => {
    const state = new MapState();
    const failing = new Map([
      [
        "buy_sell",
        () => {
          throw new Error("broken effect");
        },
      ],
    ]);
    expect(() => new LaneStage(state, failing).apply(laneBatch(blocks))).toThrow("broken effect");
    expect(state.discarded).toBe(1);
  });

  test("refuses rows of a slot that the batch has no block of", () => {
    const { tables, blocks: metas } = laneBatch([blockOf(10, swap(1n)), blockOf(11, swap(1n))]);
    const stage = new LaneStage(new MapState(), SPINPET_EFFECTS);
    expect(() => stage.apply({ blocks: metas.slice(1), tables })).toThrow("no block");
    expect(() => stage.apply({ blocks: metas.slice(0, 1), tables })).toThrow("no block");
  });

  test("a row that names no token has no effect", () => {
    const state = new MapState();
    const batch = laneBatch([blockOf(10, event("milestone_discount", { mint: null }))]);
    new LaneStage(state, SPINPET_EFFECTS).apply(batch);
    expect(state.puts).toEqual([]);
  });

  test("tokens of programs without effects are listed from their first event on, once", () => {
    const state = new MapState();
    const plain = [
      blockOf(10, event("milestone_discount"), event("milestone_discount")),
      blockOf(11, event("milestone_discount")),
    ];
    new LaneStage(state, new Map()).apply(laneBatch(plain));
    expect(state.puts).toEqual([MINTS.name]);
    expect(state.mint()).toMatchObject({ first_slot: 10n, latest_price: null, name: null });
    new LaneStage(state, new Map()).apply(laneBatch([blockOf(12, event("milestone_discount"))]));
    expect(state.puts).toEqual([MINTS.name]);
  });

  test("a new token's row has every column of its dataset", () => {
    expect(Object.keys(newMint(address(1), 1n, 2n))).toEqual(MINTS.columns.map((c) => c.name));
  });
});
