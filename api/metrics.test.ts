/**
 * Goal: the metrics page is valid Prometheus text with no series twice, whatever the reports contain, and each number is
 * where a dashboard looks for it. Method: a strict reader of the format on the page of a healthy fleet, on one with
 * standbys and odd names, on generated details, and on no fleet at all.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { FakeBackend, HEAD_SLOT, healthyUnits, NOW, node, unit } from "./fixture.ts";
import { renderMetrics } from "./metrics.ts";
import { type Exposition, parseExposition } from "./prometheus-check.ts";
import { viewOf } from "./view.ts";

async function page(backend: FakeBackend): Promise<Exposition> {
  return parseExposition(await renderMetrics([viewOf(await backend.snapshot(), backend)], "0.1.0"));
}

const LANE = 'source="main",stage="lane",unit="lane.main.0",node="node-a"';

test("a unit's counters, times in seconds, lag and state", async () => {
  const backend = new FakeBackend();
  backend.change("lane.main.0", {
    busy: 0.25,
    blocked: true,
    metrics: {
      receivedBatches: 1,
      receivedBlocks: 2,
      receivedBytes: 3,
      skippedBatches: 4,
      sentBatches: 5,
      sentBlocks: 6,
      undos: 7,
      gaps: 8,
      errors: 9,
      quarantined: 10,
      waitingMs: 11_500,
      applyingMs: 12_250,
      committingMs: 13_125,
      position: { slot: HEAD_SLOT - 40, hash: "h" },
      blockTime: NOW / 1000 - 18,
      finalSlot: HEAD_SLOT - 72,
    },
  });
  const { samples, type } = await page(backend);
  const expected = {
    received_batches_total: 1,
    received_blocks_total: 2,
    received_bytes_total: 3,
    skipped_batches_total: 4,
    sent_batches_total: 5,
    sent_blocks_total: 6,
    undos_total: 7,
    gaps_total: 8,
    errors_total: 9,
    quarantined_total: 10,
    waiting_seconds_total: 11.5,
    applying_seconds_total: 12.25,
    committing_seconds_total: 13.125,
    busy_ratio: 0.25,
    blocked: 1,
    ended: 0,
    position_slot: HEAD_SLOT - 40,
    final_slot: HEAD_SLOT - 72,
    lag_blocks: 40,
    lag_seconds: 16,
    head_lag_seconds: 18,
    head_lag_blocks: 45,
  };
  const found = Object.keys(expected).map((name) => [name, samples.get(`sluice_unit_${name}{${LANE}}`)]);
  expect(Object.fromEntries(found)).toEqual(expected);
  for (const name of Object.keys(expected)) {
    expect(type.get(`sluice_unit_${name}`)).toBe(name.endsWith("_total") ? "counter" : "gauge");
  }
  const states = [...samples].filter(([series]) => series.startsWith(`sluice_unit_state{${LANE}`));
  expect(states.filter(([, on]) => on === 1).map(([series]) => series)).toEqual([
    `sluice_unit_state{${LANE},state="running"}`,
  ]);
  expect(states.length).toBe(6);
  expect(samples.get("substreams_indexer_errors_total")).toBe(9);
});

test("what is not known is left out, not zero", async () => {
  const backend = new FakeBackend();
  backend.change("lane.main.0", { metrics: { position: null, blockTime: 0 } });
  const { samples } = await page(backend);
  for (const name of [
    "position_slot",
    "final_slot",
    "lag_blocks",
    "lag_seconds",
    "head_lag_seconds",
    "head_lag_blocks",
  ]) {
    expect(samples.has(`sluice_unit_${name}{${LANE}}`)).toBe(false);
  }
});

test("standbys have series of their own; positions come from the owner only", async () => {
  const backend = new FakeBackend();
  const standby = healthyUnits().map((u) => ({ ...u, state: "waiting" as const }));
  backend.nodes.push(node("node-b", standby));
  const { samples } = await page(backend);
  const series = (name: string) => [...samples.keys()].filter((s) => s.startsWith(`sluice_unit_${name}{`));
  expect(series("sent_blocks_total").length).toBe(12);
  expect(series("position_slot").length).toBe(6);
  expect(samples.get('sluice_node_info{node="node-b",version="0.1.0"}')).toBe(1);
});

test("decoder health by program", async () => {
  const backend = new FakeBackend();
  const buySell = { seen: 7, decoded: 6, eventsWithBytesLeftOver: 4, lastDecodedSlot: 99, shares: { oneHour: 0.75 } };
  const instructions = { instructionsSeen: 9, instructionsDecoded: 3, instructionsUnknown: 5, instructionsBad: 1 };
  const spinpet = {
    seen: 10,
    decoded: 6,
    unwanted: 2,
    unknownLength: 1,
    badValue: 1,
    bytesLeftOver: 12,
    ...instructions,
    ...{ shares: { fiveMinutes: 0.5, oneHour: 0.9 }, datasets: { buy_sell: buySell } },
  };
  const alarms = [{ kind: "unknown_layout", program: "spinpet", dataset: "buy_sell", slot: 1, time: 2, detail: "" }];
  backend.change("decode.main", {
    details: {
      decoders: { blocks: 3, badBlocks: 1, unattributedData: 2, programs: { spinpet }, alarms },
      alarmWebhook: { sent: 1, failed: 2, lastError: null },
    },
  });
  const { samples } = await page(backend);
  const labels = 'source="main",stage="decode",unit="decode.main",node="node-a"';
  expect(samples.get(`sluice_decode_bad_blocks_total{${labels}}`)).toBe(1);
  expect(samples.get(`sluice_decoder_seen_total{${labels},program="spinpet"}`)).toBe(10);
  expect(samples.get(`sluice_decoder_unknown_length_total{${labels},program="spinpet"}`)).toBe(1);
  expect(samples.get(`sluice_decoder_bytes_left_over_total{${labels},program="spinpet"}`)).toBe(12);
  expect(samples.get(`sluice_decoder_understood_ratio{${labels},program="spinpet"}`)).toBe(0.8);
  const of = (name: string) => samples.get(`sluice_decoder_instructions_${name}{${labels},program="spinpet"}`);
  expect(["seen", "decoded", "unwanted", "unknown", "bad"].map((name) => of(`${name}_total`))).toEqual([9, 3, 0, 5, 1]);
  expect(of("decoded_ratio")).toBe(0.75);
  expect(samples.get(`sluice_decoder_share{${labels},program="spinpet",window="5m"}`)).toBe(0.5);
  const event = `${labels},program="spinpet",dataset="buy_sell"`;
  expect(samples.get(`sluice_decoded_event_longer_total{${event}}`)).toBe(4);
  expect(samples.get(`sluice_decoded_event_last_slot{${event}}`)).toBe(99);
  expect(samples.get(`sluice_decoded_event_share{${event},window="1h"}`)).toBe(0.75);
  expect(samples.has(`sluice_decoded_event_share{${event},window="5m"}`)).toBe(false);
  const alarm = `${labels},kind="unknown_layout",program="spinpet",dataset="buy_sell"`;
  expect(samples.get(`sluice_decoder_alarm{${alarm}}`)).toBe(1);
  expect(samples.get(`sluice_alarm_webhook_failures_total{${labels}}`)).toBe(2);
});

test("what the archive has written, and what waits for finality", async () => {
  const backend = new FakeBackend();
  const lake = { entries: 1, files: 2, rows: 3, bytes: 4, journalNumber: 9, slot: 5 };
  backend.change("archive.main", { details: { lake, pendingFinal: { blocks: 6, rows: 7 } } });
  const { samples } = await page(backend);
  const labels = 'source="main",stage="archive",unit="archive.main",node="node-a"';
  const names = [
    "entries_total",
    "files_total",
    "rows_total",
    "bytes_total",
    "pending_final_blocks",
    "pending_final_rows",
  ];
  expect(names.map((name) => samples.get(`sluice_lake_${name}{${labels}}`))).toEqual([1, 2, 3, 4, 6, 7]);
});

test("what waits for the bucket, where the lake is in one", async () => {
  const backend = new FakeBackend();
  const lake = { entries: 1, files: 2, rows: 3, bytes: 4, journalNumber: 9, slot: 5 };
  const failure = { code: "LAKE_S3_BUSY", message: "busy", since: 1 };
  const shipping = { waiting: 6, waitingBytes: 7, bucketSlot: 8, failure };
  backend.change("archive.main", { details: { lake, shipping } });
  const { samples } = await page(backend);
  const labels = 'source="main",stage="archive",unit="archive.main",node="node-a"';
  const names = ["waiting_entries", "waiting_bytes", "bucket_slot", "shipping_failed"];
  expect(names.map((name) => samples.get(`sluice_lake_${name}{${labels}}`))).toEqual([6, 7, 8, 1]);
});

test("names with quotes, backslashes and line breaks stay inside their label", async () => {
  const backend = new FakeBackend();
  backend.nodes.push(node('evil"}\n# HELP x\\', [unit("lane.main.1", { state: "waiting" })]));
  const { samples } = await page(backend);
  expect([...samples.keys()].filter((s) => s.includes("evil")).length).toBeGreaterThan(5);
});

test("a silent broker leaves what this process knows", async () => {
  const { samples } = parseExposition(await renderMetrics([], "0.1.0"));
  expect(Object.fromEntries(samples)).toEqual({ 'sluice_build_info{version="0.1.0"}': 1, sluice_broker_up: 0 });
});

test("a negative count from a broken report does not take the page down", async () => {
  const backend = new FakeBackend();
  backend.change("decode.main", { details: { decoders: { programs: { spinpet: { seen: -1 } } } } });
  expect((await page(backend)).samples.get("sluice_broker_up")).toBe(1);
});

test("details of any shape never break the page", async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), async (decoders, lake, source) => {
      const backend = new FakeBackend();
      backend.change("decode.main", { details: { decoders } });
      backend.change("archive.main", { details: { lake } });
      backend.change("ingest.main", { details: { source } });
      expect((await page(backend)).samples.get("sluice_broker_up")).toBe(1);
    }),
    { numRuns: 60 },
  );
});

test("the names of Substreams' own sinks, from the source's status", async () => {
  const backend = new FakeBackend();
  const progress = {
    runningJobs: 5,
    processedBlocks: 1234,
    stages: [
      {
        modules: ["store_a"],
        completedRanges: [
          [100, 200],
          [300, 400],
        ],
        readyUpToExclusive: 0,
      },
      { modules: ["map_b"], completedRanges: [], readyUpToExclusive: 0 },
    ],
  };
  const source = {
    state: "streaming",
    attempts: 3,
    reconnects: 2,
    receivedBytes: 999,
    messages: 7,
    blocks: 50,
    undos: 4,
  };
  backend.change("ingest.main", {
    details: { source: { ...source, progress } },
    metrics: { receivedBytes: 900, receivedBlocks: 50, undos: 4 },
  });
  const { samples, type } = await page(backend);
  const expected = {
    'head_block_number{app="substreams_sink",source="main"}': HEAD_SLOT,
    'head_block_time_drift{app="substreams_sink",source="main"}': 2,
    'substreams_sink_error{source="main"}': 2,
    'substreams_sink_data_message{source="main"}': 50,
    'substreams_sink_data_message_size_bytes{source="main"}': 900,
    'substreams_sink_message_size_bytes{source="main"}': 999,
    'substreams_sink_undo_message{source="main"}': 4,
    'substreams_sink_backprocessing_completion{source="main"}': 1,
    'substreams_sink_progress_message_running_jobs{source="main",stage="all"}': 5,
    'substreams_sink_progress_message_total_processed_blocks{source="main"}': 1234,
    'substreams_sink_progress_message_last_block{source="main",stage="0"}': 400,
    'substreams_sink_progress_message_last_contiguous_block{source="main",stage="0"}': 200,
    'substreams_sink_progress_message_last_contiguous_block{source="main",stage="1"}': 0,
    'sluice_source_reconnects_total{source="main",stage="ingest",unit="ingest.main",node="node-a"}': 2,
    'sluice_source_state{source="main",stage="ingest",unit="ingest.main",node="node-a",state="streaming"}': 1,
    'sluice_source_state{source="main",stage="ingest",unit="ingest.main",node="node-a",state="error"}': 0,
  };
  expect(Object.fromEntries(Object.keys(expected).map((s) => [s, samples.get(s)]))).toEqual(expected);
  expect(type.get("substreams_sink_undo_message")).toBe("counter");
});
