/**
 * Goal: never more streams of an endpoint than are allowed, over processes; whoever waits comes next; a slot that is lost
 * ends its stream. Method: leases in a real NATS KV, and sources that stream until they are told to stop.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "./broker.ts";
import { classify } from "./errors.ts";
import { type NatsFixture, startNats } from "./nats-fixture.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import { SourceStatus } from "./source/status.ts";
import { SlottedSource } from "./stream-slots.ts";
import { systemWorld } from "./world.ts";

let nats: NatsFixture;
let broker: Broker;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
}, 300_000);
afterAll(() => nats.dispose(), 300_000);

const TTL_MS = 4_000;

/** A stream that is open until it is stopped. */
function open(holder: string, endpoint: string, maxStreams = 2) {
  const status = new SourceStatus(endpoint, "v4");
  const events: string[] = [];
  const source: Source & { status: SourceStatus } = {
    ...{ name: holder, moduleHash: "m", status },
    async *blocks(_from, signal): AsyncGenerator<BlockSignal> {
      events.push("open");
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      events.push("closed");
      yield* [];
    },
  };
  const bucket = broker.kv("slots", TTL_MS);
  const log = (_level: string, message: string) => void events.push(message);
  const options = { source, endpoint, maxStreams, bucket, ttlMs: TTL_MS, holder, world: systemWorld, log };
  const stop = new AbortController();
  const reading = (async () => {
    for await (const _ of new SlottedSource(options).blocks(null, stop.signal)) events.push("item");
    return null;
  })().catch((error) => classify(error).code);
  const end = () => {
    stop.abort();
    return reading;
  };
  return { status, events, bucket, stop: end, reading };
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await Bun.sleep(20);
}

test("two of three stream, the third waits and says so, and comes when one has ended; other endpoints are their own", async () => {
  const first = open("ingest.a", "https://one");
  const second = open("ingest.b", "https://one");
  await until(() => first.events.includes("open") && second.events.includes("open"));
  const third = open("ingest.c", "https://one");
  const elsewhere = open("ingest.d", "https://two");
  await until(() => third.events.length > 0 && elsewhere.events.length > 0);
  expect([third.events, third.status.state, elsewhere.events]).toEqual([["waiting for a stream"], "waiting", ["open"]]);
  expect(third.status.lastError).toContain("source.maxStreams");
  // Longer than a lease lasts: those that stream keep theirs.
  await Bun.sleep(TTL_MS + 500);
  expect(third.events).toEqual(["waiting for a stream"]);
  expect(await second.stop()).toBeNull();
  await until(() => third.events.includes("open"));
  expect(first.events).toEqual(["open"]);
  await Promise.all([first, third, elsewhere].map((one) => one.stop()));
}, 300_000);

test("a unit finds its own slot again after a crash; who is stopped while waiting ends in peace", async () => {
  const crashed = open("ingest.x", "https://three", 1);
  await until(() => crashed.events.includes("open"));
  const again = open("ingest.x", "https://three", 1);
  const waiting = open("ingest.y", "https://three", 1);
  await until(() => again.events.includes("open") && waiting.events.length > 0);
  expect(await waiting.stop()).toBeNull();
  expect([waiting.events, waiting.status.state]).toEqual([["waiting for a stream"], "idle"]);
  await Promise.all([crashed.stop(), again.stop()]);
}, 300_000);

test("a slot that somebody else has taken ends the stream", async () => {
  const one = open("ingest.z", "https://four", 1);
  await until(() => one.events.includes("open"));
  for await (const key of await one.bucket.keys()) await one.bucket.put(key, new TextEncoder().encode("ingest.thief"));
  expect(await one.reading).toBe("STREAM_SLOT");
  expect(one.events).toEqual(["open", "closed"]);
}, 300_000);
