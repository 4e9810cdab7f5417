/** Checks of the lake: that objects can be put, read and deleted where it lies, that a taken name stays taken, and DuckDB. */
import { randomUUID } from "node:crypto";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { sha256Of } from "../../storage/lake/store.ts";
import { type Check, type Finding, fail, ok, once } from "./check.ts";

export interface LakeProbe {
  store(): Promise<ObjectStore>;
}

const text = (value: string) => new TextEncoder().encode(value);

export function lakeChecks(probe: LakeProbe): Check[] {
  const store = once(() => probe.store());
  return [
    { group: "lake", name: "put, get, delete", run: async () => roundTrip(await store()) },
    {
      group: "lake",
      name: "conditional put",
      needs: "put, get, delete",
      run: async () => conditionalPut(await store()),
    },
    { group: "lake", name: "duckdb", run: duckdb },
  ];
}

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
    return fail(
      `${store.name}: an object was overwritten although it must not be`,
      "Use a store with conditional writes (AWS S3, R2, Garage, versitygw), or set lake.s3.conditionalWrites to lease.",
    );
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
