/**
 * Goal: hot stores are views that can be made anew, exactly, from lake and stream: when stages stand still, while they run,
 * from a backup, and on a host that has nothing but settings; and the provider is not asked for anything again. Method: the
 * commands that users run, over chains with forks; stores are lost in the middle, and held against the lost ones by their
 * canonical dump, and against the simulator's truth in the end.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { names } from "../../pipeline/names.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";
import { useGround } from "./ground.ts";
import { Market, type Stages } from "./market.ts";
import { startNatsServer } from "./nats-server.ts";

const ground = useGround();
const server = new S3Server();
afterAll(() => server.stop());

/** A lease that a busy machine lost would open a second session. */
const SETTINGS = ["lanes=2", "lease.ttlMs=10000", "archive.rollSeconds=10"];
const fileOf = (lane: number) => laneFile(ground.path("data", "hot"), lane);
const flags = (market: Market) => [...market.settings(), ...market.whole].flatMap((setting) => ["--set", setting]);

function dumpOf(lane: number): string[] {
  const reader = new HotReader(fileOf(lane));
  try {
    return [...reader.dump()];
  } finally {
    reader.close();
  }
}

function lose(lane: number): void {
  for (const part of ["", "-wal", "-shm"]) rmSync(fileOf(lane) + part, { force: true });
}

/** Sessions with the provider that a process has opened. */
async function sessions(child: Stages): Promise<{ resolvedStart: number }[]> {
  const lines = (await readFile(child.log, "utf8")).split("\n").filter((line) => line.includes("Substreams session"));
  return lines.map((line) => JSON.parse(line));
}

interface Rebuilt {
  readonly lanes: readonly { lane: number; slot: number; rows: number; joined: boolean; snapshotSlot: number | null }[];
}

const sentMoreThan = (blocks: number) => (unit: { metrics: { sentBlocks: number } }) =>
  unit.metrics.sentBlocks > blocks;

test("lost while nothing runs: made from lake and stream, from a backup, in place of a damaged one", async () => {
  const options = { blocks: 260, seed: 41, blocksPerSecond: 120, hold: { from: 220 }, settings: SETTINGS };
  const market = await Market.open(ground, options);
  const stages = market.start();
  await market.unit("lane.main.1", "at a third", sentMoreThan(60));
  const backup = ground.path("backup");
  expect(await ground.run(["backup", backup, ...flags(market)])).toMatchObject({ code: 0, stderr: "" });
  await market.unit("lane.main.1", "further on", sentMoreThan(160));
  expect(await stages.stop()).toBe(0);
  await market.disconnect();
  const lost = [dumpOf(0), dumpOf(1)];
  const untouched = statSync(fileOf(0)).ino;

  lose(1);
  const planned = await ground.run(["rebuild", "--lane", "1", "--dry-run", "--json", ...flags(market)]);
  const { lakeSlot, lanes } = JSON.parse(planned.stdout);
  expect(lanes).toMatchObject([{ lane: 1, exists: false, snapshotSlot: null, runBy: null }]);
  expect(lanes[0].read.rows).toBeGreaterThan(100);
  expect(lakeSlot).toBeLessThan(lanes[0].upTo);
  expect(existsSync(fileOf(1))).toBe(false);

  const made = await ground.run(["rebuild", "--lane", "1", "--json", ...flags(market)]);
  expect(made.code).toBe(0);
  expect((JSON.parse(made.stdout) as Rebuilt).lanes).toMatchObject([{ lane: 1, joined: true, snapshotSlot: null }]);
  expect(dumpOf(1)).toEqual(lost[1]!);
  expect(statSync(fileOf(0)).ino).toBe(untouched);

  await Bun.write(fileOf(0), "no hot store at all");
  const both = await ground.run(["rebuild", "--snapshot", backup, "--json", ...flags(market)]);
  expect(both.code).toBe(0);
  const rebuilt = (JSON.parse(both.stdout) as Rebuilt).lanes;
  expect(rebuilt.map(({ lane, joined }) => [lane, joined])).toEqual([
    [0, true],
    [1, true],
  ]);
  for (const { snapshotSlot } of rebuilt) expect(snapshotSlot).toBeGreaterThan(market.truth.chain.firstSlot);
  expect([dumpOf(0), dumpOf(1)]).toEqual(lost);
  const left = readdirSync(ground.path("data", "hot")).filter((name) => !/^lane-[01]\.sqlite(-wal|-shm)?$/.test(name));
  expect(left).toEqual([]);

  const none = await ground.run(["rebuild", "--snapshot", ground.path("data"), ...flags(market)]);
  expect(none).toMatchObject({ code: 0, stderr: "" });
  const other = await ground.run(["rebuild", "--snapshot", backup, ...flags(market), "--set", "lanes=3"]);
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("LANES_CHANGED") });
  expect(await ground.run(["rebuild", "--lane", "2", ...flags(market)])).toMatchObject({ code: 2 });
  expect([dumpOf(0), dumpOf(1)]).toEqual(lost);

  market.release();
  const second = market.start(["--exit-at-end"]);
  expect(await second.exited).toBe(0);
  expect(await market.differences()).toEqual([]);
  expect((await sessions(second)).length).toBe(1);

  // A slip in the settings, when the streams hold no more than is needed: what is there stays.
  const whole = [dumpOf(0), dumpOf(1)];
  const { broker } = await market.connection();
  const { events, lanes: sharded } = names(market.config["nats.prefix"], "main");
  for (const { stream } of [events, sharded]) await broker.purge(stream);
  await market.disconnect();
  const slip = await ground.run(["rebuild", ...flags(market), "--set", `lake.dir=${ground.path("slip")}`]);
  expect(slip).toMatchObject({ code: 1, stderr: expect.stringContaining("REBUILD_BEHIND") });
  expect([dumpOf(0), dumpOf(1)]).toEqual(whole);
}, 300_000);

test("lost while stages run: made beside them, handed over, and nothing is received twice", async () => {
  const options = { blocks: 420, seed: 42, blocksPerSecond: 60, hold: { from: 300 }, settings: SETTINGS };
  const market = await Market.open(ground, options);
  const stages = market.start(["--exit-at-end"]);
  await market.unit("archive.main", "with rows in the lake", (unit) => unit.metrics.sentBatches >= 2);
  await market.unit("lane.main.1", "in the middle", sentMoreThan(120));
  lose(1);
  const made = await ground.run(["rebuild", "--lane", "1", "--json", ...flags(market)]);
  expect(made.code).toBe(0);
  const [lane] = (JSON.parse(made.stdout) as Rebuilt).lanes;
  expect(lane!.joined).toBe(true);
  expect(lane!.slot).toBeGreaterThan(market.truth.chain.firstSlot + 60);
  market.release();
  expect(await stages.exited).toBe(0);
  await market.disconnect();
  expect(await market.differences()).toEqual([]);
  expect((await sessions(stages)).length).toBe(1);
  const log = await readFile(stages.log, "utf8");
  expect(log).toContain("handing over to another process");
  expect(log).not.toContain("asked to replay");
}, 300_000);

test("a host with an empty folder joins: a lake in a bucket and a NATS elsewhere are enough", async () => {
  const nats = await startNatsServer(ground, ['jetstream { store_dir: "%store" }']);
  const lake = [`lake.url=s3://cold/lake`, `lake.s3.endpoint=${server.url}`, "lake.s3.createBucket=true"];
  const keys = ["lake.s3.accessKeyId=a", "lake.s3.secretAccessKey=b"];
  const settings = [...SETTINGS, "lease.ttlMs=2000", `nats.url=${nats.url}`, ...lake, ...keys];
  const market = await Market.open(ground, { blocks: 420, seed: 43, blocksPerSecond: 100, settings });
  const first = market.start();
  await market.unit("archive.main", "with files in the bucket", ({ details }) => {
    const shipping = details["shipping"] as { bucketSlot: number } | undefined;
    return (shipping?.bucketSlot ?? -1) > market.truth.chain.firstSlot + 60;
  });
  await market.unit("lane.main.1", "in the middle", sentMoreThan(120));
  first.kill("SIGKILL");
  await first.exited;
  await rm(ground.path("data"), { recursive: true });

  const second = market.start(["--exit-at-end"]);
  for (const lane of [0, 1]) await market.logged(second, "the hot store is restored", `"lane.main.${lane}"`);
  expect(await second.exited).toBe(0);
  expect(await market.differences()).toEqual([]);
  const { firstSlot } = market.truth.chain;
  for (const { resolvedStart } of await sessions(second)) expect(resolvedStart).toBeGreaterThan(firstSlot + 60);
  const verified = await ground.run(["verify", "--deep", ...flags(market)]);
  expect(verified.code).toBe(0);
}, 300_000);
