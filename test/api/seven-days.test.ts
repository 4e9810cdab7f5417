/**
 * Goal: over a chain of ten days, the hot stores forget what is older than seven, by the settings' defaults, and who asks
 * /v1 notices nothing: no event is missing or there twice, before, in between and after, across the border of lake and hot
 * store. Method: the real server and the rule of the lanes' owners, on a clock that the test moves; every answer in between
 * is held against the simulator's truth.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { FakeBackend } from "../../api/fixture.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { type RunningApi, startApi } from "../../api/server.ts";
import { Shutdown } from "../../pipeline/errors.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { Market, SOURCE } from "./market.ts";

const LANES = 2;
const DAY = 86_400;
let market: Market;
let reads: JoinedReads;
let api: RunningApi;
beforeAll(async () => {
  const options = { seed: 23, blocks: 300, lanes: LANES, slotMs: 2_880_000, rollSeconds: DAY };
  market = await Market.make(options);
  reads = new JoinedReads({ folder: market.folder, lanes: LANES, source: SOURCE, lake: market.lake });
  const backend = new FakeBackend();
  api = await startApi({ backend, reads, version: "0", host: "127.0.0.1", port: 0, log: () => undefined });
}, 300_000);
afterAll(async () => {
  await api.stop();
  reads.close();
  await market.dispose();
});

/** What identifies each trade of the hot stores, and its block time. */
function hotTrades() {
  return Array.from({ length: LANES }, (_, lane) => new HotReader(laneFile(market.folder, lane))).flatMap((reader) => {
    const { headTime } = reader.stand()!;
    const rows = [...reader.tableRows("trades")].flatMap((table) => {
      const time = table.column("block_time");
      return Array.from({ length: table.length }, (_, i) => ({ time: time.number(i), head: headTime! }));
    });
    reader.close();
    return rows;
  });
}

interface Page {
  readonly data: readonly { readonly slot: number; readonly signature: string; readonly block_time: number }[];
  readonly next_cursor: string | null;
  readonly source: string;
}

async function pagesOf(mint: string, order: string, limit: number): Promise<{ keys: string[]; from: Set<string> }> {
  const keys: string[] = [];
  const from = new Set<string>();
  for (let cursor = ""; ; ) {
    const response = await fetch(`${api.url}/v1/mints/${mint}/trades?order=${order}&limit=${limit}${cursor}`);
    expect(response.status).toBe(200);
    const { data, next_cursor, source } = (await response.json()) as Page;
    keys.push(...data.map(({ slot, signature }) => `${slot} ${signature}`));
    from.add(source);
    if (next_cursor === null) return { keys, from };
    cursor = `&cursor=${next_cursor}`;
  }
}

/** Trades of the tokens with the most of them, as they happened. */
function busiest(count: number): [string, string[]][] {
  const lines = market.truth.lines!["trades"]!.map((line) => line.split("|"));
  const byMint = [...Map.groupBy(lines, (f) => f[6]!)].sort(([, a], [, b]) => b.length - a.length);
  return byMint.slice(0, count).map(([mint, own]) => [mint, own.map((f) => `${f[0]} ${f[2]}`)]);
}

test("what is older than seven days goes, and nobody who reads notices", async () => {
  const before = hotTrades();
  const { head } = before[0]!;
  const isOld = ({ time }: { time: number }) => time < head - 7 * DAY;
  expect(head - Math.min(...before.map(({ time }) => time))).toBeGreaterThan(9 * DAY);
  expect(before.filter(isOld).length).toBeGreaterThan(100);
  const truth = busiest(3);
  const [[mint, trades]] = truth as [[string, string[]]];
  const sources = new Set<string>();
  const readsSame = async (limit: number) => {
    const { keys, from } = await pagesOf(mint, "asc", limit);
    expect(keys).toEqual(trades);
    for (const source of from) sources.add(source);
  };
  await readsSame(40);
  expect([...sources]).toEqual(["hot"]);

  const stop = new AbortController();
  let now = 0;
  let looks = 0;
  await market.keepShort(async (ms, signal) => {
    signal?.throwIfAborted();
    // A pause between two pieces, or until the next look.
    now += ms;
    if (ms > 1_000) looks++;
    if (looks > 2 * LANES) stop.abort(new Shutdown());
    else await readsSame(40 + looks);
  }, stop.signal);
  expect(now).toBeGreaterThanOrEqual(10 * 60_000);

  const after = hotTrades();
  expect(after.filter((row) => !isOld(row)).length).toBe(before.filter((row) => !isOld(row)).length);
  // The newest of each lane stays, however old.
  expect(after.filter(isOld).length).toBeLessThanOrEqual(LANES);
  for (const [own, expected] of truth) {
    for (const limit of [9, 100]) {
      expect((await pagesOf(own, "asc", limit)).keys).toEqual(expected);
      expect((await pagesOf(own, "desc", limit)).keys.reverse()).toEqual(expected);
    }
  }
  for (const source of (await pagesOf(mint, "asc", 9)).from) sources.add(source);
  expect(sources).toEqual(new Set(["hot", "lake", "lake+hot"]));
}, 300_000);
