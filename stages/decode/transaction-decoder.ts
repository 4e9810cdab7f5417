/**
 * The events of one transaction, in execution order, from both places where Anchor puts them: `Program data:` lines of the
 * log (`emit!`), and self-calls with a marked payload (`emit_cpi!`), which need no log at all; and, where asked for, its
 * instructions, each before the events that it emits.
 */
import { decodeBase64 } from "./base64.ts";
import type { BlockReader } from "./block-reader.ts";
import { BAD_VALUE, readLength, TOO_SHORT } from "./borsh.ts";
import type { EventDecoder } from "./event-decoder.ts";
import type { DatasetHealth, ProgramHealth } from "./health.ts";
import { MAX_STACK_HEIGHT } from "./instruction-list.ts";
import { instructionPath, unmatchedPath } from "./instruction-path.ts";
import type { CompiledLayout } from "./layout-choice.ts";
import { DATA_OFFSET, InvocationMatcher, LINE, LogStack } from "./log-stack.ts";
import { DISCRIMINATOR_BYTES, type ProgramDecoder } from "./program-decoder.ts";
import type { ProgramSet } from "./program-set.ts";
import type { Place, RowWriter } from "./row-writer.ts";
import type { Surroundings } from "./surroundings.ts";

/** sha256("anchor:event")[0..8] as a little-endian u64, byte by byte: what an `emit_cpi!` call begins with. */
const EMIT_CPI = [0xe4, 0x45, 0xa5, 0x2e, 0x51, 0xcb, 0x9a, 0x1d] as const;
const SPACE = 0x20;
/**
 * Ordinals of lines that are not base64 start here: they need an identity, but must not move those of the events beside
 * them.
 */
export const GARBLED_ORDINAL = 0x8000_0000;
/** Between the ordinals of a list's elements: more than there are events of one instruction. */
const ELEMENT_ORDINAL = 0x1_0000;
/** Before each instruction of a batch: its number of accounts, the length of its data. */
const BATCH_HEADER_BYTES = 2;
/** Of the count before a list. */
const LENGTH_BYTES = 4;

export class TransactionDecoder {
  /** `Program data:` lines met while no program was running. */
  unattributedData = 0;
  private readonly reader: BlockReader;
  private readonly programs: readonly ProgramDecoder[];
  private readonly health: readonly ProgramHealth[];
  private readonly writer: RowWriter;
  private readonly around: Surroundings;
  private readonly keepLonger: boolean;
  private readonly stack: LogStack;
  private readonly matcher: InvocationMatcher;
  private nextInstruction = 0;
  private scratch = new Uint8Array(4096);
  // One entry per stack height: the frame's instruction and path, the ordinals of its next event and of its next garbled line.
  private readonly frameInstruction = new Int32Array(MAX_STACK_HEIGHT + 1);
  private readonly framePath: Uint8Array[] = [];
  private readonly frameOrdinal = new Int32Array(MAX_STACK_HEIGHT + 1);
  private readonly frameGarbled = new Int32Array(MAX_STACK_HEIGHT + 1);

  /** `programs` and `health` are in the order of `set`. `keepLonger`: events longer than their layout are quarantined, too. */
  constructor(
    reader: BlockReader,
    set: ProgramSet,
    programs: readonly ProgramDecoder[],
    health: readonly ProgramHealth[],
    writer: RowWriter,
    around: Surroundings,
    keepLonger: boolean,
  ) {
    this.reader = reader;
    this.programs = programs;
    this.health = health;
    this.writer = writer;
    this.around = around;
    this.keepLonger = keepLonger;
    this.stack = new LogStack(set);
    this.matcher = new InvocationMatcher(reader.instructions, set.size);
  }

  /** Writes the events of the reader's transaction `t`. `place` holds block and transaction; the rest is filled in here. */
  decode(t: number, place: Place): void {
    const from = this.reader.instructionFrom.at(t);
    const end = this.reader.instructionFrom.at(t + 1);
    this.stack.startTransaction();
    this.matcher.startTransaction(from, end);
    this.around.startTransaction(t);
    this.nextInstruction = from;
    place.eventIndex = 0;
    this.readLog(t, place);
    this.readInstructions(end, place);
    this.writer.endTransaction();
  }

  /**
   * Gives the payload `bytes[start, end)` of a program (its number in the set, from 1) its one fate, apart from any
   * transaction: nothing is known of accounts, signer and balances.
   */
  decodePayload(program: number, bytes: Uint8Array, start: number, end: number, place: Place): void {
    this.around.enter(-1);
    this.readPayload(program, bytes, start, end, place);
    this.writer.endTransaction();
  }

  private readLog(t: number, place: Place): void {
    const { bytes, logStart, logEnd, logFrom } = this.reader;
    const end = logFrom.at(t + 1);
    for (let line = logFrom.at(t); line < end; line++) {
      const start = logStart.at(line);
      switch (this.stack.feed(bytes, start, logEnd.at(line))) {
        case LINE.invoke:
          if (this.stack.top !== 0) this.enterFrame(place);
          break;
        case LINE.data:
          if (this.stack.top !== 0) this.readDataLine(start + DATA_OFFSET, logEnd.at(line), place);
          else if (this.stack.depth === 0) this.unattributedData++;
          break;
        case LINE.truncated:
          this.countTruncated(t);
          return;
        default:
      }
    }
  }

  private enterFrame(place: Place): void {
    const { depth, top: program } = this.stack;
    const { instructions } = this.reader;
    const instruction = this.matcher.match(program, depth);
    this.frameGarbled[depth] = 0;
    this.frameOrdinal[depth] = 0;
    this.frameInstruction[depth] = instruction;
    if (instruction < 0) {
      this.health[program - 1]!.unmatchedInvocations++;
      this.framePath[depth] = unmatchedPath(this.stack.invocations - 1);
      return;
    }
    this.framePath[depth] = instructionPath(instructions.top.at(instruction), instructions.inner.at(instruction));
    // The event that a self-call carries is its number 0, should it ever log others.
    if (this.isCpiEvent(instruction)) this.frameOrdinal[depth] = 1;
    this.readInstructions(instruction + 1, place);
  }

  private readDataLine(start: number, end: number, place: Place): void {
    const { depth, top: program } = this.stack;
    const { bytes } = this.reader;
    place.path = this.framePath[depth]!;
    place.program = this.programs[program - 1]!.id;
    const length = this.decodeChunks(bytes, start, end);
    if (length >= 0) {
      place.ordinal = this.frameOrdinal[depth]!++;
      this.around.enter(this.frameInstruction[depth]!);
      this.readPayload(program, this.scratch, 0, length, place);
      return;
    }
    place.ordinal = GARBLED_ORDINAL + this.frameGarbled[depth]!++;
    const health = this.health[program - 1]!;
    health.seen++;
    health.truncatedPayload++;
    this.writer.quarantine(place, "truncated_payload", "not base64: the text is kept", bytes, start, end, false);
    place.eventIndex++;
  }

  /** Decodes base64 chunks, which `sol_log_data` separates by spaces, to one payload in `scratch`; -1 when one is garbled. */
  private decodeChunks(bytes: Uint8Array, start: number, end: number): number {
    if (this.scratch.length < end - start) this.scratch = new Uint8Array(2 * (end - start));
    let length = 0;
    for (let from = start; from <= end; ) {
      let to = from;
      while (to < end && bytes[to] !== SPACE) to++;
      length = decodeBase64(bytes, from, to, this.scratch, length);
      if (length < 0) return -1;
      from = to + 1;
    }
    return length;
  }

  /** Writes the instructions before `end`, and the events that self-calls among them carry, that were not written yet. */
  private readInstructions(end: number, place: Place): void {
    const { bytes, instructions } = this.reader;
    for (; this.nextInstruction < end; this.nextInstruction++) {
      const i = this.nextInstruction;
      const program = instructions.program.at(i);
      if (program === 0) continue;
      const isEvent = this.isCpiEvent(i);
      if (!isEvent && !this.programs[program - 1]!.decodesInstructions) continue;
      place.path = instructionPath(instructions.top.at(i), instructions.inner.at(i));
      place.ordinal = 0;
      place.program = this.programs[program - 1]!.id;
      if (isEvent) {
        this.around.enter(instructions.callerAt.at(i));
        const start = instructions.dataStart.at(i) + EMIT_CPI.length;
        this.readPayload(program, bytes, start, instructions.dataEnd.at(i), place);
      } else {
        const start = instructions.dataStart.at(i);
        const end = instructions.dataEnd.at(i);
        this.around.enter(i);
        if (this.programs[program - 1]!.isBatch(bytes, start, end)) this.readBatch(program, i, start + 1, end, place);
        else this.readInstruction(program, start, end, place);
      }
    }
  }

  /**
   * The instructions in `bytes[start, end)`, each as its number of accounts (u8), the length of its data (u8), and the data;
   * the accounts are the batch's, in order. All have the batch's path, and ordinals of their own.
   */
  private readBatch(program: number, i: number, start: number, end: number, place: Place): void {
    const { bytes } = this.reader;
    if (!isWholeBatch(bytes, start, end)) {
      const health = this.health[program - 1]!;
      health.instructionsSeen++;
      health.instructionsBad++;
      const detail = `a batch of ${end - start} bytes is not a list of instructions`;
      this.writer.quarantine(place, "unknown_length", detail, bytes, start - 1, end, false);
      place.eventIndex++;
      return;
    }
    let account = 0;
    for (let at = start; at < end; at += BATCH_HEADER_BYTES + bytes[at + 1]!) {
      this.around.enter(i, account, bytes[at]!);
      const data = at + BATCH_HEADER_BYTES;
      this.readInstruction(program, data, data + bytes[at + 1]!, place);
      account += bytes[at]!;
      place.ordinal += ELEMENT_ORDINAL;
    }
  }

  /** Gives the instruction data `bytes[start, end)` its one fate; see `ProgramHealth`. */
  private readInstruction(program: number, start: number, end: number, place: Place): void {
    const { bytes } = this.reader;
    const health = this.health[program - 1]!;
    const form = this.programs[program - 1]!.instructionAt(bytes, start, end);
    health.instructionsSeen++;
    const own = form?.instruction.health;
    if (own !== undefined) own.seen++;
    if (form === undefined) {
      health.instructionsUnknown++;
      return;
    }
    if (form.instruction.dataset === null) {
      health.instructionsUnwanted++;
      return;
    }
    const chosen = form.choose(bytes, start + form.discriminator.length, end);
    if (chosen === TOO_SHORT || chosen === BAD_VALUE) {
      health.instructionsBad++;
      if (chosen === TOO_SHORT) form.instruction.health.unknownLength++;
      else form.instruction.health.badValue++;
      const reason = chosen === TOO_SHORT ? "unknown_length" : "bad_value";
      const detail = `${form.instruction.name}: the arguments of ${end - start} bytes fit no known layout`;
      this.writer.quarantine(place, reason, detail, bytes, start, end, false);
    } else {
      health.instructionsDecoded++;
      countRow(health, form.instruction.health, place);
      if (form.leftOver > 0) {
        form.instruction.health.eventsWithBytesLeftOver++;
        form.instruction.health.bytesLeftOver += form.leftOver;
      }
      this.writer.instruction(place, form, chosen, bytes);
    }
    place.eventIndex++;
  }

  private isCpiEvent(i: number): boolean {
    const { bytes, instructions } = this.reader;
    const program = instructions.program.at(i);
    if (program === 0 || instructions.caller.at(i) !== program) return false;
    const start = instructions.dataStart.at(i);
    if (instructions.dataEnd.at(i) - start < EMIT_CPI.length) return false;
    for (let b = 0; b < EMIT_CPI.length; b++) if (bytes[start + b] !== EMIT_CPI[b]) return false;
    return true;
  }

  /** Gives the payload `bytes[start, end)` (discriminator, then fields) its one fate; see `ProgramHealth`. */
  private readPayload(program: number, bytes: Uint8Array, start: number, end: number, place: Place): void {
    const health = this.health[program - 1]!;
    health.seen++;
    const body = start + DISCRIMINATOR_BYTES;
    const decoder = end < body ? undefined : this.programs[program - 1]!.find(bytes, start);
    if (decoder === undefined) health.unknownDiscriminator++;
    else if (decoder === null) health.unwanted++;
    else if (decoder.isList) this.readList(decoder, health, bytes, start, end, place);
    else {
      decoder.health.seen++;
      const chosen = decoder.choose(bytes, body, end);
      if (chosen === TOO_SHORT || chosen === BAD_VALUE)
        this.setAside(chosen, decoder, health, bytes, start, end, place);
      else {
        health.decoded++;
        countRow(health, decoder.health, place);
        const { leftOver } = decoder;
        this.write(decoder, chosen, health, bytes, place);
        if (leftOver > 0) this.countLonger(leftOver, decoder, health, bytes, start, end, place);
      }
    }
    place.eventIndex++;
  }

  /** A payload that is a list: each element is a row, or none is. */
  private readList(
    decoder: EventDecoder,
    health: ProgramHealth,
    bytes: Uint8Array,
    start: number,
    end: number,
    place: Place,
  ): void {
    decoder.health.seen++;
    const first = start + DISCRIMINATOR_BYTES + LENGTH_BYTES;
    const count = first <= end ? readLength(bytes, first - LENGTH_BYTES) : -1;
    const size = count < 0 ? null : decoder.elementSize(end - first, count);
    let failure: typeof TOO_SHORT | typeof BAD_VALUE | null = size === null ? TOO_SHORT : null;
    for (let i = 0; failure === null && i < count; i++) {
      const chosen = decoder.choose(bytes, first + i * size!, first + (i + 1) * size!);
      if (chosen === TOO_SHORT || chosen === BAD_VALUE) failure = chosen;
    }
    if (failure !== null) {
      this.setAside(failure, decoder, health, bytes, start, end, place);
      return;
    }
    health.decoded++;
    countRow(health, decoder.health, place);
    const { ordinal } = place;
    let leftOver = 0;
    for (let i = 0; i < count; i++) {
      if (i > 0) place.eventIndex++;
      place.ordinal = ordinal + i * ELEMENT_ORDINAL;
      const chosen = decoder.choose(bytes, first + i * size!, first + (i + 1) * size!);
      leftOver += decoder.leftOver;
      this.write(decoder, chosen as CompiledLayout, health, bytes, place);
    }
    place.ordinal = ordinal;
    if (leftOver > 0) this.countLonger(leftOver, decoder, health, bytes, start, end, place);
  }

  private write(
    decoder: EventDecoder,
    chosen: CompiledLayout,
    health: ProgramHealth,
    bytes: Uint8Array,
    place: Place,
  ): void {
    this.writer.event(place, decoder, chosen, bytes);
    if (!this.writer.trade(place, chosen, bytes)) health.tradesWithoutPrice++;
  }

  private setAside(
    failure: typeof TOO_SHORT | typeof BAD_VALUE,
    decoder: EventDecoder,
    health: ProgramHealth,
    bytes: Uint8Array,
    start: number,
    end: number,
    place: Place,
  ): void {
    const tooShort = failure === TOO_SHORT;
    for (const counts of [health, decoder.health]) {
      if (tooShort) counts.unknownLength++;
      else counts.badValue++;
    }
    const size = `${decoder.name}: ${end - start - DISCRIMINATOR_BYTES} bytes`;
    const why = decoder.isList ? "are no list of elements of a known layout" : "are too short for every known layout";
    const detail = tooShort ? `${size} ${why}` : `${size} hold a value that its type does not have`;
    this.writer.quarantine(place, tooShort ? "unknown_length" : "bad_value", detail, bytes, start, end, true);
  }

  /** The program has grown fields: the row has those that are known, the payload is kept for the rest. */
  private countLonger(
    leftOver: number,
    { name, health: own }: EventDecoder,
    health: ProgramHealth,
    bytes: Uint8Array,
    start: number,
    end: number,
    place: Place,
  ): void {
    for (const counts of [health, own]) {
      counts.eventsWithBytesLeftOver++;
      counts.bytesLeftOver += leftOver;
    }
    if (!this.keepLonger) return;
    const detail = `${name}: ${leftOver} of ${end - start} bytes are left over by every known layout; its row has the rest`;
    this.writer.quarantine(place, "bytes_left_over", detail, bytes, start, end, true);
  }

  private countTruncated(t: number): void {
    const { instructions, instructionFrom } = this.reader;
    const counted = new Set<number>();
    for (let i = instructionFrom.at(t); i < instructionFrom.at(t + 1); i++) counted.add(instructions.program.at(i));
    for (const program of counted) if (program !== 0) this.health[program - 1]!.truncatedLogs++;
  }
}

function countRow(program: ProgramHealth, dataset: DatasetHealth, { slot }: Place): void {
  dataset.decoded++;
  dataset.lastDecodedSlot = slot;
  program.lastDecodedSlot = slot;
}

function isWholeBatch(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at + BATCH_HEADER_BYTES <= end) at += BATCH_HEADER_BYTES + bytes[at + 1]!;
  return at === end && end > start;
}
