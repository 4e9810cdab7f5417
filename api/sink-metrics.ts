/**
 * The metrics of Substreams' own sinks, by the names they have there (`sink/metrics.go` of streamingfast/substreams), so
 * that existing dashboards work; and those of the connection that the sinks do not have.
 */
import { SOURCE_STATES, type SourceProgress, type SourceStatus, sourceStatusOf, spendOf } from "./details.ts";
import type { Page } from "./metrics.ts";
import type { UnitView, View } from "./view.ts";

const APP = "substreams_sink";

export function sinkMetrics(page: Page, view: View): void {
  const { ingest } = view;
  if (ingest === null) return;
  head(page, ingest);
  spend(page, ingest);
  const status = sourceStatusOf(ingest.details);
  if (status === null) return;
  messages(page, ingest, status);
  if (status.progress !== null) progress(page, ingest.source, status.progress);
  connection(page, ingest, status);
}

function head(page: Page, { source, metrics, lag }: UnitView): void {
  const labels = { app: APP, source };
  if (metrics.position !== null) {
    page.gauge("head_block_number", "Slot of the last block received and stored", metrics.position.slot, labels);
  }
  if (lag.headSeconds !== null) {
    page.gauge("head_block_time_drift", "Seconds between the last block's time and now", lag.headSeconds, labels);
  }
}

function messages(page: Page, { source, metrics }: UnitView, status: SourceStatus): void {
  const count = (name: string, help: string, value: number) =>
    page.counter(`substreams_sink_${name}`, help, value, { source });
  count("error", "Calls that had to be made again", Math.max(0, status.attempts - 1));
  count("data_message", "Blocks received", metrics.receivedBlocks);
  count("data_message_size_bytes", "Bytes of module output in them", metrics.receivedBytes);
  count("message_size_bytes", "Bytes of all messages received, uncompressed", status.receivedBytes);
  count("undo_message", "Undo signals received", metrics.undos);
  const completed = Number(metrics.receivedBlocks > 0);
  page.gauge("substreams_sink_backprocessing_completion", "1 once a block has come", completed, { source });
}

function progress(page: Page, source: string, { runningJobs, processedBlocks, stages }: SourceProgress): void {
  const name = (rest: string) => `substreams_sink_progress_message_${rest}`;
  const all = { source, stage: "all" };
  page.gauge(name("running_jobs"), "Jobs that the provider runs for us", runningJobs, all);
  page.gauge(name("total_processed_blocks"), "Blocks that the provider has processed for us", processedBlocks, {
    source,
  });
  stages.forEach((ranges, stage) => {
    const labels = { source, stage: String(stage) };
    const last = ranges.reduce((max, [, end]) => Math.max(max, end), 0);
    page.gauge(name("last_block"), "Last slot that the provider's stage has completed", last, labels);
    const contiguous = ranges[0]?.[1] ?? 0;
    page.gauge(name("last_contiguous_block"), "Last slot that it has completed without a gap", contiguous, labels);
  });
}

function spend(page: Page, { source, details }: UnitView): void {
  const spent = spendOf(details);
  if (spent === null) return;
  const periods = { day: spent.today, month: spent.month, projected_month: spent.projectedMonth };
  for (const [period, { blocks, bytes }] of Object.entries(periods)) {
    page.gauge("sluice_source_spend_blocks", "Blocks received in the period (UTC)", blocks, { source, period });
    page.gauge("sluice_source_spend_bytes", "Bytes received in the period (UTC)", bytes, { source, period });
  }
  if (spent.budget === null) return;
  const help = "Share of the tightest budget that is used, 1 when nothing is left";
  page.gauge("sluice_source_budget_used_ratio", help, spent.budget.percent / 100, { source });
}

function connection(page: Page, { source, stage, unit, node }: UnitView, status: SourceStatus): void {
  const labels = { source, stage, unit, node };
  page.counter("sluice_source_attempts_total", "Calls made to the endpoint", status.attempts, labels);
  const failed = "Calls that ended before the range was complete";
  page.counter("sluice_source_failed_attempts_total", failed, status.failedAttempts, labels);
  page.counter("sluice_source_reconnects_total", "Calls that went on after a broken one", status.reconnects, labels);
  page.counter("sluice_source_messages_total", "Messages received", status.messages, labels);
  page.counter("sluice_source_received_bytes_total", "Bytes received, uncompressed", status.receivedBytes, labels);
  const times = [
    ["last_attempt", "When a call was last made", status.lastAttemptAt],
    ["last_success", "When a message last came", status.lastSuccessAt],
    ["token_expiry", "When the token in use runs out", status.tokenExpiresAt],
  ] as const;
  for (const [name, help, at] of times) {
    if (at > 0) page.gauge(`sluice_source_${name}_timestamp_seconds`, `${help}, Unix time`, at / 1000, labels);
  }
  for (const state of SOURCE_STATES) {
    const on = Number(status.state === state);
    page.gauge("sluice_source_state", "1 for the state that the connection is in", on, { ...labels, state });
  }
}
