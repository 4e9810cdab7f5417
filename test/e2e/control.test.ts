/**
 * Goal: what is asked of the API is obeyed wherever ingest runs, survives restarts, and can be asked twice; health and
 * readiness tell the truth in every state; two ingesters on one source never interleave. Method: the API and the stages
 * as processes of their own on a live chain; then two runners of ingest let loose on one stream.
 */
import { expect, test } from "bun:test";
import { openSource } from "../../cli/source.ts";
import type { Broker, Streams } from "../../pipeline/broker.ts";
import { Fenced } from "../../pipeline/errors.ts";
import { ingestStage, moduleHashCheck, SourceReader } from "../../pipeline/ingest.ts";
import { silentLog } from "../../pipeline/log.ts";
import { newUnitMetrics } from "../../pipeline/metrics.ts";
import { names } from "../../pipeline/names.ts";
import { run } from "../../pipeline/runner.ts";
import { StreamSink } from "../../pipeline/stream-sink.ts";
import { blockCodec } from "../../pipeline/wire/message.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { apiOf, until, useGround } from "./ground.ts";
import { breaksOf, Market } from "./market.ts";

const ground = useGround();

test("start and stop through the API: obeyed, kept over restarts, the same when asked twice", async () => {
  const settings = ["lease.ttlMs=2000", "archive.rollSeconds=20"];
  const market = await Market.open(ground, { blocks: 2_000, seed: 21, blocksPerSecond: 8, live: true, settings });
  const api = await apiOf(ground, market.settings());
  const following = ["source.stopBlock="];
  await api.says("GET", "/ready", { code: 503, body: { ready: false } });
  await api.says("GET", "/health", { code: 503 });
  // Nobody runs ingest: a wish is recorded, and it is said that nobody has obeyed.
  await api.says("POST", "/api/indexer/start", { code: 503, body: { error: { code: "INDEXER_NOT_STARTED" } } });

  const first = market.start([], following);
  await api.says("GET", "/ready", { code: 200 });
  await api.says("GET", "/health", { code: 200, body: { status: "healthy" } });
  await api.says("GET", "/api/indexer/health", { body: { healthy: true, status: { running: true } } });

  for (let asked = 1; asked <= 2; asked++) {
    await api.says("POST", "/api/indexer/stop", { code: 200, body: { success: true } });
  }
  expect((await market.unit("ingest.main", "paused", (unit) => unit.state === "paused")).ended).toBeFalse();
  const stopped = await standsStill(market);
  await api.says("GET", "/api/indexer/status", { body: { running: false, startedAt: null } });
  await api.says("GET", "/api/indexer/health", { body: { healthy: false } });
  const reasons = expect.arrayContaining(["source: stopped on request"]);
  await api.says("GET", "/ready", { code: 503, body: { ready: false, reasons } });
  // Stopped on request is no failure of the deployment: it answers, and says what is the matter.
  await api.says("GET", "/health", { code: 200, body: { status: "degraded" } });

  expect(await first.stop()).toBe(0);
  market.start([], following);
  await market.unit("ingest.main", "paused after a restart", (unit) => unit.state === "paused");
  expect(await standsStill(market)).toBe(stopped);

  for (let asked = 1; asked <= 2; asked++) {
    await api.says("POST", "/api/indexer/start", { code: 200 });
  }
  await api.says("GET", "/api/indexer/status", { body: { running: true } });
  await market.until("blocks after the start", async () => {
    const { body } = await api("GET", "/api/indexer/status");
    return (body as { lastBlock?: number }).lastBlock! > stopped;
  });
  await api.says("GET", "/ready", { code: 200 });
  expect(breaksOf(await market.links("blocks"))).toEqual([]);
}, 300_000);

test("two ingesters on one source: every commit is one's own or the other's, and the chain stays whole", async () => {
  const market = await Market.open(ground, { blocks: 120, seed: 22, blocksPerSecond: 25 });
  // Makes the streams, and nothing else: without a wanted stage in it, the process has nothing to do.
  const helper = market.start(["janitor"]);
  const { broker } = await market.connection();
  const { blocks } = names("sluice", "main");
  await until("the stream", () => broker.streamState(blocks.stream));
  await helper.stop();

  const end = new AbortController();
  ground.atEnd(() => end.abort());
  const config = { ...market.config, "source.stopBlock": String(market.truth.chain.lastSlot + 1) };
  const turns = takeTurns(broker, end.signal);
  const ingester = async (which: 0 | 1) => {
    const counts = { commits: 0, fenced: 0 };
    const done = new AbortController();
    const signal = AbortSignal.any([end.signal, done.signal]);
    while (!signal.aborted) {
      const source = await openSource({ ...config, "source.finalBlocksOnly": "false" }, systemWorld, silentLog);
      const metrics = newUnitMetrics();
      try {
        await run(
          {
            unit: "ingest.main",
            reader: new SourceReader(
              source,
              { maxBlocks: 4, maxBytes: 1e6 },
              moduleHashCheck("ignore", "", () => undefined),
            ),
            stage: ingestStage,
            sink: new StreamSink({
              ...{ broker: turns.of(which), world: systemWorld, signal, codec: blockCodec, split: (batch) => [batch] },
              ...{ stream: blocks.stream, subjects: [blocks.subject] },
            }),
            ...{ codec: blockCodec, world: systemWorld, metrics, log: silentLog },
            quarantine: async () => undefined,
            onEnd: () => done.abort(),
          },
          signal,
        );
      } catch (error) {
        if (!(error instanceof Fenced)) throw error;
        counts.fenced++;
      }
      counts.commits += metrics.sentBatches;
    }
    turns.done(which);
    return counts;
  };
  const both = await Promise.all([ingester(0), ingester(1)]);
  // Both wrote, and both were turned away: else nothing was proved.
  for (const { commits, fenced } of both) {
    expect(commits).toBeGreaterThan(0);
    expect(fenced).toBeGreaterThan(0);
  }
  const links = await market.links("blocks");
  expect(breaksOf(links)).toEqual([]);
  expect(links.at(-1)!.next.slot).toBe(market.truth.chain.lastSlot);

  // What they wrote together is as good as what one would have written.
  expect(await market.start(["decode", "shard", "lane", "archive", "--exit-at-end"]).exited).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

/**
 * Lets two writers cross each other's path on any machine: every now and then one waits, with its batch in hand, until the
 * other has written.
 */
function takeTurns(broker: Broker, end: AbortSignal) {
  const tried = [0, 0];
  const written = [0, 0];
  const waits = [false, false];
  const gone = [false, false];
  const giveWay = async (me: 0 | 1) => {
    const other = 1 - me;
    const seen = written[other];
    if (waits[other]) return;
    waits[me] = true;
    while (written[other] === seen && !gone[other] && !end.aborted) await Bun.sleep(5);
    waits[me] = false;
  };
  const publish = async (me: 0 | 1, ...args: Parameters<Broker["publish"]>): Promise<number> => {
    if (++tried[me]! % 5 === 0) await giveWay(me);
    const seq = await broker.publish(...args);
    written[me]!++;
    return seq;
  };
  return {
    of: (me: 0 | 1): Streams => ({
      publish: (...args) => publish(me, ...args),
      read: (...args) => broker.read(...args),
      header: (...args) => broker.header(...args),
      streamState: (...args) => broker.streamState(...args),
    }),
    done: (me: 0 | 1) => {
      gone[me] = true;
    },
  };
}

/** Waits until the lane has all that ingest has stored, looks again after a while, and gives the slot. */
async function standsStill(market: Market): Promise<number> {
  const ingested = async () => (await market.links("blocks")).at(-1)!.next.slot;
  const slot = await ingested();
  await market.unit("lane.main.0", `at slot ${slot}`, (unit) => unit.metrics.position?.slot === slot);
  await Bun.sleep(1_000);
  expect(await ingested()).toBe(slot);
  return slot;
}
