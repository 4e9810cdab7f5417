/**
 * The simulated runtime: runs a tree of calls and writes what a validator would have recorded of it, the log and the
 * inner instructions, in one walk, so that the two always agree. It also knows where each payload of the target program
 * ended up (instruction path and ordinal), which is what the truth is made of.
 */
import type { Account, Program } from "./accounts.ts";
import type { MarketEvent } from "./events.ts";
import { ProtoWriter } from "./protobuf.ts";

/** One invocation of a program. */
export interface Call {
  readonly program: Program;
  readonly accounts: readonly Account[];
  readonly data: Uint8Array;
  /** Compute units of its own, without what it calls. */
  readonly units: number;
  readonly steps: readonly Step[];
  /** Ends with this custom error, which fails the whole transaction: no program can catch a failed CPI. */
  readonly error?: number;
}

export type Step =
  /** A line as it stands in the log, as text or as UTF-8 bytes. */
  | { readonly kind: "line"; readonly line: Uint8Array | string }
  /** `sol_log_data`: "Program data: <base64>". */
  | { readonly kind: "data"; readonly bytes: Uint8Array; readonly payload?: Payload }
  /** A CPI. With a payload, its data carries one of the target program's. */
  | { readonly kind: "call"; readonly call: Call; readonly payload?: Payload };

/** A payload that the target program emits, as the simulator knows it. */
export type Payload =
  | { readonly kind: "event"; readonly event: MarketEvent }
  /** A known discriminator with a body no layout fits: belongs in quarantine. */
  | { readonly kind: "undecodable"; readonly bytes: Uint8Array }
  /** A discriminator that no IDL knows: not an event, yet it counts in the numbering. */
  | { readonly kind: "unknown" };

/** Where a payload of the target program ended up. */
export interface Placement {
  readonly payload: Payload;
  /** "2" is the third top-level instruction, "2.0" the first entry of its flattened list of inner ones. */
  readonly path: string;
  /** Number among the logged payloads of that call; 0 for a payload carried by a CPI. */
  readonly ordinal: number;
  /** Carried by a self-CPI instead of a log line. */
  readonly byCpi: boolean;
  /** False where the log was full: the payload is not in the data. */
  readonly carried: boolean;
}

export interface Outcome {
  readonly placements: readonly Placement[];
  readonly truncated: boolean;
  readonly unitsConsumed: number;
  /** Index of the failing top-level instruction and its code; null on success. */
  readonly failure: { readonly index: number; readonly code: number } | null;
}

/** Bytes of log text a validator keeps for a transaction. */
const LOG_BYTES_MAX = 10_000;
const TRUNCATED = new TextEncoder().encode("Log truncated");
const DATA_PREFIX = new TextEncoder().encode("Program data: ");

// Field numbers of sf.solana.type.v1.TransactionStatusMeta and InnerInstructions.
const META_INNER_INSTRUCTIONS = 5;
const META_LOG_MESSAGES = 6;

export class Execution {
  /** Encoded `inner_instructions` and `log_messages` of the last run, fields included. */
  readonly inner = new ProtoWriter();
  readonly logs = new ProtoWriter();
  #index: ReadonlyMap<Account, number> = new Map();
  #logBytes = 0;
  #truncated = false;
  #budget = 0;
  #top = 0;
  #innerCount = 0;
  #innerMark = 0;
  #code = 0;
  #placements: Placement[] = [];

  /** Runs top-level calls until one fails. `index` gives every account its place in the transaction. */
  run(calls: readonly Call[], index: ReadonlyMap<Account, number>, unitLimit: number): Outcome {
    this.inner.reset();
    this.logs.reset();
    this.#index = index;
    this.#logBytes = 0;
    this.#truncated = false;
    this.#budget = unitLimit;
    this.#placements = [];
    let failure: Outcome["failure"] = null;
    for (this.#top = 0; this.#top < calls.length && failure === null; this.#top++) {
      this.#innerCount = 0;
      const ok = this.#call(calls[this.#top]!, 1, `${this.#top}`);
      if (this.#innerCount > 0) this.inner.end(this.#innerMark);
      if (!ok) failure = { index: this.#top, code: this.#code };
    }
    const unitsConsumed = unitLimit - this.#budget;
    return { placements: this.#placements, truncated: this.#truncated, unitsConsumed, failure };
  }

  #call(call: Call, depth: number, path: string): boolean {
    const { program } = call;
    if (program.runtime !== "precompile") this.#line(program.invoke[depth - 1]!);
    const start = this.#budget;
    this.#budget -= call.units;
    let ordinal = 0;
    let ok = true;
    for (const step of call.steps) {
      if (step.kind === "line") this.#line(step.line);
      else if (step.kind === "data") {
        const carried = this.#data(step.bytes);
        if (step.payload !== undefined) {
          this.#placements.push({ payload: step.payload, path, ordinal: ordinal++, byCpi: false, carried });
        }
      } else if (!(ok = this.#innerCall(step.call, depth + 1, step.payload))) break;
    }
    if (ok && call.error !== undefined) {
      this.#code = call.error;
      ok = false;
    }
    if (program.runtime === "precompile") return ok;
    if (program.runtime === "bpf") this.#consumed(program, start - this.#budget, start);
    if (ok) this.#line(program.success);
    else this.#line(`Program ${program.text} failed: custom program error: 0x${this.#code.toString(16)}`);
    return ok;
  }

  #innerCall(call: Call, depth: number, payload: Payload | undefined): boolean {
    if (this.#innerCount === 0) {
      this.#innerMark = this.inner.begin(META_INNER_INSTRUCTIONS);
      this.inner.uint(1, this.#top);
    }
    const path = `${this.#top}.${this.#innerCount++}`;
    const mark = this.inner.begin(2);
    this.inner.uint(1, this.#index.get(call.program)!);
    writeIndexes(this.inner, 2, call.accounts, this.#index);
    if (call.data.length > 0) this.inner.bytes(3, call.data);
    this.inner.presentUint(4, depth);
    this.inner.end(mark);
    if (payload !== undefined) this.#placements.push({ payload, path, ordinal: 0, byCpi: true, carried: true });
    return this.#call(call, depth, path);
  }

  /**
   * The validator's rule: a line that does not fit is replaced by one "Log truncated"; shorter ones after it may still
   * find room.
   */
  #fits(length: number): boolean {
    if (this.#logBytes + length < LOG_BYTES_MAX) {
      this.#logBytes += length;
      return true;
    }
    if (!this.#truncated) this.logs.bytes(META_LOG_MESSAGES, TRUNCATED);
    this.#truncated = true;
    return false;
  }

  #line(line: Uint8Array | string): void {
    if (typeof line === "string") {
      if (this.#fits(Buffer.byteLength(line))) this.logs.text(META_LOG_MESSAGES, line);
    } else if (this.#fits(line.length)) this.logs.bytes(META_LOG_MESSAGES, line);
  }

  /** Unlike other lines, payloads never appear behind "Log truncated": nothing could tell whose they are. */
  #data(bytes: Uint8Array): boolean {
    const length = DATA_PREFIX.length + Math.ceil(bytes.length / 3) * 4;
    if (this.#truncated || !this.#fits(length)) return false;
    const mark = this.logs.begin(META_LOG_MESSAGES);
    this.logs.raw(DATA_PREFIX);
    this.logs.base64(bytes);
    this.logs.end(mark);
    return true;
  }

  #consumed(program: Program, used: number, budget: number): void {
    const tail = `${used} of ${budget} compute units`;
    if (!this.#fits(program.consumed.length + tail.length)) return;
    const mark = this.logs.begin(META_LOG_MESSAGES);
    this.logs.raw(program.consumed);
    this.logs.ascii(tail);
    this.logs.end(mark);
  }
}

/** A `bytes` field of account indexes. */
export function writeIndexes(
  out: ProtoWriter,
  field: number,
  accounts: readonly Account[],
  index: ReadonlyMap<Account, number>,
): void {
  if (accounts.length === 0) return;
  const mark = out.begin(field);
  for (const account of accounts) out.byte(index.get(account)!);
  out.end(mark);
}
