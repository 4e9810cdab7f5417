/** Goal: what is shown is honest about its age. Method: the rule is pure; all its edges. */
import { expect, test } from "bun:test";
import { freshnessOf } from "./resource.ts";

const NOW = 100_000;
const failed = new Error("no answer");

test("nothing yet is loading; nothing and a failure is an error", () => {
  expect(freshnessOf({ data: null, error: null, at: 0 }, 1_000, NOW)).toBe("loading");
  expect(freshnessOf({ data: null, error: failed, at: 0 }, 1_000, NOW)).toBe("error");
});

test("data is stale after a failure, or when three attempts have brought nothing new", () => {
  expect(freshnessOf({ data: 1, error: null, at: NOW }, 1_000, NOW)).toBe("ready");
  expect(freshnessOf({ data: 1, error: failed, at: NOW }, 1_000, NOW)).toBe("stale");
  expect(freshnessOf({ data: 1, error: null, at: NOW - 5_000 }, 1_000, NOW)).toBe("ready");
  expect(freshnessOf({ data: 1, error: null, at: NOW - 5_001 }, 1_000, NOW)).toBe("stale");
});
