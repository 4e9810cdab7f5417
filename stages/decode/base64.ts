/** Standard base64 (RFC 4648, padded) from bytes to bytes, strict: what the runtime writes and nothing else. */

/** A bit that no twelve bits have. */
const INVALID = 4096;
const PADDING = 0x3d;
const ALPHABET = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
/** Twelve bits of two characters, by the first and 256 times the second: half the look-ups of one character at a time. */
const PAIR = new Uint16Array(65_536).fill(INVALID);
for (const [high, first] of ALPHABET.entries()) {
  for (const [low, second] of ALPHABET.entries()) PAIR[first | (second << 8)] = (high << 6) | low;
}

/**
 * Decodes `source[start, end)` into `target` at `at` and returns where it ended, or -1 when the text is not base64.
 * `target` must have room for three bytes per four characters.
 */
export function decodeBase64(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  if (((end - start) & 3) !== 0) return -1;
  let padding = 0;
  if (end > start && source[end - 1] === PADDING) padding = source[end - 2] === PADDING ? 2 : 1;
  const whole = padding === 0 ? end : end - 4;
  let to = at;
  let seen = 0;
  for (let i = start; i < whole; i += 4) {
    const a = PAIR[source[i]! | (source[i + 1]! << 8)]!;
    const b = PAIR[source[i + 2]! | (source[i + 3]! << 8)]!;
    seen |= a | b;
    target[to] = a >> 4;
    target[to + 1] = (a << 4) | (b >> 8);
    target[to + 2] = b;
    to += 3;
  }
  if (padding > 0) {
    const third = padding === 2 ? ALPHABET[0]! : source[whole + 2]!;
    const a = PAIR[source[whole]! | (source[whole + 1]! << 8)]!;
    const b = PAIR[third | (ALPHABET[0]! << 8)]!;
    seen |= a | b;
    const spare = padding === 2 ? a & 15 : (b >> 6) & 3;
    if (spare !== 0) return -1; // bits that belong to no byte: an encoder never sets them
    target[to++] = a >> 4;
    if (padding === 1) target[to++] = (a << 4) | (b >> 8);
  }
  return (seen & INVALID) === 0 ? to : -1;
}
