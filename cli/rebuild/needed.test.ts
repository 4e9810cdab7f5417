/** Goal: a lane is not lost because the archive has yet to make the bucket. Method: a store that answers as such a bucket does. */
import { expect, test } from "bun:test";
import { loadConfig } from "../../pipeline/config.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { LakeFolder, LIVE } from "../../storage/lake/lake-fixture.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { historyIn } from "./needed.ts";

const deployment = (createBucket: boolean) => ({
  source: LIVE.source,
  config: loadConfig({ flags: { "lake.url": "s3://lake", "lake.s3.createBucket": createBucket } }).values,
});

test("a bucket that the archive may make is an empty lake until it has; another that is missing is told", async () => {
  const lake = await LakeFolder.make();
  try {
    await lake.fill([[10, 11]]);
    expect(await historyIn(lake.store, deployment(true))).toMatchObject({ position: { slot: 11 } });
    const missing = async () => {
      throw new Fatal("LAKE_BUCKET_MISSING", "the bucket does not exist");
    };
    const nowhere = new Proxy(lake.store, { get: () => missing }) as ObjectStore;
    expect(await historyIn(nowhere, deployment(true))).toBeNull();
    await expect(historyIn(nowhere, deployment(false))).rejects.toMatchObject({ code: "LAKE_BUCKET_MISSING" });
  } finally {
    await lake.dispose();
  }
});
