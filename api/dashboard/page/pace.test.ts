/** Goal: the page stays below any limit by itself, and asks as it likes where nobody counts. Method: the rule is pure; its edges. */
import { expect, test } from "bun:test";
import { Pace } from "./pace.ts";

/** Requests in a minute at a pace. */
const perMinute = (pace: Pace, every: readonly number[]) =>
  every.reduce((sum, everyMs) => sum + 60_000 / (everyMs * pace.stretch), 0);

test("without a limit everything is asked for when it likes", () => {
  const pace = new Pace(() => 0);
  pace.join({ everyMs: 1_000 });
  pace.learn(null, null);
  expect(pace.stretch).toBe(1);
  expect(pace.waitMs).toBe(0);
});

test("the sum of all stays below the limit, and what has ended no longer counts", () => {
  const pace = new Pace(() => 0);
  pace.learn('"address";q=60;w=60', null);
  const every = [1_000, 3_000, 5_000, 10_000, 10_000];
  const leave = every.map((everyMs) => pace.join({ everyMs }));
  expect(perMinute(pace, every)).toBeCloseTo(45);
  for (const end of leave.slice(0, 3)) end();
  expect(pace.stretch).toBe(1);
});

test("after a refusal: silence for as long as the API says, then half as often for a while", () => {
  let now = 0;
  const pace = new Pace(() => now);
  pace.join({ everyMs: 1_000 });
  pace.learn('"address";q=120;w=60', 5_000);
  expect(pace.waitMs).toBe(5_000);
  now = 5_000;
  expect(pace.waitMs).toBe(0);
  expect(pace.stretch).toBe(2);
  now = 200_000;
  expect(pace.stretch).toBe(1);
});
