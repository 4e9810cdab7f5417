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

export function textOf(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw invalid("a string", value, where);
}

export function invalid(expected: string, value: unknown, where: string): Fatal {
  const found = JSON.stringify(value)?.slice(0, 80) ?? "nothing";
  return new Fatal("IDL_INVALID", `expected ${expected}, found ${found}`, {
    where,
    hint: "The file is not an Anchor IDL, or one of a form that is not supported.",
  });
}
