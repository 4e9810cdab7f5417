/** The metrics of decoder health: by program, by dataset, and the alarms. Labels are of few values: never a mint. */
import {
  alarmsOf,
  type DatasetCounts,
  decoderCountsOf,
  decodersOf,
  type ProgramCounts,
  webhookFailuresOf,
} from "./decoder-details.ts";
import type { Page } from "./metrics.ts";
import type { View } from "./view.ts";

type ProgramReading = readonly [
  name: string,
  help: string,
  field: Exclude<keyof ProgramCounts, "program" | "shares" | "datasets" | "lastDecodedSlot">,
];

const PROGRAM_COUNTERS: readonly ProgramReading[] = [
  ["seen_total", "Payloads of the program", "seen"],
  ["decoded_total", "Payloads that became a row", "decoded"],
  ["unwanted_total", "Payloads of events that nobody asked for", "unwanted"],
  ["unknown_discriminator_total", "Payloads that begin with no known discriminator", "unknownDiscriminator"],
  ["unknown_length_total", "Payloads too short for every known layout; quarantined", "unknownLength"],
  ["bad_value_total", "Payloads with a value that its type does not have; quarantined", "badValue"],
  ["truncated_payload_total", "Payloads that were cut or garbled; quarantined", "truncatedPayload"],
  ["events_with_bytes_left_over_total", "Events longer than their layout", "eventsWithBytesLeftOver"],
  ["bytes_left_over_total", "Bytes that those events had too many", "bytesLeftOver"],
  ["trades_without_price_total", "Trades without a price or a user", "tradesWithoutPrice"],
  ["truncated_logs_total", "Transactions whose log was cut: events may be missing", "truncatedLogs"],
  ["unmatched_invocations_total", "Invocations in a log without an instruction", "unmatchedInvocations"],
  ["instructions_seen_total", "Instructions of the program, where instructions are decoded", "instructionsSeen"],
  ["instructions_decoded_total", "Instructions that became a row", "instructionsDecoded"],
  ["instructions_unwanted_total", "Known instructions that nobody asked for", "instructionsUnwanted"],
  ["instructions_unknown_total", "Instructions that begin with no known discriminator", "instructionsUnknown"],
  ["instructions_bad_total", "Instructions whose arguments fit no known layout; quarantined", "instructionsBad"],
  ["failed_skipped_total", "Failed transactions left out", "failedSkipped"],
];

type DatasetReading = readonly [name: string, help: string, field: Exclude<keyof DatasetCounts, "dataset" | "shares">];

const DATASET_COUNTERS: readonly DatasetReading[] = [
  ["seen_total", "Payloads of the event", "seen"],
  ["decoded_total", "Payloads that became a row", "decoded"],
  ["unknown_length_total", "Payloads too short for every known layout; quarantined", "unknownLength"],
  ["bad_value_total", "Payloads with a value that its type does not have; quarantined", "badValue"],
  ["longer_total", "Payloads longer than every known layout", "eventsWithBytesLeftOver"],
];

export function decoderMetrics(page: Page, view: View): void {
  for (const { source, stage, unit, node, details } of view.units) {
    if (stage !== "decode") continue;
    const labels = { source, stage, unit, node };
    const counts = decoderCountsOf(details);
    if (counts !== null) {
      page.counter("sluice_decode_blocks_total", "Blocks decoded", counts.blocks, labels);
      page.counter(
        "sluice_decode_bad_blocks_total",
        "Blocks that could not be read; quarantined",
        counts.badBlocks,
        labels,
      );
      const help = "Data lines in logs that no running program can have written";
      page.counter("sluice_decode_unattributed_data_total", help, counts.unattributedData, labels);
    }
    const failures = webhookFailuresOf(details);
    if (failures !== null) {
      page.counter(
        "sluice_alarm_webhook_failures_total",
        "Messages to the webhook that were given up",
        failures,
        labels,
      );
    }
    for (const { kind, program, dataset } of alarmsOf(details)) {
      const by = { ...labels, kind, program, dataset: dataset ?? "" };
      page.gauge("sluice_decoder_alarm", "1 while a decoder's alarm lasts: share_fell, unknown_layout", 1, by);
    }
    for (const program of decodersOf(details)) {
      const by = { ...labels, program: program.program };
      shares(page, "sluice_decoder", program, by);
      for (const own of program.datasets) datasetMetrics(page, own, { ...by, dataset: own.dataset });
      for (const [name, help, field] of PROGRAM_COUNTERS)
        page.counter(`sluice_decoder_${name}`, help, program[field], by);
      // Unwanted events are understood, so they are no sign of a stale decoder.
      const share = (understood: number, all: number) => (all === 0 ? 1 : understood / all);
      const ratio = share(program.decoded + program.unwanted, program.seen);
      page.gauge("sluice_decoder_understood_ratio", "Share of payloads decoded or known to be unwanted", ratio, by);
      const wanted = program.instructionsDecoded + program.instructionsBad;
      const help = "Share of the wanted instructions that became a row";
      page.gauge("sluice_decoder_instructions_decoded_ratio", help, share(program.instructionsDecoded, wanted), by);
    }
  }
}

function datasetMetrics(page: Page, counts: DatasetCounts, by: Readonly<Record<string, string>>): void {
  for (const [name, help, field] of DATASET_COUNTERS)
    page.counter(`sluice_decoded_event_${name}`, help, counts[field], by);
  shares(page, "sluice_decoded_event", counts, by);
}

function shares(
  page: Page,
  prefix: string,
  { shares: { fiveMinutes, oneHour }, lastDecodedSlot }: Pick<DatasetCounts, "shares" | "lastDecodedSlot">,
  by: Readonly<Record<string, string>>,
): void {
  const help = "Share of the payloads of a window of block time that were understood";
  for (const [window, share] of [
    ["5m", fiveMinutes],
    ["1h", oneHour],
  ] as const) {
    if (share !== null) page.gauge(`${prefix}_share`, help, share, { ...by, window });
  }
  if (lastDecodedSlot > 0) page.gauge(`${prefix}_last_slot`, "Slot of the last row", lastDecodedSlot, by);
}
