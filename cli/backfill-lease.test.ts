/**
 * One backfill at a time. Goal: a second one is refused while the first is at work, goes on after its end, and waits out one
 * that was killed; other sources are their own. Method: leases in a real NATS KV.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { loadConfig } from "../pipeline/config.ts";
import { Control } from "../pipeline/control.ts";
import { type NatsFixture, startNats } from "../pipeline/nats-fixture.ts";
import { systemWorld } from "../pipeline/world.ts";
import { onlyOne } from "./backfill-lease.ts";

let nats: NatsFixture;
let control: Control;
beforeAll(async () => {
  nats = await startNats();
  control = new Control(await nats.connect(), "t");
}, 300_000);
afterAll(() => nats.dispose(), 300_000);

const config = loadConfig({ flags: { "lease.ttlMs": 4_000 } }).values;
const of = (source: string) => ({ world: systemWorld, control, config, source });
const never = new AbortController().signal;

test("a second one is refused while the first is at work; then it may; another source may at once", async () => {
  const working = Promise.withResolvers<string>();
  const begun = Promise.withResolvers<void>();
  const first = onlyOne(of("a"), never, () => {
    begun.resolve();
    return working.promise;
  });
  await begun.promise;
  expect(await onlyOne(of("b"), never, async () => "other")).toBe("other");
  // It waits as long as the right of a process that was killed would last.
  await expect(onlyOne(of("a"), never, async () => "second")).rejects.toMatchObject({
    code: "BACKFILL_BUSY",
    kind: "transient",
  });
  working.resolve("first");
  expect(await first).toBe("first");
  expect(await onlyOne(of("a"), never, async () => "second")).toBe("second");
}, 300_000);

test("the right of one that was killed runs out", async () => {
  await control.leases(4_000).create("backfill.c", new TextEncoder().encode("gone"));
  expect(await onlyOne(of("c"), never, async () => "next")).toBe("next");
}, 300_000);
