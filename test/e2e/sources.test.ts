/**
 * Goal: several sources in one deployment are each as good as alone, whatever befalls the others. Method: two markets of
 * different seeds behind two endpoints, and two sources that cannot work, in one process; each market's stores are held
 * against its own truth, and control is asked for one and for all.
 */
import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { startService } from "../../cli/child.ts";
import { throughSlot } from "../../cli/local-run.ts";
import { holdAgainst } from "../../cli/verdict.ts";
import { loadConfig, sourceConfigs } from "../../pipeline/config.ts";
import { buildDemoPackage, writeSimulation } from "../../simulator/index.ts";
import { apiOf, useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();

async function secondMarket() {
  const out = ground.path("second.zst");
  const truth = await writeSimulation({ seed: 32, blocks: 150, output: "transactions", out });
  const args = ["replay", out, "--port", "0", "--json"];
  const child = await startService<{ endpoint: string }>({ args, logFile: ground.path("second.log") });
  ground.atEnd(() => child.kill("SIGKILL"));
  return { truth, endpoint: child.ready.endpoint };
}

test("two sources that work beside two that do not", async () => {
  const second = await secondMarket();
  const entries = [
    { name: "broken", package: ground.path("nowhere.spkg") },
    { name: "main" },
    {
      name: "second-one",
      endpoint: second.endpoint,
      stopBlock: String(second.truth.chain.lastSlot + 1),
      "lake.dir": ground.path("second-lake"),
    },
    { name: "unknown-program", "decode.programs": ["nonsense"] },
  ];
  const settings = [`sources=${JSON.stringify(entries)}`, "archive.rollSeconds=20"];
  const market = await Market.open(ground, { blocks: 200, seed: 31, settings });
  const stages = market.start();
  const works = ["ingest", "decode", "shard", "archive"].flatMap((stage) => [`${stage}.main`, `${stage}.second-one`]);
  for (const unit of [...works, "lane.main.0", "lane.second-one.0"]) {
    await market.unit(unit, "at its end", ({ ended }) => ended);
  }
  const failed = async (unit: string) => (await market.unit(unit, "failed", (u) => u.state === "failed")).errors.at(-1);
  expect((await failed("ingest.broken"))?.code).toBe("PACKAGE_MISSING");
  expect((await failed("ingest.unknown-program"))?.message).toContain("cannot be opened");

  const api = await apiOf(ground, market.settings());
  const sources = [
    { source: "broken", running: false },
    { source: "main", running: true },
    { source: "second-one", running: true },
    { source: "unknown-program", running: false },
  ];
  await api.says("GET", "/api/indexer/status", { body: { sources } });
  const tells = (source: string, more: object) =>
    api.says("GET", `/api/indexer/status?source=${source}`, { body: more });
  await tells("second-one", { running: true, lastBlock: second.truth.chain.lastSlot });
  await api.says("GET", "/api/indexer/status?source=nobody", { code: 404 });
  await api.says("GET", "/health", { code: 200, body: { status: "degraded" } });
  const ended = /sluice_source_state\{source="second-one".*state="ended"\} 1/;
  await api.says("GET", "/metrics", { body: expect.stringMatching(ended) });

  await api.says("POST", "/api/indexer/stop?source=main", { code: 200 });
  await tells("main", { running: false });
  await tells("second-one", { running: true });
  await api.says("POST", "/api/indexer/stop", { code: 200 });
  await tells("second-one", { running: false });

  expect(await stages.stop()).toBe(0);
  const flags = [...market.settings(), ...throughSlot(market.truth.chain.lastSlot)].map((s) => s.split(/=(.*)/s, 2));
  const configs = sourceConfigs(loadConfig({ flags: Object.fromEntries(flags) }).values);
  expect((await holdAgainst(configs[1]!, market.truth)).differences).toEqual([]);
  expect((await holdAgainst(configs[2]!, second.truth)).differences).toEqual([]);

  const count = async (source: string) => {
    const args = ["sql", "select count(*) as n from trades", "--source", source, "--csv"];
    const { stdout } = await ground.run([...args, ...market.settings().flatMap((setting) => ["--set", setting])]);
    return stdout.trim().split(/\s+/);
  };
  expect(await count("main")).toEqual(["n", String(market.truth.trades)]);
  expect(await count("second-one")).toEqual(["n", String(second.truth.trades)]);
}, 180_000);

test("a source that cannot be opened, put right in its file and in the settings, begins without a restart", async () => {
  const second = await secondMarket();
  const market = await Market.open(ground, { blocks: 120, seed: 34, settings: ["archive.rollSeconds=20"] });
  const spkg = ground.path("late.spkg");
  const file = ground.path("late.yaml");
  const late = { name: "late", endpoint: second.endpoint, "lake.dir": ground.path("late-lake"), package: spkg };
  const write = (more: object) =>
    writeFile(file, JSON.stringify({ sources: [{ name: "main" }, { ...late, ...more }] }));
  await write({ module: "nowhere" });
  const stages = market.start(["--config", file], throughSlot(second.truth.chain.lastSlot));
  const failure = async (code: string) =>
    market.unit("ingest.late", code, (u) => u.state === "failed" && u.errors.at(-1)?.code === code);
  await failure("PACKAGE_MISSING");
  const before = (await market.held()).find((unit) => unit.unit === "decode.main");
  await writeFile(spkg, buildDemoPackage());
  const api = await apiOf(ground, [...market.settings(), `sources=${JSON.stringify([{ name: "main" }, late])}`]);
  await api.says("POST", "/api/indexer/start?source=late", { code: 503 });
  await failure("MODULE_UNKNOWN");
  await write({});
  await api.says("POST", "/api/indexer/start?source=late", { code: 200 });
  for (const unit of ["ingest.late", "decode.late", "lane.late.0", "archive.late"]) {
    await market.unit(unit, "at its end", ({ ended }) => ended);
  }
  const after = (await market.held()).find((unit) => unit.unit === "decode.main");
  expect([after?.pid, after?.metrics.sentBatches]).toEqual([before?.pid, expect.any(Number)]);
  expect(await stages.stop()).toBe(0);
  const sources = JSON.stringify([{ name: "main" }, { ...late, stopBlock: String(second.truth.chain.lastSlot + 1) }]);
  const flags = [...market.settings(), `sources=${sources}`].map((s) => s.split(/=(.*)/s, 2));
  const [, own] = sourceConfigs(loadConfig({ flags: Object.fromEntries(flags) }).values);
  expect((await holdAgainst(own!, second.truth)).differences).toEqual([]);
}, 180_000);

test("sources that share a lake: a lineage each, one answer, and a lake that is sound", async () => {
  const second = await secondMarket();
  const stopBlock = String(second.truth.chain.lastSlot + 1);
  const entries = [{ name: "main" }, { name: "second-one", endpoint: second.endpoint, stopBlock }];
  const settings = [`sources=${JSON.stringify(entries)}`, "archive.rollSeconds=20"];
  const market = await Market.open(ground, { blocks: 150, seed: 33, settings });
  const stages = market.start(["--exit-at-end"]);
  expect(await stages.exited).toBe(0);
  const flags = market.settings().flatMap((setting) => ["--set", setting]);
  const ask = async (sql: string, ...more: string[]) => {
    const { stdout, stderr } = await ground.run(["sql", sql, "--csv", ...more, ...flags]);
    return { value: stdout.trim().split(/\s+/)[1], stderr };
  };
  const trades = market.truth.trades + second.truth.trades;
  const all = await ask("select count(*) as n from trades");
  expect(all.value).toBe(String(trades));
  // In the order of their last entries, which is nobody's to say.
  for (const source of ["main", "second-one"]) {
    expect(all.stderr).toMatch(new RegExp(`live ${source} up to slot \\d+`));
    expect(all.stderr).toMatch(new RegExp(`lane 0 of ${source} at slot \\d+`));
  }
  expect((await ask("select count(*) as n from trades", "--lake-only")).value).toBe(String(trades));
  for (const more of [[], ["--lake-only"]]) {
    const own = async (source: string) => (await ask("select count(*) from trades", "--source", source, ...more)).value;
    expect(await own("main")).toBe(String(market.truth.trades));
    expect(await own("second-one")).toBe(String(second.truth.trades));
  }
  const verified = await ground.run(["verify", "--deep", "--json", ...flags]);
  const { findings } = JSON.parse(verified.stdout) as { findings: unknown[] };
  expect([findings, verified.code]).toEqual([[], 0]);
}, 180_000);

test("two sources of the same tokens, in one lane, killed in the middle: each is the whole truth", async () => {
  const entries = [{ name: "main" }, { name: "twin", "lake.dir": ground.path("twin-lake") }];
  const settings = [`sources=${JSON.stringify(entries)}`, "lanes=1", "archive.rollSeconds=20", "lease.ttlMs=2000"];
  const market = await Market.open(ground, { blocks: 200, seed: 35, blocksPerSecond: 60, settings });
  const first = market.start();
  await market.unit("lane.twin.0", "under way", (unit) => unit.metrics.sentBlocks > 40);
  first.kill("SIGKILL");
  await first.exited;
  await market.disconnect();
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  const flags = [...market.settings(), ...market.whole].map((s) => s.split(/=(.*)/s, 2));
  for (const own of sourceConfigs(loadConfig({ flags: Object.fromEntries(flags) }).values)) {
    expect([own["source.name"], (await holdAgainst(own, market.truth)).differences]).toEqual([own["source.name"], []]);
  }
}, 180_000);
