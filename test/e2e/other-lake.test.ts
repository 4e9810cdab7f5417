/**
 * Goal: stages with a slip in `lake.dir` stop before they have written, and go on as if nothing had been once it is put
 * right; who wants a new lake gets one, without asking the provider again, and can fill it. Method: the commands that users
 * run over a chain with forks; what is stored in the end is held against the simulator's truth.
 */
import { expect, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { holdLakeAgainst } from "../../cli/verdict.ts";
import { names } from "../../pipeline/names.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
const SETTINGS = ["lease.ttlMs=10000", "archive.rollSeconds=10"];
const flags = (settings: readonly string[]) => settings.flatMap((setting) => ["--set", setting]);

/** A market whose archive has committed, so that its streams were trimmed; nobody runs any more. */
async function begun(seed: number, blocks: number): Promise<Market> {
  const hold = { from: blocks - 60 };
  const market = await Market.open(ground, { blocks, seed, blocksPerSecond: 120, hold, settings: SETTINGS });
  const stages = market.start();
  await market.unit("archive.main", "with rows in the lake", (unit) => unit.metrics.sentBatches >= 2);
  const { broker } = await market.connection();
  const { stream } = names(market.config["nats.prefix"], "main").events;
  await market.until("EVENTS to be trimmed", async () => ((await broker.streamState(stream))?.firstSeq ?? 0) > 1);
  expect(await stages.stop()).toBe(0);
  await market.disconnect();
  return market;
}

test("a slip is told before anything is written; put right, it goes on", async () => {
  const market = await begun(81, 260);
  const slip = `lake.dir=${ground.path("slip")}`;
  // A lane that is to be made from the lake would begin from nothing, too.
  const file = laneFile(ground.path("data", "hot"), 0);
  for (const part of ["", "-wal", "-shm"]) rmSync(file + part, { force: true });
  const wrong = market.start([], [...market.whole, slip]);
  for (const unit of ["archive.main", "lane.main.0"]) {
    const { errors } = await market.unit(unit, "stopped", ({ state }) => state === "failed");
    expect(errors.at(-1)).toMatchObject({ code: "LAKE_OTHER", where: ground.path("slip") });
    expect(errors.at(-1)?.hint).toContain("lake.beginAnew=true");
  }
  const dry = ["backfill", "--from", "0", "--dry-run", ...flags([...market.settings(), slip])];
  expect(await ground.run(dry)).toMatchObject({ code: 1, stderr: expect.stringContaining("LAKE_OTHER") });
  expect(await wrong.stop()).toBe(0);
  await market.disconnect();
  expect(existsSync(ground.path("slip"))).toBe(false);

  market.release();
  const right = market.start(["--exit-at-end"]);
  expect(await right.exited).toBe(0);
  expect(await market.differences()).toEqual([]);
  expect(await readFile(right.log, "utf8")).not.toContain("asked to replay");
}, 300_000);

test("a new lake on purpose: begun with what the streams hold, and filled like any other", async () => {
  const market = await begun(82, 260);
  const anew = `lake.dir=${ground.path("anew")}`;
  const first = market.start([], [...market.whole, anew, "lake.beginAnew=true"]);
  await market.unit("archive.main", "at work", (unit) => unit.metrics.receivedBlocks > 0);
  expect(await first.stop()).toBe(0);
  await market.disconnect();
  market.release();
  const second = market.start(["--exit-at-end"], [...market.whole, anew]);
  expect(await second.exited).toBe(0);
  for (const { log } of [first, second]) expect(await readFile(log, "utf8")).not.toContain("asked to replay");

  const own = [...market.settings(), anew];
  const from = String(market.truth.chain.firstSlot);
  const filled = await ground.run(["backfill", "--from", from, "--segment", "90", "--sample", "0", ...flags(own)]);
  expect(filled).toMatchObject({ code: 0 });
  const config = { ...market.config, "lake.dir": ground.path("anew") };
  expect(await holdLakeAgainst(config, market.truth)).toEqual([]);
  expect(await ground.run(["verify", "--deep", ...flags(own)])).toMatchObject({ code: 0 });
}, 300_000);
