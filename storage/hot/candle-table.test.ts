/**
 * Goal: candles read as if each lay in a row of its own, whatever moves between the open and the closed ones, forks and
 * restarts included, and none lies in both. Method: the store against a plain map of rows, over drawn blocks.
 */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CANDLE_SECONDS, CANDLES, type CandleRow } from "../../pipeline/datasets/candles.ts";
import { rowKey } from "../../pipeline/datasets/key.ts";
import { liveCatalog, liveEncoder, liveTables, unpackLive } from "../../pipeline/live-message.ts";
import { HotReader } from "./reader.ts";
import type { HotStore } from "./store.ts";
import { address, CATALOG, candle, Lane, lines, meta } from "./store-fixture.ts";

const lanes: Lane[] = [];
afterEach(() => {
  for (const lane of lanes.splice(0)) lane.dispose();
});

function newLane(): Lane {
  const lane = new Lane();
  lanes.push(lane);
  return lane;
}

const block = (slot: number, fork = "") => ({ slot, fork, notes: [{ cells: { text: `${slot}${fork}` } }] });
const candleOf = (mint: number, interval: number, time: number, close: bigint): CandleRow => ({
  ...candle(mint, time, close),
  interval,
});
const put = (store: HotStore, row: CandleRow) => store.state.put(CANDLES.name, rowKey(CANDLES, row), row);

/** All candles as the file has them, by key. */
function stored(file: string): Map<string, CandleRow> {
  const reader = new HotReader(file);
  const rows = [...reader.tableRows(CANDLES.name)].flatMap((table) =>
    Array.from({ length: table.length }, (_, i) => table.row(i) as unknown as CandleRow),
  );
  reader.close();
  expect(new Set(rows.map((row) => rowKey(CANDLES, row))).size).toBe(rows.length);
  return new Map(rows.map((row) => [rowKey(CANDLES, row), row]));
}

const change = fc.record({
  mint: fc.integer({ min: 1, max: 2 }),
  interval: fc.constantFrom(CANDLE_SECONDS.s1, CANDLE_SECONDS.m1, CANDLE_SECONDS.d1),
  step: fc.integer({ min: 0, max: 3 }),
  close: fc.oneof(fc.bigInt(0n, 9n), fc.bigInt(1n << 64n, (1n << 127n) - 1n)),
  isDelete: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
});
const chain = fc.array(
  fc.record({
    changes: fc.array(change, { maxLength: 6 }),
    /** How many blocks are taken back after this one. */
    undone: fc.integer({ min: 0, max: 2 }),
    reopens: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    finalBehind: fc.integer({ min: 2, max: 4 }),
  }),
  { minLength: 1, maxLength: 12 },
);

test("the file holds what a map of rows would, after forks and restarts", async () => {
  await fc.assert(
    fc.asyncProperty(chain, async (blocks) => {
      const lane = newLane();
      let store = await lane.opened();
      /** Rows after each block that stands. */
      const past: { slot: number; fork: string; rows: Map<string, CandleRow> }[] = [
        { slot: 0, fork: "", rows: new Map() },
      ];
      let final = 0;
      await lane.commit(store, [block(0)], 0);
      for (const [i, { changes, undone, reopens, finalBehind }] of blocks.entries()) {
        const slot = i + 1;
        const rows = new Map(past.at(-1)!.rows);
        store.state.atBlock(meta(block(slot, `f${i}`)), final);
        for (const { mint, interval, step, close, isDelete } of changes) {
          const row = candleOf(mint, interval, step * interval, close);
          const key = rowKey(CANDLES, row);
          if (isDelete) {
            store.state.delete(CANDLES.name, key);
            rows.delete(key);
          } else {
            put(store, row);
            rows.set(key, row);
          }
        }
        final = Math.max(final, slot - finalBehind);
        await lane.commit(store, [block(slot, `f${i}`)], final);
        past.push({ slot, fork: `f${i}`, rows });
        expect(stored(lane.file)).toEqual(rows);
        const back = Math.min(undone, past.filter((p) => p.slot > final).length);
        if (back > 0) {
          past.splice(past.length - back);
          const to = past.at(-1)!;
          await lane.rollback(store, block(to.slot, to.fork));
          expect(stored(lane.file)).toEqual(to.rows);
        }
        if (reopens) {
          await store.close();
          store = await lane.opened();
        }
        for (const [key, row] of past.at(-1)!.rows) expect(store.state.get<CandleRow>(CANDLES.name, key)).toEqual(row);
      }
      await store.close();
    }),
    { numRuns: 25 },
  );
});

describe("a token's open candles", () => {
  test("are one row, however many intervals change", async () => {
    const lane = newLane();
    const store = await lane.opened();
    for (const slot of [1, 2, 3]) {
      store.state.atBlock(meta(block(slot)), 0);
      for (const interval of Object.values(CANDLE_SECONDS)) put(store, candleOf(1, interval, 0, BigInt(slot)));
      await lane.commit(store, [block(slot)]);
    }
    const db = new Database(lane.file, { readonly: true });
    const count = (table: string) => db.query(`SELECT count(*) AS n FROM ${table}`).get();
    expect(count("_candles_open")).toEqual({ n: 1 });
    expect(count("_candles_closed")).toEqual({ n: 0 });
    expect(count("_journal_candles_open")).toEqual({ n: 3 });
    expect(count("candles")).toEqual({ n: 8 });
    db.close();
    await store.close();
  });

  test("an undo tells those that are other than before it, and no more", async () => {
    const lane = newLane();
    const told: unknown[] = [];
    const catalog = liveCatalog(CATALOG);
    const encode = liveEncoder(CATALOG, { now: () => 0 });
    const store = await lane.opened({ encodeLive: encode });
    store.state.atBlock(meta(block(1)), 0);
    for (const [interval, close] of [
      [60, 1n],
      [3600, 1n],
    ] as const)
      put(store, candleOf(1, interval, 0, close));
    await lane.commit(store, [block(1)]);
    store.state.atBlock(meta(block(2)), 0);
    put(store, candleOf(1, 60, 60, 2n));
    await lane.commit(store, [block(2)]);
    await lane.rollback(store, block(1));
    for (const { kind, body } of store.pendingLive(9)) {
      if (kind !== "undo") continue;
      for (const [name, table] of liveTables(unpackLive(body), catalog))
        for (let i = 0; i < table.length; i++) told.push([name, table.row(i)["interval"], table.row(i)["time"]]);
    }
    // The minute at 0 had moved to the closed ones and is back: nobody could see that.
    expect(told).toEqual([["removed_candles", 60, 60n]]);
    expect(lines(store).filter((line) => line.startsWith("candles"))).toHaveLength(2);
    await store.close();
  });
});

test("one that is put again after the newer one is gone is the same candle", async () => {
  const lane = newLane();
  const store = await lane.opened();
  for (const [slot, change] of [
    () => put(store, candleOf(1, 60, 0, 1n)),
    () => put(store, candleOf(1, 60, 60, 2n)),
    () => store.state.delete(CANDLES.name, rowKey(CANDLES, candleOf(1, 60, 60, 0n))),
    () => put(store, candleOf(1, 60, 0, 3n)),
  ].entries()) {
    store.state.atBlock(meta(block(slot)), 0);
    change();
    await lane.commit(store, [block(slot)]);
  }
  expect([...stored(lane.file).values()]).toEqual([candleOf(1, 60, 0, 3n)]);
  await store.close();
});

test("pages hold closed and open ones in order, each once", async () => {
  const lane = newLane();
  const store = await lane.opened();
  store.state.atBlock(meta(block(1)), 1);
  const times = [0, 60, 120, 180, 240];
  for (const time of times) put(store, candleOf(1, 60, time, BigInt(time)));
  put(store, candleOf(2, 60, 300, 9n));
  await lane.commit(store, [block(1)], 1);
  const reader = new HotReader(lane.file);
  const read = (page: Parameters<HotReader["candles"]>[2]) =>
    reader.candles(address(1), 60, page).map(({ time }) => Number(time));
  for (const order of ["asc", "desc"] as const) {
    const all = order === "asc" ? times : times.toReversed();
    for (let limit = 1; limit <= 6; limit++) {
      for (let offset = 0; offset <= 6; offset++)
        expect(read({ order, limit, offset })).toEqual(all.slice(offset, offset + limit));
      for (const after of [...times, -60, 300]) {
        const rest = all.filter((time) => (order === "asc" ? time > after : time < after));
        expect(read({ order, limit, after })).toEqual(rest.slice(0, limit));
      }
    }
  }
  expect(reader.candleCount(address(1), 60)).toBe(5);
  expect(reader.candleCount(address(3), 60)).toBe(0);
  expect(reader.activity(1, 60, 120)).toEqual({ trades: 3, volume: 0n });
  reader.close();
  await store.close();
});

test("a candle of an interval that there is not is refused", async () => {
  const lane = newLane();
  const store = await lane.opened();
  store.state.atBlock(meta(block(1)), 0);
  put(store, { ...candleOf(1, 60, 0, 1n), interval: 7, mint: address(1) });
  await expect(lane.commit(store, [block(1)])).rejects.toThrow("interval");
});
