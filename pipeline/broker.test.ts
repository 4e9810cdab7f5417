/**
 * Goal: what the pipeline is promised of JetStream beyond what the server promises by itself: batches that are stored
 * whole or not at all, whatever they weigh; writers that are fenced; streams that refuse when full; errors that say what
 * to do. Method: a real, embedded nats-server, killed where that is the point.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startNatsServer } from "../test/e2e/nats-server.ts";
import { Broker } from "./broker.ts";
import type { Delivery } from "./chunks.ts";
import { Fatal, Fenced, Transient } from "./errors.ts";
import { messageOf, type NatsFixture, noise, startNats } from "./nats-fixture.ts";

let nats: NatsFixture;
let broker: Broker;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
});
afterAll(() => nats.dispose());

let streams = 0;
/** A stream of its own for a test, with subjects `<name>.0`, `<name>.1` and so on. */
async function stream(maxBytes = 16_000_000): Promise<{ name: string; subject: (lane: number) => string }> {
  const name = `S${streams++}`;
  await broker.ensureStream({ name, subjects: [`${name}.*`], maxBytes, whenFull: "refuse" });
  return { name, subject: (lane) => `${name}.${lane}` };
}

const small = (slot: number) => noise(100, slot);

/** Reads until `count` messages have come. */
async function take(from: Broker, name: string, subject: string, count: number, fromSeq = 1): Promise<Delivery[]> {
  const stop = new AbortController();
  const taken: Delivery[] = [];
  for await (const delivery of from.read(name, { fromSeq, subject, signal: stop.signal })) {
    taken.push(delivery);
    if (taken.length === count) break;
  }
  stop.abort();
  return taken;
}

const failure = (action: Promise<unknown>) =>
  action.then(
    () => null,
    (error: unknown) => error,
  );

describe("publish", () => {
  test("a header that JetStream would refuse for ever is refused with what to do", async () => {
    const { name, subject } = await stream();
    const withCursor = (length: number) => {
      const message = messageOf(subject(0), 1, small(1));
      return {
        ...message,
        header: { ...message.header, next: { ...message.header.next, cursor: "c".repeat(length) } },
      };
    };
    expect(await failure(broker.publish(name, [withCursor(61 * 1024)], 0))).toMatchObject({ code: "BATCH_TOO_LARGE" });
    expect(await broker.publish(name, [withCursor(59 * 1024)], 0)).toBe(1);
    expect(await broker.publish(name, [withCursor(59 * 1024), withCursor(59 * 1024)], 1)).toBe(3);
  });

  test("bodies of any size come out as they went in, in order", async () => {
    const { name, subject } = await stream();
    const bodies = [10, 512 * 1024, 512 * 1024 + 1, 600_000, 1_048_577, 3_000_000, 0].map((size, i) => noise(size, i));
    let last = 0;
    for (const [i, body] of bodies.entries())
      last = await broker.publish(name, [messageOf(subject(0), i + 1, body)], last);
    expect(last).toBe(1 + 1 + 2 + 2 + 3 + 6 + 1);
    const taken = await take(broker, name, subject(0), bodies.length);
    expect(taken.map((d) => d.header.next.slot)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    for (const [i, body] of bodies.entries()) expect(Buffer.from(taken[i]!.body).equals(body)).toBe(true);
    expect(taken.map((d) => d.newest)).toEqual([false, false, false, false, false, false, true]);
    expect(taken.at(-1)!.seq).toBe(last);
  });

  test("one commit to several subjects is one batch, large bodies and all", async () => {
    const { name, subject } = await stream();
    const lanes = [0, 1, 2].map((lane) => messageOf(subject(lane), 1, noise(lane === 1 ? 700_000 : 50, lane)));
    expect(await broker.publish(name, lanes, 0)).toBe(4);
    for (const [lane, message] of lanes.entries()) {
      const [delivery] = await take(broker, name, subject(lane), 1);
      expect(Buffer.from(delivery!.body).equals(message.body)).toBe(true);
    }
  });

  const commits: [string, (subject: (lane: number) => string) => ReturnType<typeof messageOf>[]][] = [
    ["a single message", (subject) => [messageOf(subject(0), 2, small(2))]],
    ["several lanes", (subject) => [messageOf(subject(0), 2, small(2)), messageOf(subject(1), 2, small(2))]],
    ["a body in chunks", (subject) => [messageOf(subject(0), 2, noise(1_200_000, 2))]],
  ];

  test.each(commits)(
    "from a writer that is not the last one, %s is fenced and nothing is stored",
    async (_, commit) => {
      const { name, subject } = await stream();
      await broker.publish(name, [messageOf(subject(0), 1, small(1))], 0);
      const before = await broker.streamState(name);
      for (const expected of [0, 2]) {
        expect(await failure(broker.publish(name, commit(subject), expected))).toBeInstanceOf(Fenced);
      }
      expect(await broker.streamState(name)).toEqual(before);
      expect(await broker.publish(name, commit(subject), 1)).toBeGreaterThan(1);
    },
  );

  test.each(commits)("a full stream refuses %s whole, and takes it when there is room", async (_, commit) => {
    const { name, subject } = await stream(1_500_000);
    await broker.publish(name, [messageOf(subject(0), 1, noise(490_000, 1))], 0);
    await broker.publish(name, [messageOf(subject(0), 2, noise(490_000, 2))], 1);
    const filler = await broker.publish(name, [messageOf(subject(0), 3, noise(500_000, 3))], 2);
    const before = await broker.streamState(name);
    const heavy = commit(subject).map((m) => ({ ...m, body: noise(Math.max(m.body.length, 100_000), 4) }));
    const error = await failure(broker.publish(name, heavy, filler));
    expect(error).toBeInstanceOf(Transient);
    expect((error as Transient).code).toBe("STREAM_FULL");
    expect(await broker.streamState(name)).toEqual(before);
    await broker.trim(name, 3);
    // The largest does not fit beside what stays; the stream is emptied for it.
    if (heavy[0]!.body.length > 900_000) await broker.purge(name);
    expect(await broker.publish(name, heavy, filler)).toBeGreaterThan(filler);
  });

  test("more chunks than one batch may have are refused before anything is sent", async () => {
    const { name, subject } = await stream();
    const lanes = Array.from({ length: 1_001 }, (_, lane) => messageOf(subject(lane), 1, small(1)));
    expect(await failure(broker.publish(name, lanes, 0))).toMatchObject({ kind: "fatal", code: "BATCH_TOO_LARGE" });
    expect(await broker.streamState(name)).toMatchObject({ messages: 0 });
  });

  test("to a stream that is gone it fails for now", async () => {
    expect(await failure(broker.publish("GONE", [messageOf("gone.0", 1, small(1))], 0))).toBeInstanceOf(Transient);
    expect(await broker.streamState("GONE")).toBeNull();
    expect(await broker.header("GONE", { seq: 1 })).toBeNull();
  });
});

describe("trim and purge", () => {
  async function five(): Promise<{ name: string; subject: (lane: number) => string }> {
    const made = await stream();
    for (let slot = 1; slot <= 5; slot++) {
      await broker.publish(made.name, [messageOf(made.subject(0), slot, small(slot))], slot - 1);
    }
    return made;
  }

  test("trim drops what is below, never the last message, and keeps the numbers", async () => {
    const { name, subject } = await five();
    await broker.trim(name, 3);
    expect(await broker.streamState(name)).toMatchObject({ firstSeq: 3, lastSeq: 5, messages: 3 });
    await broker.trim(name, 2);
    expect(await broker.streamState(name)).toMatchObject({ firstSeq: 3 });
    for (const beforeSeq of [6, 1_000]) {
      await broker.trim(name, beforeSeq);
      expect(await broker.streamState(name)).toMatchObject({ firstSeq: 5, lastSeq: 5, messages: 1 });
    }
    expect((await broker.header(name, { lastOn: subject(0) }))?.header.next.slot).toBe(5);
    expect(await broker.header(name, { seq: 2 })).toBeNull();
  });

  test("an emptied stream goes on counting", async () => {
    const { name, subject } = await five();
    await broker.purge(name);
    expect(await broker.streamState(name)).toMatchObject({ lastSeq: 5, messages: 0 });
    expect(await broker.header(name, { lastOn: subject(0) })).toBeNull();
    expect(await failure(broker.publish(name, [messageOf(subject(0), 6, small(6))], 0))).toBeInstanceOf(Fenced);
    expect(await broker.publish(name, [messageOf(subject(0), 6, small(6))], 5)).toBe(6);
  });
});

describe("read", () => {
  test("follows what is stored later, and ends when it is asked to", async () => {
    const { name, subject } = await stream();
    const stop = new AbortController();
    const slots: number[] = [];
    const reading = (async () => {
      for await (const { header } of broker.read(name, { fromSeq: 1, subject: subject(0), signal: stop.signal })) {
        slots.push(header.next.slot);
        if (slots.length === 3) stop.abort();
      }
    })();
    for (let slot = 1; slot <= 3; slot++) {
      await broker.publish(name, [messageOf(subject(0), slot, small(slot))], slot - 1);
    }
    await reading;
    expect(slots).toEqual([1, 2, 3]);
  });

  test("ends also when it is asked to before it has begun, or while it begins", async () => {
    const { name, subject } = await stream();
    await broker.publish(name, [messageOf(subject(0), 1, small(1))], 0);
    for (const afterMs of [null, 0, 1, 2, 3, 5, 8]) {
      const stop = new AbortController();
      if (afterMs === null) stop.abort();
      else setTimeout(() => stop.abort(), afterMs);
      let read = 0;
      for await (const _ of broker.read(name, { fromSeq: 1, subject: subject(0), signal: stop.signal })) read++;
      expect(read).toBeLessThanOrEqual(1);
    }
  });

  test("from the middle of a body in chunks, it goes on with the next whole one", async () => {
    const { name, subject } = await stream();
    const last = await broker.publish(name, [messageOf(subject(0), 1, noise(1_200_000, 1))], 0);
    await broker.publish(name, [messageOf(subject(0), 2, noise(600_000, 2))], last);
    const [delivery] = await take(broker, name, subject(0), 1, 2);
    expect(delivery!.header.next.slot).toBe(2);
    expect(Buffer.from(delivery!.body).equals(noise(600_000, 2))).toBe(true);
  });

  test("a body that lost a chunk is left out; the next one is whole", async () => {
    const { name, subject } = await stream();
    const last = await broker.publish(name, [messageOf(subject(0), 1, noise(1_200_000, 1))], 0);
    await broker.publish(name, [messageOf(subject(0), 2, noise(600_000, 2))], last);
    await broker.connection.request(`$JS.API.STREAM.MSG.DELETE.${name}`, JSON.stringify({ seq: last }));
    const [delivery] = await take(broker, name, subject(0), 1);
    expect(delivery!.header.next.slot).toBe(2);
    expect(Buffer.from(delivery!.body).equals(noise(600_000, 2))).toBe(true);
  });

  test("of a stream that is deleted under it, it fails for now", async () => {
    const { name, subject } = await stream();
    await broker.publish(name, [messageOf(subject(0), 1, small(1))], 0);
    const reading = failure(take(broker, name, subject(0), 2));
    await Bun.sleep(50);
    await broker.connection.request(`$JS.API.STREAM.DELETE.${name}`);
    expect(await reading).toBeInstanceOf(Transient);
  });

  test("leaves nothing behind for long on the server", async () => {
    const { name, subject } = await stream();
    await broker.publish(name, [messageOf(subject(0), 1, small(1))], 0);
    await take(broker, name, subject(0), 1);
    const listed = await broker.connection.request(`$JS.API.CONSUMER.LIST.${name}`);
    const { consumers } = listed.json<{ consumers: { config: { inactive_threshold: number } }[] }>();
    for (const { config } of consumers) expect(config.inactive_threshold).toBe(30e9);
  });
});

describe("when the server dies", () => {
  test("requests end at once, what was acknowledged is there, and reading goes on", async () => {
    const { name, subject } = await stream();
    await broker.publish(name, [messageOf(subject(0), 1, small(1))], 0);
    await broker.publish(name, [messageOf(subject(0), 2, noise(1_200_000, 2))], 1);
    const reading = failure(take(broker, name, subject(0), 3));
    await Bun.sleep(50);
    nats.kill();
    const inFlight = await failure(broker.publish(name, [messageOf(subject(0), 3, small(3))], 4));
    expect(inFlight).toMatchObject({ kind: "transient", code: "NATS_DISCONNECTED" });
    const { url } = nats.server();
    await nats.restart();
    expect(nats.server().url).toBe(url);
    expect(await reading).toBeInstanceOf(Transient);
    const { lastSeq } = (await broker.streamState(name))!;
    expect(lastSeq).toBe(4);
    await broker.publish(name, [messageOf(subject(0), 3, small(3))], lastSeq);
    const taken = await take(broker, name, subject(0), 3);
    expect(taken.map((d) => d.header.next.slot)).toEqual([1, 2, 3]);
  }, 300_000);
});

describe("connect", () => {
  test("a wrong token is for a human, who does not get to see it", async () => {
    const error = await failure(Broker.connect({ url: nats.server().url, token: "not-the-token", name: "test" }));
    expect(error).toBeInstanceOf(Fatal);
    expect(error).toMatchObject({ code: "NATS_AUTH" });
    expect(JSON.stringify([(error as Fatal).message, (error as Fatal).hint, (error as Fatal).where])).not.toContain(
      "not-the-token",
    );
  });

  test("a server without JetStream is for a human, who is told what to start", async () => {
    const ends: (() => unknown)[] = [];
    const ground = { path: (name: string) => join(nats.folder, name), atEnd: (end: () => unknown) => ends.push(end) };
    const { url } = await startNatsServer(ground, []);
    try {
      const error = await failure(Broker.connect({ url, name: "test" }));
      expect(error).toBeInstanceOf(Fatal);
      expect(error).toMatchObject({ code: "NATS_NO_JETSTREAM", where: url });
      expect((error as Fatal).hint).toContain("-js");
    } finally {
      for (const end of ends) await end();
    }
  });

  test("no server at all is a matter of time", async () => {
    const error = await failure(Broker.connect({ url: "nats://127.0.0.1:1", name: "test" }));
    expect(error).toMatchObject({ kind: "transient", code: "NATS_UNREACHABLE" });
  });
});

describe("streams and buckets", () => {
  test("a stream is made once, left as it is, and given other limits when they are others", async () => {
    const spec = { name: "LIMITS", subjects: ["limits.*"], maxBytes: 1_000_000, whenFull: "refuse" } as const;
    const asked: string[] = [];
    const watching = broker.connection.subscribe("$JS.API.STREAM.*.LIMITS", {
      callback: (_, message) => void asked.push(message.subject.split(".")[3]!),
    });
    for (const maxBytes of [1_000_000, 1_000_000, 2_000_000, 2_000_000]) {
      await broker.ensureStream({ ...spec, maxBytes });
    }
    await broker.connection.flush();
    watching.unsubscribe();
    expect(asked.filter((what) => what !== "INFO")).toEqual(["CREATE", "UPDATE"]);
    expect(await broker.streamState("LIMITS")).toMatchObject({ messages: 0, maxBytes: 2_000_000 });
    const tooMuch = broker.ensureStream({ ...spec, name: "TOO_MUCH", subjects: ["much"], maxBytes: 2 ** 50 });
    await expect(tooMuch).rejects.toMatchObject({ kind: "transient", code: "NATS_STORAGE" });
  });

  const value = (text: string) => new TextEncoder().encode(text);

  test("a bucket's life span is the one asked for last, shorter or longer, and its entries stay", async () => {
    // None so short that the entry could end meanwhile.
    await broker.kv("leases", 900_000).put("unit", value("node-a"));
    for (const ttlMs of [600_000, 200_000, 500_000, 0, 2_000_000]) {
      const other = await nats.connect();
      const bucket = other.kv("leases", ttlMs);
      expect((await bucket.get("unit"))?.string()).toBe("node-a");
      // As another client sees it.
      const info = await other.connection.request("$JS.API.STREAM.INFO.KV_leases");
      expect(info.json<{ config: { max_age: number } }>().config.max_age).toBe(ttlMs * 1_000_000);
    }
  });

  test("a key is taken by one, and moved only by who knows its revision", async () => {
    const bucket = broker.kv("keys");
    const revision = await bucket.create("unit", value("node-a"));
    expect(await failure(bucket.create("unit", value("node-b")))).toBeInstanceOf(Fenced);
    expect(await failure(bucket.update("unit", value("node-b"), revision + 1))).toBeInstanceOf(Fenced);
    const moved = await bucket.update("unit", value("node-b"), revision);
    expect((await bucket.get("unit"))?.string()).toBe("node-b");
    expect(await failure(bucket.delete("unit", revision))).toBeInstanceOf(Fenced);
    await bucket.delete("unit", moved);
    expect((await bucket.get("unit"))?.operation ?? null).not.toBe("PUT");
    await bucket.create("unit", value("node-c"));
    expect(await Array.fromAsync(await bucket.keys())).toEqual(["unit"]);
  });

  test("an entry that nobody renews ends", async () => {
    const bucket = broker.kv("short", 1_000);
    await bucket.put("unit", value("node-a"));
    while ((await bucket.get("unit")) !== null) await Bun.sleep(50);
    await bucket.create("unit", value("node-b"));
  });

  test("a bucket that was lost is made anew when it is used again", async () => {
    const bucket = broker.kv("lost");
    await bucket.put("unit", value("node-a"));
    await broker.connection.request("$JS.API.STREAM.DELETE.KV_lost");
    let error: unknown = true;
    for (let i = 0; i < 3 && error !== null; i++) {
      error = await failure(bucket.put("unit", value("node-b")));
      if (error !== null) expect(error).toBeInstanceOf(Transient);
    }
    expect((await bucket.get("unit"))?.string()).toBe("node-b");
  });
});
