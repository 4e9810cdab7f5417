/** Goal: readers find what was committed, in order and page by page, on one snapshot. Method: a small lane, every listing. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import { rowKey } from "../../pipeline/datasets/key.ts";
import { MINTS, newMint } from "../../pipeline/datasets/mints.ts";
import { ORDERS, type OrderRow } from "../../pipeline/datasets/orders.ts";
import { USER_EVENTS, type UserEventRow } from "../../pipeline/datasets/user_events.ts";
import { type EventPoint, type HotEvent, HotReader, type Row } from "./reader.ts";
import type { HotStore } from "./store.ts";
import { address, candle, candleKey, Lane, meta } from "./store-fixture.ts";

const U64_MAX = (1n << 64n) - 1n;
const U128_MAX = (1n << 128n) - 1n;
const ALL = { order: "asc", limit: 100 } as const;

let lane: Lane;
let store: HotStore;
let reader: HotReader;
beforeEach(async () => {
  lane = new Lane();
  store = await lane.opened();
  reader = new HotReader(lane.file);
});
afterEach(async () => {
  reader.close();
  await store.close();
  lane.dispose();
});

async function commitState(slot: number, rows: readonly [spec: typeof MINTS, row: object][]): Promise<void> {
  store.state.atBlock(meta({ slot }), 0);
  for (const [spec, row] of rows) store.state.put(spec.name, rowKey(spec, row), row);
  await lane.commit(store, [{ slot, notes: [{ cells: { text: `${slot}` } }] }]);
}

const order = (pda: number, price: bigint, fields: Partial<OrderRow> = {}): [typeof ORDERS, OrderRow] => [
  ORDERS,
  {
    mint: address(1),
    order_pda: address(pda),
    order_type: 2,
    user: address(7),
    lock_lp_start_price: price,
    lock_lp_end_price: 0n,
    lock_lp_sol_amount: U64_MAX,
    lock_lp_token_amount: 0n,
    start_time: pda,
    end_time: 0,
    margin_sol_amount: 0n,
    borrow_amount: 0n,
    position_asset_amount: 0n,
    borrow_fee: 0,
    ...fields,
  },
];

test("a lane that has no file yet is worth waiting for", () => {
  expect(() => new HotReader(`${lane.file}.none`)).toThrow(
    expect.objectContaining({ code: "HOT_MISSING", kind: "transient" }),
  );
});

test("a sound file has no problems", async () => {
  await lane.commit(store, [{ slot: 1, notes: [{}] }]);
  expect(reader.problems()).toEqual([]);
});

test("the version changes with every commit, also one of another process, and with nothing else; a snapshot keeps its own", async () => {
  const versions = [reader.version()];
  for (let slot = 1; slot <= 40; slot++) {
    await lane.commit(store, [{ slot, notes: [{}] }]);
    // The log is emptied into the file now and then, and begun anew.
    if (slot % 7 === 0) store.checkpoint();
    versions.push(reader.version());
    expect(reader.version()).toBe(versions.at(-1)!);
  }
  expect(new Set(versions).size).toBe(41);
  await lane.rollback(store, { slot: 39 });
  expect(versions).not.toContain(reader.version());
  const before = reader.version();
  const other = new HotReader(lane.file);
  await reader.read(() => {
    expect(reader.version()).toBe(before);
    const committed = lane.commit(store, [{ slot: 41 }]);
    expect([reader.version(), other.version() === before]).toEqual([before, false]);
    return committed;
  });
  expect(reader.version()).toBe(other.version());
  other.close();
});

test("where the lane stands: nowhere, then at its position, with the time that is final", async () => {
  expect(reader.stand()).toBeNull();
  await lane.commit(store, [{ slot: 5 }, { slot: 6 }, { slot: 7 }], 6);
  expect(reader.stand()).toEqual({
    position: { slot: 7, hash: "7", cursor: "c7", moduleHash: "m" },
    finalSlot: 6,
    finalTime: 1_700_000_006,
    headTime: expect.any(Number),
    version: expect.any(String),
  });
});

describe("events of a token", () => {
  const text = ({ row }: HotEvent) => row.text;
  beforeEach(async () => {
    const notes = (slot: number, ...mints: number[]) => ({
      slot,
      notes: mints.map((mint, i) => ({ mint, cells: { text: `${slot}.${i}` } })),
    });
    await lane.commit(store, [notes(1, 1, 2, 1), notes(2, 2), notes(3, 1, 1)]);
  });

  test("come in chain order or from the newest", () => {
    expect(reader.events(address(1), ALL).map(text)).toEqual(["1.0", "1.2", "3.0", "3.1"]);
    expect(reader.events(address(1), { order: "desc", limit: 3 }).map(text)).toEqual(["3.1", "3.0", "1.2"]);
    expect(reader.events(address(9), ALL)).toEqual([]);
  });

  test.each(["asc", "desc"] as const)("page by page without loss or repeat, %s", (direction) => {
    const seen: unknown[] = [];
    let after: EventPoint | undefined;
    for (;;) {
      const page = reader.events(address(1), { order: direction, limit: 1, ...(after === undefined ? {} : { after }) });
      if (page.length === 0) break;
      const { row } = page[0]!;
      seen.push(row.text);
      after = { slot: Number(row.slot), txIndex: Number(row.tx_index), eventIndex: Number(row.event_index) };
    }
    const all = ["1.0", "1.2", "3.0", "3.1"];
    expect(seen).toEqual(direction === "asc" ? all : all.reverse());
  });

  test("have the trade that an event made beside them, not among them", async () => {
    const trade = (price: bigint) => ({ dataset: "trades", mint: 4, cells: { price, quote_amount: 1n } }) as const;
    await lane.commit(store, [
      { slot: 4, notes: [{ mint: 4 }, trade(U128_MAX), { mint: 4 }] },
      { slot: 5, notes: [trade(3n)] },
    ]);
    expect(reader.events(address(4), ALL).map((e) => [e.dataset, e.row.slot])).toEqual([
      ["notes", 4n],
      ["notes", 4n],
      ["trades", 5n],
    ]);
    expect(reader.trades(address(4), ALL).map((row) => row.price)).toEqual([U128_MAX, 3n]);
    expect(reader.trades(address(4), { order: "desc", limit: 1 }).map((row) => row.price)).toEqual([3n]);
  });

  test("a trade of another token at the place of an event has a ledger row of its own", async () => {
    await lane.commit(store, [{ slot: 4, notes: [{ mint: 4 }, { dataset: "trades", mint: 5, cells: { price: 2n } }] }]);
    expect(reader.events(address(4), ALL).map((e) => e.dataset)).toEqual(["notes"]);
    expect(reader.trades(address(4), ALL)).toEqual([]);
    expect(reader.trades(address(5), ALL).map((row) => row.price)).toEqual([2n]);
  });
});

describe("state", () => {
  test("of a token", async () => {
    const row = {
      ...newMint(address(3), 1n, 2n),
      total_sol_amount: U64_MAX,
      latest_price: U128_MAX,
      name: "a\0b\u{1f600}",
    };
    await commitState(1, [[MINTS, row]]);
    expect(reader.mint(address(3))).toEqual(row as unknown as Row);
    expect(reader.mint(address(4))).toBeNull();
  });

  test("tokens by first slot, then address, page by page", async () => {
    const seenAt = (mint: number, slot: bigint): [typeof MINTS, object] => [MINTS, newMint(address(mint), slot, 0n)];
    await commitState(9, [seenAt(5, 2n), seenAt(4, 2n), seenAt(6, 1n), seenAt(3, 3n)]);
    const mints = (rows: Row[]) => rows.map((row) => (row.mint as Uint8Array)[0]);
    expect(mints(reader.mints(ALL))).toEqual([6, 4, 5, 3]);
    expect(mints(reader.mints({ order: "desc", limit: 3 }))).toEqual([3, 5, 4]);
    expect(mints(reader.mints({ ...ALL, after: { firstSlot: 2, mint: address(4) } }))).toEqual([5, 3]);
    expect(mints(reader.mints({ order: "desc", limit: 9, after: { firstSlot: 2, mint: address(5) } }))).toEqual([4, 6]);
  });

  test("orders of a side by price, however large, and of a user by time", async () => {
    await commitState(1, [
      order(1, U128_MAX),
      order(2, 5n),
      order(3, 1n << 64n),
      order(4, 9n, { order_type: 1, user: address(8) }),
    ]);
    const pdas = (rows: Row[]) => rows.map((row) => (row.order_pda as Uint8Array)[0]);
    expect(pdas(reader.orders(address(1), 2, { ...ALL, offset: 0 }))).toEqual([2, 3, 1]);
    expect(pdas(reader.orders(address(1), 2, { order: "desc", limit: 1, offset: 1 }))).toEqual([3]);
    expect(pdas(reader.orders(address(1), 1, { ...ALL, offset: 0 }))).toEqual([4]);
    expect(pdas(reader.userOrders(address(7), null, { order: "desc", limit: 9, offset: 0 }))).toEqual([3, 2, 1]);
    expect(pdas(reader.userOrders(address(7), address(1), { ...ALL, offset: 2 }))).toEqual([3]);
    expect(reader.userOrders(address(7), address(2), { ...ALL, offset: 0 })).toEqual([]);
    expect(reader.orders(address(1), 2, { ...ALL, offset: 0 })[0]).toEqual(order(2, 5n)[1] as unknown as Row);
  });

  test("events of a user", async () => {
    const row = (slot: bigint, event_index: number): [typeof USER_EVENTS, UserEventRow] => [
      USER_EVENTS,
      {
        user: address(7),
        slot,
        tx_index: 1,
        event_index,
        mint: address(1),
        event: "notes",
        block_time: 5n,
        signature: new Uint8Array(64).fill(3),
        instruction_path: "2.0",
        ordinal: 0,
      },
    ];
    await commitState(1, [row(1n, 5)]);
    await commitState(2, [row(2n, 1), row(2n, 0)]);
    const places = (rows: Row[]) => rows.map((r) => `${r.slot}.${r.event_index}`);
    expect(places(reader.userEvents(address(7), null, ALL))).toEqual(["1.5", "2.0", "2.1"]);
    const after = { slot: 2, txIndex: 1, eventIndex: 1 };
    expect(places(reader.userEvents(address(7), address(1), { order: "desc", limit: 9, after }))).toEqual([
      "2.0",
      "1.5",
    ]);
    expect(reader.userEvents(address(8), null, ALL)).toEqual([]);
    expect(reader.userEvents(address(7), address(2), ALL)).toEqual([]);
  });

  test("candles by time", async () => {
    await commitState(
      1,
      [60, 0, 120].map((time) => [CANDLES, candle(1, time, BigInt(time))]),
    );
    const times = (rows: Row[]) => rows.map((row) => row.time);
    expect(times(reader.candles(address(1), 60, { order: "desc", limit: 2 }))).toEqual([120n, 60n]);
    expect(times(reader.candles(address(1), 60, { ...ALL, after: 0 }))).toEqual([60n, 120n]);
    expect(reader.candles(address(1), 30, ALL)).toEqual([]);
  });
});

describe("tables in columns", () => {
  test("events above a slot, in chain order, in pieces", async () => {
    const many = Array.from({ length: 50 }, (_, i) => ({
      slot: 10 + i,
      notes: Array.from({ length: 100 }, () => ({})),
    }));
    await lane.commit(store, many, 0);
    const slots = (slot?: number) =>
      [...reader.tableRows("notes", slot)].flatMap((t) =>
        Array.from({ length: t.length }, (_, i) => t.column("slot").number(i)),
      );
    const all = many.flatMap(({ slot }) => Array.from({ length: 100 }, () => slot));
    expect(slots()).toEqual(all);
    expect(slots(57)).toEqual(all.filter((slot) => slot > 57));
    expect(slots(59)).toEqual([]);
    expect(slots(3)).toEqual(all);
    expect([...reader.tableRows("notes")].length).toBe(2);
  });

  test("state whole, and no dataset that is not there", async () => {
    await commitState(1, [[CANDLES, candle(1, 0, 1n)]]);
    expect([...reader.tableRows("candles")].map((t) => t.row(0))).toEqual([candle(1, 0, 1n) as unknown as Row]);
    expect([...reader.tableRows("orders")]).toEqual([]);
    expect(() => [...reader.tableRows("nothing")]).toThrow("no dataset");
  });

  test("one snapshot, whatever is committed meanwhile, and let go when left", async () => {
    await lane.commit(store, [{ slot: 1, notes: Array.from({ length: 5_000 }, () => ({})) }]);
    const pieces = reader.tableRows("notes");
    const first = pieces.next().value!;
    await lane.commit(store, [{ slot: 2, notes: [{}] }]);
    expect(reader.stand()!.position.slot).toBe(1);
    const rest = [...pieces].reduce((sum, table) => sum + table.length, 0);
    expect(first.length + rest).toBe(5_000);
    expect(reader.stand()!.position.slot).toBe(2);
    for (const _ of reader.tableRows("notes")) break;
    await lane.commit(store, [{ slot: 3 }]);
    expect(reader.stand()!.position.slot).toBe(3);
  });

  test("several reads see one state", async () => {
    await commitState(1, [[CANDLES, candle(1, 0, 1n)]]);
    await reader.read(() => {
      expect(reader.stand()!.position.slot).toBe(1);
      store.state.atBlock(meta({ slot: 2 }), 0);
      store.state.put(CANDLES.name, candleKey(1, 0), candle(1, 0, 9n));
      const committed = lane.commit(store, [{ slot: 2 }]);
      expect(reader.candles(address(1), 60, ALL)[0]!.close).toBe(1n);
      return committed;
    });
    expect(reader.candles(address(1), 60, ALL)[0]!.close).toBe(9n);
  });
});
