/**
 * Base58 text of addresses and signatures, several times faster than the general codec: the truth writes a signature for
 * every event of recordings with millions of them. Same text as `bs58` (tested against it).
 */

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const LIMB = 58 ** 4;
/** Every text of two digits. */
const PAIRS = Array.from({ length: 58 ** 2 }, (_, i) => ALPHABET[Math.floor(i / 58)]! + ALPHABET[i % 58]!);
/** Little-endian limbs of four base58 digits; 64 bytes need 22 of them. */
const limbs = new Float64Array(24);

/** Text of at most 64 bytes. */
export function base58(bytes: Uint8Array): string {
  let zeros = 0;
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++;
  let used = 0;
  for (let at = zeros; at < bytes.length; ) {
    // Three bytes at a time: limb * 2^24 stays far below 2^53, so every step is exact.
    const take = Math.min(3, bytes.length - at);
    let carry = 0;
    for (let i = 0; i < take; i++) carry = carry * 256 + bytes[at + i]!;
    const factor = 256 ** take;
    at += take;
    for (let i = 0; i < used; i++) {
      const value = limbs[i]! * factor + carry;
      carry = Math.floor(value / LIMB);
      limbs[i] = value - carry * LIMB;
    }
    while (carry > 0) {
      limbs[used++] = carry % LIMB;
      carry = Math.floor(carry / LIMB);
    }
  }
  let digits = "";
  for (let i = used - 1; i >= 0; i--) digits += PAIRS[Math.floor(limbs[i]! / 3364)]! + PAIRS[limbs[i]! % 3364]!;
  let start = 0;
  while (digits.charCodeAt(start) === 49) start++;
  return "1".repeat(zeros) + digits.slice(start);
}
