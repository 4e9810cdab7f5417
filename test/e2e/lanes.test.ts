/**
 * Goal: the number of lanes a deployment was begun with is held to: with another one nothing runs and nothing is read, whatever
 * is left to tell it by; put back, everything goes on; and another number is had as OPERATIONS.md says. Method: a small chain
 * indexed by the commands that users run, with the setting changed in between; the stores are held against the truth.
 */
import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { holdAgainst } from "../../cli/verdict.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
const set = (settings: readonly string[]) => settings.flatMap((setting) => ["--set", setting]);

test.each([
  [1, 2],
  [2, 1],
])(
  "%d lanes, then %d",
  async (was, now) => {
    const settings = [`lanes=${was}`, "lease.ttlMs=2000", "archive.rollSeconds=10"];
    const market = await Market.open(ground, { blocks: 60, seed: 61, settings });
    expect(await market.start(["--exit-at-end"]).exited).toBe(0);
    expect(await market.differences()).toEqual([]);

    const changed = [...market.settings(), ...market.whole, `lanes=${now}`];
    const told = `LANES_CHANGED: lanes is ${now}, but the deployment was begun with ${was}`;
    const refused = async (...args: readonly string[]) => {
      const { code, stderr } = await ground.run([...args, ...set(changed)]);
      expect({ args, code, stderr }).toEqual({ args, code: 1, stderr: expect.stringContaining(told) });
      expect(stderr).toContain(`Set lanes to ${was} again`);
    };
    await refused("stages", "--exit-at-end");
    await refused("api", "--port", "0");
    await refused("sql", "select count(*) from trades");
    await refused("rebuild");
    const doctor = await ground.run(["doctor", "host", "nats", ...set(changed)]);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout.split(told)).toHaveLength(3);

    // A host without a lane of its own has NATS to tell it; a server that was lost has the files.
    const elsewhere = [...changed, `hot.dir=${ground.path("elsewhere")}`];
    const joined = await ground.run(["stages", "shard", ...set(elsewhere)]);
    expect(joined).toMatchObject({ code: 1, stderr: expect.stringContaining(told) });
    await rm(market.natsFolder, { recursive: true });
    await refused("stages", "--exit-at-end");

    expect(await market.start(["--exit-at-end"]).exited).toBe(0);
    expect(await market.differences()).toEqual([]);
    expect((await ground.run(["stages", "shard", ...set(elsewhere)])).stderr).toContain(told);
  },
  300_000,
);

test("another number of lanes: a new folder and new names in NATS, over the same lake", async () => {
  const before = ["lanes=1", "lease.ttlMs=2000", "archive.rollSeconds=10"];
  const market = await Market.open(ground, {
    blocks: 200,
    seed: 62,
    blocksPerSecond: 120,
    hold: { from: 150 },
    settings: before,
  });
  const first = market.start();
  await market.unit("archive.main", "with rows in the lake", (unit) => unit.metrics.sentBatches >= 2);
  expect(await first.stop()).toBe(0);
  await market.disconnect();

  market.release();
  const own = { lanes: 2, "hot.dir": ground.path("two"), "nats.prefix": "two" };
  const settings = Object.entries(own).map(([name, value]) => `${name}=${value}`);
  const again = market.start(["--exit-at-end"], [...market.whole, ...settings]);
  expect(await again.exited).toBe(0);
  const log = await Bun.file(again.log).text();
  expect(log).toContain("made from the lake");
  const session = JSON.parse(log.split("\n").find((line) => line.includes("Substreams session"))!);
  expect(session.resolvedStart).toBeGreaterThan(market.truth.chain.firstSlot + 10);
  expect((await holdAgainst({ ...market.config, ...own }, market.truth)).differences).toEqual([]);
}, 300_000);
