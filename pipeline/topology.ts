/**
 * How data flows, on one screen. Start reading here.
 *
 *   Substreams -> [ingest] -> BLOCKS -> [decode] -> EVENTS -+-> [shard] -> LANES.n -> [lane n: sync + aggregate] -> hot store
 *                                                           |                                   +-> LIVE (after commit)
 *                                                           +-> [archive] -> lake
 *                                   (archive.rawBlocks:) BLOCKS -> [raw] -> lake
 *
 * Every arrow into a box is read in order by the runner, every arrow out of one is a compare-and-set commit that carries
 * the position. Every box is a unit: run by one process at a time (a lease), by any process that offers its stage.
 */
import { RawArchiveStage } from "../stages/archive/raw-stage.ts";
import { ArchiveStage } from "../stages/archive/stage.ts";
import { DecodeStage } from "../stages/decode/stage.ts";
import { type LaneBatches, ShardStage } from "../stages/shard/stage.ts";
import { LaneStage } from "../stages/sync/lane-stage.ts";
import { AlarmTeller } from "./alarm-teller.ts";
import { Bell } from "./bell.ts";
import type { StreamSpec } from "./broker.ts";
import type { Config } from "./config.ts";
import { RAW_BLOCKS } from "./datasets/raw_blocks.ts";
import type { Deployment } from "./deployment.ts";
import { describe } from "./errors.ts";
import { ingestStage, moduleHashCheck, SourceReader } from "./ingest.ts";
import { runJanitor } from "./janitor.ts";
import { beforeOldest, beginningWith, requireFirst } from "./known-lake.ts";
import { runLivePublisher } from "./live.ts";
import { names, type StageName } from "./names.ts";
import { paidSource } from "./paid-source.ts";
import { quarantine } from "./quarantine.ts";
import { whenQuiet } from "./quiet.ts";
import { patient, StreamReader } from "./reader.ts";
import { relievePressure } from "./relief.ts";
import { keepCopiesFew, keepHotShort } from "./retention.ts";
import { type Quarantined, type RunnerStanding, run } from "./runner.ts";
import { consumersOfBlocks, lowestStanding } from "./standing.ts";
import { StreamSink } from "./stream-sink.ts";
import { together } from "./together.ts";
import type { UnitContext, UnitSpec } from "./unit.ts";
import { whileWanted } from "./wanted.ts";
import { Webhook } from "./webhook.ts";
import type { RowBatch } from "./wire/batch.ts";
import { blockCodec } from "./wire/message.ts";

export function streams(d: Deployment): StreamSpec[] {
  const n = names(d.config["nats.prefix"], d.source);
  const replicas = d.config["nats.replicas"];
  const refuse = { whenFull: "refuse" as const, replicas };
  const drop = { whenFull: "drop-oldest" as const, replicas };
  return [
    { name: n.blocks.stream, subjects: [n.blocks.subject], maxBytes: d.config["streams.blocksMaxBytes"], ...refuse },
    { name: n.events.stream, subjects: [n.events.subject], maxBytes: d.config["streams.eventsMaxBytes"], ...refuse },
    {
      name: n.lanes.stream,
      subjects: [n.lanes.subject(0).replace(/0$/, "*")],
      maxBytes: d.config["streams.lanesMaxBytes"],
      ...refuse,
    },
    {
      name: n.live.stream,
      subjects: [n.live.subject(0).replace(/0$/, "*")],
      maxBytes: d.config["streams.liveMaxBytes"],
      maxAgeMs: 86_400_000,
      ...drop,
    },
    {
      name: n.quarantine.stream,
      subjects: [n.quarantine.subject],
      maxBytes: 64 * 1024 * 1024,
      maxAgeMs: 30 * 86_400_000,
      ...drop,
    },
  ];
}

/** The units of a source that this process offers to run. `deployment` is asked for when a unit runs, not before. */
export function units(config: Config, stages: readonly StageName[], deployment: () => Deployment): UnitSpec[] {
  const source = config["source.name"];
  const n = names(config["nats.prefix"], source);
  const lanes = Array.from({ length: config.lanes }, (_, lane) => lane);
  const laneUnits = lanes.map((lane) => n.unit("lane", lane));
  const unit = (
    stage: StageName,
    input: string | null,
    output: string | null,
    runUnit: (d: Deployment, c: UnitContext) => Promise<void>,
    lane?: number,
  ): UnitSpec => ({
    name: n.unit(stage, lane),
    stage,
    source,
    inputStream: input,
    outputStream: output,
    run: (c) => runUnit(deployment(), c),
  });
  const build: Record<StageName, () => UnitSpec[]> = {
    ingest: () => [
      unit("ingest", null, n.blocks.stream, (d, c) => whileWanted(d, c, (signal) => ingest(d, c, signal))),
    ],
    decode: () => [unit("decode", n.blocks.stream, n.events.stream, decode)],
    shard: () => [unit("shard", n.events.stream, n.lanes.stream, (d, c) => shard(d, c, laneUnits))],
    lane: () => lanes.map((lane) => unit("lane", n.lanes.stream, null, (d, c) => runLane(d, c, lane), lane)),
    archive: () => [
      unit("archive", n.events.stream, null, archive),
      ...(config["archive.rawBlocks"]
        ? [{ ...unit("archive", n.blocks.stream, null, archiveRaw), name: n.rawUnit, stage: "raw" }]
        : []),
    ],
    janitor: () => [unit("janitor", null, null, (d, c) => runJanitor(d, c.signal, c.log))],
  };
  return stages.flatMap((stage) => build[stage]());
}

async function ingest(d: Deployment, c: UnitContext, signal: AbortSignal): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  const source = await d.openSource(c.log);
  const metered = paidSource(d, source, c.unit, c.log, source.range);
  c.setDetails(() => ({ source: source.status, moduleHash: source.moduleHash, spend: metered.report() }));
  const check = moduleHashCheck(d.config["source.moduleHashPolicy"], source.moduleHash, (m) => c.log("warning", m));
  const limits = { maxBlocks: d.config["batch.maxBlocks"], maxBytes: d.config["batch.maxBytes"] };
  await run(
    {
      ...towardsLive(d, c),
      reader: new SourceReader(metered, limits, check, () => c.setEnded(null)),
      stage: ingestStage,
      sink: new StreamSink({
        ...output(d, c, signal),
        stream: n.blocks.stream,
        subjects: [n.blocks.subject],
        codec: d.blockCodec,
        split: (batch) => [batch],
      }),
      codec: d.blockCodec,
      startWhenEmpty: () => lowestStanding(d, consumersOfBlocks(d.config, d.source), signal),
    },
    signal,
  );
}

async function decode(d: Deployment, c: UnitContext): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  const stage = decodeStage(d);
  const teller = alarmTeller(d, c, stage);
  c.setDetails(() => ({ decoders: stage.health(), alarmWebhook: teller.status() }));
  await together(c.signal, [(signal) => teller.run(signal)], (signal) =>
    run(
      {
        ...towardsLive(d, c),
        reader: new StreamReader(d.broker, n.blocks.stream, n.blocks.subject, d.blockCodec),
        stage,
        sink: new StreamSink({
          ...output(d, c, signal),
          stream: n.events.stream,
          subjects: [n.events.subject],
          codec: d.rowCodec,
          split: (batch) => [batch],
        }),
        codec: d.blockCodec,
        startWhenEmpty: () => lowestStanding(d, [n.unit("shard"), n.unit("archive")], signal),
      },
      signal,
    ),
  );
}

/** As the settings want it; a backfill decodes with the same. */
export function decodeStage(d: Deployment): DecodeStage {
  const { programs, maps, config } = d;
  return new DecodeStage({
    ...{ programs, maps },
    failedTransactions: config["decode.failedTransactions"],
    keepLonger: config["decode.keepLonger"],
    alarmRules: {
      sharePercent: config["alarm.sharePercent"],
      dropPercent: config["alarm.dropPercent"],
      payloads: config["alarm.payloads"],
    },
  });
}

function alarmTeller(d: Deployment, c: UnitContext, { watch }: DecodeStage): AlarmTeller {
  const { "alarm.webhook": url, "alarm.webhookToken": token } = d.config;
  return new AlarmTeller({
    ...{ source: d.source, watch, world: d.world, log: c.log },
    webhook: url === "" ? null : new Webhook(url, token),
    read: () => d.control.toldAlarms(d.source),
    write: (told) => d.control.setToldAlarms(d.source, told),
  });
}

async function shard(d: Deployment, c: UnitContext, laneUnits: readonly string[]): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  const subjects = laneUnits.map((_, lane) => n.lanes.subject(lane));
  await run(
    {
      ...towardsLive(d, c),
      reader: new StreamReader(d.broker, n.events.stream, n.events.subject, d.rowCodec),
      stage: new ShardStage(subjects.length),
      sink: new StreamSink<LaneBatches, RowBatch>({
        ...output(d, c, c.signal),
        stream: n.lanes.stream,
        subjects,
        codec: d.rowCodec,
        split: (batches) => batches,
      }),
      codec: d.rowCodec,
      startWhenEmpty: () => lowestStanding(d, laneUnits, c.signal),
    },
    c.signal,
  );
}

async function runLane(d: Deployment, c: UnitContext, lane: number): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  await d.restoreLane(lane, c);
  const store = d.openHotStore(lane);
  const { broker, world } = d;
  const way = towardsLive(d, c);
  const live = { stream: n.live.stream, subject: n.live.subject(lane) };
  const publishing = runLivePublisher({ broker, world, store, ...live }, c);
  const quiet = whenQuiet({
    world,
    signal: c.signal,
    act: () => store.checkpoint(),
    onFailure: (error) => c.log("debug", "the write-ahead log stays as it is for now", { reason: describe(error) }),
  });
  const rules = {
    ...retention(d, c),
    days: d.config["retention.hotDays"],
    candles: d.config["retention.candles"],
    store,
    lake: () => d.lakeProof(),
  };
  await together(c.signal, [(signal) => keepHotShort(rules, signal)], (signal) =>
    run(
      {
        ...way,
        reader: new StreamReader(d.broker, n.lanes.stream, n.lanes.subject(lane), d.rowCodec),
        stage: new LaneStage(store.state, d.effects),
        sink: store,
        codec: d.rowCodec,
        onStanding: (standing) => {
          way.onStanding(standing);
          publishing.wake();
          quiet.stir();
        },
      },
      signal,
    ),
  ).finally(() => publishing.stop());
}

async function archive(d: Deployment, c: UnitContext): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  const stage = new ArchiveStage(d.rollLimits);
  const { sink, shipping, copies } = await d.openLake(c.log);
  const beginning = beginningWith(sink, async () =>
    (await requireFirst(d, c.unit)) ? beforeOldest(d.broker, n.events) : null,
  );
  c.setDetails(() => ({
    pendingFinal: stage.pendingFinal(),
    gathering: stage.gathering(),
    lake: sink.stats(),
    ...(shipping === null ? {} : { shipping: shipping.status() }),
  }));
  const { bell, beside } = besideArchive(d, c, stage, n.events.stream, shipping);
  const rules = { ...retention(d, c), days: d.config["retention.warmDays"] };
  if (copies !== null) beside.push((signal) => keepCopiesFew({ ...rules, copies }, signal));
  await together(c.signal, beside, (signal) =>
    run(
      {
        ...common(d, c),
        onStanding: (standing) => c.standing(beginning.told(standing)),
        reader: outOfTheWay(d, new StreamReader(d.broker, n.events.stream, n.events.subject, d.rowCodec)),
        stage,
        sink: beginning,
        codec: d.rowCodec,
        bell,
      },
      signal,
    ),
  );
}

/** What goes on beside an archive of `stream`: an early roll when that fills up, for which `bell` wakes the runner, and shipping. */
function besideArchive(
  d: Deployment,
  c: UnitContext,
  stage: { requestEarlyRoll(): void },
  stream: string,
  shipping: { ship(signal: AbortSignal): Promise<void> } | null,
) {
  const bell = new Bell();
  const relieve = () => {
    stage.requestEarlyRoll();
    bell.ring();
  };
  const beside = [(signal: AbortSignal) => relievePressure(d, stream, c.metrics, relieve, signal)];
  if (shipping !== null) beside.push((signal) => shipping.ship(signal));
  return { bell, beside };
}

/** The archive of raw blocks, where it is asked for: a lineage of its own, which begins where BLOCKS does. */
async function archiveRaw(d: Deployment, c: UnitContext): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  const stage = new RawArchiveStage(d.rollLimits);
  const lineage = { kind: "live" as const, source: d.source, dataset: RAW_BLOCKS.name, start: null, stop: null };
  const { sink, shipping } = await d.openLake(c.log, lineage, [RAW_BLOCKS]);
  const beginning = beginningWith(sink, async () => {
    await requireFirst(d, c.unit);
    return beforeOldest(d.broker, n.blocks);
  });
  c.setDetails(() => ({
    pendingFinal: stage.pendingFinal(),
    lake: sink.stats(),
    ...(shipping === null ? {} : { shipping: shipping.status() }),
  }));
  const { bell, beside } = besideArchive(d, c, stage, n.blocks.stream, shipping);
  await together(c.signal, beside, (signal) =>
    run(
      {
        ...common(d, c),
        onStanding: (standing) => c.standing(beginning.told(standing)),
        reader: outOfTheWay(d, new StreamReader(d.broker, n.blocks.stream, n.blocks.subject, blockCodec)),
        stage,
        sink: beginning,
        codec: blockCodec,
        bell,
      },
      signal,
    ),
  );
}

function retention(d: Deployment, c: UnitContext) {
  return { dryRun: d.config["retention.dryRun"], world: d.world, log: c.log };
}

/** What every runner of a unit gets. */
function common(d: Deployment, c: UnitContext) {
  return {
    unit: c.unit,
    world: d.world,
    metrics: c.metrics,
    log: c.log,
    quarantine: (item: Quarantined) => quarantine(d, item),
    onStanding: c.standing,
    onEnd: c.setEnded,
  };
}

/** What runners on a block's way to the live feed get: what can wait goes out of their way. */
function towardsLive(d: Deployment, c: UnitContext) {
  const onStanding = (standing: RunnerStanding) => {
    c.standing(standing);
    d.quiet.stir();
  };
  return { ...common(d, c), onStanding };
}

/** Reads when no block is on its way to the live feed; while catching up, as it comes. */
function outOfTheWay<Body>(d: Deployment, reader: StreamReader<Body>) {
  return patient(reader, (signal) => d.quiet.pause(signal));
}

/** What every stream sink gets. */
function output(d: Deployment, c: UnitContext, signal: AbortSignal) {
  return { broker: d.broker, world: d.world, signal, onBlocked: c.setBlocked };
}
