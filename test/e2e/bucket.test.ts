/**
 * Goal: with the lake in a bucket, what is wrong with the bucket is said at the start; that it goes away stops neither the
 * hot path nor the API, and afterwards the lake holds everything; and a lost host loses nothing. Method: the commands that
 * users run, against S3 services in this process, one of which ignores conditional writes, behind a proxy of faults.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import S3rver from "s3rver";
import { FaultProxy } from "../../storage/lake/s3/fault-proxy-fixture.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";
import type { SpoolStatus } from "../../storage/lake/spool.ts";
import { apiOf, useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();
const server = new S3Server();
const careless = await mkdtemp(join(tmpdir(), "s3rver-"));
const rver = new S3rver({ port: 0, address: "127.0.0.1", silent: true, directory: careless });
const rverUrl = `http://127.0.0.1:${(await rver.run()).port}`;
afterAll(async () => {
  await server.stop();
  await rver.close();
  await rm(careless, { recursive: true, force: true });
});

/** The secret must not show anywhere; the demo account of s3rver. */
const KEYS = ["lake.s3.accessKeyId=S3RVER", "lake.s3.secretAccessKey=S3RVER"];
const settingsOf = (endpoint: string, url: string) => [
  ...["lanes=2", "lease.ttlMs=2000", "archive.rollSeconds=10", "lake.s3.timeoutMs=2000"],
  ...[`lake.url=${url}`, `lake.s3.endpoint=${endpoint}`, ...KEYS],
];
const flags = (settings: readonly string[]) => settings.flatMap((setting) => ["--set", setting]);
const shippingOf = (details: Record<string, unknown>) => details["shipping"] as SpoolStatus | undefined;

test("away in the middle: rows and answers go on, files wait, and the lake catches up", async () => {
  const proxy = await FaultProxy.start(server.url);
  ground.atEnd(() => proxy.stop());
  const settings = [...settingsOf(proxy.url, "s3://away/lake"), "lake.s3.createBucket=true"];
  const market = await Market.open(ground, {
    blocks: 320,
    seed: 51,
    blocksPerSecond: 100,
    hold: { from: 200 },
    settings,
  });
  const stages = market.start();
  const ships = (is: (status: SpoolStatus) => boolean) =>
    market.unit("archive.main", "shipping as wanted", ({ details }) => {
      const status = shippingOf(details);
      return status !== undefined && is(status);
    });
  await ships((status) => status.bucketSlot > 0);

  let asked = 0;
  proxy.rule = () => (["503", "reset-before", "500", "expired"] as const)[asked++ % 4]!;
  market.release();
  const api = await apiOf(ground, market.settings());
  for (const lane of [0, 1]) await market.unit(`lane.main.${lane}`, "at the end", (unit) => unit.ended);
  await api.says("GET", "/v1/stages", { code: 200 });
  await api.says("GET", "/v1/mints?limit=5", { code: 200 });
  const away = await ships((status) => status.failure !== null && status.waiting > 0);
  expect(away.ended).toBe(false);
  expect(away.state).toBe("running");

  proxy.rule = () => null;
  await market.ended();
  await ships((status) => status.waiting === 0 && status.failure === null);
  expect(await stages.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
  const verified = await ground.run(["verify", "--deep", "--json", ...flags(market.settings())]);
  expect(verified.code).toBe(0);
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, findings: [], lake: "s3://away/lake/" });
}, 300_000);

test("the whole host lost: a new one goes on from the bucket", async () => {
  const settings = [...settingsOf(server.url, "s3://lost/lake"), "lake.s3.createBucket=true"];
  const market = await Market.open(ground, { blocks: 200, seed: 52, blocksPerSecond: 100, settings });
  const first = market.start();
  await market.unit("archive.main", "with files in the bucket", ({ details }) => {
    return (shippingOf(details)?.bucketSlot ?? -1) > 0;
  });
  first.kill("SIGKILL");
  await first.exited;
  await market.disconnect();
  const before = [...server.buckets.get("lost")!.keys()];
  await rm(ground.path("data"), { recursive: true });

  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  expect(await market.differences()).toEqual([]);
  // Nothing of what was there was written again.
  expect([...server.buckets.get("lost")!.keys()]).toEqual(expect.arrayContaining(before));
  expect((await ground.run(["verify", "--deep", ...flags(market.settings())])).code).toBe(0);
}, 300_000);

test("missing: said at once", async () => {
  const { code, stderr } = await ground.run([
    ...["stages", "archive", "--data", ground.path("data")],
    ...flags(settingsOf(server.url, "s3://nowhere")),
  ]);
  expect(code).toBe(1);
  expect(stderr).toContain("LAKE_BUCKET_MISSING");
  expect(stderr).toContain("lake.s3.createBucket=true");
});

test("without conditional writes: refused with the reason, or run under a lease when asked for", async () => {
  const unsafe = [...settingsOf(rverUrl, "s3://careless/lake"), "lake.s3.createBucket=true"];
  const refused = await ground.run(["stages", "archive", "--data", ground.path("refused"), ...flags(unsafe)]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("LAKE_S3_UNSAFE");

  const settings = [...unsafe, "lake.s3.conditionalWrites=lease"];
  const market = await Market.open(ground, { blocks: 60, seed: 53, settings });
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  expect(await market.differences()).toEqual([]);
  expect((await ground.run(["verify", "--deep", ...flags(market.settings())])).code).toBe(0);
}, 300_000);
