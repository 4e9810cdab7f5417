/**
 * Goal: a lane's file holds whole commits or nothing, whoever writes and however it ends. Method: the sinks' conformance
 * suite, then the store's own promises one by one on real files.
 */

import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { CANDLES, type CandleRow } from "../../pipeline/datasets/candles.ts";
import { Fenced, Transient } from "../../pipeline/errors.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { sinkConformance } from "../sink.conformance.ts";
import { HotReader } from "./reader.ts";
import type { HotStore } from "./store.ts";
import { address, batch, candle, candleKey, Lane, lines, meta, positionOf, stepOf } from "./store-fixture.ts";

sinkConformance<RowBatch>("the hot store", async () => {
  const lane = new Lane();
  return {
    writer: () => lane.store(),
    out: (blocks) => ({
      blocks,
      tables: batch(blocks.map((b) => ({ slot: b.slot, notes: [{ cells: { text: b.hash } }] }))).tables,
    }),
    async content() {
      const reader = new HotReader(lane.file);
      const rows = [...reader.tableRows("notes")].flatMap((t) => Array.from({ length: t.length }, (_, i) => t.row(i)));
      reader.close();
      return rows.map((row) => ({ slot: Number(row.slot), hash: String(row.text) }));
    },
    crash: async () => undefined,
    dispose: async () => lane.dispose(),
  };
});

let lane: Lane;
let store: HotStore;
beforeEach(async () => {
  lane = new Lane();
  store = await lane.opened();
});
afterEach(async () => {
  await store.close();
  lane.dispose();
});

const block = (slot: number, fork = "") => ({ slot, fork, notes: [{}] });
const CLOSE = candleKey(1, 60);
const closeOf = (s: HotStore) => s.state.get<CandleRow>(CANDLES.name, CLOSE)?.close;
const putAt = (s: HotStore, slot: number, close: bigint, finalSlot = 0) => {
  s.state.atBlock(meta({ slot }), finalSlot);
  s.state.put(CANDLES.name, CLOSE, candle(1, 60, close));
};

describe("state", () => {
  test("is read from what was put, then from the file", async () => {
    expect(closeOf(store)).toBeUndefined();
    putAt(store, 1, 5n);
    expect(closeOf(store)).toBe(5n);
    await lane.commit(store, [block(1)]);
    expect(closeOf(store)).toBe(5n);
    const reopened = await lane.opened();
    expect(reopened.state.get<CandleRow>(CANDLES.name, CLOSE)).toEqual(candle(1, 60, 5n));
    await reopened.close();
  });

  test("a deleted row is gone at once and for good", async () => {
    putAt(store, 1, 5n);
    await lane.commit(store, [block(1)]);
    store.state.atBlock(meta({ slot: 2 }), 0);
    store.state.delete(CANDLES.name, CLOSE);
    expect(closeOf(store)).toBeUndefined();
    await lane.commit(store, [block(2)]);
    expect(closeOf(store)).toBeUndefined();
  });

  test("comes back as it was before each block that is undone", async () => {
    putAt(store, 1, 1n);
    await lane.commit(store, [block(1)], 1);
    putAt(store, 2, 2n);
    putAt(store, 3, 3n);
    store.state.delete(CANDLES.name, CLOSE);
    await lane.commit(store, [block(2), block(3)]);
    expect(closeOf(store)).toBeUndefined();
    await lane.rollback(store, block(2));
    expect(closeOf(store)).toBe(2n);
    await lane.rollback(store, block(1));
    expect(closeOf(store)).toBe(1n);
  });

  test("of final blocks is written once and leaves no journal", async () => {
    for (const slot of [1, 2, 3]) putAt(store, slot, BigInt(slot), 3);
    expect(store.state.segments.map((s) => s.slot)).toEqual([3]);
    await lane.commit(store, [block(1), block(2), block(3)], 3);
    const db = new Database(lane.file, { readonly: true });
    for (const table of ["_journal_candles_open", "_journal_rows", "_journal_mint_ids"]) {
      expect(db.query(`SELECT count(*) AS n FROM ${table}`).get()).toEqual({ n: 0 });
    }
    db.close();
  });

  test("the journal is dropped up to the final slot", async () => {
    for (const slot of [1, 2, 3, 4]) {
      putAt(store, slot, BigInt(slot));
      await lane.commit(store, [block(slot)], slot - 2);
    }
    const db = new Database(lane.file, { readonly: true });
    expect(db.query("SELECT DISTINCT _slot AS slot FROM _journal_candles_open ORDER BY 1").all()).toEqual([
      { slot: 3 },
      { slot: 4 },
    ]);
    expect(db.query("SELECT slot FROM _journal_rows ORDER BY 1").all()).toEqual([{ slot: 3 }, { slot: 4 }]);
    db.close();
  });

  test("what a failed stage has put is forgotten", async () => {
    putAt(store, 1, 5n);
    store.state.discard();
    expect(closeOf(store)).toBeUndefined();
    await lane.commit(store, [block(1)]);
    expect(closeOf(store)).toBeUndefined();
  });

  test("put for a block that the commit does not have is refused whole", async () => {
    putAt(store, 7, 5n);
    await expect(lane.commit(store, [block(1)])).rejects.toMatchObject({ code: "HOT_STEP" });
    expect(await store.open()).toBeNull();
    expect(closeOf(store)).toBeUndefined();
  });

  test("a cache too small for the rows changes nothing", async () => {
    const small = await lane.opened({ limits: { cacheRows: 1 } });
    for (const slot of [1, 2, 3]) {
      small.state.atBlock(meta({ slot }), 0);
      for (const time of [0, 60, 120]) {
        const before = small.state.get<CandleRow>(CANDLES.name, candleKey(1, time))?.close ?? 0n;
        small.state.put(CANDLES.name, candleKey(1, time), candle(1, time, before + BigInt(slot)));
      }
      await lane.commit(small, [block(slot)]);
    }
    expect(small.state.get<CandleRow>(CANDLES.name, candleKey(1, 0))?.close).toBe(6n);
    await small.close();
  });
});

describe("token numbers", () => {
  test("are undone with the block that used them first, also when a batch has many blocks", async () => {
    const of = (slot: number, ...mints: number[]) => ({ slot, notes: mints.map((mint) => ({ mint })) });
    await lane.commit(store, [of(1, 1)], 1);
    const before = lines(store);
    // Token 3 gets its state before token 2 gets its row: each must go with its own block all the same.
    store.state.atBlock(meta({ slot: 3 }), 0);
    store.state.put(CANDLES.name, candleKey(3, 60), candle(3, 60, 1n));
    store.state.put(CANDLES.name, candleKey(8, 60), candle(8, 60, 1n));
    await lane.commit(store, [of(2, 2), of(3, 3, 2)]);
    expect(lines(store).filter((l) => l.startsWith("tokens"))).toHaveLength(4);
    await lane.rollback(store, of(2));
    expect(lines(store).filter((l) => l.startsWith("tokens"))).toHaveLength(2);
    await lane.rollback(store, of(1));
    expect(lines(store)).toEqual(before);
    await lane.commit(store, [of(2, 9)]);
    const reader = new HotReader(lane.file);
    expect(reader.events(address(9), { order: "asc", limit: 9 })).toHaveLength(1);
    expect(reader.events(address(2), { order: "asc", limit: 9 })).toHaveLength(0);
    reader.close();
  });
});

describe("a failed commit", () => {
  test("leaves neither rows nor memory, and the store must be opened again", async () => {
    putAt(store, 1, 1n);
    await lane.commit(store, [block(1)]);
    const before = lines(store);
    putAt(store, 2, 2n);
    const wrong = stepOf(positionOf(meta({ slot: 9 })), [block(2)], 0);
    await expect(store.commit(wrong, batch([block(2)]))).rejects.toBeInstanceOf(Fenced);
    expect(() => closeOf(store)).toThrow("not open");
    await expect(store.commit(wrong, batch([block(2)]))).rejects.toMatchObject({ code: "HOT_NOT_OPEN" });
    await store.open();
    expect(closeOf(store)).toBe(1n);
    expect(lines(store)).toEqual(before);
  });

  test("from another cursor at the same block is fenced", async () => {
    await lane.commit(store, [block(1)]);
    const step = stepOf({ ...positionOf(meta(block(1))), cursor: "other" }, [block(2)], 0);
    await expect(store.commit(step, batch([block(2)]))).rejects.toBeInstanceOf(Fenced);
  });

  test("a writer that another has replaced cannot undo or expire either", async () => {
    await lane.commit(store, [block(1), block(2)], 2);
    const next = await lane.opened();
    const undo = { prev: lane.prev, next: positionOf(meta(block(2))), finalSlot: 0, blocks: [], inputSeq: 0 };
    expect(() => store.expire(2, 10)).toThrow(Fenced);
    await expect(store.rollback(undo)).rejects.toMatchObject({ code: "HOT_NOT_OPEN" });
    expect(next.expire(2, 10)).toBe(1);
    await next.close();
  });

  test("another process's lock is worth waiting for", async () => {
    const blocker = new Database(lane.file);
    blocker.run("BEGIN IMMEDIATE");
    const impatient = lane.store({ limits: { busyTimeoutMs: 20 } });
    const error = await impatient.open().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Transient);
    expect(error).toMatchObject({ code: "HOT_BUSY" });
    blocker.run("ROLLBACK");
    blocker.close();
    expect(await impatient.open()).toBeNull();
    await impatient.close();
  });

  test("a full disk loses nothing, and work goes on when there is room", async () => {
    const big = (slot: number) => ({ slot, notes: [{ cells: { blob: new Uint8Array(200_000).fill(slot) } }] });
    const small = await lane.opened({ limits: { fileBytesMax: 700_000 } });
    let slot = 0;
    let before: string[] = [];
    let failure: unknown;
    while (failure === undefined && slot < 20) {
      before = lines(small);
      failure = await lane.commit(small, [big(++slot)]).catch((e: unknown) => e);
    }
    expect(failure).toBeInstanceOf(Transient);
    expect(failure).toMatchObject({ code: "HOT_DISK_FULL" });
    expect((await small.open())!.position.slot).toBe(slot - 1);
    expect(lines(small)).toEqual(before);
    const roomy = await lane.opened();
    await lane.commit(roomy, [big(slot)]);
    expect(lines(roomy).filter((l) => l.startsWith("notes"))).toHaveLength(slot);
    await roomy.close();
  });
});

describe("rows", () => {
  test("are numbered without a gap, undo or not", async () => {
    await lane.commit(store, [block(1), block(2), block(3)]);
    await lane.rollback(store, block(1));
    await lane.commit(store, [block(2), block(3)]);
    const db = new Database(lane.file, { readonly: true });
    expect(db.query("SELECT _row FROM notes ORDER BY 1").values()).toEqual([[1], [2], [3]]);
    db.close();
  });

  test("of a dataset that is not in the catalog are refused", async () => {
    const { blocks, tables } = batch([block(1)]);
    const other = await lane.opened({ catalog: new Map() });
    const step = stepOf(null, [block(1)], 0);
    await expect(other.commit(step, { blocks, tables })).rejects.toMatchObject({ code: "HOT_DATASET" });
  });

  test("of a slot without a block are refused, and nothing of the batch is kept", async () => {
    const rows = batch([block(1), block(2)]);
    const step = stepOf(null, [block(1)], 0);
    await expect(store.commit(step, { blocks: rows.blocks.slice(0, 1), tables: rows.tables })).rejects.toThrow(
      "no block",
    );
    expect(await store.open()).toBeNull();
    expect(lines(store).filter((l) => l.startsWith("notes"))).toEqual([]);
  });
});

describe("expiry", () => {
  const slots = [1, 2, 3, 4, 5, 6];
  const trade = { dataset: "trades" } as const;
  const user = {
    user: address(1),
    mint: address(1),
    event: "notes",
    signature: new Uint8Array(64),
    instruction_path: "0",
    ordinal: 0,
  };
  const place = (slot: number) => ({ slot: BigInt(slot), block_time: 0n, tx_index: 0, event_index: 0 });

  test("deletes what is old and final in bounded pieces, and undo still works", async () => {
    for (const slot of slots) {
      store.state.atBlock(meta({ slot }), 0);
      store.state.put(
        "user_events",
        String.fromCharCode(...address(1), 0, 0, 0, 0, 0, 0, 0, slot, 0, 0, 0, 0, 0, 0, 0, 0),
        { ...user, ...place(slot) },
      );
      await lane.commit(store, [{ slot, notes: [{}, trade, { mint: null }] }], 4);
    }
    const pieces: number[] = [];
    for (let n = 0; (n = store.expire(100, 2)) > 0; ) pieces.push(n);
    // 4 final slots of 2 notes, 1 trade and 1 user event each; at most 2 rows and 2 user events at a time.
    expect(pieces.reduce((a, b) => a + b, 0)).toBe(16);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(4);
    const left = (name: string) => lines(store).filter((l) => l.startsWith(`${name} `)).length;
    expect([left("notes"), left("trades"), left("user_events"), left("ledger")]).toEqual([4, 2, 2, 2]);
    await lane.rollback(store, { slot: 5 });
    expect([left("notes"), left("trades"), left("user_events"), left("ledger")]).toEqual([2, 1, 1, 1]);
    await lane.commit(store, [block(6, "b")], 4);
    expect(left("notes")).toBe(3);
  });

  test("of candles goes by interval and time", async () => {
    store.state.atBlock(meta({ slot: 1 }), 1);
    for (const mint of [1, 2])
      for (const time of [0, 60, 120]) store.state.put(CANDLES.name, candleKey(mint, time), candle(mint, time, 1n));
    await lane.commit(store, [block(1)], 1);
    expect([store.countCandles(1, 120), store.countCandles(60, 120)]).toEqual([0, 4]);
    expect(store.expireCandles(1, 120, 100)).toBe(0);
    expect(store.expireCandles(60, 120, 3)).toBe(3);
    expect(store.expireCandles(60, 120, 3)).toBe(1);
    expect(lines(store).filter((l) => l.startsWith("candles"))).toHaveLength(2);
  });
});
