/**
 * Goal: the demo does what it says. Once: what it printed is true, its check can fail, and nothing configured for
 * production is touched. Live: rows can be read soon, and Ctrl-C leaves no process behind. Method: the command as a
 * child process; its figures against those of `simulate`, its stores against the truth and against a changed one.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { holdAgainst } from "../../cli/verdict.ts";
import { loadConfig } from "../../pipeline/config.ts";
import { Transient } from "../../pipeline/errors.ts";
import type { Truth } from "../../simulator/index.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { processesOf, until, useGround } from "./ground.ts";

const ground = useGround();

const KEYS = [
  ...["blocks", "transactions", "events", "quarantined", "undos", "hot_rows", "lake_rows", "lake_files", "candles"],
  ...["seconds", "events_per_second", "peak_rss_mb", "nats_rss_mb", "verified"],
];

test("once: the last line is the result, as the truth has it, and whoever changes a row is caught", async () => {
  const chain = ["--blocks", "200", "--seed", "5"];
  const data = ground.path("demo");
  const elsewhere = { DATABASE_URL: ground.path("own-hot"), SLUICE_LAKE: ground.path("own-lake") };
  const production = { NATS_URL: "nats://127.0.0.1:1", STOP_BLOCK: "1", PROCESS_FAILED_TRANSACTIONS: "true" };
  const [demo, simulated] = await Promise.all([
    ground.run(["--data", data, "demo", "--once", "--json", ...chain], { env: { ...elsewhere, ...production } }),
    ground.run(["simulate", "--json", "--out", ground.path("same.zst"), ...chain]),
  ]);
  expect(demo.stderr).toContain("simulating 200 blocks");
  expect(demo.code).toBe(0);
  const result = JSON.parse(demo.stdout.trimEnd().split("\n").at(-1)!);
  expect(Object.keys(result).sort()).toEqual([...KEYS].sort());

  const truth = JSON.parse(simulated.stdout) as Truth;
  const { blocks, transactions, eventsTotal, quarantined, trades, chain: shape, datasets } = truth;
  const candles = Object.entries(datasets).filter(([name]) => name.startsWith("candles_"));
  expect(result).toMatchObject({
    blocks,
    transactions,
    quarantined,
    events: eventsTotal,
    undos: shape.undos,
    hot_rows: eventsTotal + quarantined,
    lake_rows: eventsTotal + quarantined + trades,
    candles: candles.reduce((sum, [, digest]) => sum + digest.rows, 0),
    verified: true,
  });
  for (const name of ["seconds", "events_per_second", "peak_rss_mb", "nats_rss_mb", "lake_files"]) {
    expect(result[name]).toBeGreaterThan(0);
  }
  expect(Object.values(elsewhere).filter((folder) => existsSync(folder))).toEqual([]);
  expect(processesOf(ground.folder)).toEqual([]);
  await expectChangesToShow(data, truth);
}, 300_000);

/** Every kind of lie: in the truth, in a row of the hot store, in a file of the lake. */
async function expectChangesToShow(data: string, truth: Truth): Promise<void> {
  const { values: config } = loadConfig({ flags: { "data.dir": data } });
  const differences = async (held: Truth) => (await holdAgainst(config, held)).differences;
  expect(await differences(truth)).toEqual([]);

  const digest = truth.datasets["buy_sell"]!;
  const other = { ...digest, sha256: digest.sha256.replace(/^./, (c) => (c === "0" ? "1" : "0")) };
  const changed = { ...truth, datasets: { ...truth.datasets, buy_sell: other } };
  const content = `buy_sell: ${digest.rows} rows as expected, but their content differs`;
  expect(await differences(changed)).toEqual([`hot ${content}`, `lake ${content}`]);

  const hot = new Database(laneFile(join(data, "hot"), 0));
  hot.run(
    "UPDATE _candles_open SET d1_trades = d1_trades + 1 WHERE mint_id = (SELECT max(mint_id) FROM _candles_open)",
  );
  hot.close(true);
  const candles = await differences(truth);
  expect(candles).toHaveLength(1);
  expect(candles[0]).toMatch(/^hot candles_\w+: \d+ rows as expected, but their content differs$/);

  const manifest = join(data, "lake", "manifest");
  const entries = (await readdir(manifest)).sort();
  await rm(join(manifest, entries.findLast((name) => /^\d+\.json$/.test(name))!));
  expect((await differences(truth)).some((line) => /^lake .* rows instead of /.test(line))).toBeTrue();
}

test("once: fails, and says where, when what is stored is not the truth; settings reach the processes", async () => {
  // Decoding what failed on chain is the easiest way to store what is not true.
  const settings = ["--set", "decode.failedTransactions=true", "--set", "lanes=3"];
  const chain = ["--blocks", "60", "--seed", "5"];
  const data = ground.path("demo");
  const demo = await ground.run(["--data", data, ...settings, "demo", "--once", "--json", ...chain]);
  expect(demo.stderr).toMatch(/differs from the truth: lake buy_sell: \d+ rows instead of \d+/);
  expect(JSON.parse(demo.stdout.trimEnd().split("\n").at(-1)!)).toMatchObject({ verified: false });
  expect(demo.code).toBe(1);
  expect((await readdir(join(data, "hot"))).filter((name) => name.endsWith(".sqlite"))).toHaveLength(3);
}, 300_000);

test("live: the API and the first rows are there soon; Ctrl-C ends everything", async () => {
  const data = ground.path("demo");
  const demo = ground.start(["--data", data, "demo", "--port", "0", "--blocks", "600", "--seed", "3"], {
    ownGroup: true,
  });
  const url = await until("the URL", () => /http:\/\/127\.0\.0\.1:\d+/.exec(demo.stdout)?.[0]);
  await until("the first blocks through the API", async () => {
    const answer = await fetch(`${url}/api/indexer/status`);
    const status = (await answer.json()) as { running: boolean; lastBlock: number };
    return status.running && status.lastBlock > 0;
  });
  await until("the first rows in the hot store", () => rowsOf(laneFile(join(data, "hot"), 0)) > 0);
  expect(processesOf(ground.folder).length).toBeGreaterThan(3);

  // A terminal sends Ctrl-C to the whole group, and people press it twice.
  process.kill(-demo.child.pid, "SIGINT");
  const toldAt = performance.now();
  await Bun.sleep(100);
  // Later than that it would be meant.
  if (performance.now() - toldAt < 500) process.kill(-demo.child.pid, "SIGINT");
  expect((await demo.finished).code).toBe(0);
  expect(demo.stderr).not.toContain("sluice:");
  expect(processesOf(ground.folder)).toEqual([]);
  expect(existsSync(join(data, "stages.log"))).toBeTrue();
  expect(await Bun.file(join(data, "stages.log")).text()).not.toContain('"level":"error"');
}, 300_000);

test("live: a demo that is killed takes its processes with it", async () => {
  const demo = ground.start(["--data", ground.path("demo"), "demo", "--port", "0", "--blocks", "100"]);
  await until("the URL", () => /http:\/\/127\.0\.0\.1:\d+/.test(demo.stdout));
  demo.child.kill("SIGKILL");
  await until("the end of its processes", () => processesOf(ground.folder).length === 0).catch(() => undefined);
  expect(processesOf(ground.folder)).toEqual([]);
}, 300_000);

test("a folder with something else in it is left alone; a port that is taken is said so", async () => {
  await Bun.write(ground.path("mine", "precious.txt"), "x");
  const refused = await ground.run(["--data", ground.path("mine"), "demo", "--once"]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("DEMO_FOLDER");
  expect(await readdir(ground.path("mine"))).toEqual(["precious.txt"]);

  const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
  ground.atEnd(() => taken.stop(true));
  const demo = await ground.run(["--data", ground.path("demo"), "demo", "--port", String(taken.port), "--blocks", "5"]);
  expect(demo.code).toBe(1);
  expect(demo.stderr).toContain("API_PORT");
  expect(processesOf(ground.folder)).toEqual([]);
}, 300_000);

/** None as long as the lane's file is being made. */
function rowsOf(file: string): number {
  try {
    const reader = new HotReader(file);
    try {
      return [...reader.tableRows("trades")].reduce((sum, table) => sum + table.length, 0);
    } finally {
      reader.close();
    }
  } catch (error) {
    if (error instanceof Transient) return 0;
    throw error;
  }
}
