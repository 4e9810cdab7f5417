/**
 * A place in the live feed: (slot, hash, ordinal). `ordinal` counts what the feed tells of a block, from 1; null is behind
 * all of it. As text, for Server-Sent Events and URLs: "slot:hash:ordinal", or "slot:hash". Before the first block is a
 * place too: whoever was told nothing yet goes on from there like from any other.
 */
import type { BlockRef } from "../../pipeline/position.ts";
import { refused } from "../errors.ts";

export interface Place extends BlockRef {
  readonly ordinal: number | null;
}

/** Before the first block. No block has this hash: it is no base58. */
export const BEGINNING: Place = { slot: 0, hash: "beginning", ordinal: null };

const HASH = /^[A-Za-z0-9_-]{1,64}$/;
const WHOLE = /^\d{1,15}$/;
const RULE =
  'a position is {"slot": number, "hash": text, "ordinal": number or null}, or "slot:hash:ordinal" as text: as a message had it';

/** Throws `Poison` BAD_REQUEST for what is no place. */
export function readPlace(given: unknown): Place {
  const fields = typeof given === "string" ? fieldsOf(given) : given;
  if (typeof fields !== "object" || fields === null) throw refused("BAD_REQUEST", RULE);
  const { slot, hash, ordinal = null } = fields as Record<string, unknown>;
  const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!isWhole(slot) || typeof hash !== "string" || !HASH.test(hash)) throw refused("BAD_REQUEST", RULE);
  if (ordinal !== null && !isWhole(ordinal)) throw refused("BAD_REQUEST", RULE);
  return { slot, hash, ordinal };
}

function fieldsOf(text: string): unknown {
  const [slot = "", hash, ordinal, ...rest] = text.split(":", 4);
  if (rest.length > 0 || !WHOLE.test(slot) || (ordinal !== undefined && !WHOLE.test(ordinal))) return null;
  return { slot: Number(slot), hash, ordinal: ordinal === undefined ? null : Number(ordinal) };
}

export function placeText({ slot, hash, ordinal }: Place): string {
  return ordinal === null ? `${slot}:${hash}` : `${slot}:${hash}:${ordinal}`;
}

/** Behind all of a block; null: at the beginning. */
export function behind(block: BlockRef | null): Place {
  return block === null ? BEGINNING : { slot: block.slot, hash: block.hash, ordinal: null };
}

/** The block that a place is behind or inside of; null: it is at the beginning. */
export function blockOf({ slot, hash, ordinal }: Place): BlockRef | null {
  const isBeginning = slot === BEGINNING.slot && hash === BEGINNING.hash && ordinal === null;
  return isBeginning ? null : { slot, hash };
}
