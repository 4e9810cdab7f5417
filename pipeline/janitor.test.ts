/**
 * Goal: streams keep what somebody needs and give room to who waits for it: EVENTS and LANES behind their slowest reader,
 * BLOCKS as long as there is room, and never for ever full. Method: streams of a real nats-server, consumers that say
 * where they stand.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Broker } from "./broker.ts";
import type { NodeReport, Standing } from "./control.ts";
import { Transient } from "./errors.ts";
import { type Trimmed, trimAll } from "./janitor.ts";
import { names } from "./names.ts";
import { messageOf, type NatsFixture, noise, positionOf, startNats } from "./nats-fixture.ts";
import { systemWorld } from "./world.ts";

let nats: NatsFixture;
let broker: Broker;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
});
afterAll(() => nats.dispose());

let sources = 0;

/** The streams of a source, what its consumers have said, and whether its ingest waits for room. */
async function deployed(maxBytes: number) {
  const source = `s${sources++}`;
  const n = names("janitor", source);
  for (const { stream, subject } of [n.blocks, n.events, { ...n.lanes, subject: n.lanes.subject(0) }]) {
    await broker.ensureStream({ name: stream, subjects: [subject], maxBytes, whenFull: "refuse" });
  }
  const standings = new Map<string, Standing>();
  let blocked = false;
  const d: Trimmed = {
    config: { "nats.prefix": "janitor", lanes: 1, "archive.rawBlocks": false },
    source,
    broker,
    world: systemWorld,
    control: {
      standing: async (unit) => standings.get(unit) ?? null,
      nodes: async () => [{ units: [{ unit: n.unit("ingest"), blocked }] }] as unknown as NodeReport[],
    },
  };
  return {
    d,
    n,
    /** The unit has committed what it read up to the message of that slot and sequence. */
    stands: (unit: string, slot: number) =>
      standings.set(unit, { position: positionOf(slot), finalSlot: slot, inputSeq: slot, at: 0 }),
    setBlocked: (value: boolean) => {
      blocked = value;
    },
    held: async (stream: string) => {
      const state = await broker.streamState(stream);
      return [state!.firstSeq, state!.lastSeq];
    },
  };
}

async function fill(stream: string, subject: string, slots: number, bytes: number): Promise<void> {
  for (let slot = 1; slot <= slots; slot++) {
    await broker.publish(stream, [messageOf(subject, slot, noise(bytes, slot))], slot - 1);
  }
}

test("EVENTS is trimmed behind the slowest of its readers, and not while one has not said where it stands", async () => {
  const { d, n, stands, held } = await deployed(1_000_000);
  await fill(n.events.stream, n.events.subject, 10, 1_000);
  stands(n.unit("shard"), 8);
  await trimAll(d);
  expect(await held(n.events.stream)).toEqual([1, 10]);
  stands(n.unit("archive"), 4);
  await trimAll(d);
  expect(await held(n.events.stream)).toEqual([4, 10]);
  stands(n.unit("shard"), 10);
  stands(n.unit("archive"), 10);
  await trimAll(d);
  expect(await held(n.events.stream)).toEqual([10, 10]);
});

test("a number from before the stream was lost is not believed", async () => {
  const { d, n, stands, held } = await deployed(1_000_000);
  await fill(n.events.stream, n.events.subject, 10, 1_000);
  stands(n.unit("shard"), 10);
  // It stands at slot 3 and remembers that as message 9 of the stream that was lost.
  const behind = { position: positionOf(3), finalSlot: 3, inputSeq: 9, at: 0 };
  const standing: Trimmed["control"]["standing"] = async (unit) =>
    unit === n.unit("archive") ? behind : d.control.standing(unit);
  const control = { ...d.control, standing };
  await trimAll({ ...d, control });
  expect(await held(n.events.stream)).toEqual([1, 10]);
});

test("BLOCKS is kept while there is room, and trimmed behind decode when it fills up", async () => {
  const { d, n, stands, held } = await deployed(1_000_000);
  await fill(n.blocks.stream, n.blocks.subject, 8, 100_000);
  stands(n.unit("decode"), 8);
  await trimAll(d);
  expect(await held(n.blocks.stream)).toEqual([1, 8]);
  await broker.publish(n.blocks.stream, [messageOf(n.blocks.subject, 9, noise(110_000, 9))], 8);
  await trimAll(d);
  expect(await held(n.blocks.stream)).toEqual([3, 9]);
});

test("a batch that does not fit is made room for, however full the stream is, but not at the cost of decode", async () => {
  const { d, n, stands, setBlocked, held } = await deployed(1_000_000);
  await fill(n.blocks.stream, n.blocks.subject, 5, 150_000);
  const large = () => broker.publish(n.blocks.stream, [messageOf(n.blocks.subject, 6, noise(500_000, 6))], 5);
  await expect(large()).rejects.toThrow(Transient);
  stands(n.unit("decode"), 2);
  setBlocked(true);
  for (let i = 0; i < 5; i++) await trimAll(d);
  expect(await held(n.blocks.stream)).toEqual([2, 5]);
  await expect(large()).rejects.toThrow(Transient);
  stands(n.unit("decode"), 5);
  for (let i = 0; i < 5; i++) await trimAll(d);
  expect(await large()).toBe(6);
});
