/**
 * Who is speaking in a transaction's log. The runtime writes `Program <id> invoke [n]` when a program starts and
 * `Program <id> success` or `Program <id> failed: ...` when it ends; what stands between belongs to the program on top.
 * Everything a program writes itself is prefixed by `Program log: `, `Program data: ` or `Program return: `, so the shape
 * of a whole line decides, never a word in it: "Program log: updated successfully!" ends nothing.
 */
import { type InstructionList, MAX_STACK_HEIGHT } from "./instruction-list.ts";
import type { ProgramSet } from "./program-set.ts";

export const LINE = { other: 0, invoke: 1, exit: 2, data: 3, truncated: 4 } as const;
export type Line = (typeof LINE)[keyof typeof LINE];

const PROGRAM = ascii("Program ");
const DATA = ascii("data: ");
const SUCCESS = ascii(" success");
const FAILED = ascii(" failed: ");
const INVOKE = ascii(" invoke [");
const TRUNCATED = ascii("Log truncated");
const CLOSING_BRACKET = 0x5d;
/** A base58 address has 32 to 44 characters. */
const ID_MIN = 32;
const ID_MAX = 44;
/** 1 for the characters of base58. */
const BASE58 = new Uint8Array(256);
for (const code of ascii("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")) BASE58[code] = 1;

/** Where the payload of a `Program data: ` line begins, counted from the start of the line. */
export const DATA_OFFSET = PROGRAM.length + DATA.length;

export class LogStack {
  /** Frames on the stack; frame `depth - 1` is on top. */
  depth = 0;
  /** Invocations seen in this transaction, for naming those that match no instruction. */
  invocations = 0;
  private readonly programs: ProgramSet;
  private readonly program = new Int32Array(MAX_STACK_HEIGHT + 1);
  private readonly idStart = new Int32Array(MAX_STACK_HEIGHT + 1);
  private readonly idEnd = new Int32Array(MAX_STACK_HEIGHT + 1);

  constructor(programs: ProgramSet) {
    this.programs = programs;
  }

  startTransaction(): void {
    this.depth = 0;
    this.invocations = 0;
  }

  /** Program number of the frame on top; 0 when it is not ours or the stack is empty. */
  get top(): number {
    return this.depth === 0 ? 0 : this.program[this.depth - 1]!;
  }

  /** Takes one line, `bytes[start, end)`, and says what it was. */
  feed(bytes: Uint8Array, start: number, end: number): Line {
    if (!startsWith(bytes, start, end, PROGRAM)) {
      return end - start === TRUNCATED.length && startsWith(bytes, start, end, TRUNCATED) ? LINE.truncated : LINE.other;
    }
    const from = start + PROGRAM.length;
    if (startsWith(bytes, from, end, DATA)) return LINE.data;
    let to = from;
    while (to < end && BASE58[bytes[to]!] === 1) to++;
    if (to - from < ID_MIN || to - from > ID_MAX) return LINE.other;
    if (startsWith(bytes, to, end, INVOKE)) return this.enter(bytes, from, to, end);
    const succeeded = end - to === SUCCESS.length && startsWith(bytes, to, end, SUCCESS);
    if (succeeded || startsWith(bytes, to, end, FAILED)) return this.leave(bytes, from, to);
    return LINE.other;
  }

  private enter(bytes: Uint8Array, from: number, to: number, end: number): Line {
    const height = parseHeight(bytes, to + INVOKE.length, end);
    if (height === 0) return LINE.other;
    // The runtime's number is the authority: where lines are missing, frames below are gone or unknown.
    for (let frame = this.depth; frame < height - 1; frame++) this.setFrame(frame, 0, 0, 0);
    this.setFrame(height - 1, this.programs.findText(bytes, from, to), from, to);
    this.depth = height;
    this.invocations++;
    return LINE.invoke;
  }

  /** Ends the topmost frame of that program and all above it; a program that is not running ends nothing. */
  private leave(bytes: Uint8Array, from: number, to: number): Line {
    for (let frame = this.depth - 1; frame >= 0; frame--) {
      if (!sameText(bytes, from, to, this.idStart[frame]!, this.idEnd[frame]!)) continue;
      this.depth = frame;
      return LINE.exit;
    }
    return LINE.other;
  }

  private setFrame(frame: number, program: number, from: number, to: number): void {
    this.program[frame] = program;
    this.idStart[frame] = from;
    this.idEnd[frame] = to;
  }
}

/**
 * Finds the instruction of each invocation. Both the log and the instructions are in execution order, and every invocation
 * of a program we decode leaves a line, so the next line of a program is its next instruction at that height. Lines are
 * never counted against all instructions: precompiles run without leaving one.
 */
export class InvocationMatcher {
  private readonly instructions: InstructionList;
  /** By program number: where to look on, for top-level and for inner instructions. */
  private readonly nextTop: Int32Array;
  private readonly nextInner: Int32Array;
  private end = 0;

  constructor(instructions: InstructionList, programs: number) {
    this.instructions = instructions;
    this.nextTop = new Int32Array(programs + 1);
    this.nextInner = new Int32Array(programs + 1);
  }

  startTransaction(from: number, end: number): void {
    this.nextTop.fill(from);
    this.nextInner.fill(from);
    this.end = end;
  }

  /** Index of the instruction, or -1. A miss ends the search for good, so a hostile log costs no more than an honest one. */
  match(program: number, height: number): number {
    const list = this.instructions;
    const isTop = height === 1;
    const next = isTop ? this.nextTop : this.nextInner;
    for (let i = next[program]!; i < this.end; i++) {
      if (list.program.at(i) !== program || list.inner.at(i) < 0 !== isTop) continue;
      if (!isTop && list.height.at(i) !== 0 && list.height.at(i) !== height) continue;
      next[program] = i + 1;
      return i;
    }
    next[program] = this.end;
    return -1;
  }
}

function parseHeight(bytes: Uint8Array, from: number, end: number): number {
  if (end - from < 2 || end - from > 3 || bytes[end - 1] !== CLOSING_BRACKET) return 0;
  let height = 0;
  for (let i = from; i < end - 1; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return 0;
    height = height * 10 + digit;
  }
  return height <= MAX_STACK_HEIGHT ? height : 0;
}

function startsWith(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  if (end - at < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

function sameText(bytes: Uint8Array, from: number, to: number, otherFrom: number, otherTo: number): boolean {
  if (to - from !== otherTo - otherFrom) return false;
  for (let i = 0; i < to - from; i++) if (bytes[from + i] !== bytes[otherFrom + i]) return false;
  return true;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
