/**
 * A bucket that fails. Goal: every kind of fault is survived or named, none is believed; and an hour without the bucket
 * costs nothing but patience. Method: a proxy breaks real HTTP in every way of the list; the hour passes on a clock that
 * only waiting moves.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transient } from "../../../pipeline/errors.ts";
import { silentLog } from "../../../pipeline/log.ts";
import type { BlockMeta } from "../../../pipeline/position.ts";
import { seededRandom, systemWorld, type World } from "../../../pipeline/world.ts";
import { TEST_SEED } from "../../../test/seed.ts";
import { LakeFolder, LIVE, rollOf, stepOf, testBlock } from "../lake-fixture.ts";
import { LakeSink } from "../sink.ts";
import { Spool } from "../spool.ts";
import { sha256Of } from "../store.ts";
import { verifyLake } from "../verify.ts";
import { FAULTS, type Fault, FaultProxy } from "./fault-proxy-fixture.ts";
import { TestBucket } from "./fixture.ts";
import { S3Server } from "./server-fixture.ts";

const server = new S3Server();
let proxy: FaultProxy;
let folder: string;
beforeAll(async () => {
  proxy = await FaultProxy.start(server.url);
  folder = await mkdtemp(join(tmpdir(), "s3-faults-"));
});
afterAll(async () => {
  await proxy.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Time-outs must come soon here; a busy machine may see more of them than were made, and tries again. */
const SOON = { timeoutMs: 400, retry: { tries: 12, forMs: 60_000 } };
const bytes = (text: string) => new TextEncoder().encode(text);
const CONTENT = "some content of an object, long enough to be cut in two";
const SHA = sha256Of(bytes(CONTENT));

async function throughProxy(): Promise<{ direct: TestBucket; faulty: ReturnType<TestBucket["store"]> }> {
  const direct = await TestBucket.make(server.url);
  return { direct, faulty: direct.store({ endpoint: proxy.url, ...SOON }) };
}

/** The fault for the first `times` requests of a method. */
function breakFirst(fault: Fault, times: number, method: string): void {
  let left = times;
  proxy.rule = (asked) => (asked === method && left-- > 0 ? fault : null);
}

describe.each(FAULTS.map((fault) => [fault]))("%s", (fault) => {
  test("while writing: the object is there once, whole, and the writer knows", async () => {
    const { direct, faulty } = await throughProxy();
    const path = join(folder, "body");
    await Bun.write(path, CONTENT);
    for (const [key, body] of [
      ["small", bytes(CONTENT)],
      ["file", { path }],
    ] as const) {
      breakFirst(fault, 2, "PUT");
      expect(await faulty.putIfAbsent(key, body, SHA)).toBeOneOf(["created", "exists-same"]);
      expect(await direct.store().checksum(key)).toBe(SHA);
      breakFirst(fault, 1, "PUT");
      expect(await faulty.putIfAbsent(key, bytes("other"), sha256Of(bytes("other")))).toBe("exists-other");
      expect(await direct.store().checksum(key)).toBe(SHA);
    }
    proxy.rule = () => null;
    await direct.dispose();
  });

  test("while reading: what is read is what was stored", async () => {
    const { direct, faulty } = await throughProxy();
    await direct.store().putIfAbsent("a/k", bytes(CONTENT), SHA);
    breakFirst(fault, 2, "GET");
    expect(Buffer.from((await faulty.get("a/k"))!).toString()).toBe(CONTENT);
    breakFirst(fault, 2, "GET");
    expect(await Bun.file((await faulty.localPath("a/k"))!).text()).toBe(CONTENT);
    breakFirst(fault, 2, "HEAD");
    expect(await faulty.head("a/k")).toMatchObject({ bytes: CONTENT.length });
    if (fault !== "damaged-answer") {
      breakFirst(fault, 2, "GET");
      expect(await faulty.list("a/")).toEqual(["a/k"]);
    }
    proxy.rule = () => null;
    await direct.dispose();
  });
});

test("credentials that have run out for good are named, after a while, without their text", async () => {
  const { direct, faulty } = await throughProxy();
  proxy.rule = () => "expired";
  const error = await faulty.get("k").catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Transient);
  expect(error).toMatchObject({ code: "LAKE_S3_CREDENTIALS" });
  expect((error as Error).message).not.toContain("secret-text");
  proxy.rule = () => null;
  await direct.dispose();
});

/** A clock that only waiting moves; `waited` hears of it. */
function virtualWorld(onAdvance: () => void): World {
  let now = 0;
  return {
    ...systemWorld,
    now: () => now,
    monotonic: () => now,
    async sleep(ms, signal) {
      await systemWorld.sleep(1, signal);
      now += ms;
      onAdvance();
    },
  };
}

/** An archive on a spool of its own before the proxy. */
async function archive(direct: TestBucket, world: World) {
  const lake = await LakeFolder.make();
  const bucket = direct.store({ endpoint: proxy.url, ...SOON, world });
  const spool = new Spool({
    folder: join(lake.root, "spool"),
    bucket,
    lineage: LIVE,
    maxBytes: 1e9,
    world,
    log: silentLog,
  });
  const sink = new LakeSink(lake.options({ store: spool.store, journal: spool }));
  await sink.open();
  const stop = new AbortController();
  const shipping = spool.ship(stop.signal);
  let prev: BlockMeta | null = null;
  return {
    spool,
    sink,
    async commit(slot: number) {
      const block = testBlock(slot);
      await sink.commit(stepOf(prev, block), rollOf([block]));
      prev = block;
    },
    async end() {
      stop.abort();
      await shipping;
      await sink.close();
      await lake.dispose();
    },
  };
}

test("a fifth of all requests failing in every way: nothing lost, nothing twice, the lake sound", async () => {
  const direct = await TestBucket.make(server.url);
  const random = seededRandom(TEST_SEED);
  proxy.done.clear();
  const quick = FAULTS.filter((fault) => !fault.startsWith("timeout"));
  const { sink, commit, end } = await archive(
    direct,
    virtualWorld(() => undefined),
  );
  proxy.rule = () => (random() < 0.2 ? quick[Math.floor(random() * quick.length)]! : null);
  for (let slot = 10; slot < 40; slot++) await commit(slot);
  await sink.end();
  proxy.rule = () => null;
  await end();
  const report = await verifyLake(direct.store(), { deep: true });
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({ entries: 30, rows: 30, coverage: { trades: [{ first: 10, last: 39 }] } });
  // Without faults this would have shown nothing.
  expect([...proxy.done.values()].reduce((a, b) => a + b, 0)).toBeGreaterThan(20);
  await direct.dispose();
}, 300_000);

test("an hour without the bucket: every commit is taken at once, and all are in the bucket afterwards", async () => {
  const direct = await TestBucket.make(server.url);
  const HOUR_MS = 3_600_000;
  let healed = false;
  /** When all commits had been taken. Before, shipping waits in virtual time while commits take real time. */
  let committedAt = Number.POSITIVE_INFINITY;
  const world = virtualWorld(() => {
    // The bucket is back when another hour of waiting is over.
    if (world.now() < committedAt + HOUR_MS || healed) return;
    healed = true;
    proxy.rule = () => null;
  });
  const { spool, sink, commit, end } = await archive(direct, world);
  await commit(10);
  await sink.end();
  const ways = FAULTS.filter((fault) => ["500", "503", "reset-before", "200-with-error", "expired"].includes(fault));
  let asked = 0;
  proxy.rule = () => ways[asked++ % ways.length]!;
  for (let slot = 11; slot <= 110; slot++) await commit(slot);
  // Committed on this host, whatever the bucket says.
  expect(sink.stats().slot).toBe(110);
  expect(spool.status()).toMatchObject({ bucketSlot: 10 });
  expect(healed).toBe(false);
  committedAt = world.now();
  await sink.end();
  expect(world.now()).toBeGreaterThanOrEqual(committedAt + HOUR_MS);
  expect(spool.status()).toMatchObject({ waiting: 0, failure: null, bucketSlot: 110 });
  await end();
  const report = await verifyLake(direct.store(), { deep: true });
  expect(report.findings).toEqual([]);
  expect(report.coverage["trades"]).toEqual([{ first: 10, last: 110 }]);
  await direct.dispose();
}, 300_000);
