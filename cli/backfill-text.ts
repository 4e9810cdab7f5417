/** What `sluice backfill` says for people: the plan, how it gets on, and how it ended. */
import type { BackfillProgress } from "../pipeline/backfill.ts";
import type { BackfillPlan } from "./backfill.ts";
import type { BackfillEstimate } from "./backfill-estimate.ts";
import { type Output, paint, table } from "./output.ts";
import { formatNumber, formatSeconds } from "./progress-line.ts";

const BASIS: Readonly<Record<BackfillEstimate["basis"], string>> = {
  known: "from the lake's blocks per slot and the bytes received per block so far",
  provider: "by the provider",
  sample: "from a sample of the beginning, which was paid for",
  none: "not known: without a sample only the slots are",
};

export function showPlan(
  { source, from, to, segments, streams, jobs, limitBlocks, estimate }: BackfillPlan,
  out: Output,
) {
  const { slots, blocks, bytes, basis, chainHead, blocksToPrepare, blocksToProcess } = estimate;
  const begun = segments.filter((segment) => segment.from > segment.start).length;
  const rows: [string, string][] = [
    ["source", source],
    ["range", `slots ${formatNumber(from)} to ${formatNumber(to - 1)}`],
    ["missing", `${formatNumber(slots)} slots`],
    [
      "segments",
      begun === 0 ? formatNumber(segments.length) : `${formatNumber(segments.length)}, of them begun: ${begun}`,
    ],
    ["streams", `${streams}, jobs of the provider for each: ${jobs}`],
    ["limit", limitBlocks === 0 ? "none" : `${formatNumber(limitBlocks)} blocks to process`],
    ["blocks to receive", blocks === null ? "?" : `about ${formatNumber(blocks)}`],
    ["bytes to receive", bytes === null ? "?" : `about ${formatNumber(bytes / 1e6)} MB, uncompressed`],
    ["estimated", BASIS[basis]],
  ];
  if (blocksToProcess !== null) rows.push(["blocks the provider processes", formatNumber(blocksToProcess)]);
  if (blocksToPrepare !== null && blocksToPrepare > 0)
    rows.push(["blocks the provider prepares first", formatNumber(blocksToPrepare)]);
  const beyond =
    chainHead !== null && chainHead < to - 1
      ? `${paint(out, "yellow", "The range reaches beyond the chain's head")} (${formatNumber(chainHead)}): it will be waited for.\n`
      : "";
  return `${table(out, [{ name: "backfill" }, { name: "value" }], rows)}${beyond}`;
}

export function progressText(p: BackfillProgress, seconds: number): string {
  const rate = seconds > 0 ? p.slotsRead / seconds : 0;
  const left = rate > 0 ? `eta ${formatSeconds((p.slots - p.slotsRead) / rate)}` : null;
  const share = p.slots === 0 ? 100 : (100 * p.slotsRead) / p.slots;
  const parts = [
    `${formatNumber(share)}%`,
    left,
    `segments ${p.segmentsDone}/${p.segments}`,
    `${formatNumber(p.blocks)} blocks, ${formatNumber(p.blocks / Math.max(seconds, 0.001))}/s`,
    `${formatNumber(p.receivedBytes / 1e6)} MB received`,
    `${formatNumber(p.rows)} rows in ${formatNumber(p.files)} files`,
    p.trouble,
  ];
  return parts.filter((part) => part !== null).join(" | ");
}

export function showResult(
  { from, to }: BackfillPlan,
  result: BackfillProgress & { readonly complete: boolean; readonly seconds: number },
  out: Output,
): string {
  const { complete, segments, segmentsDone, blocks, receivedBytes, rows, files, fileBytes, seconds } = result;
  const what = `${formatNumber(blocks)} blocks (${formatNumber(receivedBytes / 1e6)} MB) received, ${formatNumber(rows)} rows in ${formatNumber(files)} files (${formatNumber(fileBytes / 1e6)} MB) written, ${formatSeconds(seconds)}`;
  const end = complete
    ? paint(out, "green", `the lake holds slots ${from} to ${to - 1}`)
    : paint(out, "yellow", `${segmentsDone} of ${segments} segments are complete; the same command goes on`);
  const alarms = result.alarms.map(
    ({ program, dataset, slot, detail }) =>
      `${paint(out, "yellow", `${program}${dataset === null ? "" : `, ${dataset}`}`)}: from slot ${slot}, ${detail}\n`,
  );
  const hint =
    alarms.length === 0
      ? ""
      : "What was not understood is kept: sluice quarantine list; what to do: docs/decoders.md, When a program has changed\n";
  return `${what}\n${alarms.join("")}${hint}${end}\n`;
}
