/**
 * Prometheus text from one view. Numbers arrive in reports of other processes, so every scrape fills a registry of its
 * own; a counter stays a counter and starts again with its process. Labels are source, stage, unit and node (and a small
 * fixed set where named): never a mint.
 */
import { Counter, Gauge, Registry } from "prom-client";
import type { UnitReport, UnitState } from "../pipeline/control.ts";
import { decoderMetrics } from "./decoder-metrics.ts";
import { lakeOf, shippingOf } from "./details.ts";
import { sinkMetrics } from "./sink-metrics.ts";
import type { Traffic } from "./traffic.ts";
import type { View } from "./view.ts";

/** `text/plain; version=0.0.4`: Prometheus' text format, which is UTF-8 by definition. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4";

type Labels = Record<string, string>;

/** A registry that is filled once: one call per value. */
export class Page {
  private readonly registry = new Registry();
  private readonly counters = new Map<string, Counter>();
  private readonly gauges = new Map<string, Gauge>();

  counter(name: string, help: string, value: number, labels: Labels = {}): void {
    let metric = this.counters.get(name);
    if (metric === undefined) {
      metric = new Counter({ name, help, labelNames: Object.keys(labels), registers: [this.registry] });
      this.counters.set(name, metric);
    }
    metric.inc(labels, Math.max(0, value));
  }

  gauge(name: string, help: string, value: number, labels: Labels = {}): void {
    let metric = this.gauges.get(name);
    if (metric === undefined) {
      metric = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [this.registry] });
      this.gauges.set(name, metric);
    }
    metric.set(labels, value);
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }
}

type Reading = readonly [name: string, help: string, read: (unit: UnitReport) => number];

const UNIT_COUNTERS: readonly Reading[] = [
  ["received_batches_total", "Batches taken in", (u) => u.metrics.receivedBatches],
  ["received_blocks_total", "Blocks processed, repeats left out", (u) => u.metrics.receivedBlocks],
  ["received_bytes_total", "Bytes taken in, as encoded", (u) => u.metrics.receivedBytes],
  ["skipped_batches_total", "Batches that were repeats of what is stored", (u) => u.metrics.skippedBatches],
  ["sent_batches_total", "Commits made", (u) => u.metrics.sentBatches],
  ["sent_blocks_total", "Blocks committed", (u) => u.metrics.sentBlocks],
  ["undos_total", "Forks taken back", (u) => u.metrics.undos],
  ["gaps_total", "Gaps noticed in the input, repaired by reading again", (u) => u.metrics.gaps],
  ["errors_total", "Errors that ended a run of the unit", (u) => u.metrics.errors],
  ["quarantined_total", "Batches that could not be processed, kept with their bytes", (u) => u.metrics.quarantined],
  ["waiting_seconds_total", "Time spent waiting for input", (u) => u.metrics.waitingMs / 1000],
  ["applying_seconds_total", "Time spent processing", (u) => u.metrics.applyingMs / 1000],
  [
    "committing_seconds_total",
    "Time spent committing, waiting for room included",
    (u) => u.metrics.committingMs / 1000,
  ],
];

const UNIT_GAUGES: readonly Reading[] = [
  ["busy_ratio", "Share of the last second at work rather than waiting for input, 0 to 1", (u) => u.busy],
  ["blocked", "1 while waiting for room in a full stream", (u) => Number(u.blocked)],
  ["ended", "1 when a bounded range is complete", (u) => Number(u.ended)],
];

const STATES: readonly UnitState[] = ["waiting", "running", "paused", "backing-off", "failed", "stopped"];

/** `views`: one for each source; empty: the broker did not answer, so nothing is known beyond this process. */
export async function renderMetrics(views: readonly View[], version: string, traffic?: Traffic): Promise<string> {
  const page = new Page();
  traffic?.fill(page);
  page.gauge("sluice_build_info", "Version of the process that answers", 1, { version });
  page.gauge("sluice_broker_up", "Whether the broker answers", views.length === 0 ? 0 : 1);
  const [first] = views;
  if (first !== undefined) {
    indexer(page, views);
    nodes(page, first);
    units(page, views);
  }
  for (const view of views) {
    lags(page, view);
    decoderMetrics(page, view);
    lake(page, view);
    sinkMetrics(page, view);
  }
  return `${await page.text()}${traffic?.histogram() ?? ""}`;
}

/** Of all sources together; what is true of one is in the metrics with a source label. */
function indexer(page: Page, views: readonly View[]): void {
  const sum = (read: (view: View) => number) => views.reduce((total, view) => total + read(view), 0);
  const uptimeMs = Math.max(...views.map((view) => view.uptimeMs));
  const running = Number(views.some((view) => view.running));
  const lastBlock = Math.min(...views.map((view) => view.lastBlock));
  page.gauge("substreams_indexer_running", "Whether the indexer is running", running);
  page.gauge("substreams_indexer_uptime_seconds", "Indexer uptime in seconds", Math.floor(uptimeMs / 1000));
  page.gauge("substreams_indexer_last_block", "Last indexed block number", lastBlock);
  const blocks = sum((view) => view.totalBlocks);
  page.counter("substreams_indexer_total_blocks", "Total number of blocks processed", blocks);
  page.counter(
    "substreams_indexer_errors_total",
    "Total number of errors",
    sum((view) => view.errorsTotal),
  );
}

function nodes(page: Page, view: View): void {
  for (const { node, version, startedAt, rssBytes } of view.nodes) {
    page.gauge("sluice_node_info", "A live process and its version", 1, { node, version });
    page.gauge("sluice_node_start_time_seconds", "When it started, Unix time", startedAt / 1000, { node });
    page.gauge("sluice_node_resident_memory_bytes", "Resident memory", rssBytes, { node });
  }
}

/** Every report, those of processes that stand by included: a unit that moves keeps two series apart by node. */
function units(page: Page, views: readonly View[]): void {
  const sources = new Set(views.map((view) => view.source));
  for (const { node, units } of views[0]?.nodes ?? []) {
    for (const unit of units.filter(({ source }) => sources.has(source))) {
      const labels = { source: unit.source, stage: unit.stage, unit: unit.unit, node };
      for (const [name, help, read] of UNIT_COUNTERS) page.counter(`sluice_unit_${name}`, help, read(unit), labels);
      for (const [name, help, read] of UNIT_GAUGES) page.gauge(`sluice_unit_${name}`, help, read(unit), labels);
      for (const state of STATES) {
        const on = Number(unit.state === state);
        page.gauge("sluice_unit_state", "1 for the state that the unit is in", on, { ...labels, state });
      }
    }
  }
}

/** Where units stand is told once, by the process that runs each. */
function lags(page: Page, view: View): void {
  for (const { source, stage, unit, node, metrics, lag } of view.units) {
    const labels = { source, stage, unit, node };
    const gauge = (name: string, help: string, value: number | null) => {
      if (value !== null) page.gauge(`sluice_unit_${name}`, help, value, labels);
    };
    gauge("position_slot", "Slot of the last committed block", metrics.position?.slot ?? null);
    gauge("final_slot", "Highest final slot known", metrics.position === null ? null : metrics.finalSlot);
    gauge("lag_blocks", "Slots behind the ingest unit, of what is committed", lag.blocks);
    gauge("lag_seconds", "Seconds of block time behind the ingest unit, of what is processed", lag.seconds);
    gauge("head_lag_seconds", "Seconds between the block time of what is processed and now", lag.headSeconds);
    gauge("head_lag_blocks", "Slots between the block time and now, at 0.4 s a slot", lag.headBlocks);
  }
}

function lake(page: Page, view: View): void {
  for (const { source, stage, unit, node, details } of view.units) {
    const lake = stage === "archive" ? lakeOf(details) : null;
    if (lake === null) continue;
    const labels = { source, stage, unit, node };
    page.counter("sluice_lake_entries_total", "Manifest entries written", lake.entries, labels);
    page.counter("sluice_lake_files_total", "Parquet files written", lake.files, labels);
    page.counter("sluice_lake_rows_total", "Rows in them", lake.rows, labels);
    page.counter("sluice_lake_bytes_total", "Bytes of them", lake.bytes, labels);
    page.gauge(
      "sluice_lake_pending_final_blocks",
      "Blocks held because they are not final yet",
      lake.pendingBlocks,
      labels,
    );
    page.gauge("sluice_lake_pending_final_rows", "Rows of them", lake.pendingRows, labels);
    const shipping = shippingOf(details);
    if (shipping === null) continue;
    page.gauge("sluice_lake_waiting_entries", "Commits that wait for the bucket", shipping.waiting, labels);
    page.gauge("sluice_lake_waiting_bytes", "Bytes of their files", shipping.waitingBytes, labels);
    page.gauge("sluice_lake_bucket_slot", "Slot up to which the bucket holds the lineage", shipping.bucketSlot, labels);
    page.gauge(
      "sluice_lake_shipping_failed",
      "1 while nothing reaches the bucket",
      Number(shipping.failure !== null),
      labels,
    );
  }
}
