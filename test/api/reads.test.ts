/**
 * Goal: what is read is what happened, wherever it lies: hot stores of several lanes and lake give one listing without a
 * gap or a repeat, whatever has aged out, page by page in both directions. Method: a simulated market with forks; the
 * simulator's truth, which shares no code with the pipeline, is what every listing is held against.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { type EventPoint, JoinedReads, pointOf, type Row, type Standing } from "../../api/reads/index.ts";
import { CANDLE_SECONDS, type CandleInterval, type CandleRow } from "../../pipeline/datasets/candles.ts";
import { Market, SOURCE } from "./market.ts";

let market: Market;
let reads: JoinedReads;
beforeAll(async () => {
  market = await Market.make({ seed: 11, blocks: 700, lanes: 3 });
  reads = new JoinedReads({ folder: market.folder, lanes: 3, source: SOURCE, lake: market.lake });
}, 300_000);
afterAll(async () => {
  reads.close();
  await market.dispose();
});

const fieldsOf = (dataset: string) => market.truth.lines![dataset]!.map((line) => line.split("|"));
/** Lines of `trades`: slot, block_time, signature, path, ordinal, program, mint, kind, user, ..., price. */
const tradesOf = (mint: string) => fieldsOf("trades").filter((fields) => fields[6] === mint);

/** The tokens that trade most, with what happened in them. */
function busiest(count: number): string[] {
  const byMint = Map.groupBy(fieldsOf("trades"), (fields) => fields[6]!);
  return [...byMint]
    .sort(([, a], [, b]) => b.length - a.length)
    .slice(0, count)
    .map(([mint]) => mint);
}

const identity = (row: Row) => [
  String(row["slot"]),
  bs58.encode(row["signature"] as Uint8Array),
  row["instruction_path"],
  String(row["ordinal"]),
  String(row["price"]),
];
const identityOf = (fields: string[]) => [fields[0], fields[2], fields[3], fields[4], fields.at(-1)];

/** All trades of a token, page by page. */
async function listed(
  mint: string,
  order: "asc" | "desc",
  limit: number,
): Promise<{ rows: Row[]; sources: Set<string> }> {
  const rows: Row[] = [];
  const sources = new Set<string>();
  let after: EventPoint | undefined;
  for (;;) {
    const found = await reads.trades(bs58.decode(mint), { order, limit, ...(after && { after }) });
    sources.add(found.standing.source);
    rows.push(...found.data);
    if (found.data.length < limit) return { rows, sources };
    after = pointOf(rows.at(-1)!);
  }
}

async function tradesAreTrue(): Promise<Set<string>> {
  const all = new Set<string>();
  for (const mint of busiest(3)) {
    const expected = tradesOf(mint).map(identityOf);
    for (const [order, limit] of [
      ["asc", 7],
      ["desc", 7],
      ["desc", 1_000],
      ["asc", 1_000],
    ] as const) {
      const { rows, sources } = await listed(mint, order, limit);
      const found = rows.map(identity);
      expect({ order, limit, found: order === "asc" ? found : found.reverse() }).toEqual({
        order,
        limit,
        found: expected,
      });
      for (const source of sources) all.add(source);
    }
  }
  return all;
}

/** The users that trade most, and one who never did. */
function traders(count: number): string[] {
  const byUser = Map.groupBy(fieldsOf("trades"), (fields) => fields[8]!);
  const sorted = [...byUser].sort(([, a], [, b]) => b.length - a.length);
  return [...sorted.slice(0, count).map(([user]) => user), bs58.encode(new Uint8Array(32).fill(9))];
}

/** All trades of a user, page by page; pages may end early, and say where to go on. */
async function tradedBy(from: JoinedReads, user: string, mint: string | null, order: "asc" | "desc", limit: number) {
  const rows: Row[] = [];
  const sources = new Set<string>();
  let [pages, short] = [0, 0];
  for (let after: EventPoint | undefined; ; ) {
    const [who, of] = [bs58.decode(user), mint === null ? null : bs58.decode(mint)];
    const { data, standing, looked } = await from.userTrades(who, of, { order, limit, ...(after && { after }) });
    if (data.length > 0) sources.add(standing.source);
    rows.push(...data);
    pages++;
    if (looked === null && data.length < limit) return { rows, sources, pages, short };
    if (data.length < limit) short++;
    after = looked ?? pointOf(rows.at(-1)!);
  }
}

async function tradesOfUsersAreTrue(from: JoinedReads = reads): Promise<{ sources: Set<string>; short: number }> {
  const all = new Set<string>();
  let shortPages = 0;
  for (const user of traders(3)) {
    const own = fieldsOf("trades").filter((fields) => fields[8] === user);
    for (const mint of [null, own[0]?.[6] ?? busiest(1)[0]!]) {
      const expected = own.filter((fields) => mint === null || fields[6] === mint).map(identityOf);
      for (const [order, limit] of [
        ["asc", 5],
        ["desc", 5],
        ["desc", 1_000],
        ["asc", 1_000],
      ] as const) {
        const { rows, sources, short } = await tradedBy(from, user, mint, order, limit);
        const found = rows.map(identity);
        const inOrder = order === "asc" ? found : found.reverse();
        expect({ user, mint, order, limit, found: inOrder }).toEqual({ user, mint, order, limit, found: expected });
        for (const source of sources) all.add(source);
        shortPages += short;
      }
    }
  }
  return { sources: all, short: shortPages };
}

/** Candles of a token that the truth's lines tell of, as its lines have them. */
const candlesOf = (mint: string, interval: CandleInterval) =>
  fieldsOf(`candles_${interval}`).filter((fields) => fields[1] === mint);

const candleFields = (c: CandleRow) =>
  [c.time, bs58.encode(c.mint), c.open, c.high, c.low, c.close, c.volume_base, c.volume_quote, c.trades].map(String);

/** Candle lines of the truth: time, mint, open, high, low, close, base, quote, trades. */
async function candlesAreTrue(interval: CandleInterval): Promise<Set<Standing["source"]>> {
  const sources = new Set<Standing["source"]>();
  for (const mint of busiest(3)) {
    const expected = candlesOf(mint, interval);
    for (const limit of [3, 5_000]) {
      const found: string[][] = [];
      for (let to: number | null = null; ; ) {
        const range = { from: null, to, limit };
        const { data, standing } = await reads.candles(bs58.decode(mint), CANDLE_SECONDS[interval], range);
        sources.add(standing.source);
        found.unshift(...data.rows.map(candleFields));
        if (!data.more) break;
        to = Number(data.rows[0]!.time);
      }
      expect({ interval, limit, found }).toEqual({ interval, limit, found: expected });
    }
  }
  return sources;
}

describe("all is hot", () => {
  test("trades", async () => expect(await tradesAreTrue()).toEqual(new Set(["hot"])));

  test("trades of users, what is final from the lake", async () => {
    const { sources, short } = await tradesOfUsersAreTrue();
    expect([sources.has("lake"), short]).toEqual([true, 0]);
  });

  test("trades of users where few rows are looked at for a page, without a lake", async () => {
    const { folder } = market;
    const few = new JoinedReads({ folder, lanes: 3, source: SOURCE, laneRowsMax: 40 });
    const { sources, short } = await tradesOfUsersAreTrue(few);
    few.close();
    expect([sources, short > 0]).toEqual([new Set(["hot"]), true]);
  });

  for (const interval of ["s1", "m1", "m5", "d1"] as const) {
    test(`candles ${interval}`, async () => expect(await candlesAreTrue(interval)).toEqual(new Set(["hot"])));
  }

  test("tokens in the order they came, over all lanes, page by page", () => {
    const found: string[] = [];
    for (let after: { firstSlot: number; mint: Uint8Array } | undefined; ; ) {
      const { data } = reads.mints({ order: "asc", limit: 2, ...(after && { after }) });
      found.push(...data.map((row) => bs58.encode(row["mint"] as Uint8Array)));
      if (data.length < 2) break;
      after = { firstSlot: Number(data[1]!["first_slot"]), mint: data[1]!["mint"] as Uint8Array };
    }
    expect(found.toSorted()).toEqual(market.truth.mints.map((row) => row.mint).toSorted());
    const created = fieldsOf("token_created").map((fields) => fields[6]!);
    expect(found.filter((mint) => created.includes(mint))).toHaveLength(new Set(created).size);
  });

  test("what is final is told, and never more than was seen", () => {
    const { finalUpTo, asOf } = reads.standing(null);
    expect(asOf!.slot).toBe(market.truth.chain.lastSlot);
    expect(finalUpTo).toBeGreaterThan(market.truth.chain.firstSlot);
    expect(finalUpTo).toBeLessThanOrEqual(asOf!.slot);
  });
});

describe("rankings", () => {
  test("hot tokens are those with most trades of the last hour", async () => {
    const { data } = await reads.ranked("hot", { limit: 5, offset: 0 });
    const end = Math.max(...fieldsOf("candles_m5").map((fields) => Number(fields[0])));
    const counts = new Map<string, number>();
    for (const [time, mint, ...rest] of fieldsOf("candles_m5")) {
      if (Number(time) > end - 3_600) counts.set(mint!, (counts.get(mint!) ?? 0) + Number(rest.at(-1)));
    }
    const expected = [...counts.values()].sort((a, b) => b - a).slice(0, 5);
    expect(data.map((ranked) => ranked.trades1h)).toEqual(expected);
    for (const { row, trades1h } of data) expect(counts.get(bs58.encode(row["mint"] as Uint8Array))).toBe(trades1h);
  });

  test("by volume: SOL swapped", async () => {
    const { data } = await reads.ranked("volume", { limit: 10, offset: 0 });
    const volumes = new Map<string, bigint>();
    for (const fields of fieldsOf("candles_h1"))
      volumes.set(fields[1]!, (volumes.get(fields[1]!) ?? 0n) + BigInt(fields[7]!));
    const expected = [...volumes.values()].sort((a, b) => (a < b ? 1 : -1)).slice(0, 10);
    expect(data.map((ranked) => ranked.volume24h)).toEqual(expected);
  });

  test("a token is found by its symbol in any case, before those that only contain it", async () => {
    for (const { symbol, name, mint } of market.truth.mints.slice(0, 5)) {
      for (const text of [symbol.toLowerCase(), name.toUpperCase()]) {
        const { data } = await reads.search(text, 100);
        const found = data.map(({ row }) => row);
        const wanted = text.toLowerCase();
        const matches = (row: { name: string; symbol: string }) =>
          row.name.toLowerCase().includes(wanted) || row.symbol.toLowerCase().includes(wanted);
        expect(found).toHaveLength(Math.min(100, market.truth.mints.filter(matches).length));
        const isWhole = found.map((row) =>
          [row["name"], row["symbol"]].some((own) => String(own).toLowerCase() === wanted),
        );
        expect(isWhole).toEqual(isWhole.toSorted((a, b) => Number(b) - Number(a)));
        expect(found.some((row) => bs58.encode(row["mint"] as Uint8Array) === mint)).toBe(true);
      }
    }
    expect((await reads.search("no such token at all", 10)).data).toEqual([]);
  });
});

// Last: from here on the hot stores forget.
describe("what has aged out is read from the lake", () => {
  for (const share of [0.3, 0.7, 1]) {
    test(`${share * 100} % of what the lake has`, async () => {
      const { firstSlot } = market.truth.chain;
      market.expire(Math.floor(firstSlot + (market.lakeSlot - firstSlot) * share));
      const sources = await tradesAreTrue();
      expect(sources.has("lake")).toBe(true);
      expect(sources.has("lake+hot")).toBe(true);
      await tradesOfUsersAreTrue();
    }, 300_000);
  }

  for (const interval of ["s1", "s30"] as const) {
    test(`candles ${interval} that have aged out`, async () => {
      const lines = fieldsOf(`candles_${interval}`);
      const times = lines.map(([time]) => Number(time)).sort((a, b) => a - b);
      market.expireCandles(CANDLE_SECONDS[interval], times[times.length >> 1]!);
      const sources = await candlesAreTrue(interval);
      expect(sources).toContain("lake");
      expect(sources).toContain("lake+hot");
    }, 300_000);
  }
});

describe("a deployment that began in the middle of the chain", () => {
  let whole: { market: Market; reads: JoinedReads };
  beforeAll(async () => {
    whole = { market, reads };
    market = await Market.make({ seed: 12, blocks: 700, lanes: 2, hotFrom: 353 });
    reads = new JoinedReads({ folder: market.folder, lanes: 2, source: SOURCE, lake: market.lake });
  }, 300_000);
  afterAll(async () => {
    reads.close();
    await market.dispose();
    ({ market, reads } = whole);
  });

  test("trades: what came before is read from the lake", async () => {
    expect(await tradesAreTrue()).toContain("lake");
    expect((await tradesOfUsersAreTrue()).sources).toContain("lake");
  });

  for (const interval of ["s1", "s30", "m5", "h1"] as const) {
    test(`candles ${interval}: old ones from the lake, and the one that both have a part of is one`, async () => {
      expect(await candlesAreTrue(interval)).toContain("lake+hot");
    });
  }

  test("a range that begins at any candle has the same ones", async () => {
    const [mint] = busiest(1);
    const expected = candlesOf(mint!, "s30");
    for (const [i, fields] of expected.entries()) {
      const range = { from: Number(fields[0]), to: null, limit: 5_000 };
      const { data } = await reads.candles(bs58.decode(mint!), 30, range);
      expect(data.rows.map(candleFields)).toEqual(expected.slice(i));
    }
  }, 300_000);
});
