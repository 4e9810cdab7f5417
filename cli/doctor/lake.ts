/** Checks of the lake: that objects can be put, read and deleted where it lies, that a taken name stays taken, and DuckDB. */
import { randomUUID } from "node:crypto";
import { classify } from "../../pipeline/errors.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { sha256Of } from "../../storage/lake/store.ts";
import { type Check, type Finding, fail, ok, once, skip, warn } from "./check.ts";

export interface LakeProbe {
  store(): Promise<ObjectStore>;
  /** Of a lake in a bucket. */
  readonly bucket?: BucketProbe;
}

export interface BucketProbe {
  /** Settings lake.s3.conditionalWrites and lake.s3.createBucket. */
  readonly conditionalWrites: "required" | "lease";
  readonly mayCreate: boolean;
  /** Looks, and creates nothing. Throws LAKE_BUCKET_MISSING and whatever else is wrong. */
  probe(): Promise<{ readonly conditionalWrites: boolean }>;
}

const text = (value: string) => new TextEncoder().encode(value);

export function lakeChecks({ store, bucket }: LakeProbe): Check[] {
  const opened = once(store);
  const probed = bucket === undefined ? null : once(() => bucket.probe());
  const roundTripped = async () => roundTrip(await opened());
  if (bucket === undefined || probed === null) {
    return [
      { group: "lake", name: "put, get, delete", run: roundTripped },
      {
        group: "lake",
        name: "conditional put",
        needs: "put, get, delete",
        run: async () => conditionalPut(await opened()),
      },
      { group: "lake", name: "duckdb", run: duckdb },
    ];
  }
  return [
    { group: "lake", name: "bucket", run: () => bucketThere(bucket, probed) },
    { group: "lake", name: "put, get, delete", needs: "bucket", run: roundTripped },
    {
      group: "lake",
      name: "conditional put",
      needs: "bucket",
      run: async () => judgeConditional((await probed()).conditionalWrites, bucket.conditionalWrites),
    },
    { group: "lake", name: "duckdb", run: duckdb },
  ];
}

async function bucketThere({ mayCreate }: BucketProbe, probe: () => Promise<unknown>): Promise<Finding> {
  try {
    await probe();
    return ok("it is there");
  } catch (error) {
    const { code } = classify(error);
    if (code === "LAKE_BUCKET_MISSING" && mayCreate) return skip("it is missing, and will be made at the start");
    throw error;
  }
}

/** Whether the store honours If-None-Match, and what the settings say should hold two archives apart. */
export function judgeConditional(honoured: boolean, setting: "required" | "lease"): Finding {
  if (honoured) return ok("of several writers at once exactly one succeeds");
  const evidence = "the store ignores If-None-Match";
  if (setting === "required") return fail(evidence, CONDITIONAL_FIX);
  return warn(
    `${evidence}; a lease in NATS stands in for it`,
    "See that all archives of this bucket use the same NATS server.",
  );
}

const CONDITIONAL_FIX =
  "Use a store with conditional writes (AWS S3, R2, Garage 2, versitygw), or set lake.s3.conditionalWrites to lease.";
const STORE_FIX =
  "Check that the user may put, get, list and delete there (s3:PutObject, GetObject, ListBucket, DeleteObject).";

async function roundTrip(store: ObjectStore): Promise<Finding> {
  return withProbeObject(store, async (key, body) => {
    const back = await store.get(key);
    if (back === null) return fail(`${store.name}: an object that was just put is not there`, STORE_FIX);
    if (sha256Of(back) !== sha256Of(body))
      return fail(`${store.name}: other bytes came back`, "Check the disk, and any proxy in front of the store.");
    if ((await store.head(key))?.bytes !== body.length)
      return fail(`${store.name}: the size of an object is told wrongly`, STORE_FIX);
    await store.delete(key);
    if ((await store.get(key)) !== null) return fail(`${store.name}: a deleted object is still there`, STORE_FIX);
    return ok(`${store.name}: put, read back, deleted`);
  });
}

/** Two archives must never both believe that they wrote the next manifest entry. */
async function conditionalPut(store: ObjectStore): Promise<Finding> {
  return withProbeObject(store, async (key, body) => {
    const other = text(`another writer, ${randomUUID()}`);
    const outcome = await store.putIfAbsent(key, other, sha256Of(other));
    const kept = await store.get(key);
    if (outcome === "exists-other" && kept !== null && sha256Of(kept) === sha256Of(body)) {
      return ok(`${store.name}: a name that is taken stays taken`);
    }
    return fail(`${store.name}: an object was overwritten although it must not be`, CONDITIONAL_FIX);
  });
}

/** Puts an object under a name that nobody else uses, and takes it away again whatever happens. */
async function withProbeObject(
  store: ObjectStore,
  look: (key: string, body: Uint8Array) => Promise<Finding>,
): Promise<Finding> {
  const key = `doctor/${randomUUID()}`;
  const body = text(`sluice doctor ${key}`);
  try {
    const outcome = await store.putIfAbsent(key, body, sha256Of(body));
    if (outcome !== "created") return fail(`${store.name}: a new name is said to be taken (${outcome})`, STORE_FIX);
    return await look(key, body);
  } finally {
    await store.delete(key);
  }
}

async function duckdb(): Promise<Finding> {
  const { DuckDBInstance, version } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.runAndReadAll("select 1");
    return ok(`DuckDB ${version()}`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
