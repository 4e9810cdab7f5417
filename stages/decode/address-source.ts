/**
 * Where an address of a row comes from, as a description names it: a field of the event by its path, `accounts.NAME` of the
 * instruction that emitted it, `signer` (who pays the transaction), or the token of a pair that is not a currency.
 */
import bs58 from "bs58";
import { Fatal } from "../../pipeline/errors.ts";
import { ABSENT, type Layout } from "./layout.ts";
import { snakeCase } from "./names.ts";
import { type Found, type Surroundings, sameAddress } from "./surroundings.ts";

/** Finds the address for the event located last in `bytes`; false when there is none. */
export type AddressSource = (bytes: Uint8Array, around: Surroundings, found: Found) => boolean;

const ACCOUNT = /^accounts\.(.+)$/;

export const WRAPPED_SOL = "So11111111111111111111111111111111111111112";
/** How outputs of packages name SOL that is not wrapped; there is no such token. */
export const NATIVE_SOL = "So11111111111111111111111111111111111111111";
/** Tokens that others are priced in: of a pair, the other one is what a row is about. */
export const CURRENCIES: readonly string[] = [
  WRAPPED_SOL,
  NATIVE_SOL,
  "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", // USDC
  "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", // USDT
];

/** True when the text means something outside of the event, so that no layout needs a field of that name. */
export function isOutside(reference: string): boolean {
  return reference === "signer" || ACCOUNT.test(reference);
}

/** Throws `Fatal` EVENT_FIELD when it names a field that is not there, or is not an address. */
export function addressSource(reference: string, layout: Layout, where: string): AddressSource {
  const index = layout.indexOf(reference);
  if (index >= 0) return leafSource(reference, layout, index, where);
  if (reference === "signer") return (_, around, found) => around.signer(found);
  const name = ACCOUNT.exec(reference)?.[1];
  const account = name === undefined ? undefined : snakeCase(name);
  if (account !== undefined) return (bytes, around, found) => around.account(account, found, layout, bytes);
  throw new Fatal("EVENT_FIELD", `there is no field ${reference}`, {
    where,
    hint: "Name a field by its path, an account as accounts.NAME, or the payer of the transaction as signer.",
  });
}

function leafSource(reference: string, layout: Layout, index: number, where: string): AddressSource {
  if (layout.leaves[index]!.column.type !== "bytes32") {
    throw new Fatal("EVENT_FIELD", `${reference} is not an address`, { where, hint: "Name another field." });
  }
  return (bytes, _, found) => {
    found.in = bytes;
    found.at = layout.at[index]!;
    return found.at !== ABSENT;
  };
}

/** Of two tokens the one that is not a currency; of two such, or two currencies, the second. */
export function pairSource(first: AddressSource, second: AddressSource): AddressSource {
  return (bytes, around, found) => {
    const hasFirst = first(bytes, around, found);
    const token = hasFirst && !isCurrency(found) ? { ...found } : null;
    if (!second(bytes, around, found)) return hasFirst && first(bytes, around, found);
    if (token !== null && isCurrency(found)) Object.assign(found, token);
    return true;
  };
}

const currencies = CURRENCIES.map((text) => bs58.decode(text));

export function isCurrency(address: Found): boolean {
  return currencies.some((currency) => sameAddress(address, currency));
}

export function isWrappedSol(address: Found): boolean {
  return sameAddress(address, currencies[0]!);
}
