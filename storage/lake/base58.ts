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
/** The two digits of a number below 58^2, the higher one first. */
const PAIRS = Uint8Array.from(
  { length: 2 * PAIR },
  (_, i) => DIGITS[i % 2 === 0 ? Math.floor(i / 116) : (i >> 1) % 58]!,
);
/** Value of a digit by its character code; 255 where it is none. */
const VALUES = new Uint8Array(128).fill(255);
for (const [value, code] of DIGITS.entries()) VALUES[code] = value;

interface Powers {
  readonly words: number;
  readonly limbs: number;
  /** Limb j (lowest first) of 2^16 to the power of the place of word i, at `j * words + i`. */
  readonly table: Float64Array;
  /** Words that reach limb j: those from the first to here, exclusive; a multiple of four. */
  readonly lengths: Uint8Array;
}

function powersOf(bytes: number): Powers {
  const words = bytes / 2;
  const limbs = Math.ceil((bytes * 8) / Math.log2(LIMB));
  const table = new Float64Array(words * limbs);
  const lengths = new Uint8Array(limbs);
  for (let i = 0; i < words; i++) {
    let value = 1n << BigInt(16 * (words - 1 - i));
    for (let j = 0; value > 0n; j++) {
      table[j * words + i] = Number(value % BigInt(LIMB));
      value /= BigInt(LIMB);
      lengths[j] = (i | 3) + 1;
    }
  }
  return { words, limbs, table, lengths };
}

const POWERS = { 32: powersOf(32), 64: powersOf(64) } as const;
/** Characters of 32 and 64 bytes at most. */
export const BASE58_LENGTH_MAX = { 32: 44, 64: 88 } as const;
const words16 = new Float64Array(POWERS[64].words);
/** Digits of all limbs; the highest may be too small for five. */
const digits = new Uint8Array(POWERS[64].limbs * 5);
const text = Buffer.alloc(BASE58_LENGTH_MAX[64]);

/** The `size` bytes of `source` from `start`, in base58. Same text as any other base58 encoder gives. */
export function base58(source: Uint8Array, start: number, size: 32 | 64): string {
  return text.toString("latin1", 0, writeBase58(source, start, size, text, 0));
}

/** Writes the text's characters to `target` from `at` on, where there must be room for the longest; returns how many. */
export function writeBase58(source: Uint8Array, start: number, size: 32 | 64, target: Uint8Array, at: number): number {
  const { words, limbs, table, lengths } = POWERS[size];
  for (let i = 0; i < words; i++) words16[i] = (source[start + 2 * i]! << 8) | source[start + 2 * i + 1]!;
  const end = limbs * 5;
  let carry = 0;
  for (let j = 0; j < limbs; j++) {
    // Four sums, so that an addition need not wait for the one before.
    let a = carry;
    let b = 0;
    let c = 0;
    let d = 0;
    const row = j * words;
    for (let i = 0, length = lengths[j]!; i < length; i += 4) {
      a += words16[i]! * table[row + i]!;
      b += words16[i + 1]! * table[row + i + 1]!;
      c += words16[i + 2]! * table[row + i + 2]!;
      d += words16[i + 3]! * table[row + i + 3]!;
    }
    const sum = a + b + (c + d);
    carry = Math.floor(sum / LIMB);
    writeLimb((sum - carry * LIMB) | 0, end - 5 * j);
  }
  let first = 0;
  while (first < end && digits[first] === DIGIT_ONE) first++;
  let to = at;
  for (let i = start; i < start + size && source[i] === 0; i++) target[to++] = DIGIT_ONE;
  for (let i = first; i < end; i++) target[to++] = digits[i]!;
  return to - at;
}

/** Writes the five digits of a limb so that they end before `end`. */
function writeLimb(limb: number, end: number): void {
  const high = (limb / PAIR) | 0;
  const low = 2 * (limb - high * PAIR);
  const top = (high / PAIR) | 0;
  const middle = 2 * (high - top * PAIR);
  digits[end - 5] = DIGITS[top]!;
  digits[end - 4] = PAIRS[middle]!;
  digits[end - 3] = PAIRS[middle + 1]!;
  digits[end - 2] = PAIRS[low]!;
  digits[end - 1] = PAIRS[low + 1]!;
}

/** Words (lowest first) of 58^5 to the power of each limb's place, at `limb * words + word`. */
function limbPowers(bytes: number): Float64Array {
  const { words, limbs } = POWERS[bytes as 32 | 64];
  const table = new Float64Array(words * limbs);
  for (let j = 0, value = 1n; j < limbs; j++, value *= BigInt(LIMB)) {
    for (let i = 0; i < words; i++) table[j * words + i] = Number((value >> BigInt(16 * i)) & 0xffffn);
  }
  return table;
}

const LIMB_POWERS = { 32: limbPowers(32), 64: limbPowers(64) } as const;
const wordSums = new Float64Array(POWERS[64].words);

/**
 * The `size` bytes that `text` says in base58: the inverse of `base58`, by the same sums the other way round. Throws
 * `RangeError` for a text that is not exactly so many bytes.
 */
export function fromBase58(text: string, size: 32 | 64): Uint8Array {
  const { words, limbs } = POWERS[size];
  if (text.length > limbs * 5) throw notSoLong(text, size);
  const powers = LIMB_POWERS[size];
  wordSums.fill(0, 0, words);
  for (let j = 0, end = text.length; end > 0; j++, end -= 5) {
    const limb = limbOf(text, Math.max(0, end - 5), end);
    for (let i = 0; i < words; i++) wordSums[i]! += limb * powers[j * words + i]!;
  }
  const bytes = new Uint8Array(size);
  let carry = 0;
  for (let i = 0; i < words; i++) {
    const sum = wordSums[i]! + carry;
    carry = Math.floor(sum / 65_536);
    const word = sum - carry * 65_536;
    bytes[size - 2 * i - 1] = word & 0xff;
    bytes[size - 2 * i - 2] = word >> 8;
  }
  let zeros = 0;
  while (zeros < size && bytes[zeros] === 0) zeros++;
  let ones = 0;
  while (ones < text.length && text.charCodeAt(ones) === DIGIT_ONE) ones++;
  if (carry !== 0 || zeros !== ones) throw notSoLong(text, size);
  return bytes;
}

function limbOf(text: string, from: number, to: number): number {
  let limb = 0;
  for (let i = from; i < to; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? 255;
    if (value === 255) throw new RangeError(`${JSON.stringify(text.slice(0, 90))} is not base58`);
    limb = limb * 58 + value;
  }
  return limb;
}

function notSoLong(text: string, size: number): RangeError {
  return new RangeError(`${JSON.stringify(text.slice(0, 90))} is not ${size} bytes in base58`);
}
