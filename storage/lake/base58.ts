/**
 * Base58 (Bitcoin alphabet) of addresses and signatures, many at a time. A lake file holds a signature a row, and long
 * division digit by digit costs more than everything else on the way to Parquet; here a value is the sum of its 16-bit
 * words times precomputed powers in base 58^5, exact in doubles (32 words * 2^16 * 58^5 < 2^53), with one carry pass.
 */

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const LIMB = 58 ** 5;
const PAIR = 58 ** 2;
const DIGIT_ONE = 0x31;

const DIGITS = Uint8Array.from(ALPHABET, (c) => c.charCodeAt(0));

interface Powers {
  readonly words: number;
  readonly limbs: number;
  /** Limb j (lowest first) of 2^16 to the power of the place of word i, at `i * limbs + j`. */
  readonly table: Float64Array;
  /** Limbs of word i that are not zero. */
  readonly lengths: Uint8Array;
}

function powersOf(bytes: number): Powers {
  const words = bytes / 2;
  const limbs = Math.ceil((bytes * 8) / Math.log2(LIMB));
  const table = new Float64Array(words * limbs);
  const lengths = new Uint8Array(words);
  for (let i = 0; i < words; i++) {
    let value = 1n << BigInt(16 * (words - 1 - i));
    for (let j = 0; value > 0n; j++) {
      table[i * limbs + j] = Number(value % BigInt(LIMB));
      value /= BigInt(LIMB);
      lengths[i] = j + 1;
    }
  }
  return { words, limbs, table, lengths };
}

const POWERS = { 32: powersOf(32), 64: powersOf(64) } as const;
const sums = new Float64Array(POWERS[64].limbs);
const text = Buffer.alloc(64 + POWERS[64].limbs * 5);

/** The `size` bytes of `source` from `start`, in base58. Same text as any other base58 encoder gives. */
export function base58(source: Uint8Array, start: number, size: 32 | 64): string {
  const { words, limbs, table, lengths } = POWERS[size];
  for (let j = 0; j < limbs; j++) sums[j] = 0;
  for (let i = 0; i < words; i++) {
    const word = (source[start + 2 * i]! << 8) | source[start + 2 * i + 1]!;
    const at = i * limbs;
    for (let j = 0, length = lengths[i]!; j < length; j++) sums[j]! += word * table[at + j]!;
  }
  let zeros = 0;
  while (zeros < size && source[start + zeros] === 0) zeros++;

  // Digits are written from the right; room is left before them for one "1" per leading zero byte.
  let end = size + limbs * 5;
  let carry = 0;
  for (let j = 0; j < limbs; j++) {
    const sum = sums[j]! + carry;
    carry = Math.floor(sum / LIMB);
    end = writeLimb(sum - carry * LIMB, end);
  }
  let first = end;
  const last = size + limbs * 5;
  while (first < last && text[first] === DIGIT_ONE) first++;
  text.fill(DIGIT_ONE, first - zeros, first);
  return text.toString("latin1", first - zeros, last);
}

/** Writes the five digits of a limb so that they end before `end`; returns where they begin. */
function writeLimb(limb: number, end: number): number {
  const high = Math.floor(limb / PAIR);
  const low = limb - high * PAIR;
  text[end - 1] = DIGITS[low % 58]!;
  text[end - 2] = DIGITS[(low / 58) | 0]!;
  const middle = high % PAIR;
  text[end - 3] = DIGITS[middle % 58]!;
  text[end - 4] = DIGITS[(middle / 58) | 0]!;
  text[end - 5] = DIGITS[(high / PAIR) | 0]!;
  return end - 5;
}
