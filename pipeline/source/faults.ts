/**
 * Faults that a replay shows on demand, so that a client can be seen to survive them.
 *
 *     fault := KIND "@" WHERE [ "x" TIMES ]
 *     WHERE := SLOT | "+" N             the first block at or after SLOT, or N slots after the recording's first
 *     TIMES := how often it strikes, each time that a call gets there; 1 when it is left out
 *
 * A fault strikes right before the block would be sent. Those marked "ends" end the call; the rest of the recording is
 * there for whoever comes again with a cursor.
 */
import { closest } from "../closest.ts";
import { Fatal } from "../errors.ts";

export const FAULTS = {
  disconnect: "ends: the connection breaks in the middle of a message",
  goaway: "ends: the server says that it goes away (HTTP/2 GOAWAY), and goes",
  stall: "nothing comes any more, not even progress, but the connection stays",
  unavailable: "ends: status UNAVAILABLE",
  exhausted: "ends: status RESOURCE_EXHAUSTED, no free stream just now",
  quota: 'ends: status RESOURCE_EXHAUSTED with "quota exceeded", which no patience helps against',
  expired: "ends: status UNAUTHENTICATED, the token has expired",
  fork: "two blocks come that are taken back by an undo signal, then the real ones",
  "undo-first": "ends: two blocks come, the connection breaks, and the next call begins with the undo signal",
  "undo-final": "an undo signal back to the final height, then the same blocks again",
  repeat: "ends: status UNAVAILABLE, and the next call begins with the block of its cursor once more",
  garbage: "ends: a message that is no protobuf",
  oversize: "ends: a message is announced as 2 GiB long",
} as const;

export type FaultKind = keyof typeof FAULTS;

export interface Fault {
  readonly kind: FaultKind;
  readonly at: number;
  /** `at` counts from the recording's first slot. */
  readonly relative: boolean;
  readonly times: number;
}

/** Throws `Fatal` FAULT_INVALID. */
export function parseFault(text: string): Fault {
  const match = /^([a-z-]+)@(\+?)(\d{1,15})(?:x(\d{1,6}))?$/.exec(text.trim());
  if (match === null)
    throw invalid(text, "Write KIND@SLOT or KIND@+N, and xTIMES behind it, for example stall@+100x2.");
  const kinds = Object.keys(FAULTS) as FaultKind[];
  const kind = kinds.find((known) => known === match[1]);
  if (kind === undefined) {
    const near = closest(match[1]!, kinds);
    throw invalid(text, `${near === null ? "" : `Did you mean "${near}"? `}Kinds: ${kinds.join(", ")}.`);
  }
  const times = match[4] === undefined ? 1 : Number(match[4]);
  return { kind, at: Number(match[3]), relative: match[2] === "+", times };
}

function invalid(text: string, hint: string): Fatal {
  return new Fatal("FAULT_INVALID", `${JSON.stringify(text.slice(0, 60))} is not a fault`, { hint });
}

/** The faults of a replay and how often each has yet to strike; shared by its calls. */
export class FaultPlan {
  private readonly pending: { readonly kind: FaultKind; readonly slot: number; left: number }[];
  private repeats = 0;

  constructor(faults: readonly Fault[], firstSlot: number) {
    this.pending = faults
      .map(({ kind, at, relative, times }) => ({ kind, slot: relative ? firstSlot + at : at, left: times }))
      .sort((a, b) => a.slot - b.slot);
  }

  /** The fault that strikes before a block of this slot, and is thereby used up once; null when none does. */
  take(slot: number): FaultKind | null {
    const fault = this.pending.find(({ left, slot: from }) => left > 0 && from <= slot);
    if (fault === undefined) return null;
    fault.left--;
    if (fault.kind === "repeat") this.repeats++;
    return fault.kind;
  }

  /** Whether the call that begins now is to send the block of its cursor once more. */
  takeRepeat(): boolean {
    if (this.repeats === 0) return false;
    this.repeats--;
    return true;
  }

  /** Slot from which on the next fault is due: blocks below can go out without asking again. */
  get quietBelow(): number {
    return this.pending.find(({ left }) => left > 0)?.slot ?? Number.POSITIVE_INFINITY;
  }
}
