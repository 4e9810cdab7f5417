/**
 * A JetStream stream as a sink. Goal: the contract of all sinks, and what is special here: lanes move together or not at
 * all, a full stream holds its writer back, and the position is read back from headers whatever happened to the stream's
 * ends. Method: the conformance suite and single cases, on a real, embedded nats-server.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sinkConformance } from "../storage/sink.conformance.ts";
import type { Step } from "../storage/sink.ts";
import type { Broker } from "./broker.ts";
import { afterData, afterUndo, EMPTY_CHAIN } from "./chain.ts";
import { Fatal, Fenced, Shutdown, Transient } from "./errors.ts";
import { blockOf, type NatsFixture, noise, positionOf, startNats } from "./nats-fixture.ts";
import { type BlockMeta, type BlockRef, type Position, sameBlock } from "./position.ts";
import { linkOf, StreamReader } from "./reader.ts";
import { StreamSink } from "./stream-sink.ts";
import type { BlockBatch } from "./wire/batch.ts";
import { blockCodec } from "./wire/message.ts";
import { systemWorld } from "./world.ts";

let nats: NatsFixture;
let broker: Broker;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
});
afterAll(() => nats.dispose());

let streams = 0;
interface Made {
  readonly name: string;
  readonly subjects: readonly string[];
  writer(signal?: AbortSignal, onBlocked?: (blocked: boolean) => void): StreamSink<BlockBatch, BlockBatch>;
}

async function stream(lanes = 1, maxBytes = 16_000_000): Promise<Made> {
  const name = `S${streams++}`;
  await broker.ensureStream({ name, subjects: [`${name}.*`], maxBytes, whenFull: "refuse" });
  const subjects = Array.from({ length: lanes }, (_, lane) => `${name}.${lane}`);
  return {
    name,
    subjects,
    writer: (signal = new AbortController().signal, onBlocked = () => undefined) =>
      new StreamSink({
        ...{ broker, stream: name, subjects, codec: blockCodec, world: systemWorld, signal, onBlocked },
        split: (batch) => subjects.map(() => batch),
      }),
  };
}

function meta(block: BlockRef): BlockMeta {
  return { ...block, cursor: `cursor ${block.hash}`, time: 0, finalSlot: 0 };
}

function batchOf(blocks: readonly BlockRef[], payload = new Uint8Array(3)): BlockBatch {
  return { blocks: blocks.map(meta), typeName: "test", payloads: blocks.map(() => payload) };
}

function step(prev: Position | null, blocks: readonly BlockRef[], more: Partial<Step> = {}): Step {
  const last = blocks.at(-1)!;
  return {
    prev,
    next: positionOf(last.slot, last.hash.slice(`${last.slot}`.length)),
    finalSlot: 0,
    blocks,
    inputSeq: last.slot,
    ...more,
  };
}

/** Commits slots one by one after `prev`. */
async function commitAll(
  sink: StreamSink<BlockBatch, BlockBatch>,
  prev: Position | null,
  slots: readonly number[],
  finalSlot = 0,
): Promise<Position | null> {
  let at = prev;
  for (const slot of slots) at = await sink.commit(step(at, [blockOf(slot)], { finalSlot }), batchOf([blockOf(slot)]));
  return at;
}

/** The blocks that a reader of the subject ends up with. */
async function read(name: string, subject: string): Promise<BlockRef[]> {
  const state = await broker.streamState(name);
  if (state === null || state.messages === 0) return [];
  let held: BlockRef[] = [];
  const stop = new AbortController();
  const reader = new StreamReader(broker, name, subject, blockCodec);
  for await (const { link, signal, newest } of reader.read(null, "oldest", stop.signal)) {
    const said = signal();
    if (said.kind === "undo") held = held.filter((b) => b.slot < link.next.slot || sameBlock(b, link.next));
    if (said.kind === "data") held = [...held, ...said.body.blocks.map(({ slot, hash }) => ({ slot, hash }))];
    if (newest) break;
  }
  stop.abort();
  return held;
}

sinkConformance<BlockBatch>(
  "a stream",
  async () => {
    const made = await stream();
    return {
      writer: () => made.writer(),
      out: (blocks) => ({ ...batchOf(blocks), blocks }),
      content: () => read(made.name, made.subjects[0]!),
      crash: async () => undefined,
      dispose: async () => undefined,
    };
  },
  { fences: "commit" },
);

describe("lanes", () => {
  test("get every commit, and move together", async () => {
    const { name, subjects, writer } = await stream(3);
    const sink = writer();
    await sink.open();
    const at = await commitAll(sink, null, [1, 2]);
    await sink.rollback({ ...step(at, [blockOf(1)]), blocks: [] });
    await sink.end({ ...step(positionOf(1), [blockOf(1)]), blocks: [] });
    for (const subject of subjects) expect(await read(name, subject)).toEqual([blockOf(1)]);
    expect(await broker.streamState(name)).toMatchObject({ messages: 4 * 3 });
    expect(await writer().open()).toMatchObject({ position: positionOf(1), complete: true });
  });

  test("a writer that was overtaken moves none of them", async () => {
    const { name, writer } = await stream(3);
    const [first, second] = [writer(), writer()];
    await first.open();
    await commitAll(first, null, [1]);
    await second.open();
    await commitAll(second, positionOf(1), [2]);
    const late = first.commit(step(positionOf(1), [blockOf(2, "b")]), batchOf([blockOf(2, "b")]));
    await expect(late).rejects.toBeInstanceOf(Fenced);
    expect(await broker.streamState(name)).toMatchObject({ messages: 6 });
  });

  test("stand where the last whole batch left them, when the stream was cut in the middle of one", async () => {
    const { name, subjects, writer } = await stream(3);
    const sink = writer();
    await sink.open();
    await commitAll(sink, null, [1, 2]);
    // As a server does that comes back without its last messages.
    await broker.connection.request(`$JS.API.STREAM.MSG.DELETE.${name}`, JSON.stringify({ seq: 6 }));
    const next = writer();
    expect((await next.open())!.position).toEqual(positionOf(1));
    await commitAll(next, positionOf(1), [2]);
    expect(await read(name, subjects[2]!)).toEqual([blockOf(1), blockOf(2)]);
  });

  test("trimmed to the last message of the slowest, the stream still knows where it stands", async () => {
    const { name, writer } = await stream(3);
    const sink = writer();
    await sink.open();
    await commitAll(sink, null, [1, 2, 3]);
    await broker.trim(name, 7);
    expect(await writer().open()).toMatchObject({
      position: positionOf(3),
      inputSeq: 3,
      recent: [{ slot: 2 }, { slot: 3 }],
    });
    await broker.trim(name, 1_000);
    const next = writer();
    expect((await next.open())!.position).toEqual(positionOf(3));
    await commitAll(next, positionOf(3), [4]);
  });
});

describe("a full stream", () => {
  for (const lanes of [1, 2]) {
    test(`holds a writer of ${lanes} back until there is room, and says so`, async () => {
      const { name, writer } = await stream(lanes, 1_000_000);
      const told: boolean[] = [];
      let blocked: () => void = () => undefined;
      const waiting = new Promise<void>((resolve) => {
        blocked = resolve;
      });
      const sink = writer(undefined, (is) => {
        told.push(is);
        if (is) blocked();
      });
      await sink.open();
      const heavy = (slot: number) => ({ ...batchOf([blockOf(slot)]), payloads: [noise(400_000 / lanes, slot)] });
      await sink.commit(step(null, [blockOf(1)]), heavy(1));
      await sink.commit(step(positionOf(1), [blockOf(2)]), heavy(2));
      const held = sink.commit(step(positionOf(2), [blockOf(3)]), heavy(3));
      await waiting;
      expect(await broker.streamState(name)).toMatchObject({ messages: 2 * lanes });
      await broker.trim(name, 1 + lanes);
      expect(await held).toEqual(positionOf(3));
      expect(told).toEqual([true, false]);
    });
  }

  test("lets go of a writer that is asked to stop", async () => {
    const { writer } = await stream(1, 10_000);
    const stop = new AbortController();
    const sink = writer(stop.signal, () => stop.abort(new Shutdown()));
    await sink.open();
    const heavy = { ...batchOf([blockOf(1)]), payloads: [noise(20_000, 1)] };
    await expect(sink.commit(step(null, [blockOf(1)]), heavy)).rejects.toBeInstanceOf(Shutdown);
  });
});

describe("opened again", () => {
  test("it remembers what can be undone, across undos, down to a final block", async () => {
    const { writer } = await stream();
    const sink = writer();
    await sink.open();
    let at = await commitAll(sink, null, [1, 2, 3, 4, 5, 6], 3);
    await sink.rollback({ ...step(at, [blockOf(4)]), finalSlot: 3, blocks: [] });
    const [c5, c6] = [blockOf(5, "c"), blockOf(6, "c")];
    at = await sink.commit(step(positionOf(4), [c5, c6], { finalSlot: 3 }), batchOf([c5, c6]));
    const head = (await writer().open())!;
    expect(head).toMatchObject({ position: positionOf(6, "c"), finalSlot: 3, inputSeq: 6 });
    expect(head.recent.slice(-4)).toEqual([blockOf(3), blockOf(4), c5, c6]);
  });

  test("a body in chunks counts once", async () => {
    const { writer } = await stream();
    const sink = writer();
    await sink.open();
    await sink.commit(step(null, [blockOf(1)]), { ...batchOf([blockOf(1)]), payloads: [noise(1_500_000, 1)] });
    await commitAll(sink, positionOf(1), [2]);
    await sink.commit(step(positionOf(2), [blockOf(3)]), { ...batchOf([blockOf(3)]), payloads: [noise(700_000, 3)] });
    expect((await writer().open())!.recent).toEqual([blockOf(1), blockOf(2), blockOf(3)]);
  });

  test("a rebuilt stream goes on from where its consumers stood", async () => {
    const { name, writer } = await stream();
    const sink = writer();
    await sink.open();
    await commitAll(sink, null, [1, 2]);
    await broker.purge(name);
    const next = writer();
    expect(await next.open()).toBeNull();
    await commitAll(next, positionOf(7), [8]);
    expect(await writer().open()).toMatchObject({ position: positionOf(8), recent: [{ slot: 7 }, { slot: 8 }] });
  });

  test("what does not belong to the chain is left out: a late word from before the stream was lost", async () => {
    const { name, subjects, writer } = await stream();
    const sink = writer();
    await sink.open();
    await commitAll(sink, null, [1, 2, 3]);
    const { header } = (await broker.header(name, { seq: 2 }))!;
    await broker.publish(name, [{ subject: subjects[0]!, header, body: new Uint8Array(0) }], 3);
    const next = writer();
    const head = (await next.open())!;
    expect(head.position).toEqual(positionOf(2));
    expect(head.recent).toEqual([blockOf(1), blockOf(2)]);
    await commitAll(next, positionOf(2), [3, 4]);
    expect((await writer().open())!.recent).toEqual([1, 2, 3, 4].map((slot) => blockOf(slot)));
  });

  test("behind a damaged end it goes on from what is whole", async () => {
    const { name, subjects, writer } = await stream();
    const sink = writer();
    await sink.open();
    await commitAll(sink, null, [1, 2]);
    await broker.connection.request(subjects[0]!, "no header at all");
    const next = writer();
    expect((await next.open())!.position).toEqual(positionOf(2));
    await commitAll(next, positionOf(2), [3]);
    expect(await broker.streamState(name)).toMatchObject({ messages: 4 });
  });

  test("the chain that it reads back is the one that readers see", async () => {
    const { name, writer } = await stream();
    const sink = writer();
    await sink.open();
    await commitAll(sink, null, [1, 2, 3], 1);
    await sink.rollback({ ...step(positionOf(3), [blockOf(2)]), finalSlot: 1, blocks: [] });
    await commitAll(sink, positionOf(2), [4, 5], 1);
    let chain = EMPTY_CHAIN;
    for (let seq = 1; seq <= 6; seq++) {
      const link = linkOf((await broker.header(name, { seq }))!.header);
      chain =
        link.kind === "undo"
          ? afterUndo(chain, link.next, link.finalSlot)
          : afterData(chain, link.next, link.finalSlot, link.blocks);
    }
    expect((await writer().open())!.recent).toEqual([...chain.recent]);
  });
});

test("a stream that is gone fails for now; one that was not opened, for good", async () => {
  const { name, writer } = await stream();
  await expect(commitAll(writer(), null, [1])).rejects.toBeInstanceOf(Fatal);
  await broker.connection.request(`$JS.API.STREAM.DELETE.${name}`);
  await expect(writer().open()).rejects.toBeInstanceOf(Transient);
});
