/**
 * Goal: a budget stops what costs and nothing else, what was spent is told and survives restarts, and with more of it the
 * rest comes. Method: a market with a budget of a hundred blocks; a restart with room for all.
 */
import { expect, test } from "bun:test";
import { apiOf, useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();

test("stops at the budget, says so, and goes on when there is more", async () => {
  const market = await Market.open(ground, { blocks: 200, seed: 23, settings: ["archive.rollSeconds=20"] });
  const whole = [`source.stopBlock=${market.truth.chain.lastSlot + 1}`, "source.finalBlocksOnly=false"];
  const first = market.start([], [...whole, "spend.maxBlocksPerDay=100"]);
  const ingest = await market.unit("ingest.main", "out of budget", (unit) => unit.state === "failed");
  expect(ingest.errors.at(-1)).toMatchObject({ code: "SPEND_LIMIT" });
  const lane = await market.unit("lane.main.0", "level", (u) => u.metrics.sentBlocks >= ingest.metrics.sentBlocks);
  expect(lane.state).toBe("running");
  const api = await apiOf(ground, market.settings());
  const { body } = await api.says("GET", "/api/indexer/status", { code: 200 });
  const { spend } = body as { spend: { today: { blocks: number } } };
  expect(spend.today.blocks).toBeGreaterThanOrEqual(100);
  const month = /sluice_source_spend_blocks\{.*period="month"\} 1\d\d/;
  await api.says("GET", "/metrics", { body: expect.stringMatching(month) });
  expect(await first.stop()).toBe(0);

  const flags = [...market.settings(), "spend.maxBlocksPerDay=100"].flatMap((setting) => ["--set", setting]);
  const told = await ground.run(["spend", "--json", ...flags]);
  expect(told.code).toBe(1);
  expect(JSON.parse(told.stdout)).toMatchObject([{ source: "main", today: spend.today }]);

  const second = market.start([], [...whole, "spend.maxBlocksPerDay=100000"]);
  await market.ended();
  expect(await second.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
  const after = JSON.parse((await ground.run(["spend", "--json", ...flags])).stdout) as [{ today: { blocks: number } }];
  expect(after[0].today.blocks).toBeGreaterThanOrEqual(200);
}, 180_000);
