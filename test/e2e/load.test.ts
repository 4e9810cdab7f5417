/**
 * Goal: whoever reads and listens is served right while the pipeline runs as fast as it can, and readers that stop reading
 * cost nobody else. Method: a simulated market at full speed, all in processes of their own: stages, API, 200 clients of
 * the live feed, ten more that never read, and 100 HTTP reads a second. In the end every client must hold exactly the
 * trades that the simulator says happened, stores too, and no answer may have been an error or have gone back in time.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { names } from "../../pipeline/names.ts";
import { stalledSocket } from "../api/live-client.ts";
import { ROOT, urlOfApi, useGround } from "./ground.ts";
import type { Told } from "./live-clients.ts";
import { Market } from "./market.ts";

const ground = useGround();

const CLIENTS = 200;
/** Of them, follow all tokens; the others one each. */
const FOLLOW_ALL = 20;
const STALLED = 10;
const READS_PER_SECOND = 100;
/** A machine that answers more slowly than it is asked must not be asked without end. */
const READS_AT_ONCE = 50;
const EVERYTHING = ["trades", "events", "candles:*:s1", "candles:*:s30", "candles:*:m1", "candles:*:h1"];

test("200 live clients, ten that stall, and 100 reads a second, while the pipeline runs at full speed", async () => {
  const market = await Market.open(ground, { blocks: 1_000, seed: 71, live: true, lines: true });
  const others = market.start(["decode", "shard", "lane", "archive", "janitor"]);
  const url = await urlOfApi(ground, market.settings());
  const { broker } = await market.connection();
  const { stream } = names(market.config["nats.prefix"], market.config["source.name"]).live;
  await market.until("the API to follow the feed", async () => {
    const info = await broker.connection.request(`$JS.API.STREAM.INFO.${stream}`, "").then((m) => m.json());
    return ((info as { state?: { consumer_count: number } }).state?.consumer_count ?? 0) > 0;
  });

  const mints = market.truth.mints.map(({ mint }) => mint);
  const topics = Array.from({ length: CLIENTS }, (_, i) =>
    i < FOLLOW_ALL ? "trades" : `trades:${mints[i % mints.length]}`,
  );
  const clients = await startClients(url, topics);
  const stalled = Array.from({ length: STALLED }, () => stalledSocket(url, EVERYTHING));
  const reads = new Reads(url, mints);

  const ingest = market.start(["ingest"]);
  await market.unit("lane.main.0", "at work", (unit) => unit.metrics.sentBlocks > 0);
  reads.start();
  await market.ended();
  await reads.stop();
  const told = await clients.end(market.truth.chain.lastHash);

  expect(reads.wrong).toEqual([]);
  expect(reads.answered).toBeGreaterThan(0);
  const happened = tradesOf(market);
  for (const { topic, trades, gaps, errors } of told) {
    expect({ topic, gaps, errors }).toEqual({ topic, gaps: 0, errors: [] });
    expect({ topic, trades }).toEqual({ topic, trades: happened.get(topic) ?? [] });
  }
  expect(told.map(({ topic }) => topic)).toEqual(topics);
  // They were ended long ago: with the reason, or, as they took not even that, without.
  for (const reader of stalled) expect([4008, undefined]).toContain((await reader.readAll()).close?.code);

  expect(await ingest.stop()).toBe(0);
  expect(await others.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

/** By topic, in chain order: what a client of the topic must hold in the end. */
function tradesOf({ truth }: Market): Map<string, string[]> {
  const rows = truth.lines!["trades"]!.map((line) => line.split("|"));
  const textOf = (fields: string[]) => fields.slice(2, 5).join(" ");
  const byMint = Map.groupBy(rows, (fields) => `trades:${fields[6]}`);
  return new Map([
    ["trades", rows.map(textOf)],
    ...[...byMint].map(([t, r]) => [t, r.map(textOf)] as [string, string[]]),
  ]);
}

async function startClients(url: string, topics: readonly string[]) {
  const child = Bun.spawn([process.execPath, join(ROOT, "test/e2e/live-clients.ts"), url], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  ground.atEnd(() => child.kill("SIGKILL"));
  const decoder = new TextDecoder();
  const lines = (async function* () {
    let rest = "";
    for await (const piece of child.stdout) {
      const parts = (rest + decoder.decode(piece, { stream: true })).split("\n");
      rest = parts.pop()!;
      yield* parts;
    }
  })();
  child.stdin.write(`${JSON.stringify(topics)}\n`);
  await child.stdin.flush();
  expect((await lines.next()).value).toBe("ready");
  return {
    async end(lastHash: string): Promise<Told[]> {
      child.stdin.write(`${lastHash}\n`);
      await child.stdin.flush();
      return JSON.parse((await lines.next()).value!) as Told[];
    },
  };
}

/** Reads of everything that clients read, so many a second. */
class Reads {
  answered = 0;
  /** Answers that are not what was asked for. */
  readonly wrong: string[] = [];
  private readonly paths: readonly string[];
  private readonly underWay = new Set<Promise<void>>();
  /** By path, the newest slot that an answer knew. */
  private readonly seen = new Map<string, number>();
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly url: string,
    mints: readonly string[],
  ) {
    this.paths = mints.flatMap((mint) => [
      `/v1/candles/${mint}?interval=s1`,
      `/v1/mints/${mint}/trades?limit=50`,
      `/v1/mints/${mint}`,
      "/v1/mints/ranked?by=hot",
      "/v1/mints?limit=20",
      `/api/kline?mint=${mint}&interval=s1`,
    ]);
  }

  start(): void {
    let asked = 0;
    this.timer = setInterval(() => {
      if (this.underWay.size >= READS_AT_ONCE) return;
      const reading = this.read(this.paths[asked++ % this.paths.length]!).finally(() => this.underWay.delete(reading));
      this.underWay.add(reading);
    }, 1_000 / READS_PER_SECOND);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.underWay);
  }

  private async read(path: string): Promise<void> {
    try {
      const before = this.seen.get(path) ?? 0;
      const response = await fetch(this.url + path);
      const body = (await response.json()) as { as_of?: { slot: number } | null; success?: boolean };
      // A token that has not been created yet is not found.
      const isKnown = response.status === 200 || (response.status === 404 && path.startsWith("/v1/mints/"));
      if (!isKnown) this.wrong.push(`${path}: ${response.status} ${JSON.stringify(body).slice(0, 200)}`);
      this.answered++;
      const slot = body.as_of?.slot;
      if (slot === undefined) return;
      // An undo goes back some slots; nothing goes back further.
      if (slot < before - UNDO_SLOTS_MAX) this.wrong.push(`${path}: slot ${slot} after ${before}`);
      this.seen.set(path, Math.max(slot, before));
    } catch (error) {
      this.wrong.push(`${path}: ${String(error)}`);
    }
  }
}

const UNDO_SLOTS_MAX = 100;
