/**
 * Goal: a supervisor that is asked to stop does, at whatever moment. Method: leases in memory that answer when the test
 * lets them, and a unit that runs until it is told.
 */
import { expect, test } from "bun:test";
import type { Bucket, Entry } from "./broker.ts";
import { Control } from "./control.ts";
import { silentLog } from "./log.ts";
import { Supervisor, type UnitContext } from "./supervisor.ts";
import { systemWorld } from "./world.ts";

/** A bucket in memory; `beforeCreate` is waited for before a key is made. */
function memoryBucket(beforeCreate: () => Promise<void>): Bucket {
  const entries = new Map<string, Entry>();
  let revision = 0;
  const put = async (key: string, value: Uint8Array) => {
    const text = Buffer.from(value).toString();
    entries.set(key, { revision: ++revision, operation: "PUT", string: () => text, json: () => JSON.parse(text) });
    return revision;
  };
  return {
    put,
    update: put,
    get: async (key) => entries.get(key) ?? null,
    create: async (key, value) => {
      await beforeCreate();
      return put(key, value);
    },
    delete: async (key) => void entries.delete(key),
    keys: async () =>
      (async function* () {
        yield* entries.keys();
      })(),
  };
}

function supervise(beforeCreate: () => Promise<void>, run: (context: UnitContext) => Promise<void>): Supervisor {
  const buckets = new Map<string, Bucket>();
  const kv = (name: string) => {
    const bucket = buckets.get(name) ?? memoryBucket(name.endsWith("_leases") ? beforeCreate : async () => undefined);
    buckets.set(name, bucket);
    return bucket;
  };
  return new Supervisor({
    ...{ node: "a", version: "0", stages: ["decode"], world: systemWorld, log: silentLog, leaseTtlMs: 2_000 },
    control: new Control({ kv }, "test"),
    units: [{ name: "decode.main", stage: "decode", source: "main", inputStream: null, outputStream: null, run }],
    purge: async () => undefined,
    prepare: async () => undefined,
  });
}

const untilAborted = ({ signal }: UnitContext) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

test("asked while a unit waits for its lease", async () => {
  const stop = new AbortController();
  const supervisor = supervise(async () => stop.abort(), untilAborted);
  await supervisor.run(stop.signal);
  expect(stop.signal.aborted).toBeTrue();
}, 20_000);

test("asked while a unit runs, and before anything has begun", async () => {
  for (const askAfterMs of [300, 0]) {
    const stop = new AbortController();
    let ran = 0;
    const supervisor = supervise(
      async () => undefined,
      async (context) => {
        ran++;
        await untilAborted(context);
      },
    );
    if (askAfterMs === 0) stop.abort();
    else setTimeout(() => stop.abort(), askAfterMs);
    await supervisor.run(stop.signal);
    expect(ran).toBe(askAfterMs === 0 ? 0 : 1);
  }
}, 20_000);
