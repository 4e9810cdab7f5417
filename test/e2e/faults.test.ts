/**
 * Goal: whatever an endpoint does that a client can survive, the pipeline holds exactly the truth in the end. Method: a
 * replay that shows every such fault several times in one run, read by real processes; stores held against the simulator.
 */
import { expect, test } from "bun:test";
import { FAULTS } from "../../pipeline/source/faults.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
/** They end a unit for good, as they should. */
const FATAL = new Set(["quota", "expired", "oversize"]);

test("every fault of an endpoint, all through one run", async () => {
  const kinds = Object.keys(FAULTS).filter((kind) => !FATAL.has(kind));
  const faults = kinds.flatMap((kind, i) => [`${kind}@+${20 + 25 * i}`, `${kind}@+${310 - 7 * i}`]);
  const settings = ["archive.rollSeconds=20", "source.idleTimeoutMs=1000", "lanes=2"];
  const market = await Market.open(ground, { blocks: 300, seed: 21, settings, faults });
  const stages = market.start();
  const ingest = await market.unit("ingest.main", "at its end", (unit) => unit.ended);
  expect(ingest.errors).toEqual([]);
  expect(Number((ingest.details["source"] as Record<string, unknown>)["reconnects"])).toBeGreaterThanOrEqual(10);
  await market.ended();
  expect(await stages.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 180_000);
