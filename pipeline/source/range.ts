/** Which blocks to stream, from settings as people write them. */
import { Fatal } from "../errors.ts";

export interface Range {
  /** First slot; negative: so many before the chain's head, which the server resolves; 0: the first that it has. */
  readonly start: number;
  /** First slot that is not wanted; null: follow the head. */
  readonly stop: number | null;
}

/**
 * `start`: a slot; "-100": a hundred before the head; "+100": a hundred after the module's initial block; "": the initial
 * block. `stop`: a slot, exclusive; "+100": a hundred slots from the start; "" or "0": follow the head. Throws `Fatal`
 * RANGE_INVALID.
 */
export function parseRange(start: string, stop: string, initialBlock: number): Range {
  const first = parseStart(start.trim(), initialBlock);
  const last = parseStop(stop.trim(), first);
  if (last !== null && first >= 0 && last < first) {
    throw invalid("source.stopBlock", `the range ends at ${last}, before it begins at ${first}`);
  }
  return { start: first, stop: last };
}

function parseStart(text: string, initialBlock: number): number {
  if (text === "") return initialBlock;
  if (text.startsWith("+"))
    return safe(initialBlock + parseCount(text.slice(1), "source.startBlock"), "source.startBlock");
  if (text.startsWith("-")) return -parseCount(text.slice(1), "source.startBlock");
  return parseCount(text, "source.startBlock");
}

function parseStop(text: string, start: number): number | null {
  if (text === "" || text === "0") return null;
  if (!text.startsWith("+")) return parseCount(text, "source.stopBlock");
  if (start < 0) {
    throw invalid("source.stopBlock", "a stop counted from the start needs a start that is not counted from the head");
  }
  return safe(start + parseCount(text.slice(1), "source.stopBlock"), "source.stopBlock");
}

function parseCount(text: string, setting: string): number {
  if (!/^\d{1,16}$/.test(text)) throw invalid(setting, `"${text.slice(0, 40)}" is not a slot`);
  return safe(Number(text), setting);
}

function safe(slot: number, setting: string): number {
  if (!Number.isSafeInteger(slot)) throw invalid(setting, "the slot is beyond 2^53");
  return slot;
}

function invalid(where: string, message: string): Fatal {
  return new Fatal("RANGE_INVALID", message, {
    where,
    hint: 'startBlock: a slot, "-100" from the head, "+100" from the initial block. stopBlock: a slot, "+100" from the start.',
  });
}
