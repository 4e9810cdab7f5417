/** Reading untrusted JSON with the place of every mistake. */
import { Fatal } from "../../pipeline/errors.ts";

export type Json = Readonly<Record<string, unknown>>;

export function objectOf(value: unknown, where: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw invalid("an object", value, where);
}

export function listOf(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid("a list", value, where);
}

/** Names and addresses are no longer. */
const TEXT_MAX = 256;

export function textOf(value: unknown, where: string): string {
  if (typeof value === "string" && value.length <= TEXT_MAX) return value;
  throw invalid(`a string of at most ${TEXT_MAX} characters`, value, where);
}

/** What is not a number becomes NaN, which no use of numbers takes: that leaves out one event, not the whole IDL. */
export function numbersOf(value: unknown, where: string): readonly number[] {
  return listOf(value, where).map((one) => (typeof one === "number" ? one : Number.NaN));
}

export function invalid(expected: string, value: unknown, where: string): Fatal {
  const found = shownJson(value);
  return new Fatal("IDL_INVALID", `expected ${expected}, found ${found}`, {
    where,
    hint: "The file is not an Anchor IDL, or one of a form that is not supported.",
  });
}

/** What is nested too deeply to be written is not shown. */
function shownJson(value: unknown): string {
  try {
    return JSON.stringify(value)?.slice(0, 80) ?? "nothing";
  } catch {
    return `a ${typeof value}`;
  }
}
