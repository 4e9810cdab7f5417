/** `sluice tiers`. Goal: what it says is there is what is there. Method: a simulated market in hot stores and a lake; the same after the rule was applied. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { loadConfig } from "../pipeline/config.ts";
import { Market } from "../test/api/market.ts";
import { tiersOf } from "./tiers.ts";

let market: Market;
beforeAll(async () => {
  market = await Market.make({ seed: 18, blocks: 300, lanes: 2 });
}, 300_000);
afterAll(() => market.dispose());

test("events of each lane, the lake by age, and no copies of a lake in a folder", async () => {
  const config = loadConfig({ flags: { "data.dir": market.folder, "hot.dir": market.folder, lanes: 2 } }).values;
  const before = await tiersOf(config);
  expect(before).toMatchObject({ source: "main", rules: { hotDays: 7, warmDays: 30, dryRun: false }, copies: null });
  const counts = market.truth.datasets;
  const kinds = [
    "token_created",
    "buy_sell",
    "long_short",
    "force_liquidate",
    "full_close",
    "partial_close",
    "milestone_discount",
  ];
  const all = [...kinds, "trades", "quarantine"].reduce((sum, name) => sum + (counts[name]?.rows ?? 0), 0);
  expect(before.hot.reduce((sum, { events }) => sum + events, 0)).toBe(all);
  expect(before.hot.every(({ due, oldest }) => due === 0 && oldest !== null)).toBe(true);
  expect(before.lake.young.rows).toBeGreaterThan(100);
  expect([before.lake.middle.files, before.lake.old.files]).toEqual([0, 0]);
  await market.retain(40);
  const after = await tiersOf(config);
  expect(after.hot.map(({ events }) => events).every((n, lane) => n < before.hot[lane]!.events)).toBe(true);
  expect(after.lake).toEqual(before.lake);
});
