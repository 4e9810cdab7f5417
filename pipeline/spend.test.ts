/**
 * Goal: what was received is counted once, survives restarts, and stops or warns where the budget says. Method: the sums
 * by hand on a clock of the test's own; then a source that counts as the real one does, read through the meter.
 */
import { describe, expect, test } from "bun:test";
import { Transient } from "./errors.ts";
import type { Position } from "./position.ts";
import type { Range } from "./source/range.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import { addSpend, type Budget, budgetUse, expectedOf, type Ledger, leftOf, NOTHING, spendAt } from "./spend.ts";
import { MeteredSource } from "./spend-meter.ts";

const DAY = 86_400_000;
const NOON = Date.UTC(2026, 10, 21, 12);
const UNLIMITED: Budget = { day: NOTHING, month: NOTHING, alarmPercent: 80, atLimit: "stop" };

describe("the ledger", () => {
  test("adds up days and the month, and forgets after 400 days", () => {
    let ledger: Ledger | null = null;
    for (let day = 450; day >= 0; day--) ledger = addSpend(ledger, NOON - day * DAY, { blocks: 10, bytes: 1_000 });
    ledger = addSpend(ledger, NOON, { blocks: 1, bytes: 2 });
    expect(Object.keys(ledger.days).length).toBe(400);
    const { today, month } = spendAt(ledger, NOON);
    expect([today, month]).toEqual([
      { blocks: 11, bytes: 1_002 },
      { blocks: 211, bytes: 21_002 },
    ]);
    expect(spendAt(ledger, Date.UTC(2026, 11, 1))).toMatchObject({ today: NOTHING, month: NOTHING });
  });

  test("projects the rest of the month at the rate of seven days", () => {
    let ledger: Ledger | null = null;
    for (let day = 20; day >= 1; day--) ledger = addSpend(ledger, NOON - day * DAY, { blocks: 100, bytes: 0 });
    // Six whole days and a half without anything today: 600 blocks in 6.5 days, and 9.5 days to go.
    expect(spendAt(ledger, NOON).projectedMonth.blocks).toBe(2_000 + Math.round((600 / 6.5) * 9.5));
    // An hour after the start counts as an hour, seconds do not count as a rate.
    const young = addSpend(null, NOON, { blocks: 10, bytes: 0 });
    expect(spendAt(young, NOON + 1_000).projectedMonth.blocks).toBe(10 + 10 * (9.5 * 24) - 0);
    expect(spendAt(null, NOON).projectedMonth).toEqual(NOTHING);
  });

  test("what a range will bring, by the blocks of the last seven days; nothing of it from a few blocks", () => {
    let ledger: Ledger | null = addSpend(null, NOON - 8 * DAY, { blocks: 10_000, bytes: 1 });
    ledger = addSpend(ledger, NOON - 6 * DAY, { blocks: 400, bytes: 3_000 });
    ledger = addSpend(ledger, NOON, { blocks: 599, bytes: 1_000 });
    expect(expectedOf(ledger, NOON, 1_000_000)).toBeNull();
    ledger = addSpend(ledger, NOON, { blocks: 1, bytes: 1_000 });
    expect(expectedOf(ledger, NOON, 1_000_000)).toEqual({ blocks: 1_000_000, bytes: 5_000_000 });
    expect(expectedOf(null, NOON, 5)).toBeNull();
  });

  test("the tightest limit counts", () => {
    const spend = { today: { blocks: 50, bytes: 90 }, month: { blocks: 70, bytes: 95 }, projectedMonth: NOTHING };
    const budget = { ...UNLIMITED, day: { blocks: 100, bytes: 100 }, month: { blocks: 0, bytes: 200 } };
    expect(budgetUse(spend, budget)).toEqual({ percent: 90, what: "bytes of the day", used: 90, limit: 100 });
    expect(leftOf(spend, budget)).toEqual({ blocks: 50, bytes: 10 });
    expect(budgetUse(spend, UNLIMITED)).toBeNull();
    expect(leftOf(spend, UNLIMITED).blocks).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("the meter", () => {
  function open(
    budget: Partial<Budget> = {},
    kept: { ledger: Ledger | null } = { ledger: null },
    blocks = 10,
    range: Range = { start: 1, stop: null },
  ) {
    const status = { blocks: 0, receivedBytes: 0 };
    const lines: string[] = [];
    const clock = { now: NOON, failing: false };
    const source: Source & { status: typeof status } = {
      name: "main",
      moduleHash: "m",
      status,
      async *blocks() {
        for (let slot = 1; slot <= blocks; slot++) {
          status.blocks++;
          status.receivedBytes += 100;
          const block = { slot, hash: `h${slot}`, cursor: `c${slot}`, time: 0, finalSlot: 0 };
          yield { kind: "block", block, typeName: "t", payload: new Uint8Array(0) } satisfies BlockSignal;
        }
      },
    };
    const metered = new MeteredSource({
      ...{ source, range },
      budget: { ...UNLIMITED, ...budget },
      read: async () => kept.ledger,
      add: async (at, amount) => {
        if (clock.failing) throw new Transient("TEST", "down");
        kept.ledger = addSpend(kept.ledger, at, amount);
        return kept.ledger;
      },
      world: { now: () => clock.now, monotonic: () => clock.now, random: () => 0, sleep: Bun.sleep },
      log: (level, message) => lines.push(`${level} ${message}`),
    });
    const read = async () => {
      let came = 0;
      let error: unknown = null;
      try {
        for await (const _ of metered.blocks(null as Position | null, new AbortController().signal)) came++;
      } catch (thrown) {
        error = thrown;
      }
      return { came, error };
    };
    return { read, metered, kept, lines, clock };
  }

  test("counts, and goes on counting in the next process", async () => {
    const { read, kept } = open();
    expect((await read()).came).toBe(10);
    expect(kept.ledger?.days["2026-11-21"]).toEqual({ blocks: 10, bytes: 1_000 });
    const next = open({}, kept);
    await next.read();
    expect(next.metered.report()).toMatchObject({ today: { blocks: 20, bytes: 2_000 }, budget: null });
  });

  test("stops behind the last block of the budget, and before a call when there is nothing left", async () => {
    const { read, kept, metered } = open({ month: { blocks: 4, bytes: 0 } });
    expect(await read()).toMatchObject({ came: 4, error: { code: "SPEND_LIMIT", kind: "fatal" } });
    expect(metered.report().budget).toEqual({ percent: 100, what: "blocks of the month", used: 4, limit: 4 });
    const again = open({ month: { blocks: 4, bytes: 0 } }, kept);
    expect(await again.read()).toMatchObject({ came: 0, error: { code: "SPEND_LIMIT" } });
    again.clock.now = Date.UTC(2026, 11, 1);
    expect(await again.read()).toMatchObject({ came: 4 });
    expect((await open({ day: { blocks: 0, bytes: 250 } }).read()).came).toBe(3);
  });

  test("warns once at the alarm, and once when all is used where it is not to stop", async () => {
    const { read, lines } = open({ day: { blocks: 5, bytes: 0 }, alarmPercent: 60, atLimit: "alarm" });
    const { clock } = open();
    expect((await read()).came).toBe(10);
    expect(clock.now).toBe(NOON);
    expect(lines.map((line) => line.slice(0, line.indexOf(" ")))).toEqual(["error"]);
    const slow = open({ day: { blocks: 5, bytes: 0 }, alarmPercent: 60 }, { ledger: null }, 4);
    for await (const _ of slow.metered.blocks(null, new AbortController().signal)) slow.clock.now += 2_000;
    expect(slow.lines).toEqual(["warning 60 % of the budget is used: 3 of 5 blocks of the day"]);
  });

  test("two that count at once lose nothing of each other's, and know what both have received", async () => {
    const kept: { ledger: Ledger | null } = { ledger: null };
    const both = [open({ day: { blocks: 1_000, bytes: 0 } }, kept), open({}, kept)];
    await Promise.all(both.map(({ read }) => read()));
    expect(kept.ledger?.days["2026-11-21"]).toEqual({ blocks: 20, bytes: 2_000 });
    await both[0]!.read();
    expect(both[0]!.metered.report()).toMatchObject({ today: { blocks: 30 }, budget: { used: 30 } });
  });

  test("what a bounded range will bring is said before it is asked for, once, and when that is more than is left", async () => {
    const known = { ledger: addSpend(null, NOON - DAY, { blocks: 2_000, bytes: 8_000_000 }) };
    const told = async (range: Range, budget: Partial<Budget> = {}, ledger: { ledger: Ledger | null } = known) => {
      const { read, lines } = open(budget, { ...ledger }, 10, range);
      await read();
      await read();
      return lines;
    };
    expect(await told({ start: 101, stop: 500_101 })).toEqual([
      "info up to 500000 blocks are to come, about 2000 MB by those of late",
    ]);
    expect(await told({ start: 101, stop: 201 }, {}, { ledger: null })).toEqual([
      "info up to 100 blocks are to come, of unknown size",
    ]);
    const scarce = await told({ start: 0, stop: 500_000 }, { month: { blocks: 0, bytes: 9_000_000 } });
    expect(scarce[0]).toBe(
      "warning up to 500000 blocks are to come, about 2000 MB by those of late: more than the budget leaves",
    );
    for (const unbounded of [
      { start: 5, stop: null },
      { start: -5, stop: 10 },
      { start: 10, stop: 10 },
    ]) {
      expect(await told(unbounded)).toEqual([]);
    }
  });

  test("what cannot be written down is written later, and stops nothing", async () => {
    const { read, kept, clock } = open();
    clock.failing = true;
    expect(await read()).toEqual({ came: 10, error: null });
    expect(kept.ledger).toBeNull();
  });
});
