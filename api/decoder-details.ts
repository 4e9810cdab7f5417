/** Reads what the decode unit reports of its decoders; like `details.ts`, it takes nothing for granted. */
import type { UnitReport } from "../pipeline/control.ts";
import { list, number, record } from "./details.ts";

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
  /** Where instructions are decoded: seen = decoded + unwanted + unknown + bad. */
  readonly instructionsSeen: number;
  readonly instructionsDecoded: number;
  readonly instructionsUnwanted: number;
  readonly instructionsUnknown: number;
  readonly instructionsBad: number;
  readonly failedSkipped: number;
  readonly lastDecodedSlot: number;
  readonly shares: Shares;
  readonly datasets: readonly DatasetCounts[];
}

/** Of one event, instruction or mapped dataset. */
export interface DatasetCounts {
  readonly dataset: string;
  readonly seen: number;
  readonly decoded: number;
  readonly unknownLength: number;
  readonly badValue: number;
  readonly eventsWithBytesLeftOver: number;
  readonly bytesLeftOver: number;
  readonly lastDecodedSlot: number;
  readonly shares: Shares;
}

/** Shares of payloads that were understood, 0 to 1, over block time; null where there were none. */
export interface Shares {
  readonly fiveMinutes: number | null;
  readonly oneHour: number | null;
}

/** What is wrong with a decoder now. */
export interface DecoderAlarm {
  readonly kind: string;
  readonly program: string;
  /** Null: the program as a whole. */
  readonly dataset: string | null;
  readonly slot: number;
  readonly time: number;
  readonly detail: string;
}

export interface DecoderCounts {
  readonly blocks: number;
  readonly badBlocks: number;
  readonly unattributedData: number;
}

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
      instructionsSeen: of("instructionsSeen"),
      instructionsDecoded: of("instructionsDecoded"),
      instructionsUnwanted: of("instructionsUnwanted"),
      instructionsUnknown: of("instructionsUnknown"),
      instructionsBad: of("instructionsBad"),
      failedSkipped: of("failedSkipped"),
      lastDecodedSlot: of("lastDecodedSlot"),
      shares: sharesOf(counts),
      datasets: Object.entries(record(record(counts)["datasets"])).map(([dataset, own]) => datasetOf(dataset, own)),
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

/** From the details of the decode unit: what is wrong now. */
export function alarmsOf(details: Details): DecoderAlarm[] {
  return list(record(details["decoders"])["alarms"]).map((alarm) => {
    const { kind, program, dataset, slot, time, detail } = record(alarm);
    return {
      kind: String(kind),
      program: String(program),
      dataset: typeof dataset === "string" ? dataset : null,
      slot: number(slot),
      time: number(time),
      detail: String(detail),
    };
  });
}

/** From the details of the decode unit: messages to the webhook that were given up; null where none is set. */
export function webhookFailuresOf(details: Details): number | null {
  const failed = record(details["alarmWebhook"])["failed"];
  return typeof failed === "number" ? failed : null;
}

function datasetOf(dataset: string, counts: unknown): DatasetCounts {
  const of = (name: string) => number(record(counts)[name]);
  return {
    dataset,
    seen: of("seen"),
    decoded: of("decoded"),
    unknownLength: of("unknownLength"),
    badValue: of("badValue"),
    eventsWithBytesLeftOver: of("eventsWithBytesLeftOver"),
    bytesLeftOver: of("bytesLeftOver"),
    lastDecodedSlot: of("lastDecodedSlot"),
    shares: sharesOf(counts),
  };
}

function sharesOf(counts: unknown): Shares {
  const shares = record(record(counts)["shares"]);
  const of = (name: string) => (typeof shares[name] === "number" ? number(shares[name]) : null);
  return { fiveMinutes: of("fiveMinutes"), oneHour: of("oneHour") };
}
