/** Goal: never more than the limit in any window, and exactly the limit when it is asked for. Method: a model that keeps all times. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { RateLimiter } from "./rate-limit.ts";

test("the limiter agrees with one that remembers everything", () => {
  const steps = fc.array(fc.record({ caller: fc.constantFrom("a", "b"), afterMs: fc.integer({ min: 0, max: 400 }) }));
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 5 }), (requests, limit) => {
      const limiter = new RateLimiter(1_000);
      const taken = new Map<string, number[]>();
      let now = 0;
      for (const { caller, afterMs } of requests) {
        now += afterMs;
        const recent = (taken.get(caller) ?? []).filter((at) => at > now - 1_000);
        const verdict = limiter.take(caller, limit, now);
        expect(verdict.allowed).toBe(recent.length < limit);
        expect(verdict.remaining).toBe(Math.max(0, limit - recent.length - 1));
        expect(verdict.waitMs).toBe(verdict.allowed ? 0 : recent[0]! + 1_000 - now);
        if (verdict.allowed) recent.push(now);
        taken.set(caller, recent);
      }
    }),
  );
});

test("a thousand at once: exactly sixty pass", () => {
  const limiter = new RateLimiter(60_000);
  const passed = Array.from({ length: 1_000 }, () => limiter.take("a", 60, 5).allowed).filter(Boolean);
  expect(passed).toHaveLength(60);
  expect(limiter.take("a", 60, 60_005).allowed).toBe(true);
});
