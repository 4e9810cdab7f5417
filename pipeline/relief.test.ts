/**
 * Goal: an archive that gathers never blocks the stream that it reads: what is final goes out early, also when the stream is
 * so full that nothing more comes; and what others have not read makes no small files. Method: the real runner, archive
 * stage and janitor on a small stream of a real nats-server, with a sink that only counts.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ArchiveStage } from "../stages/archive/stage.ts";
import type { Sink } from "../storage/sink.ts";
import { Bell } from "./bell.ts";
import type { Broker } from "./broker.ts";
import type { Standing } from "./control.ts";
import { QUARANTINE } from "./datasets/quarantine.ts";
import { Shutdown } from "./errors.ts";
import { trimAll } from "./janitor.ts";
import { newUnitMetrics } from "./metrics.ts";
import { names } from "./names.ts";
import { blockOf, type NatsFixture, noise, positionOf, startNats } from "./nats-fixture.ts";
import { StreamReader } from "./reader.ts";
import { relievePressure } from "./relief.ts";
import { type RunnerStanding, run } from "./runner.ts";
import { StreamSink } from "./stream-sink.ts";
import type { RowBatch } from "./wire/batch.ts";
import { rowCodec } from "./wire/message.ts";
import type { Roll } from "./wire/roll.ts";
import { TableBuilder } from "./wire/table.ts";
import { systemWorld } from "./world.ts";

const N = names("relief", "main");
const CODEC = rowCodec(new Map([[QUARANTINE.name, QUARANTINE]]));

let nats: NatsFixture;
let broker: Broker;
beforeAll(async () => {
  nats = await startNats();
  broker = await nats.connect();
});
afterAll(() => nats.dispose());

/** One final block with a row of so many bytes that do not compress. */
function batchOf(slot: number, bytes: number): RowBatch {
  const rows = new TableBuilder(QUARANTINE);
  const given = { slot: BigInt(slot), reason: "bad_block", payload: noise(bytes, slot) };
  const zero = { utf8: "", u32: 0, i64: 0n, bytes32: new Uint8Array(32), bytes64: new Uint8Array(64) };
  const rest = QUARANTINE.columns.map((c) => [c.name, c.nullable === true ? null : zero[c.type as keyof typeof zero]]);
  rows.appendCells({ ...Object.fromEntries(rest), ...given });
  const block = { ...blockOf(slot), cursor: positionOf(slot).cursor, time: slot, finalSlot: slot };
  return { blocks: [block], tables: new Map([[QUARANTINE.name, rows.finish()]]) };
}

test("a stream that is full of what the archive has gathered goes on", async () => {
  const { stream, subject } = N.events;
  await broker.ensureStream({ name: stream, subjects: [subject], maxBytes: 1_000_000, whenFull: "refuse" });
  const stop = new AbortController();
  const stage = new ArchiveStage({ seconds: 86_400, rows: 1_000_000, bytes: 1_000_000_000 });
  const metrics = newUnitMetrics();
  const bell = new Bell();
  const rolled: number[] = [];
  let standing: RunnerStanding | null = null;
  const sink: Sink<Roll> = {
    name: "counted",
    open: async () => null,
    async commit(step, roll) {
      const last = roll.segments.at(-1)!.last;
      rolled.push(last.slot);
      return { ...step.next, slot: last.slot, hash: last.hash, cursor: last.cursor };
    },
    rollback: async () => undefined,
    close: async () => undefined,
  };
  const reader = new StreamReader(broker, stream, subject, CODEC);
  const common = {
    unit: "archive",
    world: systemWorld,
    metrics,
    log: () => undefined,
    quarantine: async () => undefined,
  };
  const archiving = run(
    { ...common, reader, stage, sink, codec: CODEC, bell, onStanding: (s) => void (standing = s) },
    stop.signal,
  );
  const relieve = () => {
    stage.requestEarlyRoll();
    bell.ring();
  };
  const relieving = relievePressure({ broker, world: systemWorld }, stream, metrics, relieve, stop.signal);
  const janitor = (async () => {
    const control = {
      standing: async (): Promise<Standing | null> => (standing === null ? null : { ...standing, at: 0 }),
      nodes: async () => [],
    };
    const config = { "nats.prefix": "relief", lanes: 1, "archive.rawBlocks": false };
    while (!stop.signal.aborted) {
      await trimAll({ config, source: "main", control, broker, world: systemWorld });
      await Bun.sleep(50);
    }
  })();

  const output = new StreamSink({
    ...{ broker, stream, subjects: [subject], codec: CODEC, split: (batch: RowBatch) => [batch] },
    ...{ world: systemWorld, signal: stop.signal },
  });
  await output.open();
  const last = 18;
  for (let slot = 1; slot <= last; slot++) {
    const prev = slot === 1 ? null : positionOf(slot - 1);
    const step = { prev, next: positionOf(slot), finalSlot: slot, blocks: [blockOf(slot)], inputSeq: 0 };
    await output.commit(step, batchOf(slot, 100_000));
  }
  while (rolled.length === 0) await Bun.sleep(50);
  stop.abort(new Shutdown());
  await Promise.all([archiving, relieving, janitor]);
  // Few large files all the same, in order.
  expect(rolled.length).toBeLessThan(last / 2);
  expect(rolled).toEqual([...rolled].sort((a, b) => a - b));
});

test("a stream that is full of what others have not read is not the archive's to relieve", async () => {
  const state = { firstSeq: 1, lastSeq: 100, messages: 100, bytes: 900, maxBytes: 1_000 };
  const relieved = async (inputSeq: number, bytes = state.bytes) => {
    const stop = new AbortController();
    let times = 0;
    const world = { sleep: async () => stop.abort(new Shutdown()) };
    const looked = { streamState: async () => ({ ...state, bytes }) };
    await relievePressure({ broker: looked, world }, "S", { inputSeq }, () => times++, stop.signal);
    return times;
  };
  expect(await relieved(95)).toBe(0);
  expect(await relieved(20)).toBe(1);
  expect(await relieved(20, 400)).toBe(0);
});
