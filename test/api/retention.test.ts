/**
 * Retention. Goal: what leaves the hot stores is old, final and in the lake, sound, and nothing else; whoever reads old
 * ranges finds the same as before. Method: a simulated market in hot stores and a lake; the lake is damaged, and mended.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import bs58 from "bs58";
import { JoinedReads } from "../../api/reads/index.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { LakeReader } from "../../storage/lake/reader.ts";
import { Market, SOURCE } from "./market.ts";

let market: Market;
let reads: JoinedReads;
beforeAll(async () => {
  market = await Market.make({ seed: 17, blocks: 600, lanes: 2 });
  reads = new JoinedReads({ folder: market.folder, lanes: 2, source: SOURCE, lake: market.lake });
}, 300_000);
afterAll(async () => {
  reads.close();
  await market.dispose();
});

/** Slot and block time of every event in the hot stores. */
function held(): { slot: number; time: number }[] {
  return [0, 1].flatMap((lane) => {
    const reader = new HotReader(laneFile(market.folder, lane));
    const names = [...reader.appended().keys()];
    const rows = names.flatMap((name) =>
      [...reader.tableRows(name)].flatMap((table) => {
        const [slot, time] = [table.column("slot"), table.column("block_time")];
        return Array.from({ length: table.length }, (_, i) => ({ slot: slot.number(i), time: time.number(i) }));
      }),
    );
    reader.close();
    return rows;
  });
}

async function allTrades(): Promise<string[]> {
  const mints = new Set(market.truth.lines!["trades"]!.map((line) => line.split("|")[6]!));
  const lines: string[] = [];
  for (const mint of mints) {
    const { data } = await reads.trades(bs58.decode(mint), { order: "asc", limit: 100_000 });
    lines.push(...data.map((row) => [mint, row["slot"], row["tx_index"], row["event_index"], row["price"]].join("|")));
  }
  return lines;
}

const SECONDS = 60;

test("nothing goes while a file is damaged or gone, or in a dry run", async () => {
  const before = held();
  const files = [...(await new LakeReader(market.lake).read()).files.values()].flat();
  const oldest = files.reduce((a, b) => (b.slot.min < a.slot.min ? b : a));
  const path = join(market.folder, "lake", oldest.key);
  const bytes = await readFile(path);
  const damaged = Uint8Array.from(bytes);
  damaged[damaged.length >> 1]! ^= 1;
  await rm(path);
  expect(await market.retain(SECONDS)).toContain(oldest.key);
  await writeFile(path, damaged);
  expect(await market.retain(SECONDS)).toContain(oldest.key);
  expect(held().filter(({ slot }) => slot >= oldest.slot.min).length).toBe(before.length);
  await writeFile(path, bytes);
  expect(await market.retain(SECONDS, true)).toBeNull();
  expect(held()).toEqual(before);
});

test("what is old goes, but for the newest of each kind; old ranges are read as before", async () => {
  const before = held();
  const trades = await allTrades();
  expect(trades.length).toBe(market.truth.lines!["trades"]!.length);
  const reader = new HotReader(laneFile(market.folder, 0));
  const headTime = reader.stand()!.headTime!;
  reader.close();
  expect(await market.retain(SECONDS)).toBeNull();
  const after = held();
  const old = (rows: typeof before) => rows.filter(({ time }) => time < headTime - SECONDS);
  expect(old(before).length).toBeGreaterThan(500);
  // Two lanes with nine kinds of events each.
  expect(old(after).length).toBeLessThanOrEqual(18);
  expect(after.length - old(after).length).toBe(before.length - old(before).length);
  expect(await allTrades()).toEqual(trades);
  // Again: there is nothing left to do.
  expect(await market.retain(SECONDS)).toBeNull();
  expect(held()).toEqual(after);
});

test("what the lake has not got stays, however old", async () => {
  const reason = await market.retain(0);
  expect(reason).toContain(`does not cover slot ${market.lakeSlot + 1}`);
  expect(held().filter(({ slot }) => slot > market.lakeSlot).length).toBeGreaterThan(0);
  expect(await allTrades()).toHaveLength(market.truth.lines!["trades"]!.length);
});
