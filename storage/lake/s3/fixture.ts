/** Stores on an S3 service, each with a bucket and a cache folder of its own, for tests. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, DeleteBucketCommand } from "@aws-sdk/client-s3";
import { systemWorld, type World } from "../../../pipeline/world.ts";
import { FileCache } from "../file-cache.ts";
import { makeClient, parseBucketUrl, type S3Options } from "./client.ts";
import { S3Store, type S3StoreOptions } from "./store.ts";

/** The real clock, but nobody waits. */
export const HASTY: World = { ...systemWorld, sleep: () => systemWorld.sleep(1) };

/** Of the services that the suite starts itself; the keys are s3rver's own. */
export const TEST_S3: S3Options = {
  endpoint: "",
  region: "us-east-1",
  pathStyle: "auto",
  caFile: "",
  accessKeyId: "S3RVER",
  secretAccessKey: "S3RVER",
  sessionToken: "",
  timeoutMs: 20_000,
};

/** Of the service that SLUICE_TEST_S3 names: the usual chain finds its credentials. Null where none is named. */
export const REAL_S3: S3Options | null =
  (process.env["SLUICE_TEST_S3"] ?? "") === ""
    ? null
    : {
        ...TEST_S3,
        endpoint: process.env["SLUICE_TEST_S3"]!,
        region: process.env["AWS_REGION"] ?? TEST_S3.region,
        accessKeyId: "",
        secretAccessKey: "",
      };

export class TestBucket {
  readonly options: S3StoreOptions;
  private readonly folder: string;

  private constructor(options: S3StoreOptions, folder: string) {
    this.options = options;
    this.folder = folder;
  }

  static async make(endpoint: string, changes: Partial<S3StoreOptions> = {}): Promise<TestBucket> {
    const folder = await mkdtemp(join(tmpdir(), "s3-store-"));
    const bucket = parseBucketUrl(`s3://sluice-test-${randomUUID()}/some/lake`);
    const cache = new FileCache({ folder: join(folder, "cache"), maxBytes: 1e9, world: systemWorld });
    const options = { ...TEST_S3, endpoint, bucket, cache, world: HASTY, ...changes };
    const made = new TestBucket(options, folder);
    const client = makeClient(options);
    const { region } = options;
    const place = region === "us-east-1" ? {} : { CreateBucketConfiguration: { LocationConstraint: region } };
    await client.send(new CreateBucketCommand({ Bucket: bucket.bucket, ...place } as { Bucket: string }));
    client.destroy();
    return made;
  }

  /** Another process's view of the bucket. */
  store(changes: Partial<S3StoreOptions> = {}): S3Store {
    return new S3Store({ ...this.options, ...changes });
  }

  async dispose(): Promise<void> {
    const store = this.store();
    for (const key of await store.list("")) await store.delete(key);
    const client = makeClient(this.options);
    await client.send(new DeleteBucketCommand({ Bucket: this.options.bucket.bucket }));
    client.destroy();
    await rm(this.folder, { recursive: true, force: true });
  }
}
