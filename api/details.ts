/**
 * Reads what units report about themselves beyond the common metrics: the source's connection, decoder health, the lake.
 * It crossed a process border as JSON, perhaps from another version, so nothing is taken for granted: what is missing or
 * of another type is left out.
 */
import type { UnitReport } from "../pipeline/control.ts";

type Details = UnitReport["details"];

/** Fates of a program's payloads since its process started. */
export interface ProgramCounts {
  readonly program: string;
  readonly seen: number;
  readonly decoded: number;
  readonly unwanted: number;
  readonly unknownDiscriminator: number;
  readonly unknownLength: number;
  readonly badValue: number;
  readonly truncatedPayload: number;
  readonly eventsWithBytesLeftOver: number;
  readonly bytesLeftOver: number;
  readonly tradesWithoutPrice: number;
  readonly truncatedLogs: number;
  readonly unmatchedInvocations: number;
  readonly failedSkipped: number;
}

export interface DecoderCounts {
  readonly blocks: number;
  readonly badBlocks: number;
  readonly unattributedData: number;
}

/** The source's connection as its client describes it. */
export interface SourceStatus {
  /** "connecting", "streaming", ...; undefined where the client does not say. */
  readonly state: string | undefined;
  readonly connected: boolean;
  /** All its numbers, by name: counters since the process started, and the latest values. */
  readonly numbers: Readonly<Record<string, number>>;
  /** Progress of the provider's stages, where it prepares history. */
  readonly stages: readonly Readonly<Record<string, number>>[];
}

const CONNECTED_STATES = new Set(["connected", "streaming", "live", "ended"]);

/** From the details of the decode unit. */
export function decodersOf(details: Details): ProgramCounts[] {
  const programs = record(record(details["decoders"])["programs"]);
  return Object.entries(programs).map(([program, counts]) => {
    const of = (name: string) => number(record(counts)[name]);
    return {
      program,
      seen: of("seen"),
      decoded: of("decoded"),
      unwanted: of("unwanted"),
      unknownDiscriminator: of("unknownDiscriminator"),
      unknownLength: of("unknownLength"),
      badValue: of("badValue"),
      truncatedPayload: of("truncatedPayload"),
      eventsWithBytesLeftOver: of("eventsWithBytesLeftOver"),
      bytesLeftOver: of("bytesLeftOver"),
      tradesWithoutPrice: of("tradesWithoutPrice"),
      truncatedLogs: of("truncatedLogs"),
      unmatchedInvocations: of("unmatchedInvocations"),
      failedSkipped: of("failedSkipped"),
    };
  });
}

/** From the details of the decode unit; null where there are none. */
export function decoderCountsOf(details: Details): DecoderCounts | null {
  const decoders = record(details["decoders"]);
  if (typeof decoders["blocks"] !== "number") return null;
  return {
    blocks: number(decoders["blocks"]),
    badBlocks: number(decoders["badBlocks"]),
    unattributedData: number(decoders["unattributedData"]),
  };
}

/** From the details of the ingest unit; null where there is none. */
export function sourceStatusOf(details: Details): SourceStatus | null {
  const status = record(details["source"]);
  if (Object.keys(status).length === 0) return null;
  const state = typeof status["state"] === "string" ? status["state"] : undefined;
  const stages = Array.isArray(status["stages"]) ? status["stages"] : [];
  return {
    state,
    connected: state !== undefined && CONNECTED_STATES.has(state),
    numbers: numbersOf(status),
    stages: stages.map((stage) => numbersOf(record(stage))),
  };
}

/** Numbers of the lake, by name, from the details of the archive unit. */
export function lakeOf(details: Details): Readonly<Record<string, number>> {
  return numbersOf(record(details["lake"]));
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function numbersOf(value: Readonly<Record<string, unknown>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(value).filter(([, v]) => typeof v === "number" && Number.isFinite(v)),
  ) as Record<string, number>;
}
