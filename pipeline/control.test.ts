/** Goal: what several processes receive at once is counted whole. Method: many that add to one ledger in a real NATS KV. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Control } from "./control.ts";
import { type NatsFixture, startNats } from "./nats-fixture.ts";

let nats: NatsFixture;
beforeAll(async () => {
  nats = await startNats();
}, 300_000);
afterAll(() => nats.dispose(), 300_000);

test("spend added by many at once is the sum, and each is told at least its own", async () => {
  const controls = await Promise.all(Array.from({ length: 4 }, async () => new Control(await nats.connect(), "t")));
  const at = Date.UTC(2026, 10, 21, 12);
  const added = await Promise.all(
    Array.from({ length: 40 }, (_, i) => controls[i % 4]!.addSpend("main", at, { blocks: 1, bytes: i })),
  );
  const blocks = added.map(({ days }) => days["2026-11-21"]!.blocks).sort((a, b) => a - b);
  expect(blocks).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  expect((await controls[0]!.spend("main"))?.days).toEqual({ "2026-11-21": { blocks: 40, bytes: 780 } });
}, 300_000);
