/** Standard base64 (RFC 4648, padded) from bytes to bytes, strict: what the runtime writes and nothing else. */

const INVALID = 64;
const PADDING = 0x3d;
const SEXTET = new Uint8Array(256).fill(INVALID);
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
for (let i = 0; i < ALPHABET.length; i++) SEXTET[ALPHABET.charCodeAt(i)] = i;

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
    const a = SEXTET[source[i]!]!;
    const b = SEXTET[source[i + 1]!]!;
    const c = SEXTET[source[i + 2]!]!;
    const d = SEXTET[source[i + 3]!]!;
    seen |= a | b | c | d;
    target[to] = (a << 2) | (b >> 4);
    target[to + 1] = (b << 4) | (c >> 2);
    target[to + 2] = (c << 6) | d;
    to += 3;
  }
  if (padding > 0) {
    const a = SEXTET[source[whole]!]!;
    const b = SEXTET[source[whole + 1]!]!;
    const c = padding === 2 ? 0 : SEXTET[source[whole + 2]!]!;
    seen |= a | b | c;
    const spare = padding === 2 ? b & 15 : c & 3;
    if (spare !== 0) return -1; // bits that belong to no byte: an encoder never sets them
    target[to++] = (a << 2) | (b >> 4);
    if (padding === 1) target[to++] = (b << 4) | (c >> 2);
  }
  return (seen & INVALID) === 0 ? to : -1;
}
