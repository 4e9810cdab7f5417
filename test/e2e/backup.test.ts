/**
 * Goal: a deployment that has lost its hot stores goes on from a backup, without a row lost or doubled. Method: a backup is made
 * while the pipeline runs through a chain with forks; later everything is stopped and the stores are replaced by the backup;
 * in the end they are held against the truth.
 */
import { expect, test } from "bun:test";
import { cpSync, rmSync } from "node:fs";
import { laneFile } from "../../storage/hot/file.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();

test("hot stores replaced by a backup that was made while they were written", async () => {
  const settings = ["lanes=2", "lease.ttlMs=2000"];
  const market = await Market.open(ground, {
    blocks: 320,
    seed: 33,
    blocksPerSecond: 120,
    hold: { from: 250 },
    settings,
  });
  const first = market.start();
  const isAt = (blocks: number) => (unit: { metrics: { sentBlocks: number } }) => unit.metrics.sentBlocks > blocks;
  await market.unit("lane.main.1", "at a third", isAt(60));
  const made = await ground.run(["backup", ground.path("backup"), "--data", ground.path("data"), "--json"]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const { lanes } = JSON.parse(made.stdout) as { lanes: { slot: number }[] };
  expect(lanes.length).toBe(2);
  await market.unit("lane.main.1", "further on", isAt(140));
  expect(await first.stop()).toBe(0);
  await market.disconnect();

  rmSync(ground.path("data", "hot"), { recursive: true });
  cpSync(ground.path("backup", "hot"), ground.path("data", "hot"), { recursive: true });
  expect(await Bun.file(laneFile(ground.path("data", "hot"), 1)).exists()).toBe(true);

  market.release();
  const second = market.start(["--exit-at-end"]);
  expect(await second.exited).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);
