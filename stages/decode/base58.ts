/**
 * Base58 of values that others have made. Its cost grows with the square of the length: a text of some ten thousand
 * characters would hold decoding up for seconds, one of a million for an hour. So what is too long is not looked at.
 */
import bs58 from "bs58";

/** Characters that 32 and 64 bytes take at most. */
const CHARACTERS_MAX = { 32: 44, 64: 88 } as const;
/** Longer values are written as hex: nobody knows them by their base58. */
export const BASE58_BYTES_MAX = 256;

/** The bytes of an address (32) or a signature (64); null when the text is none. */
export function base58Bytes(text: string, size: 32 | 64): Uint8Array | null {
  if (text.length > CHARACTERS_MAX[size]) return null;
  const bytes = bs58.decodeUnsafe(text);
  return bytes?.length === size ? bytes : null;
}

/** Base58, or for long values "0x" and hex: base58 has no zero, so the two cannot be mistaken for each other. */
export function base58Text(bytes: Uint8Array): string {
  return bytes.length > BASE58_BYTES_MAX ? `0x${Buffer.from(bytes).toString("hex")}` : bs58.encode(bytes);
}
