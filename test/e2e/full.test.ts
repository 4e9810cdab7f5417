/**
 * Goal: a store that is full stops the pipeline without harm: it waits, says so, loses nothing, and goes on by itself when
 * there is room again. Method: a nats-server with hardly more room than its streams may take; one stream, then the whole
 * server, is filled up and emptied again.
 */
import { expect, test } from "bun:test";
import { Broker } from "../../pipeline/broker.ts";
import { names } from "../../pipeline/names.ts";
import { apiOf, useGround } from "./ground.ts";
import { Market } from "./market.ts";
import { startNatsServer } from "./nats-server.ts";

const ground = useGround();

const MIB = 1024 * 1024;
const STREAMS = ["streams.blocksMaxBytes", "streams.eventsMaxBytes", "streams.lanesMaxBytes"];
/** The least that streams can be set to. */
const SMALL = [...STREAMS.map((name) => `${name}=${16 * MIB}`), `streams.liveMaxBytes=${MIB}`];
/** All of them, the 64 MiB of the quarantine stream, and no room for any of them a second time. */
const STORE = [`jetstream { store_dir: "%store", max_file: ${120 * MIB}, sync_interval: always }`];

interface Reply {
  readonly error?: { readonly description: string };
  readonly config?: Readonly<Record<string, unknown>>;
}

async function open(blocks: number, seed: number) {
  const { url } = await startNatsServer(ground, STORE);
  const settings = [...SMALL, `nats.url=${url}`, "archive.rollSeconds=20", "lease.ttlMs=2000"];
  const market = await Market.open(ground, { blocks, seed, blocksPerSecond: 60, hold: { from: 100 }, settings });
  const api = await apiOf(ground, market.settings());
  const { broker } = await market.connection();
  const jetstream = async (what: string, body: unknown) => {
    const reply = await broker.connection.request(`$JS.API.STREAM.${what}`, JSON.stringify(body), { timeout: 10_000 });
    return reply.json<Reply>();
  };
  return { market, api, broker, jetstream };
}

test("a full stream: its writer waits and says so, the others go on, and so does it when readers make room", async () => {
  const { market, api, broker, jetstream } = await open(300, 41);
  market.start(["ingest", "decode"]);
  const readers = market.start(["shard", "lane", "archive", "janitor"]);
  await market.unit("lane.main.0", "at work", (unit) => unit.metrics.sentBlocks > 40);
  readers.kill("SIGKILL");
  await readers.exited;
  // As if it had been that small: a start of any unit sets the limit right again, and nobody else does.
  const { stream } = names("sluice", "main").events;
  const { bytes } = (await broker.streamState(stream))!;
  const { config } = await jetstream(`INFO.${stream}`, {});
  expect((await jetstream(`UPDATE.${stream}`, { ...config, max_bytes: bytes + 20_000 })).error).toBeUndefined();
  market.release();

  await market.unit("decode.main", "blocked", (unit) => unit.blocked);
  const stoodAt = (await market.unit("ingest.main", "ended", (unit) => unit.ended)).metrics.position!.slot;
  expect(stoodAt).toBe(market.truth.chain.lastSlot);
  const decode = await market.unit("decode.main", "blocked still", (unit) => unit.blocked && unit.state === "running");
  expect(decode.metrics.position!.slot).toBeLessThan(stoodAt);
  await market.until("blocked in the metrics", async () =>
    /^sluice_unit_blocked\{.*unit="decode\.main".*\} 1$/m.test(String((await api("GET", "/metrics")).body)),
  );
  const reasons = expect.arrayContaining(["streams: waiting for room in a full stream: decode.main"]);
  await api.says("GET", "/ready", { code: 503, body: { reasons } });

  const again = market.start(["shard", "lane", "archive", "janitor"]);
  await market.ended();
  expect(await again.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

test("a full server: everything waits, reports still come; when there is room everything goes on", async () => {
  const { market, broker, jetstream } = await open(300, 42);
  const stages = market.start();
  await market.unit("lane.main.0", "at work", (unit) => unit.metrics.sentBlocks > 40);
  expect((await jetstream("CREATE.filler", { name: "filler", subjects: ["filler"] })).error).toBeUndefined();
  for (let reply: Reply = {}; reply.error === undefined; ) {
    reply = (await broker.connection.request("filler", new Uint8Array(900_000), { timeout: 10_000 })).json<Reply>();
  }
  market.release();
  // On a busy machine leases may run out before they are renewed for the last time: then it waits for its own.
  await market.until("ingest waiting for room", async () =>
    (await market.nodes())[0]?.units.some((u) => u.stage === "ingest" && (u.blocked || u.state === "waiting")),
  );
  // Longer than a lease lasts: nobody can renew one, and nobody else can take it.
  await Bun.sleep(3_000);
  expect(stages.exitCode).toBeNull();
  await market.until("its report", async () => (await market.nodes()).length === 1);

  expect((await jetstream("PURGE.filler", {})).error).toBeUndefined();
  await market.ended();
  expect(await stages.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
  // The streams are there and need no room a second time: a restart finds all in order.
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
}, 300_000);

test("a server without room for the streams: said before anything begins, with the way out", async () => {
  const { url } = await startNatsServer(ground, STORE);
  // An endpoint that wants no credentials, and is never asked.
  const settings = [`nats.url=${url}`, "source.endpoint=http://127.0.0.1:1"].flatMap((setting) => ["--set", setting]);
  const { code, stderr } = await ground.run(["--data", ground.path("data"), "stages", ...settings]);
  expect(stderr).toContain(
    "NATS_STORAGE: the server cannot reserve 4294967296 bytes for the stream SLUICE_MAIN_BLOCKS",
  );
  expect(stderr).toContain("streams.*MaxBytes");
  expect(code).toBe(75);
}, 300_000);

test("several that start at once on a server with room for one of each stream: all find them", async () => {
  const { url } = await startNatsServer(ground, STORE);
  const brokers = await Promise.all([1, 2, 3, 4].map((i) => Broker.connect({ url, name: `starter-${i}` })));
  for (let round = 0; round < 20; round++) {
    const name = `ROUND_${round}`;
    const spec = { name, subjects: [`round.${round}`], maxBytes: 70 * MIB, whenFull: "refuse" } as const;
    await Promise.all(brokers.map((broker) => broker.ensureStream(spec)));
    expect(await brokers[0]!.streamState(name)).toMatchObject({ maxBytes: 70 * MIB, messages: 0 });
    await brokers[0]!.deleteStream(name);
  }
  for (const broker of brokers) await broker.close();
}, 300_000);
