/**
 * Goal: whoever puts right what was wrong outside has done enough; nothing is lost, and nobody has to restart a thing.
 * Method: stages that were started once, on a package and a server that are wrong in one way after the other; what is
 * stored in the end is held against the simulator's truth.
 */
import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { buildDemoPackage } from "../../simulator/index.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";
import { startNatsServer } from "./nats-server.ts";

const ground = useGround();

test("a package: whole, cut short while it is not used, then whole", async () => {
  const path = ground.path("some.spkg");
  const settings = ["archive.rollSeconds=20", `source.package=${path}`];
  const whole = buildDemoPackage();
  await writeFile(path, whole);
  const market = await Market.open(ground, {
    blocks: 120,
    seed: 61,
    blocksPerSecond: 20,
    hold: { from: 60 },
    settings,
  });
  const stages = market.start();
  await market.unit("ingest.main", "at work", (unit) => unit.metrics.sentBlocks > 10);
  const { control } = await market.connection();
  await control.setDesired("main", { running: false, at: Date.now() });
  await market.unit("ingest.main", "paused", (unit) => unit.state === "paused");
  await writeFile(path, whole.subarray(0, whole.length / 2));
  await control.setDesired("main", { running: true, at: Date.now() });
  await market.unit("ingest.main", "failed", (unit) => unit.state === "failed");
  // The others were never troubled.
  const failed = (await market.held()).filter((unit) => unit.state === "failed");
  expect(failed.map((unit) => unit.unit)).toEqual(["ingest.main"]);
  await writeFile(path, whole);
  market.release();
  await market.ended();
  expect(await stages.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

test("a server: killed, back without JetStream, then as it was", async () => {
  const store = ['jetstream { store_dir: "%store", sync_interval: always }'];
  const server = await startNatsServer(ground, store);
  const settings = [`nats.url=${server.url}`, "lease.ttlMs=2000", "archive.rollSeconds=20"];
  const market = await Market.open(ground, { blocks: 400, seed: 62, blocksPerSecond: 60, settings });
  const stages = market.start();
  await market.unit("lane.main.0", "at work", (unit) => unit.metrics.sentBlocks > 40);
  server.child.kill("SIGKILL");
  await server.child.exited;
  const without = await startNatsServer(ground, [], server);
  await market.logged(stages, "nobody hears of us", "without JetStream");
  without.child.kill("SIGKILL");
  await without.child.exited;
  await startNatsServer(ground, store, server);
  await market.ended();
  expect(stages.exitCode).toBeNull();
  expect(await stages.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);
