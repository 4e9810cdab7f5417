/**
 * Goal: a new package takes over from the old one without anybody who asks noticing more than its rows, and the old one
 * can be gone back to. Method: a market indexed by one package, upgraded to another of a different hash and back, by the
 * commands that users type, while the API is asked all the time; both generations are held against the truth.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { Package } from "@substreams/core/proto";
import { throughSlot } from "../../cli/local-run.ts";
import { holdAgainst } from "../../cli/verdict.ts";
import { activate, drop, generationConfig } from "../../pipeline/generations.ts";
import { buildDemoPackage } from "../../simulator/index.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { apiOf, useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();

async function newPackage(): Promise<string> {
  const proto = Package.fromBinary(buildDemoPackage());
  proto.modules!.modules[0]!.initialBlock += 1n;
  const path = ground.path("new.spkg");
  await writeFile(path, proto.toBinary());
  return path;
}

test("beside the old one, compared, swapped, gone back from, dropped; the API answers throughout", async () => {
  const settings = ["archive.rollSeconds=20", "lanes=2"];
  const market = await Market.open(ground, { blocks: 200, seed: 51, settings });
  const stages = market.start();
  await market.ended();
  const api = await apiOf(ground, market.settings());
  let asked = 0;
  const failures: unknown[] = [];
  const stop = new AbortController();
  const asking = (async () => {
    while (!stop.signal.aborted) {
      const answer = await api("GET", "/api/indexer/status").catch((error: Error) => ({
        code: 0,
        body: error.message,
      }));
      asked++;
      if (answer.code !== 200) failures.push(answer);
      await Bun.sleep(10);
    }
  })();
  const end = throughSlot(market.truth.chain.lastSlot);
  const flags = [...market.settings(), ...end].flatMap((setting) => ["--set", setting]);
  const upgrade = (...args: string[]) => ground.run(["upgrade", ...args, ...flags]);
  const active = async () => {
    const { stdout } = await upgrade("--status", "--json");
    const { generations } = JSON.parse(stdout) as { generations: { number: number; state: string }[] };
    return generations.map(({ number, state }) => `${number} ${state}`);
  };
  const readFrom = async () => ((await api("GET", "/v1/stages")).body as { source: string }).source;

  const path = await newPackage();
  expect((await upgrade("--package", "")).code).not.toBe(0);
  const tried = await upgrade("--package", path, "--json");
  expect([tried.code, tried.stderr]).toEqual([0, expect.stringContaining("not swapped yet")]);
  const { datasets } = JSON.parse(tried.stdout) as { datasets: { dataset: string; old: string; new: string }[] };
  expect(datasets.find(({ dataset }) => dataset === "trades")?.old).toBe(String(market.truth.trades));
  expect(datasets.filter((d) => d.old !== d.new)).toEqual([]);
  expect([await active(), await readFrom()]).toEqual([["1 active", "2 beside"], "main"]);

  const swapped = await upgrade("--package", path, "--yes");
  expect([swapped.code, swapped.stderr]).toEqual([0, expect.stringContaining("generation 2 is active")]);
  expect(await active()).toEqual(["1 beside", "2 active"]);
  await market.until("the API to read the new one", async () => (await readFrom()) === "main-g2");
  const count = ["sql", "select count(*) as n from trades", "--csv", ...flags];
  expect((await ground.run(count)).stdout).toContain(String(market.truth.trades));
  expect((await upgrade("--package", path)).stderr).toContain("UPGRADE_SAME");
  expect((await upgrade("--drop", "2", "--yes")).stderr).toContain("GENERATION_ACTIVE");

  // What is not wanted any more keeps nobody waiting for its end.
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);

  expect((await upgrade("--back")).stderr).toContain("would become active");
  expect(await active()).toEqual(["1 beside", "2 active"]);
  expect((await upgrade("--back", "--yes")).code).toBe(0);
  await market.until("the API to read the old one again", async () => (await readFrom()) === "main");

  const generation = { number: 2, settings: {}, moduleHash: "", createdAt: 0 };
  const next = generationConfig(market.config, generation);
  expect((await upgrade("--drop", "2")).stderr).toContain("would remove SLUICE_MAIN_G2_BLOCKS");
  expect(existsSync(next["lake.dir"])).toBe(true);
  expect((await holdAgainst(next, market.truth)).differences).toEqual([]);
  expect((await upgrade("--drop", "2", "--yes")).code).toBe(0);
  expect(await active()).toEqual(["1 active"]);
  const { broker, control } = await market.connection();
  for (const stream of ["BLOCKS", "EVENTS", "LANES", "LIVE", "QUARANTINE"]) {
    expect(await broker.streamState(`SLUICE_MAIN_G2_${stream}`)).toBeNull();
  }
  const hot = [0, 1].map((lane) => laneFile(next["hot.dir"], lane));
  expect([next["lake.dir"], ...hot].filter((path) => existsSync(path))).toEqual([]);

  // Begun anew it is another one: nothing that is left of the first passes for its own. Two who begin it begin one.
  const twice = await Promise.all([upgrade("--package", path), upgrade("--package", path)]);
  expect(twice.map(({ code }) => code)).toEqual([0, 0]);
  expect(await active()).toEqual(["1 active", "3 beside"]);
  // Killed between the swap and the rest: the stages do the rest. Killed while dropping: asked again, it is done.
  await control.changeGenerations("main", (now) => activate(now!, 3, Date.now()));
  await market.until("the old one to stand still", async () => (await control.desired("main"))?.running === false);
  expect((await upgrade("--package", path, "--yes")).code).toBe(0);
  await control.changeGenerations("main", (now) => drop(activate(now!, 1, Date.now()), 3));
  expect(await active()).toEqual(["1 active", "3 being removed"]);
  expect((await upgrade("--drop", "3", "--yes")).code).toBe(0);
  expect([await active(), await broker.streamState("SLUICE_MAIN_G3_BLOCKS")]).toEqual([["1 active"], null]);
  expect((await upgrade("--drop", "3")).stderr).toContain("GENERATION_UNKNOWN");

  stop.abort();
  await asking;
  expect([failures, asked > 50]).toEqual([[], true]);
  expect(await stages.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);
