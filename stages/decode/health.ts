/**
 * How decoding fares, per program. Counters only grow. A decoder that has gone stale shows here within minutes: `seen`
 * goes on, `decoded` does not. Every payload seen has exactly one fate:
 * seen = decoded + unwanted + unknownDiscriminator + unknownLength + badValue + truncatedPayload.
 */
import type { Alarm } from "../../pipeline/alarm.ts";
import type { Shares } from "./watch.ts";

/** Of one event, instruction or mapped dataset. */
export interface DatasetHealth {
  seen: number;
  decoded: number;
  /** Too short for every known layout; quarantined. */
  unknownLength: number;
  /** Holds a value that its type does not have; quarantined. */
  badValue: number;
  eventsWithBytesLeftOver: number;
  bytesLeftOver: number;
  /** Slot of the block with the last row; 0: none yet. */
  lastDecodedSlot: number;
}

export interface ProgramHealth {
  /** Payloads of the program: `Program data:` lines and `emit_cpi!` instructions. */
  seen: number;
  /** Became a row. */
  decoded: number;
  /** Known events that nobody asked for. */
  unwanted: number;
  /** Begins with no known discriminator, or is too short to have one. */
  unknownDiscriminator: number;
  /** Too short for every known layout; quarantined. */
  unknownLength: number;
  /** Holds a value that its type does not have; quarantined. */
  badValue: number;
  /** Not base64, so cut or garbled on the way; quarantined. */
  truncatedPayload: number;
  /** Decoded events that were longer than their layout: the program has grown fields. */
  eventsWithBytesLeftOver: number;
  bytesLeftOver: number;
  /** Decoded events mapped to a trade, but without a price or a user. */
  tradesWithoutPrice: number;
  /** Transactions of the program whose log ends in "Log truncated": events may be missing. */
  truncatedLogs: number;
  /** Invocations in a log for which no instruction was found: their events have a path like "~3". */
  unmatchedInvocations: number;
  /** Instructions of the program, where instructions are decoded; each is one of the four below. */
  instructionsSeen: number;
  instructionsDecoded: number;
  /** Known, but nobody asked for their rows. */
  instructionsUnwanted: number;
  /** Begin with no known discriminator. */
  instructionsUnknown: number;
  /** Arguments that fit no known layout; quarantined. */
  instructionsBad: number;
  /** Failed transactions that were left out. */
  failedSkipped: number;
  /** Slot of the block with the last row; 0: none yet. */
  lastDecodedSlot: number;
}

/** A program's counters with what was understood of it lately, and the same of each of its datasets, by name. */
export type ProgramReport = Readonly<ProgramHealth> & {
  readonly shares: Shares;
  readonly datasets: Readonly<Record<string, Readonly<DatasetHealth> & { readonly shares: Shares }>>;
};

export interface DecodeHealth {
  blocks: number;
  /** Blocks that could not be read at all; quarantined. */
  badBlocks: number;
  /** `Program data:` lines that no running program can have written: a damaged log. */
  unattributedData: number;
  /** By program name. */
  programs: Readonly<Record<string, ProgramReport>>;
  /** What is wrong now. */
  alarms: readonly Alarm[];
}

export function emptyDatasetHealth(): DatasetHealth {
  return {
    seen: 0,
    decoded: 0,
    unknownLength: 0,
    badValue: 0,
    eventsWithBytesLeftOver: 0,
    bytesLeftOver: 0,
    lastDecodedSlot: 0,
  };
}

export function emptyProgramHealth(): ProgramHealth {
  return {
    seen: 0,
    decoded: 0,
    unwanted: 0,
    unknownDiscriminator: 0,
    unknownLength: 0,
    badValue: 0,
    truncatedPayload: 0,
    eventsWithBytesLeftOver: 0,
    bytesLeftOver: 0,
    tradesWithoutPrice: 0,
    truncatedLogs: 0,
    unmatchedInvocations: 0,
    instructionsSeen: 0,
    instructionsDecoded: 0,
    instructionsUnwanted: 0,
    instructionsUnknown: 0,
    instructionsBad: 0,
    failedSkipped: 0,
    lastDecodedSlot: 0,
  };
}

/** Of a dataset that several events fill. */
export function sumOf(parts: readonly Readonly<DatasetHealth>[]): Readonly<DatasetHealth> {
  if (parts.length === 1) return parts[0]!;
  const sum = emptyDatasetHealth();
  for (const part of parts) {
    sum.seen += part.seen;
    sum.decoded += part.decoded;
    sum.unknownLength += part.unknownLength;
    sum.badValue += part.badValue;
    sum.eventsWithBytesLeftOver += part.eventsWithBytesLeftOver;
    sum.bytesLeftOver += part.bytesLeftOver;
    sum.lastDecodedSlot = Math.max(sum.lastDecodedSlot, part.lastDecodedSlot);
  }
  return sum;
}
