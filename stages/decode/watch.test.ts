/**
 * Goal: alarms come within a minute of stream time after a program's upgrade, keep the payloads, do not come before, and do
 * not depend on how blocks are batched. Method: simulated chains in which the program grows, and counters made by hand.
 */
import { describe, expect, test } from "bun:test";
import type { BlockMeta } from "../../pipeline/position.ts";
import { type GrownAt, OUTPUTS, Simulation } from "../../simulator/index.ts";
import { SPINPET } from "./programs/spinpet.ts";
import { readBlock } from "./response-fixture.ts";
import { DecodeStage } from "./stage.ts";
import { DecodeWatch, type WatchedCounts } from "./watch.ts";

const UPGRADE = 370_500_300;

/** Decodes a chain of 800 blocks in batches of `size`; forks are decoded like everything else. */
function decodeChain(grows: { fromSlot: number; at: GrownAt } | null, size = 1, keepLonger = true) {
  const simulation = new Simulation({
    ...{ seed: 21, blocks: 800, output: "transactions", truth: false },
    ...(grows === null ? {} : { grows }),
  });
  const stage = new DecodeStage({ programs: [SPINPET], keepLonger });
  const kept: { reason: string; slot: number; bytes: number }[] = [];
  let blocks: BlockMeta[] = [];
  let payloads: Uint8Array[] = [];
  let upgradedAt = Number.POSITIVE_INFINITY;
  let rows = 0;
  const flush = () => {
    const { tables } = stage.apply({ blocks, payloads, typeName: OUTPUTS.transactions.typeName });
    const quarantine = tables.get("quarantine");
    rows += tables.get("buy_sell")?.length ?? 0;
    for (let i = 0; i < (quarantine?.length ?? 0); i++) {
      const row = quarantine!.row(i);
      const payload = row["payload"] as Uint8Array;
      kept.push({ reason: String(row["reason"]), slot: Number(row["slot"]), bytes: payload.length });
    }
    [blocks, payloads] = [[], []];
  };
  for (const { kind, response } of simulation.messages()) {
    if (kind === "undo") continue;
    const { block, payload } = readBlock(response);
    if (block.slot >= UPGRADE) upgradedAt = Math.min(upgradedAt, block.time);
    blocks.push(block);
    payloads.push(payload);
    if (blocks.length === size) flush();
  }
  flush();
  return { stage, kept, upgradedAt, rows };
}

describe("a program that grows in mid-chain", () => {
  test("nothing is wrong while it does not", () => {
    const { stage } = decodeChain(null);
    expect(stage.watch.changes).toEqual([]);
    const { shares, datasets, lastDecodedSlot } = stage.health().programs["spinpet"]!;
    expect(shares.fiveMinutes).toBeGreaterThan(0.95);
    expect(datasets["buy_sell"]!.seen).toBeGreaterThan(1_000);
    expect(datasets["buy_sell"]!.lastDecodedSlot).toBeGreaterThan(370_500_700);
    expect(lastDecodedSlot).toBeGreaterThanOrEqual(datasets["buy_sell"]!.lastDecodedSlot);
  });

  test.each<[GrownAt]>([["end"], ["middle"]])("at the %s: an alarm within a minute, every payload kept", (at) => {
    const { stage, kept, upgradedAt } = decodeChain({ fromSlot: UPGRADE, at });
    const layout = stage.watch.changes.find(({ alarm }) => alarm.kind === "unknown_layout")!;
    expect(layout).toMatchObject({ change: "raised", alarm: { program: "spinpet", dataset: "buy_sell" } });
    expect(layout.slot).toBeGreaterThanOrEqual(UPGRADE);
    expect(layout.time - upgradedAt).toBeLessThan(60);
    expect(stage.health().alarms.map(({ id }) => id)).toContain("unknown_layout/spinpet/buy_sell");
    const grown = kept.filter(({ bytes }) => bytes === 8 + 97 + 40);
    expect(grown.every(({ slot }) => slot >= UPGRADE)).toBe(true);
    const { eventsWithBytesLeftOver, badValue } = stage.health().programs["spinpet"]!.datasets["buy_sell"]!;
    expect(grown.length).toBe(eventsWithBytesLeftOver + badValue);
    expect(grown.length).toBeGreaterThan(500);
  });

  test("behind the others, the row has what is known; between them, nothing decodes and the share falls", () => {
    const end = decodeChain({ fromSlot: UPGRADE, at: "end" });
    expect(end.rows).toBe(decodeChain(null).rows);
    expect(end.stage.watch.alarms.map(({ kind }) => kind)).toEqual(["unknown_layout"]);
    const middle = decodeChain({ fromSlot: UPGRADE, at: "middle" });
    const share = middle.stage.watch.changes.find(({ alarm }) => alarm.kind === "share_fell")!;
    expect(share.alarm.dataset).toBeNull();
    expect(share.time - middle.upgradedAt).toBeLessThan(60);
  });

  test("the same alarms at the same blocks, however the blocks come", () => {
    const changes = (size: number) => decodeChain({ fromSlot: UPGRADE, at: "middle" }, size).stage.watch.changes;
    expect(changes(32)).toEqual(changes(1));
  });

  test("what is longer need not be kept", () => {
    const { stage, kept } = decodeChain({ fromSlot: UPGRADE, at: "end" }, 32, false);
    expect(kept.filter(({ reason }) => reason === "bytes_left_over")).toEqual([]);
    expect(stage.watch.alarms.length).toBe(1);
  });
});

describe("rules", () => {
  const none: WatchedCounts = { seen: 0, understood: 0, grown: 0, misfit: 0 };
  /** One block a second, each with these payloads. */
  function watchOf(dataset: string | null, rules?: ConstructorParameters<typeof DecodeWatch>[1]) {
    let counts = none;
    let time = 1_759_276_740;
    let slot = 0;
    const watch = new DecodeWatch([{ program: "p", dataset, counts: () => counts }], rules);
    const feed = (blocks: number, each: Partial<WatchedCounts>) => {
      for (let i = 0; i < blocks; i++) {
        const plus = (field: keyof WatchedCounts) => counts[field] + (each[field] ?? 0);
        counts = { seen: plus("seen"), understood: plus("understood"), grown: plus("grown"), misfit: plus("misfit") };
        watch.block(++slot, ++time);
      }
    };
    return { watch, feed };
  }

  test("a share that falls and recovers: one alarm, then it is over", () => {
    const { watch, feed } = watchOf(null);
    feed(600, { seen: 10, understood: 10 });
    feed(60, { seen: 10, understood: 4 });
    expect(watch.changes.map(({ change }) => change)).toEqual(["raised"]);
    feed(400, { seen: 10, understood: 10 });
    expect(watch.changes.map(({ change, serial }) => [serial, change])).toEqual([
      [1, "raised"],
      [2, "cleared"],
    ]);
    expect(watch.alarms).toEqual([]);
    expect(watch.shares("p", null).fiveMinutes).toBe(1);
  });

  test("a low share is judged only on enough payloads; where low is usual, a fall below the hour's still counts", () => {
    const few = watchOf(null);
    few.feed(9, { seen: 10, understood: 0 });
    expect(few.watch.alarms).toEqual([]);
    few.feed(1, { seen: 10, understood: 0 });
    expect(few.watch.alarms.length).toBe(1);
    const usual = watchOf(null, { sharePercent: 30, dropPercent: 10, payloads: 100 });
    usual.feed(3_000, { seen: 10, understood: 6 });
    expect(usual.watch.alarms).toEqual([]);
    usual.feed(120, { seen: 10, understood: 4 });
    expect(usual.watch.alarms).toEqual([]);
    usual.feed(180, { seen: 10, understood: 4 });
    expect(usual.watch.alarms.length).toBe(1);
  });

  test("a single longer event is a layout that nobody knows; an hour without one, and it is over", () => {
    const { watch, feed } = watchOf("d");
    feed(10, { seen: 10, understood: 10 });
    feed(1, { seen: 10, understood: 10, grown: 1 });
    expect(watch.alarms).toMatchObject([{ id: "unknown_layout/p/d", slot: 11 }]);
    feed(3_590, { seen: 1, understood: 1 });
    expect(watch.alarms.length).toBe(1);
    feed(20, { seen: 1, understood: 1 });
    expect(watch.alarms).toEqual([]);
  });

  test("a few payloads that fit nothing are noise; many are a layout", () => {
    const { watch, feed } = watchOf("d");
    feed(1_000, { seen: 100, understood: 99, misfit: 1 });
    expect(watch.alarms).toEqual([]);
    feed(100, { seen: 100, understood: 80, misfit: 20 });
    expect(watch.alarms.length).toBe(1);
    const rare = watchOf("d");
    for (let i = 0; i < 9; i++) {
      rare.feed(300, {});
      rare.feed(1, { seen: 1, misfit: 1 });
    }
    expect(rare.watch.alarms).toEqual([]);
    rare.feed(1, { seen: 1, misfit: 1 });
    expect(rare.watch.alarms.length).toBe(1);
  });
});
