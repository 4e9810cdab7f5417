/**
 * When retention looks and what it says. Goal: it looks again whatever happened, says once what is lacking, deletes in pieces
 * and nothing in a dry run. Method: a store and a lake that do as told, on a clock that only waiting moves; what really goes
 * is shown in `test/api/retention.test.ts`.
 */
import { expect, test } from "bun:test";
import { Shutdown } from "./errors.ts";
import { type AgingStore, keepCopiesFew, keepHotShort, type RetentionOptions } from "./retention.ts";

interface Looked {
  readonly at: number[];
  readonly logged: string[];
  readonly expired: number[];
  /** Interval and age of candles that were deleted, seconds. */
  readonly candles: [number, number][];
}

const HEAD = 2_000_000_000;

/** Runs until `looks` have been made. */
async function look(
  looks: number,
  changes: Partial<RetentionOptions>,
  store: Partial<AgingStore> = {},
): Promise<Looked> {
  const found: Looked = { at: [], logged: [], expired: [], candles: [] };
  const stop = new AbortController();
  let now = 0;
  let left = 3;
  await keepHotShort(
    {
      store: {
        aged(seconds) {
          found.at.push(now);
          if (found.at.length >= looks) stop.abort(new Shutdown());
          expect(seconds).toBe(7 * 86_400);
          return { from: new Map([["trades", 10]]), before: 50, rows: 3 };
        },
        expire(before) {
          found.expired.push(before);
          return left-- > 0 ? 1 : 0;
        },
        headTime: () => HEAD,
        expireCandles(interval, time) {
          const n = found.candles.length % 2 === 0 ? 1 : 0;
          found.candles.push([interval, HEAD - time]);
          return n;
        },
        countCandles: () => 5,
        ...store,
      },
      lake: async () => ({ prove: async (_from, before) => ({ before, lacking: null }) }),
      days: 7,
      candles: 0,
      dryRun: false,
      world: {
        async sleep(ms, signal) {
          signal?.throwIfAborted();
          now += ms;
        },
      },
      log: (level, message) => void (level !== "debug" && found.logged.push(`${level} ${message}`)),
      ...changes,
    },
    stop.signal,
  );
  return found;
}

test("soon after the start, then now and then; in pieces until nothing is left", async () => {
  const { at, expired, logged } = await look(3, {});
  expect([at[0], at[2]! - at[1]! >= 600_000]).toEqual([30_000, true]);
  expect(expired).toEqual([50, 50, 50, 50, 50]);
  expect(logged).toEqual(["info 3 rows older than 7 days are in the lake alone now"]);
});

test("what the lake lacks is said once, and only what it has goes", async () => {
  const lake = async () => ({ prove: async () => ({ before: 20, lacking: "a file is damaged" }) });
  const { expired, logged } = await look(4, { lake });
  expect(new Set(expired)).toEqual(new Set([20]));
  expect(logged.filter((line) => line.startsWith("warning"))).toEqual([
    "warning old events stay in the hot store: a file is damaged",
  ]);
});

test("a dry run says so and deletes nothing; without days nobody looks; what fails is tried again", async () => {
  const dry = await look(2, { dryRun: true });
  expect(dry.expired).toEqual([]);
  expect(dry.logged[0]).toContain("3 events below slot 50 would be removed");
  expect(await look(1, { days: 0 })).toEqual({ at: [], logged: [], expired: [], candles: [] });
  const failing = await look(3, { lake: () => Promise.reject(new Error("away")) });
  expect(failing.at).toHaveLength(3);
  expect(failing.expired).toEqual([]);
});

test("candles go by their interval, no sooner than events, and only when no event has to stay", async () => {
  const { candles, logged } = await look(2, { candles: 10_000 });
  const week = 7 * 86_400;
  const ages = [1, 30, 60, 300, 900, 3_600, 14_400, 86_400].map((s) => [s, Math.max(week, 10_000 * s)]);
  expect(candles.filter((_, i) => i % 2 === 0)).toEqual(ages as [number, number][]);
  expect(logged).toContain("info 8 candles of more than 10000 intervals ago are made of the lake's trades from now on");
  expect((await look(2, {})).candles).toEqual([]);
  const dry = await look(2, { candles: 10_000, dryRun: true });
  expect(dry.candles).toEqual([]);
  expect(dry.logged.at(-1)).toBe(
    "info 40 candles of more than 10000 intervals ago would be removed (retention.dryRun)",
  );
  const lake = async () => ({ prove: async () => ({ before: 20, lacking: "a file is damaged" }) });
  expect((await look(2, { candles: 10_000, lake })).candles).toEqual([]);
});

test("copies are trimmed in the same way", async () => {
  const stop = new AbortController();
  const asked: [number, boolean][] = [];
  const logged: string[] = [];
  const copies = {
    async trim(seconds: number, dryRun: boolean) {
      asked.push([seconds, dryRun]);
      if (asked.length === 1) throw new Error("away");
      stop.abort(new Shutdown());
      return { removed: [{ bytes: 5 }] };
    },
  };
  const log = (level: string, message: string) => void (level === "info" && logged.push(message));
  await keepCopiesFew({ copies, days: 30, dryRun: true, world: { sleep: async () => undefined }, log }, stop.signal);
  expect(asked).toEqual([
    [30 * 86_400, true],
    [30 * 86_400, true],
  ]);
  expect(logged).toEqual(["1 copies of files older than 30 days would be removed (retention.dryRun)"]);
});
