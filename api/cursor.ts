/**
 * Cursors of listings: the place of the last entry that was given, as text that clients pass back. Nothing is trusted in
 * one that comes back: a forged cursor is another place in the same listing, or refused.
 */
import { Type as t } from "@sinclair/typebox";
import { base58 } from "../storage/lake/base58.ts";
import { addressBytes, bad, type Param } from "./params.ts";
import { type EventPoint, type MintPoint, pointOf, type Row } from "./reads/index.ts";

const LENGTH_MAX = 128;
const SLOT_MAX = Number.MAX_SAFE_INTEGER;
const INDEX_MAX = 0xffff_ffff;

/** After an event or trade: slot, transaction, event. */
export const eventCursor = cursor<EventPoint>((parts) => {
  const [slot, txIndex, eventIndex] = parts.map(Number);
  const isPlace =
    parts.length === 3 && whole(slot, SLOT_MAX) && whole(txIndex, INDEX_MAX) && whole(eventIndex, INDEX_MAX);
  return isPlace ? { slot: slot!, txIndex: txIndex!, eventIndex: eventIndex! } : null;
});

/** After a token: the slot in which it was first seen, and its address. */
export const mintCursor = cursor<MintPoint>(([slot, address, ...more]) => {
  const mint = addressBytes(address ?? "");
  const firstSlot = Number(slot);
  return more.length === 0 && mint !== null && whole(firstSlot, SLOT_MAX) ? { firstSlot, mint } : null;
});

/** After so many entries. */
export const offsetCursor = cursor<number>(([offset, ...more]) => {
  const value = Number(offset);
  return more.length === 0 && whole(value, 1_000_000) ? value : null;
});

export function afterEvent(row: Row): string {
  return afterPlace(pointOf(row));
}

export function afterPlace({ slot, txIndex, eventIndex }: EventPoint): string {
  return encode([slot, txIndex, eventIndex]);
}

export function afterMint(row: Row): string {
  return encode([Number(row["first_slot"]), base58(row["mint"] as Uint8Array, 0, 32)]);
}

export function afterOffset(offset: number): string {
  return encode([offset]);
}

function encode(parts: readonly (number | string)[]): string {
  return Buffer.from(parts.join(":")).toString("base64url");
}

function cursor<T>(decode: (parts: readonly string[]) => T | null): Param<T | null> {
  return {
    schema: t.String({ maxLength: LENGTH_MAX, pattern: "^[A-Za-z0-9_-]+$" }),
    required: false,
    doc: "next_cursor of the page before",
    read(text, name) {
      if (text === undefined) return null;
      const place =
        text.length <= LENGTH_MAX ? decode(Buffer.from(text, "base64url").toString("latin1").split(":")) : null;
      if (place === null) throw bad(`${name} must be the next_cursor of an earlier answer of this listing`);
      return place;
    },
  };
}

function whole(value: number | undefined, max: number): boolean {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0 && value <= max;
}
