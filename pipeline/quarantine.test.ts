/** Goal: a batch that cannot be processed is kept, once, whatever it is and however long the reason. Method: a real nats-server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "./broker.ts";
import type { Deployment } from "./deployment.ts";
import { LIMITS } from "./limits.ts";
import { names } from "./names.ts";
import { type NatsFixture, noise, positionOf, startNats } from "./nats-fixture.ts";
import { keptBatches, quarantine } from "./quarantine.ts";

let nats: NatsFixture;
let broker: Broker;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
});
afterAll(() => nats.dispose());

test("bytes, place and reason are kept, cut where they are too long; the same batch again is no second one", async () => {
  const { stream, subject } = names("kept", "main").quarantine;
  await broker.ensureStream({ name: stream, subjects: [subject], maxBytes: 4_000_000, whenFull: "drop-oldest" });
  const config = { "nats.prefix": "kept" } as Deployment["config"];
  const item = { unit: "decode.main", position: positionOf(7), reason: `line\nnext ${"x".repeat(100_000)}` };
  const bytes = noise(LIMITS.quarantineBytesMax + 10, 1);
  for (let i = 0; i < 2; i++) await quarantine({ config, source: "main", broker }, { ...item, bytes });
  const kept = await Array.fromAsync(keptBatches(broker, stream));
  expect(kept).toHaveLength(1);
  expect(kept[0]).toMatchObject({ unit: "decode.main", position: positionOf(7), size: bytes.length });
  expect(kept[0]!.reason).toStartWith("line next xxx");
  expect(Buffer.from(kept[0]!.bytes).equals(bytes.subarray(0, LIMITS.quarantineBytesMax))).toBe(true);
});
