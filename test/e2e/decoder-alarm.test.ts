/**
 * Goal: when a program is upgraded in mid-chain, an alarm comes within a minute of the chain's time to log, webhook and
 * health, every payload is kept, and what is kept can be looked at and dropped. Method: a recording in which the program
 * puts new fields between the old ones, indexed by real stages that know the old layout only.
 */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { findingsOf, statusOf } from "../../api/health.ts";
import { viewOf } from "../../api/view.ts";
import { quarantine } from "../../pipeline/quarantine.ts";
import { useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
const UPGRADE = 370_500_150;
/** A swap before and after the upgrade, with its discriminator: fields of 97 bytes, then 40 more. */
const [OLD, NEW] = [105, 145];

interface Told {
  readonly change: string;
  readonly kind: string;
  readonly dataset: string | null;
  readonly slot: number;
  readonly time: number;
}

test("an upgrade in mid-chain", async () => {
  const told: Told[] = [];
  const server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    async fetch(request) {
      told.push((await request.json()) as Told);
      return new Response(null, { status: 204 });
    },
  });
  ground.atEnd(() => server.stop(true));
  const webhook = `alarm.webhook=http://127.0.0.1:${server.port}/hook/s3cret`;
  const market = await Market.open(ground, {
    ...{ seed: 71, blocks: 400, grows: { fromSlot: UPGRADE, at: "middle" } },
    settings: ["archive.rollSeconds=20", webhook],
  });
  const stages = market.start();
  await market.ended();
  await market.until("both alarms at the webhook", () => told.length >= 2);

  expect(told.map(({ change, kind, dataset }) => [change, kind, dataset]).sort()).toEqual([
    ["raised", "share_fell", null],
    ["raised", "unknown_layout", "buy_sell"],
  ]);
  // The demo chain has a slot each 0.4 s.
  const upgradedAt = told[0]!.time - (told[0]!.slot - UPGRADE) * 0.4;
  for (const { slot, time } of told) {
    expect(slot).toBeGreaterThanOrEqual(UPGRADE);
    expect(time - upgradedAt).toBeLessThan(60);
  }
  const log = await readFile(stages.log, "utf8");
  expect(log).toContain("fit no known layout");
  expect(log).not.toContain("s3cret");
  const source = { source: "main", ingestUnit: "ingest.main", laneUnits: ["lane.main.0"] };
  const snapshot = { at: Date.now(), nodes: await market.nodes(), desired: null, standings: new Map() };
  const findings = findingsOf(viewOf(snapshot, source), source);
  expect(findings.find(({ name }) => name === "decoders")?.detail).toContain("spinpet, buy_sell: unknown layout since");
  expect(statusOf(findings)).not.toBe("healthy");

  const { broker } = await market.connection();
  const position = { slot: 7, hash: "h", cursor: "c", moduleHash: "m" };
  const kept = { unit: "shard.main", position, reason: "a test's", bytes: Uint8Array.of(1, 2, 3) };
  await quarantine({ config: market.config, source: "main", broker }, kept);
  await commandsAgree(market);
  await market.disconnect();
  expect(await stages.stop()).toBe(0);
}, 300_000);

async function commandsAgree(market: Market): Promise<void> {
  const flags = market.settings().flatMap((setting) => ["--set", setting]);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await ground.run(["quarantine", ...args, ...flags, "--json"]);
    expect({ args, code, stderr }).toMatchObject({ code: 0 });
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  interface Listed {
    readonly groups: { reason: string; payloads: number }[];
    readonly payloads: { id: string; slot: number; reason: string; bytes: number }[];
  }
  const list = async () => (await run("list", "--limit", "10000")) as unknown as Listed;

  // Every swap of the new layout that happened, and the stray payloads that any chain has.
  const { groups, payloads } = await list();
  const grown = payloads.filter(({ bytes }) => bytes === NEW);
  const decoded = await ground.run(["sql", "select count(*) as n from buy_sell", "--json", ...flags]);
  const [{ n }] = JSON.parse(decoded.stdout) as [{ n: string }];
  const misread = grown.filter(({ reason }) => reason === "bytes_left_over").length;
  expect(Number(n) - misread + grown.length).toBe(market.truth.events.buy_sell);
  expect(grown.every(({ slot }) => slot >= UPGRADE)).toBe(true);
  expect(payloads.length - grown.length).toBe(market.truth.quarantined);
  expect(payloads.every(({ bytes }) => bytes !== OLD)).toBe(true);
  expect(groups.reduce((sum, group) => sum + group.payloads, 0)).toBe(payloads.length);

  const { id } = grown[0]!;
  const shown = await run("show", id);
  expect(shown).toMatchObject({ id, bytes: NEW, discriminator: "62d0783c5d2013b4" });
  expect(String(shown["payload"])).toMatch(/^62d0783c5d2013b4[0-9a-f]{274}$/);
  expect(await run("show", "batch-1")).toMatchObject({ unit: "shard.main", reason: "a test's", payload: "010203" });

  const choice = ["--reason", "bad_value"];
  const rehearsal = await run("drop", ...choice);
  expect(rehearsal).toMatchObject({ dropped: false });
  expect(await list()).toEqual({ groups, payloads });
  expect(await run("drop", ...choice, "--yes")).toEqual({ ...rehearsal, dropped: true });
  const left = await list();
  const inLake = Number(rehearsal["rows"]);
  expect(inLake).toBeGreaterThan(0);
  expect(left.payloads.length).toBe(payloads.length - inLake);
  const verified = await ground.run(["verify", "--deep", ...flags]);
  expect(verified.code).toBe(0);
  expect(await run("drop", "--batches", "--all", "--yes")).toEqual({ dropped: true, batches: 1 });
  expect(await run("list", "--batches")).toEqual({ batches: [], total: 0 });
}
