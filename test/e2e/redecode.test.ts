/**
 * Goal: a program puts new fields between the old ones of its swaps in mid-chain; what was misread or set aside is put right
 * once a layout is added, in the lake and in the hot stores, without asking the provider again: from kept payloads alone, and
 * from the blocks that are still at hand while the stages run. Method: the simulator's upgrade, the commands that users run, and
 * in the end every row against the simulator's truth, which knows both layouts.
 */
import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { holdLakeAgainst } from "../../cli/verdict.ts";
import { names } from "../../pipeline/names.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
const UPGRADE = 370_500_150;
/** A lease that a busy machine lost would open a second session. */
const SETTINGS = ["lanes=2", "lease.ttlMs=10000", "archive.rollSeconds=20"];
const MARKET = { blocks: 400, grows: { fromSlot: UPGRADE, at: "middle" as const }, settings: SETTINGS };

/** Settings with the layout that the swaps have now. */
async function improved(): Promise<string[]> {
  const fields = [
    ...[
      ["payer", "pubkey"],
      ["mint_account", "pubkey"],
      ["fee_lamports", "u64"],
      ["referrer", "pubkey"],
    ],
    ...[
      ["is_buy", "bool"],
      ["token_amount", "u64"],
      ["sol_amount", "u64"],
      ["latest_price", "u128"],
    ],
  ].map(([name, type]) => ({ name, type }));
  const idl = {
    address: "JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ",
    metadata: { name: "spinpet", version: "0.2.0", spec: "0.1.0" },
    instructions: [],
    events: [{ name: "BuySellEvent", discriminator: [98, 208, 120, 60, 93, 32, 19, 180] }],
    types: [{ name: "BuySellEvent", type: { kind: "struct", fields } }],
  };
  await writeFile(ground.path("spinpet-2.json"), JSON.stringify(idl));
  const file = ground.path("improved.yaml");
  await writeFile(
    file,
    `programs:\n  - {preset: spinpet, later: [${JSON.stringify(ground.path("spinpet-2.json"))}]}\n`,
  );
  return ["--config", file];
}

const flags = (market: Market) => market.settings().flatMap((setting) => ["--set", setting]);

async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await ground.run([...args, "--json"]);
  if (code !== 0) throw new Error(`sluice ${args.join(" ")} ended with ${code}\n${stderr}`);
  return JSON.parse(stdout);
}

interface Done {
  readonly notRead: readonly { first: number; last: number }[];
  readonly blocks: readonly { first: number; last: number }[];
  readonly kept: { read: number; healed: number; needBlock: number };
  readonly corrected: readonly { dataset: string; rowsGone: number; rowsCome: number; slots: { last: number } }[];
}

test("from kept payloads alone: a rehearsal changes nothing, the command heals all, again changes nothing", async () => {
  const market = await Market.open(ground, { ...MARKET, seed: 61 });
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  const wrong = await market.differences();
  for (const what of ["lake buy_sell", "lake trades", "lake quarantine", "hot mints", "hot candles_m1"]) {
    expect(wrong.some((line) => line.startsWith(what))).toBe(true);
  }
  const command = ["quarantine", "redecode", "--program", "spinpet", ...(await improved()), ...flags(market)];
  const rehearsal = (await json([...command, "--dry-run"])) as unknown as Done;
  expect(rehearsal).toMatchObject({ dryRun: true, blocks: [] });
  expect(rehearsal.kept.healed).toBeGreaterThan(50);
  expect(await market.differences()).toEqual(wrong);

  const done = (await json([...command, "--rebuild"])) as unknown as Done;
  expect(done.kept).toEqual(rehearsal.kept);
  const sums = (all: Done["corrected"]) => all.map(({ dataset, rowsGone, rowsCome }) => [dataset, rowsGone, rowsCome]);
  expect(sums(done.corrected)).toEqual(sums(rehearsal.corrected));
  for (const { slots } of done.corrected) expect(slots.last).toBeGreaterThanOrEqual(UPGRADE);
  expect(await market.differences()).toEqual([]);
  expect(await json(["verify", "--deep", ...flags(market)])).toMatchObject({ ok: true, findings: [] });
  expect(((await json(command)) as unknown as Done).corrected).toEqual([]);
  const fees = await ground.run([
    ...["sql", "select count(*) as n from buy_sell where fee_lamports is not null", "--json"],
    ...(await improved()),
    ...flags(market),
  ]);
  expect(Number(JSON.parse(fees.stdout)[0].n)).toBe(done.kept.healed);

  const unknown = await ground.run(["redecode", "--program", "spinpat", ...flags(market)]);
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('Did you mean "spinpet"') });
}, 300_000);

test("from the lake's own archive of raw blocks, when the stream of blocks has gone", async () => {
  const settings = [...SETTINGS, "archive.rawBlocks=true"];
  const market = await Market.open(ground, { ...MARKET, seed: 63, settings });
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  expect((await market.differences()).length).toBeGreaterThan(5);
  const { broker } = await market.connection();
  await broker.purge(names(market.config["nats.prefix"], "main").blocks.stream);
  await market.disconnect();
  const command = ["redecode", "--program", "spinpet", ...(await improved()), ...flags(market)];
  const done = (await json([...command, "--rebuild"])) as unknown as Done;
  expect(done.blocks.length).toBe(1);
  expect(done.blocks[0]!.first).toBeLessThanOrEqual(market.truth.chain.firstSlot + 1);
  expect(done.kept).toEqual({ read: 0, healed: 0, needBlock: 0 });
  expect(await market.differences()).toEqual([]);
  expect(await json(["verify", "--deep", ...flags(market)])).toMatchObject({ ok: true, findings: [] });
  const kept = await ground.run(["sql", "select count(*) as n from raw_blocks", "--json", ...flags(market)]);
  expect(Number(JSON.parse(kept.stdout)[0].n)).toBeGreaterThan(200);
  expect(((await json(command)) as unknown as Done).corrected).toEqual([]);
}, 300_000);

test("from the blocks at hand, while the stages run with the new layout, and what is not archived yet as well", async () => {
  const market = await Market.open(ground, { ...MARKET, seed: 62, blocksPerSecond: 60, hold: { from: 300 } });
  const first = market.start();
  await market.unit("archive.main", "past the upgrade", (unit) => (unit.metrics.position?.slot ?? 0) > UPGRADE + 40);
  await market.unit("lane.main.1", "further on", (unit) => (unit.metrics.position?.slot ?? 0) > UPGRADE + 90);
  expect(await first.stop()).toBe(0);
  const settings = await improved();
  const second = market.start([...settings, "--exit-at-end"]);
  await market.unit("lane.main.1", "running again", (unit) => unit.state === "running");
  const command = ["redecode", "--program", "spinpet", "--rebuild", ...settings, ...flags(market)];
  const done = (await json(command)) as unknown as Done;
  expect(done.blocks[0]?.first).toBeLessThan(UPGRADE);
  expect(done.kept).toEqual({ read: 0, healed: 0, needBlock: 0 });
  expect(new Set(done.corrected.map(({ dataset }) => dataset))).toContain("trades");
  market.release();
  expect(await second.exited).toBe(0);
  await market.disconnect();
  expect(await market.differences()).toEqual([]);
  expect(await json(["verify", "--deep", ...flags(market)])).toMatchObject({ ok: true, findings: [] });
  const log = await readFile(second.log, "utf8");
  expect(log.split("Substreams session").length).toBe(2);
}, 300_000);

test("history that a backfill has brought is left as it is, for BLOCKS never held it; what is removed has to be asked for", async () => {
  const market = await Market.open(ground, { blocks: 300, seed: 64, settings: SETTINGS });
  const { firstSlot, lastSlot } = market.truth.chain;
  const half = Math.floor((firstSlot + lastSlot) / 2);
  expect(await market.start(["--exit-at-end"], [...market.whole, `source.startBlock=${half}`]).exited).toBe(0);
  await json(["backfill", "--from", String(firstSlot), "--sample", "0", ...flags(market)]);
  expect(await holdLakeAgainst(market.config, market.truth)).toEqual([]);
  const command = ["redecode", "--program", "spinpet", ...flags(market)];
  const done = (await json(command)) as unknown as Done;
  expect(done.corrected).toEqual([]);
  expect(done.blocks[0]!.first).toBeGreaterThanOrEqual(half);
  expect(done.notRead[0]).toMatchObject({ first: firstSlot });
  expect(done.notRead[0]!.last).toBeGreaterThanOrEqual(half - 1);
  expect((await ground.run([...command, "--dry-run"])).stdout).toContain("stays as it is");
  expect(await holdLakeAgainst(market.config, market.truth)).toEqual([]);

  // Rows that another setting brings go again only when that is asked for.
  const more = (await json([...command, "--set", "decode.failedTransactions=true"])) as unknown as Done;
  expect(more.corrected.length).toBeGreaterThan(0);
  const withMore = await holdLakeAgainst(market.config, market.truth);
  expect(withMore).not.toEqual([]);
  const { events, lanes } = names(market.config["nats.prefix"], "main");
  const { broker } = await market.connection();
  const streams = () => Promise.all([events, lanes].map(({ stream }) => broker.streamState(stream)));
  const before = await streams();
  // Refused before anything was begun anew: without stages, streams that are begun anew are empty.
  for (const way of [[], ["--rebuild"]]) {
    const refused = await ground.run([...command, ...way]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("REDECODE_REMOVES") });
  }
  expect(await streams()).toEqual(before);
  expect(await holdLakeAgainst(market.config, market.truth)).toEqual(withMore);
  expect((await ground.run([...command, "--dry-run"])).stdout).toContain("asks for --allow-removal");
  await json([...command, "--allow-removal"]);
  expect(await holdLakeAgainst(market.config, market.truth)).toEqual([]);
  expect(await json(["verify", "--deep", ...flags(market)])).toMatchObject({ ok: true, findings: [] });
}, 300_000);
