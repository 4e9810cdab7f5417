/**
 * The bonding curve: constant product over virtual reserves. A token's state on the curve is its token reserve alone; the
 * SOL reserve follows from it, rounded up, so selling back what was bought returns to exactly the same reserves.
 *
 * Units: lamports (10^9 a SOL), base units (10^6 a token), price as SOL per token times 10^28.
 */

export const INITIAL_LAMPORTS = 30_000_000_000n;
export const INITIAL_TOKENS = 1_073_000_000_000_000n;
/** k of x * y = k, in lamports times base units. */
export const CURVE_K = INITIAL_LAMPORTS * INITIAL_TOKENS;
/** Trades stop here: the price stays between about 0.8 and 144 times the initial one. */
export const MIN_TOKENS = INITIAL_TOKENS / 12n;
export const MAX_TOKENS = (INITIAL_TOKENS * 11n) / 10n;

/** 10^28 times (10^6 base units a token / 10^9 lamports a SOL). */
const PRICE_FACTOR = 10n ** 25n;
const K = Number(CURVE_K);

/** SOL reserve, in lamports, that belongs to a token reserve. */
export function lamportsAt(tokens: bigint): bigint {
  return (CURVE_K + tokens - 1n) / tokens;
}

/** Exact price at a token reserve: 279589934762348555452 at the initial one. */
export function priceAt(tokens: bigint): bigint {
  return (lamportsAt(tokens) * PRICE_FACTOR) / tokens;
}

/** Tokens that `lamports` buy at a token reserve. */
export function tokensFor(tokens: bigint, lamports: bigint): bigint {
  const left = (CURVE_K + lamportsAt(tokens) + lamports - 1n) / (lamportsAt(tokens) + lamports);
  return left >= tokens ? 0n : tokens - left;
}

/**
 * Token reserve at which selling `position` tokens brings in just `debt` lamports: beyond it a long is under water.
 * Root of k/t - k/(t + p) = d. Only square roots, which IEEE 754 rounds the same everywhere.
 */
export function longLiquidation(position: bigint, debt: bigint): bigint {
  const p = Number(position);
  return BigInt(Math.floor((Math.sqrt(p * p + (4 * K * p) / Number(debt)) - p) / 2));
}

/** Token reserve at which buying `position` tokens costs `funds` lamports: below it a short is under water. */
export function shortLiquidation(position: bigint, funds: bigint): bigint {
  const p = Number(position);
  return BigInt(Math.ceil((Math.sqrt(p * p + (4 * K * p) / Number(funds)) + p) / 2));
}
