/**
 * Reads what units report about themselves beyond the common metrics: the source's connection, the lake. Decoder health is in
 * `decoder-details.ts`.
 * It crossed a process border as JSON, perhaps from another version, so nothing is taken for granted: what is missing or
 * of another type is left out.
 */
import type { UnitReport } from "../pipeline/control.ts";
import type { Amount, BudgetUse } from "../pipeline/spend.ts";

type Details = UnitReport["details"];

/** The source's connection as its client describes it; counters are since the process started. */
export interface SourceStatus {
  /** One of `SOURCE_STATES`; undefined where the client does not say. */
  readonly state: SourceState | undefined;
  /** Data comes, or has come to its end. */
  readonly connected: boolean;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly reconnects: number;
  /** When a call was last made, a message last came, and the next call is due; ms since the Unix epoch, 0: never. */
  readonly lastAttemptAt: number;
  readonly lastSuccessAt: number;
  readonly retryAt: number;
  /** When the token in use runs out, ms since the Unix epoch; 0: not known. */
  readonly tokenExpiresAt: number;
  readonly receivedBytes: number;
  readonly messages: number;
  /** What the provider prepares while it sends no data; null when it does not. */
  readonly progress: SourceProgress | null;
  readonly lastError: string | null;
}

export interface SourceProgress {
  readonly runningJobs: number;
  readonly processedBlocks: number;
  /** Ranges of slots that each stage of the provider has completed, in order. */
  readonly stages: readonly (readonly (readonly [start: number, end: number])[])[];
}

export const SOURCE_STATES = ["idle", "waiting", "connecting", "streaming", "backing-off", "ended", "error"] as const;
export type SourceState = (typeof SOURCE_STATES)[number];

/** What was added to the lake since the unit was opened, and what waits for finality. */
export interface LakeCounts {
  readonly entries: number;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  readonly pendingBlocks: number;
  readonly pendingRows: number;
}

/** From the details of the ingest unit; null where there is none. */
export function sourceStatusOf(details: Details): SourceStatus | null {
  const status = record(details["source"]);
  if (Object.keys(status).length === 0) return null;
  const state = SOURCE_STATES.find((known) => known === status["state"]);
  return {
    state,
    connected: state === "streaming" || state === "ended",
    attempts: number(status["attempts"]),
    failedAttempts: number(status["failedAttempts"]),
    reconnects: number(status["reconnects"]),
    lastAttemptAt: number(status["lastAttemptAt"]),
    lastSuccessAt: number(status["lastMessageAt"]),
    retryAt: state === "backing-off" ? number(status["retryAt"]) : 0,
    tokenExpiresAt: number(status["tokenExpiresAt"]),
    receivedBytes: number(status["receivedBytes"]),
    messages: number(status["messages"]),
    progress: progressOf(record(status["progress"])),
    lastError: typeof status["lastError"] === "string" ? status["lastError"] : null,
  };
}

export interface SpendCounts {
  readonly today: Amount;
  readonly month: Amount;
  readonly projectedMonth: Amount;
  /** Of the tightest limit; null where there is none. */
  readonly budget: BudgetUse | null;
}

/** From the details of the ingest unit; null where there is none. */
export function spendOf(details: Details): SpendCounts | null {
  const spend = record(details["spend"]);
  if (Object.keys(spend).length === 0) return null;
  const amount = (name: string) => {
    const { blocks, bytes } = record(spend[name]);
    return { blocks: number(blocks), bytes: number(bytes) };
  };
  const { percent, what, used, limit } = record(spend["budget"]);
  return {
    today: amount("today"),
    month: amount("month"),
    projectedMonth: amount("projectedMonth"),
    budget:
      typeof what === "string" ? { percent: number(percent), what, used: number(used), limit: number(limit) } : null,
  };
}

function progressOf(progress: Readonly<Record<string, unknown>>): SourceProgress | null {
  if (typeof progress["runningJobs"] !== "number") return null;
  return {
    runningJobs: number(progress["runningJobs"]),
    processedBlocks: number(progress["processedBlocks"]),
    stages: list(progress["stages"]).map((stage) =>
      list(record(stage)["completedRanges"]).map((range) => {
        const [start, end] = list(range);
        return [number(start), number(end)] as const;
      }),
    ),
  };
}

/** From the details of the archive unit; null where there are none. */
export function lakeOf(details: Details): LakeCounts | null {
  const lake = record(details["lake"]);
  const pending = record(details["pendingFinal"]);
  if (typeof lake["rows"] !== "number") return null;
  return {
    entries: number(lake["entries"]),
    files: number(lake["files"]),
    rows: number(lake["rows"]),
    bytes: number(lake["bytes"]),
    pendingBlocks: number(pending["blocks"]),
    pendingRows: number(pending["rows"]),
  };
}

/** Commits of the archive that are on their way to the bucket. */
export interface ShippingCounts {
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly bucketSlot: number;
  /** Why nothing reaches the bucket, and since when (ms since the Unix epoch); null while it does. */
  readonly failure: { readonly code: string; readonly since: number } | null;
}

/** From the details of the archive unit; null where the lake is not in a bucket. */
export function shippingOf(details: Details): ShippingCounts | null {
  const shipping = record(details["shipping"]);
  if (typeof shipping["waiting"] !== "number") return null;
  const failure = record(shipping["failure"]);
  const code = failure["code"];
  return {
    waiting: number(shipping["waiting"]),
    waitingBytes: number(shipping["waitingBytes"]),
    bucketSlot: number(shipping["bucketSlot"]),
    failure: typeof code === "string" ? { code, since: number(failure["since"]) } : null,
  };
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
