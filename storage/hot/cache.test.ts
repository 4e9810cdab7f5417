/** Goal: the cache forgets what is not used and nothing else, and stays within its bound. Method: small generations. */
import { expect, test } from "bun:test";
import { Cache } from "./cache.ts";

test("what is used stays, what is not is forgotten, and there is a bound", () => {
  const cache = new Cache<number>(4);
  cache.set("used", 0);
  for (let i = 1; i <= 100; i++) {
    cache.set(`${i}`, i);
    expect(cache.get("used")).toBe(0);
  }
  const held = Array.from({ length: 100 }, (_, i) => cache.get(`${i + 1}`)).filter((value) => value !== undefined);
  expect(held.length).toBeLessThanOrEqual(8);
  expect(held).toContain(100);
});

test("a deleted value does not come back from the older generation", () => {
  const cache = new Cache<number>(2);
  for (const key of ["a", "b", "c"]) cache.set(key, 1);
  cache.delete("a");
  expect(cache.get("a")).toBeUndefined();
  cache.set("b", 2);
  cache.delete("b");
  expect(cache.get("b")).toBeUndefined();
  cache.clear();
  expect(cache.get("c")).toBeUndefined();
});
