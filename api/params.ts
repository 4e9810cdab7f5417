/**
 * Parameters of paths, queries and JSON bodies: each says how it is described in the OpenAPI document and how its text is
 * read. What does not fit is refused with what was wrong and what is allowed; defaults are part of the description.
 */
import { type TSchema, Type as t } from "@sinclair/typebox";
import bs58 from "bs58";
import { refused } from "./errors.ts";

export interface Param<T> {
  readonly schema: TSchema;
  readonly required: boolean;
  readonly doc: string;
  /** `text` undefined: it was not given. Throws `Poison` BAD_REQUEST. */
  read(text: string | undefined, name: string): T;
}

export type Params = Readonly<Record<string, Param<unknown>>>;
export type ValuesOf<P extends Params> = { readonly [K in keyof P]: P[K] extends Param<infer T> ? T : never };

const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;
const ADDRESS_RULE = "a base58 address of 32 to 44 characters that decodes to 32 bytes";

/** The bytes of an address; null when the text is none. */
export function addressBytes(text: string): Uint8Array | null {
  if (!ADDRESS.test(text)) return null;
  const bytes = bs58.decodeUnsafe(text);
  return bytes?.length === 32 ? bytes : null;
}

export const AddressSchema = t.String({ pattern: ADDRESS.source, description: ADDRESS_RULE });

export function address(doc: string): Param<Uint8Array> {
  return {
    schema: AddressSchema,
    required: true,
    doc,
    read(text, name) {
      if (text === undefined) throw bad(`${name} is needed: ${ADDRESS_RULE}`);
      const bytes = addressBytes(text);
      if (bytes === null) throw bad(`${name} must be ${ADDRESS_RULE}`);
      return bytes;
    },
  };
}

export function integer(doc: string, limits: { min: number; max: number; default: number }): Param<number> {
  const { min, max } = limits;
  return {
    schema: t.Integer({ minimum: min, maximum: max, default: limits.default }),
    required: false,
    doc,
    read(text, name) {
      if (text === undefined) return limits.default;
      const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
      if (!Number.isSafeInteger(value) || value < min || value > max) {
        throw bad(`${name} must be a whole number from ${min} to ${max}`);
      }
      return value;
    },
  };
}

/** One of some words, as generators of clients like it best. */
export function oneOf(words: readonly string[], fallback: string | null = null): TSchema {
  return t.Unsafe<string>({ type: "string", enum: words, ...(fallback !== null && { default: fallback }) });
}

export function choice<const T extends string>(
  doc: string,
  choices: readonly T[],
  fallback: NoInfer<T> | null,
): Param<T> {
  return {
    schema: oneOf(choices, fallback),
    required: fallback === null,
    doc,
    read(text, name) {
      if (text === undefined && fallback !== null) return fallback;
      const found = choices.find((word) => word === text);
      if (found === undefined) throw bad(`${name} must be one of ${choices.join(", ")}`);
      return found;
    },
  };
}

export function text(doc: string, limits: { min: number; max: number }): Param<string> {
  const { min, max } = limits;
  return {
    schema: t.String({ minLength: min, maxLength: max }),
    required: true,
    doc,
    read(value, name) {
      const length = value?.length ?? 0;
      if (value === undefined || length < min || length > max) throw bad(`${name} must be ${min} to ${max} characters`);
      return value;
    },
  };
}

/** A parameter that may be left out. */
export function optional<T>(param: Param<T>): Param<T | null> {
  // What is left out is left out: no default stands for it.
  const { default: _, ...schema } = param.schema;
  return {
    ...param,
    schema: schema as TSchema,
    required: false,
    read: (value, name) => (value === undefined ? null : param.read(value, name)),
  };
}

/** Reads the parameters of a request. A parameter that is given twice is refused: which one was meant? */
export function readParams<P extends Params>(
  params: P,
  path: Readonly<Record<string, string>>,
  query: URLSearchParams,
): ValuesOf<P> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(params)) {
    const given = Object.hasOwn(path, name) ? [path[name]!] : query.getAll(name);
    if (given.length > 1) throw bad(`${name} was given ${given.length} times; give it once`);
    values[name] = params[name]!.read(given[0], name);
  }
  return values as ValuesOf<P>;
}

/** Throws `Poison` BAD_REQUEST for a parameter that is not among `params`, or stands in the path already. */
export function refuseUnknown(query: URLSearchParams, params: Params, path: Readonly<Record<string, string>>): void {
  const known = Object.keys(params).filter((name) => !Object.hasOwn(path, name));
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const shown = JSON.stringify(name.length > NAME_SHOWN ? `${name.slice(0, NAME_SHOWN)}...` : name);
    throw bad(
      `there is no parameter ${shown} here; ${known.length === 0 ? "there are none" : `there are ${known.join(", ")}`}`,
    );
  }
}

/** Characters of an unknown name that are told back. */
const NAME_SHOWN = 32;

export function bad(message: string) {
  return refused("BAD_REQUEST", message);
}
