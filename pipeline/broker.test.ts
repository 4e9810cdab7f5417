/**
 * Goal: what the pipeline is promised of JetStream beyond what the server promises by itself. Method: a real, embedded
 * nats-server.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Broker } from "./broker.ts";
import { type EmbeddedNats, ensureEmbeddedNats, releaseEmbeddedNats } from "./embedded-nats.ts";
import { systemWorld } from "./world.ts";

let folder: string;
let server: EmbeddedNats;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-broker-"));
  server = await ensureEmbeddedNats(folder, systemWorld);
});
afterAll(async () => {
  await releaseEmbeddedNats(folder, systemWorld);
  await rm(folder, { recursive: true, force: true });
});

const connect = () => Broker.connect({ url: server.url, token: server.token, name: "test" });

test("a bucket's life span is the one asked for last, shorter or longer, and its entries stay", async () => {
  const value = new TextEncoder().encode("node-a");
  for (const ttlMs of [60_000, 2_000, 5_000, 0, 200_000]) {
    const broker = await connect();
    try {
      const bucket = broker.kv("leases", ttlMs);
      if ((await bucket.get("unit")) === null) await bucket.put("unit", value);
      expect((await bucket.get("unit"))?.string()).toBe("node-a");
      // As another client sees it.
      const info = await broker.connection.request("$JS.API.STREAM.INFO.KV_leases");
      expect(info.json<{ config: { max_age: number } }>().config.max_age).toBe(ttlMs * 1_000_000);
    } finally {
      await broker.close();
    }
  }
}, 30_000);

test("a stream is made once, left as it is, and given other limits when they are others", async () => {
  const broker = await connect();
  try {
    const spec = { name: "S", subjects: ["s.*"], maxBytes: 1_000_000, whenFull: "refuse" } as const;
    const asked: string[] = [];
    const watching = broker.connection.subscribe("$JS.API.STREAM.*.S", {
      callback: (_, message) => void asked.push(message.subject.split(".")[3]!),
    });
    for (const maxBytes of [1_000_000, 1_000_000, 2_000_000, 2_000_000])
      await broker.ensureStream({ ...spec, maxBytes });
    await broker.connection.flush();
    watching.unsubscribe();
    expect(asked.filter((what) => what !== "INFO")).toEqual(["CREATE", "UPDATE"]);
    expect(await broker.streamState("S")).toMatchObject({ messages: 0, maxBytes: 2_000_000 });
    const tooMuch = broker.ensureStream({ ...spec, name: "T", subjects: ["t"], maxBytes: 2 ** 50 });
    await expect(tooMuch).rejects.toMatchObject({ kind: "transient", code: "NATS_STORAGE" });
  } finally {
    await broker.close();
  }
}, 30_000);
