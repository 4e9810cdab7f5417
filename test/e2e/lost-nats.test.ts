/**
 * Goal: JetStream can be lost as a whole. What it held is rebuilt from where the outputs stand, without a row lost or
 * doubled, and without paying for the blocks before that again. Method: everything is stopped in the middle of a chain
 * with forks, the server's folder deleted, everything started again; in the end the stores are held against the truth.
 */
import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { useGround } from "./ground.ts";
import { breaksOf, Market } from "./market.ts";

const ground = useGround();

// Seeds that stop in the middle of forks of different depth.
test.each([31, 32])(
  "the whole nats folder deleted, seed %d",
  async (seed) => {
    const settings = ["lanes=2", "lease.ttlMs=2000", "archive.rollSeconds=10"];
    const market = await Market.open(ground, {
      blocks: 320,
      seed,
      blocksPerSecond: 120,
      hold: { from: 250 },
      settings,
    });
    const first = market.start();
    await market.unit("archive.main", "with rows in the lake", (unit) => unit.metrics.sentBatches >= 2);
    await market.unit("lane.main.1", "in the middle", (unit) => unit.metrics.sentBlocks > 120);
    expect(await first.stop()).toBe(0);
    await market.disconnect();

    const stands = [0, 1].map((lane) => standOf(laneFile(ground.path("data", "hot"), lane)));
    await rm(market.natsFolder, { recursive: true });
    market.release();

    const second = market.start(["--exit-at-end"]);
    const session = JSON.parse(await market.logged(second, "Substreams session"));
    const { firstSlot } = market.truth.chain;
    // Ingest goes on from the lowest output, which is the lake: behind the lanes, but far from the beginning.
    expect(session.resolvedStart).toBeGreaterThan(firstSlot + 20);
    expect(session.resolvedStart).toBeLessThanOrEqual(Math.min(...stands) + 64);
    expect(await second.exited).toBe(0);
    const links = await market.links("blocks");
    expect(breaksOf(links, links[0]!.prev)).toEqual([]);
    expect(links[0]!.prev!.slot).toBeLessThan(session.resolvedStart);
    expect(await market.differences()).toEqual([]);
  },
  300_000,
);

function standOf(file: string): number {
  const reader = new HotReader(file);
  try {
    return reader.stand()!.position.slot;
  } finally {
    reader.close();
  }
}
