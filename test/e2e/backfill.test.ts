/**
 * Goal: history that is filled in beside a live archive is the truth, joined to the live range without a gap or a repeat,
 * whoever is killed and whatever else goes on; a bucket behind the same; and what would cost or double is refused before it
 * begins. Method: the commands that users run against a real replay endpoint, killed with SIGKILL in the middle; the lake is
 * held against the simulator's truth.
 */
import { afterAll, expect, test } from "bun:test";
import { lakeStore } from "../../cli/lake.ts";
import { holdLakeAgainst } from "../../cli/verdict.ts";
import type { Alarm } from "../../pipeline/alarm.ts";
import { readHistory } from "../../storage/lake/history.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";
import { type Command, useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
const server = new S3Server();
afterAll(() => server.stop());

const FAST = ["lease.ttlMs=2000", "archive.rollSeconds=10"];

const flags = (market: Market) => market.settings().flatMap((setting) => ["--set", setting]);

interface Told {
  readonly plan: { readonly from: number; readonly to: number; readonly streams: number; readonly segments: unknown[] };
  readonly result: {
    readonly complete: boolean;
    readonly blocks: number;
    readonly rows: number;
    readonly alarms: readonly Alarm[];
  };
}
const told = (stdout: string) => JSON.parse(stdout) as Told;

/** Kills the command when the lake has some of its segments' entries. */
async function killInTheMiddle(market: Market, command: Command, committed: number): Promise<void> {
  const store = await lakeStore(market.config);
  await market.until("entries of the backfill", async () => {
    if (command.child.exitCode !== null) throw new Error(`it has ended: ${command.stderr}`);
    const { begun } = await readHistory(store, "main");
    return begun.reduce((slots, { start, slot }) => slots + slot - start + 1, 0) >= committed;
  });
  command.child.kill("SIGKILL");
  await command.finished;
}

async function isTheTruth(market: Market): Promise<void> {
  expect(await holdLakeAgainst(market.config, market.truth)).toEqual([]);
  const { code, stdout } = await ground.run(["verify", "--deep", "--json", ...flags(market)]);
  const report = JSON.parse(stdout) as {
    findings: unknown[];
    coverage: Record<string, { first: number; last: number }[]>;
  };
  expect({ code, findings: report.findings }).toEqual({ code: 0, findings: [] });
  const { firstSlot, lastSlot } = market.truth.chain;
  expect(report.coverage["trades"]).toEqual([{ first: firstSlot, last: lastSlot }]);
  const count = await ground.run(["sql", "select count(*) as n from trades", "--json", ...flags(market)]);
  expect(JSON.parse(count.stdout)).toEqual([{ n: String(market.truth.datasets["trades"]!.rows) }]);
}

test("beside a live archive and a compaction, killed twice in the middle: the truth, in one piece", async () => {
  const market = await Market.open(ground, {
    blocks: 480,
    seed: 71,
    blocksPerSecond: 120,
    hold: { from: 200, to: 230 },
    settings: FAST,
  });
  const { firstSlot, lastSlot } = market.truth.chain;
  const half = Math.floor((firstSlot + lastSlot) / 2);
  const live = market.start([], [...market.whole, `source.startBlock=${half}`]);
  await market.unit("archive.main", "under way", (unit) => unit.metrics.receivedBlocks > 10);

  const args = [
    "backfill",
    "--from",
    String(firstSlot),
    "--segment",
    "90",
    "--sample",
    "0",
    "--json",
    ...flags(market),
  ];
  const dry = JSON.parse((await ground.run([...args, "--dry-run"])).stdout) as Pick<Told, "plan">;
  expect(dry.plan).toMatchObject({ from: firstSlot, streams: 2 });
  await killInTheMiddle(market, ground.start(args), 40);
  await killInTheMiddle(market, ground.start(args), 120);
  market.release();
  const compacting = ground.start(["compact", "--json", ...flags(market)]);
  const last = await ground.run(args);
  expect({ code: last.code, ...told(last.stdout).result }).toMatchObject({ code: 0, complete: true });
  expect((await compacting.finished).code).toBe(0);
  // What was committed is not asked for again.
  expect(told(last.stdout).result.blocks).toBeLessThan(told(last.stdout).plan.to - firstSlot - 100);
  await market.ended();
  expect(await live.stop()).toBe(0);
  await isTheTruth(market);

  expect((await ground.run(["compact", ...flags(market)])).stdout).toContain("merged");
  await isTheTruth(market);
  const again = await ground.run(args);
  expect({ code: again.code, ...told(again.stdout).result }).toMatchObject({ code: 0, complete: true, blocks: 0 });

  const over = await ground.run([...args, "--to", String(lastSlot)]);
  expect(over.code).toBe(1);
  expect(over.stderr).toContain("BACKFILL_COVERED");
  expect(over.stderr).toContain(`to ${lastSlot} already`);
}, 300_000);

test("into a bucket, and stopped by hand in the middle: what was gathered is not asked for twice", async () => {
  const keys = ["lake.s3.accessKeyId=S3RVER", "lake.s3.secretAccessKey=S3RVER", "lake.s3.createBucket=true"];
  const bucket = [`lake.url=s3://history/lake`, `lake.s3.endpoint=${server.url}`, ...keys];
  const settings = ["lease.ttlMs=2000", "archive.rollSeconds=3600", ...bucket];
  const market = await Market.open(ground, {
    blocks: 300,
    seed: 72,
    blocksPerSecond: 30,
    hold: { from: 150 },
    settings,
  });
  const { firstSlot, lastSlot } = market.truth.chain;
  const range = ["--from", String(firstSlot), "--to", String(lastSlot + 1)];
  const args = ["backfill", ...range, "--sample", "0", "--parallel", "1", "--json", ...flags(market)];
  const first = ground.start(args);
  await market.until("blocks", () => {
    if (first.child.exitCode !== null) throw new Error(`it has ended: ${first.stderr}`);
    return /[1-9]\d* blocks,/.test(first.stderr);
  });
  first.child.kill("SIGTERM");
  const stopped = await first.finished;
  expect(stopped.code).toBe(1);
  expect(told(stopped.stdout).result).toMatchObject({ complete: false });
  expect(told(stopped.stdout).result.rows).toBeGreaterThan(0);
  market.release();
  const second = await ground.run(args);
  expect(second.code).toBe(0);
  const blocks = told(stopped.stdout).result.blocks + told(second.stdout).result.blocks;
  // But for what was under way when it was stopped.
  expect(blocks).toBeLessThanOrEqual(300 + 64);
  await isTheTruth(market);
}, 300_000);

test("a budget that is used up in the middle: what came is kept, and is not asked for again when there is more", async () => {
  const market = await Market.open(ground, { blocks: 160, seed: 74, settings: ["archive.rollSeconds=3600"] });
  const { firstSlot, lastSlot } = market.truth.chain;
  const args = ["backfill", "--from", String(firstSlot), "--to", String(lastSlot + 1), "--sample", "0", "--json"];
  const limited = await ground.run([...args, ...flags(market), "--set", "spend.maxBlocksPerDay=80"]);
  expect({ code: limited.code, text: limited.stderr }).toMatchObject({
    code: 1,
    text: expect.stringContaining("SPEND_LIMIT"),
  });
  const [begun] = (await readHistory(await lakeStore(market.config), "main")).begun;
  expect(begun!.slot).toBeGreaterThan(firstSlot + 40);
  const rest = await ground.run([...args, ...flags(market)]);
  expect(rest.code).toBe(0);
  expect(told(rest.stdout).result.blocks).toBeLessThan(160 - 80 + 10);
  await isTheTruth(market);
}, 300_000);

test("slots without a block are covered as well, and asked for once", async () => {
  const market = await Market.open(ground, { blocks: 60, seed: 75, settings: FAST });
  const { firstSlot, lastSlot } = market.truth.chain;
  const args = (from: number, to: number) => [
    ...["backfill", "--from", String(from), "--to", String(to), "--sample", "0", "--json"],
    ...flags(market),
  ];
  expect((await ground.run(args(firstSlot, lastSlot + 1))).code).toBe(0);
  const before = await ground.run(args(firstSlot - 50, firstSlot));
  expect({ code: before.code, ...told(before.stdout).result }).toMatchObject({ code: 0, complete: true, blocks: 0 });
  const report = JSON.parse((await ground.run(["verify", "--json", ...flags(market)])).stdout) as {
    readonly coverage: unknown;
  };
  expect(report.coverage).toMatchObject({ trades: [{ first: firstSlot - 50, last: lastSlot }] });
  const again = await ground.run(args(firstSlot - 50, firstSlot));
  expect(told(again.stdout).plan.segments).toEqual([]);
}, 300_000);

test("a decoder that the chain has overtaken is told of, in the log and at the end", async () => {
  const upgrade = 370_500_080;
  const market = await Market.open(ground, {
    ...{ blocks: 160, seed: 76, settings: FAST },
    grows: { fromSlot: upgrade, at: "middle" },
  });
  const { firstSlot, lastSlot } = market.truth.chain;
  const range = ["--from", String(firstSlot), "--to", String(lastSlot + 1), "--segment", "60", "--sample", "0"];
  const { code, stdout, stderr } = await ground.run(["backfill", ...range, "--json", ...flags(market)]);
  expect(code).toBe(0);
  const alarms = told(stdout).result.alarms.filter(({ dataset }) => dataset === "buy_sell");
  expect(alarms).toMatchObject([{ kind: "unknown_layout", program: "spinpet" }]);
  expect(alarms[0]!.slot).toBeGreaterThanOrEqual(upgrade);
  expect(stderr).toContain("fit no known layout");
}, 300_000);

test("refused before it begins: more than the limit, no end to lead up to, an odd range", async () => {
  const market = await Market.open(ground, { blocks: 60, seed: 73, settings: FAST });
  const { firstSlot, lastSlot } = market.truth.chain;
  const from = ["backfill", "--from", String(firstSlot), ...flags(market)];
  const whole = [...from, "--to", String(lastSlot + 1)];
  const limited = await ground.run([...whole, "--limit-blocks", "10"]);
  expect({ code: limited.code, text: limited.stderr }).toMatchObject({
    code: 1,
    text: expect.stringContaining("BACKFILL_LIMIT"),
  });
  const endless = await ground.run(from);
  expect({ code: endless.code, text: endless.stderr }).toMatchObject({
    code: 2,
    text: expect.stringContaining("--to"),
  });
  expect((await ground.run([...from, "--to", "1"])).code).toBe(2);
  const dry = await ground.run([...whole, "--dry-run"]);
  expect(dry.code).toBe(0);
  expect(dry.stdout).toContain("from a sample of the beginning, which was paid for");
  expect(dry.stdout).toMatch(/blocks to receive +about \d+/);
  expect((await ground.run(["verify", ...flags(market)])).code).toBe(1);
}, 300_000);
