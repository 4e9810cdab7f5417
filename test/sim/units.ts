/**
 * The pipeline as `pipeline/topology.ts` puts it together, with the real runner, readers, sinks of streams, janitor and
 * supervisor, and toy stages and outputs at the ends.
 */
import type { StreamSpec } from "../../pipeline/broker.ts";
import { Control } from "../../pipeline/control.ts";
import { ingestStage, SourceReader } from "../../pipeline/ingest.ts";
import { runJanitor } from "../../pipeline/janitor.ts";
import { names } from "../../pipeline/names.ts";
import type { BlockRef } from "../../pipeline/position.ts";
import { type Reader, StreamReader } from "../../pipeline/reader.ts";
import { run } from "../../pipeline/runner.ts";
import type { Source } from "../../pipeline/source/source.ts";
import { lowestStanding } from "../../pipeline/standing.ts";
import { StreamSink } from "../../pipeline/stream-sink.ts";
import type { UnitContext, UnitSpec } from "../../pipeline/unit.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import { blockCodec } from "../../pipeline/wire/message.ts";
import { type LaneBatches, ShardStage } from "../../stages/shard/stage.ts";
import type { Client } from "./client.ts";
import type { Machine } from "./machine.ts";
import { ArchiveSink, type Bug, type Durable, LaneSink, type OutputWorld } from "./outputs.ts";
import { codec, ToyArchive, ToyDecode, ToyLane } from "./stages.ts";

const PREFIX = "sim";
const SOURCE = "main";
export const NAMES = names(PREFIX, SOURCE);
export const LEASE_TTL_MS = 5_000;

export interface Deployed {
  readonly machine: Machine;
  readonly client: Client;
  readonly source: Source;
  readonly lanes: readonly Durable[];
  readonly archive: Durable;
  readonly rollBlocks: number;
  readonly batchBlocks: number;
  readonly outputs: OutputWorld;
  readonly onEnd: (unit: string) => void;
}

/** Small streams, so that they do fill up; EVENTS holds what is not final and a roll, as it must. */
export function streamSpecs(): StreamSpec[] {
  const spec = (name: string, subject: string, maxBytes: number): StreamSpec => ({
    ...{ name, subjects: [subject], maxBytes, whenFull: "refuse" },
  });
  return [
    spec(NAMES.blocks.stream, NAMES.blocks.subject, 160_000),
    spec(NAMES.events.stream, NAMES.events.subject, 400_000),
    spec(NAMES.lanes.stream, NAMES.lanes.subject(0).replace(/0$/, "*"), 120_000),
  ];
}

export function unitSpecs(d: Deployed): UnitSpec[] {
  const { client, machine, outputs } = d;
  const { world } = machine;
  const control = new Control(client, PREFIX);
  const laneUnits = d.lanes.map((_, lane) => NAMES.unit("lane", lane));
  const common = (c: UnitContext) => ({
    ...{ unit: c.unit, world, metrics: c.metrics, log: c.log, onStanding: c.standing },
    quarantine: () => machine.call("quarantine", () => undefined),
    onEnd: (at: BlockRef) => {
      c.setEnded(at);
      d.onEnd(c.unit);
    },
  });
  const output = (c: UnitContext) => ({ broker: client, world, signal: c.signal, onBlocked: c.setBlocked });
  const lowest = (c: UnitContext, consumers: readonly string[]) => () =>
    lowestStanding({ control, world, log: c.log }, consumers, c.signal);
  const unit = (
    name: string,
    stage: string,
    inputStream: string | null,
    outputStream: string | null,
    runUnit: UnitSpec["run"],
  ) => ({ ...{ name, stage, source: SOURCE, inputStream, outputStream, run: runUnit } });
  const { blocks, events, lanes } = NAMES;

  const ingest = (c: UnitContext) =>
    run(
      {
        ...common(c),
        reader: new SourceReader(d.source, { maxBlocks: d.batchBlocks, maxBytes: 1 << 20 }, () => undefined),
        stage: ingestStage,
        sink: new StreamSink({
          ...{ ...output(c), stream: blocks.stream, subjects: [blocks.subject] },
          ...{ codec: blockCodec, split: (batch) => [batch] },
        }),
        codec: blockCodec,
        startWhenEmpty: lowest(c, [NAMES.unit("decode")]),
      },
      c.signal,
    );
  const decode = (c: UnitContext) =>
    run(
      {
        ...common(c),
        reader: new StreamReader(client, blocks.stream, blocks.subject, blockCodec),
        stage: new ToyDecode(),
        sink: new StreamSink({
          ...{ ...output(c), stream: events.stream, subjects: [events.subject] },
          ...{ codec, split: (batch: RowBatch) => [batch] },
        }),
        codec: blockCodec,
        startWhenEmpty: lowest(c, [NAMES.unit("shard"), NAMES.unit("archive")]),
      },
      c.signal,
    );
  const shard = (c: UnitContext) =>
    run(
      {
        ...common(c),
        reader: new StreamReader(client, events.stream, events.subject, codec),
        stage: new ShardStage(d.lanes.length),
        sink: new StreamSink<LaneBatches, RowBatch>({
          ...{ ...output(c), stream: lanes.stream, subjects: d.lanes.map((_, lane) => lanes.subject(lane)) },
          ...{ codec, split: (batches) => batches },
        }),
        codec,
        startWhenEmpty: lowest(c, laneUnits),
      },
      c.signal,
    );
  const lane = (durable: Durable, index: number) => (c: UnitContext) =>
    run(
      {
        ...common(c),
        reader: mistrusted(new StreamReader(client, lanes.stream, lanes.subject(index), codec), outputs.bug),
        stage: new ToyLane(),
        sink: new LaneSink(durable, machine, outputs),
        codec,
      },
      c.signal,
    );
  const archive = (c: UnitContext) =>
    run(
      {
        ...common(c),
        reader: new StreamReader(client, events.stream, events.subject, codec),
        stage: new ToyArchive(d.rollBlocks),
        sink: new ArchiveSink(d.archive, machine, outputs),
        codec,
      },
      c.signal,
    );
  const janitor = (c: UnitContext) => {
    const config = { "nats.prefix": PREFIX, lanes: d.lanes.length, "archive.rawBlocks": false };
    const seen = outputs.bug === "trimmed beyond the archive" ? shardFor(control) : control;
    return runJanitor({ config, source: SOURCE, control: seen, broker: client, world }, c.signal, c.log);
  };

  return [
    unit(NAMES.unit("ingest"), "ingest", null, blocks.stream, ingest),
    unit(NAMES.unit("decode"), "decode", blocks.stream, events.stream, decode),
    unit(NAMES.unit("shard"), "shard", events.stream, lanes.stream, shard),
    ...d.lanes.map((durable, i) => unit(laneUnits[i]!, "lane", lanes.stream, null, lane(durable, i))),
    unit(NAMES.unit("archive"), "archive", events.stream, null, archive),
    unit(NAMES.unit("janitor"), "janitor", null, null, janitor),
  ];
}

/** A planted bug: the janitor takes the shard's word for the archive's. */
function shardFor(control: Control): Pick<Control, "standing" | "nodes"> {
  return {
    standing: (unit) => control.standing(unit === NAMES.unit("archive") ? NAMES.unit("shard") : unit),
    nodes: () => control.nodes(),
  };
}

/** A planted bug: reads one message too far on, and believes that every batch follows the one before it. */
function mistrusted<Body>(reader: Reader<Body>, bug: Bug | null): Reader<Body> {
  if (bug !== "reader trusts a wrong hint") return reader;
  return {
    name: reader.name,
    async *read(head, seek, signal) {
      const from = head === null || head.inputSeq === 0 ? head : { ...head, inputSeq: head.inputSeq + 1 };
      let prev = head?.position ?? null;
      for await (const incoming of reader.read(from, seek, signal)) {
        const before = prev;
        prev = incoming.link.next;
        const link = { ...incoming.link, prev: before };
        yield { ...incoming, link };
      }
    },
  };
}
