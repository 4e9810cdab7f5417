/**
 * The bucket store. Goal: it keeps the contract of all stores on services that honour conditional writes, and on others
 * under a lock; it tells such services apart; and what goes wrong on the way is repaired or named. Method: real HTTP
 * against a service of our own, against s3rver (which ignores conditions), and, where SLUICE_TEST_S3 names one, against a
 * real one; faults come from a proxy in between.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeadObjectCommand } from "@aws-sdk/client-s3";
import S3rver from "s3rver";
import { Fatal, Transient } from "../../../pipeline/errors.ts";
import { systemWorld } from "../../../pipeline/world.ts";
import { FileCache } from "../file-cache.ts";
import { storeConformance } from "../store.conformance.ts";
import { sha256Of } from "../store.ts";
import { makeClient, parseBucketUrl, type S3Options } from "./client.ts";
import { HASTY, REAL_S3, TEST_S3, TestBucket } from "./fixture.ts";
import { probeBucket } from "./probe.ts";
import { S3Server } from "./server-fixture.ts";
import type { S3StoreOptions, WriteLock } from "./store.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** One at a time, in this process. */
function localLock(): WriteLock {
  let last: Promise<unknown> = Promise.resolve();
  return {
    hold(action) {
      const next = last.then(action, action);
      last = next.catch(() => undefined);
      return next;
    },
  };
}

const own = new S3Server({ pageKeys: 2 });
const rverFolder = await mkdtemp(join(tmpdir(), "s3rver-"));
const rver = new S3rver({ port: 0, address: "127.0.0.1", silent: true, directory: rverFolder });
const rverUrl = `http://127.0.0.1:${(await rver.run()).port}`;
afterAll(async () => {
  await own.stop();
  await rver.close();
  await rm(rverFolder, { recursive: true, force: true });
});

function conformance(name: string, endpoint: () => string, changes: Partial<S3StoreOptions> = {}): void {
  storeConformance(name, async () => {
    const bucket = await TestBucket.make(endpoint(), changes);
    return { store: bucket.store(), again: () => bucket.store(), dispose: () => bucket.dispose() };
  });
}

conformance("S3 with conditional writes", () => own.url);
conformance("S3 without conditional writes, under a lock", () => rverUrl, { lock: localLock() });

if (REAL_S3 !== null) {
  const real = REAL_S3;
  conformance("S3 service named by SLUICE_TEST_S3", () => real.endpoint, real);
  test("the service named by SLUICE_TEST_S3 honours conditional writes", async () => {
    const made = await TestBucket.make(real.endpoint, real);
    const { bucket } = made.options;
    const found = await probeBucket({ ...real, bucket, world: HASTY, createBucket: false });
    await made.dispose();
    expect(found).toEqual({ created: false, conditionalWrites: true });
  });
}

async function probe(endpoint: string, changes: { createBucket?: boolean; bucket?: string } = {}) {
  const { bucket: name = `sluice-probe-${crypto.randomUUID()}`, createBucket = true } = changes;
  const bucket = parseBucketUrl(`s3://${name}`);
  return probeBucket({ ...TEST_S3, endpoint, bucket, world: HASTY, createBucket });
}

describe("the probe", () => {
  test("tells stores that create a key once from those that do not", async () => {
    expect(await probe(own.url)).toEqual({ created: true, conditionalWrites: true });
    expect(await probe(rverUrl)).toEqual({ created: true, conditionalWrites: false });
    const ignoring = new S3Server({ conditional: false });
    expect(await probe(ignoring.url)).toEqual({ created: true, conditionalWrites: false });
    await ignoring.stop();
  });

  test("leaves nothing behind", async () => {
    await probe(own.url, { bucket: "left-behind" });
    expect([...own.buckets.get("left-behind")!.keys()]).toEqual([]);
  });

  test("says at once that a bucket is missing, and makes it only when allowed", async () => {
    const bucket = "not-there-yet";
    const missing = await probe(own.url, { bucket, createBucket: false }).catch((e: unknown) => e);
    expect(missing).toBeInstanceOf(Fatal);
    expect(missing).toMatchObject({ code: "LAKE_BUCKET_MISSING" });
    expect(own.buckets.has(bucket)).toBe(false);
    expect((await probe(own.url, { bucket })).created).toBe(true);
    expect((await probe(own.url, { bucket, createBucket: false })).created).toBe(false);
  });

  test("says that nobody answers, and what the credentials are worth", async () => {
    const retry = { tries: 2, forMs: 1_000 };
    const bucket = parseBucketUrl("s3://some-bucket");
    const options = { ...TEST_S3, bucket, world: HASTY, createBucket: true, retry };
    const gone = new S3Server();
    await gone.stop();
    await expect(probeBucket({ ...options, endpoint: gone.url })).rejects.toMatchObject({
      kind: "transient",
      code: "LAKE_S3_UNREACHABLE",
    });
    const unknown = { ...options, endpoint: own.url, accessKeyId: "unknown" };
    await expect(probeBucket(unknown)).rejects.toMatchObject({ kind: "fatal" });
  });
});

test("the probe says that it is the wrong region, which a HEAD cannot", async () => {
  const far = new S3Server({ region: "eu-north-9" });
  far.buckets.set("far-away", new Map());
  const bucket = parseBucketUrl("s3://far-away");
  const options = { ...TEST_S3, endpoint: far.url, bucket, world: HASTY, createBucket: false };
  await expect(probeBucket(options)).rejects.toMatchObject({
    ...{ kind: "fatal", code: "LAKE_S3_CREDENTIALS" },
    hint: expect.stringContaining("lake.s3.region"),
  });
  expect(await probeBucket({ ...options, region: "eu-north-9" })).toEqual({ created: false, conditionalWrites: true });
  await far.stop();
});

describe("the way to the bucket", () => {
  test("names the bucket in the path or in the host", async () => {
    const asked = async (changes: Partial<S3Options>): Promise<string> => {
      const client = makeClient({ ...TEST_S3, region: "eu-west-1", ...changes });
      let url = "";
      client.middlewareStack.add(
        () => async (args) => {
          const { protocol, hostname, path } = args.request as Record<string, string>;
          url = `${protocol}//${hostname}${path}`;
          throw new Error("far enough");
        },
        { step: "finalizeRequest" },
      );
      await client.send(new HeadObjectCommand({ Bucket: "bucket", Key: "a/b" })).catch(() => undefined);
      return url;
    };
    const endpoint = "https://s3.example.com";
    expect(await asked({})).toBe("https://bucket.s3.eu-west-1.amazonaws.com/a/b");
    expect(await asked({ pathStyle: "path" })).toBe("https://s3.eu-west-1.amazonaws.com/bucket/a/b");
    expect(await asked({ endpoint })).toBe("https://s3.example.com/bucket/a/b");
    expect(await asked({ endpoint, pathStyle: "virtual-host" })).toBe("https://bucket.s3.example.com/a/b");
  });

  test("may be secured by a certificate authority of one's own, and by no other", async () => {
    const { key, cert, caFile } = await selfSigned();
    const server = new S3Server({ tls: { key, cert } });
    const bucket = await TestBucket.make(server.url, { caFile });
    expect(await bucket.store().putIfAbsent("k", bytes("x"), sha256Of(bytes("x")))).toBe("created");
    const error = await bucket
      .store({ caFile: "" })
      .get("k")
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ kind: "fatal", code: "LAKE_S3_TLS" });
    await bucket.dispose();
    await server.stop();
  });

  test("is an address that is checked", () => {
    expect(parseBucketUrl("s3://b-1.x/a/b/")).toEqual({ bucket: "b-1.x", prefix: "a/b/" });
    expect(parseBucketUrl("s3://bucket")).toEqual({ bucket: "bucket", prefix: "" });
    for (const url of [
      "",
      "s3://",
      "s3://B",
      "http://b/x",
      "s3://bucket/../x",
      "s3://bucket/a//b",
      "s3://bucket/a b",
    ]) {
      expect(() => parseBucketUrl(url)).toThrow(Fatal);
    }
  });
});

describe("errors", () => {
  test("of a store that is gone may pass, and hold no secret", async () => {
    const server = new S3Server();
    const bucket = await TestBucket.make(server.url);
    await server.stop();
    const store = bucket.store({ retry: { tries: 3, forMs: 1_000 }, secretAccessKey: "very-secret" });
    const error = await store.head("k").catch((e: unknown) => e);
    expect(error).toBeInstanceOf(Transient);
    expect(`${(error as Transient).message} ${(error as Transient).where}`).not.toContain("secret");
  });

  test("of a bucket that is gone stay", async () => {
    const bucket = await TestBucket.make(own.url);
    own.buckets.delete(bucket.options.bucket.bucket);
    const store = bucket.store();
    for (const attempt of [() => store.list(""), () => store.get("k"), () => store.checksum("k")]) {
      await expect(attempt()).rejects.toMatchObject({ kind: "fatal", code: "LAKE_BUCKET_MISSING" });
    }
  });
});

describe("copies", () => {
  let bucket: TestBucket;
  let folder: string;
  beforeAll(async () => {
    bucket = await TestBucket.make(own.url);
    folder = await mkdtemp(join(tmpdir(), "s3-cache-"));
    for (const key of ["a", "b", "c"]) {
      const body = new Uint8Array(1_000).fill(key.charCodeAt(0));
      await bucket.store().putIfAbsent(key, body, sha256Of(body));
    }
  });
  afterAll(async () => {
    await bucket.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  test("are made once, and kept within their room", async () => {
    let now = 0;
    const cache = new FileCache({ folder, maxBytes: 2_500, world: { now: () => now } });
    const store = bucket.store({ cache });
    await store.localPath("a");
    own.requests.length = 0;
    await Promise.all([store.localPath("a"), store.localPath("b"), store.localPath("b")]);
    expect(own.requests.filter((r) => r.startsWith("GET"))).toHaveLength(1);
    own.requests.length = 0;
    await store.localPath("b");
    expect(own.requests).toEqual([]);
    // Both are in use.
    await expect(store.localPath("c")).rejects.toMatchObject({ code: "LAKE_CACHE_FULL" });
    store.release("a");
    expect((await Bun.file((await store.localPath("c"))!).bytes())[0]).toBe("c".charCodeAt(0));
    expect(await Bun.file(join(folder, "a")).exists()).toBe(false);
    expect(await Bun.file(join(folder, "b")).exists()).toBe(true);
    // Much later nothing is in use; the first to go is what was used longest ago.
    now += 3_600_000;
    await store.localPath("b");
    now += 3_600_000;
    await store.localPath("a");
    expect(await Bun.file(join(folder, "c")).exists()).toBe(false);
  });

  test("of objects that are damaged in the store are not made", async () => {
    const objects = own.buckets.get(bucket.options.bucket.bucket)!;
    const key = `${bucket.options.bucket.prefix}a`;
    const whole = objects.get(key)!;
    objects.set(key, { ...whole, bytes: new Uint8Array(1_000) });
    const cache = new FileCache({ folder: join(folder, "other"), maxBytes: 1e6, world: systemWorld });
    const store = bucket.store({ cache, retry: { tries: 2, forMs: 1_000 } });
    await expect(store.localPath("a")).rejects.toMatchObject({ code: "LAKE_S3_CHECKSUM" });
    objects.set(key, whole);
    expect(await store.localPath("a")).not.toBeNull();
  });
});

async function selfSigned(): Promise<{ key: string; cert: string; caFile: string }> {
  const folder = await mkdtemp(join(tmpdir(), "s3-tls-"));
  const [keyFile, caFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const made = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1"],
    ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", keyFile, "-out", caFile],
  ]);
  if (made.exitCode !== 0) throw new Error(`openssl is needed for this test: ${made.stderr.toString()}`);
  return { key: await Bun.file(keyFile).text(), cert: await Bun.file(caFile).text(), caFile };
}
