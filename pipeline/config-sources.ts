/**
 * The section `sources` of `sluice.yaml`: several sources at once. An entry holds what differs from the settings above it;
 * its keys are the settings `source.*` without "source.", and whole names of the few other settings that a source may have for
 * itself. Values are read by the rules of those settings.
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { type Section, section } from "./config-section.ts";

/** Prefixes of the other settings that an entry may hold. */
const OWN = ["decode.", "batch.", "streams.", "archive.", "spend.", "lake."];

interface Described {
  readonly why: string;
  readonly secret?: true;
  readonly address?: true;
}

export type SourceEntry = Readonly<Record<string, unknown>> & { readonly name: string };

/** The setting that a key of an entry stands for. */
export function settingOf(key: string): string {
  return key.includes(".") ? key : `source.${key}`;
}

/** Keys of an entry that are structured sections of their own, by name. */
export function sourcesSection(
  knobs: Readonly<Record<string, Described>>,
  sections: Readonly<Record<string, Section>>,
): Section {
  const properties: Record<string, TSchema> = {};
  for (const [name, { why, secret, address }] of Object.entries(knobs)) {
    const key = name.startsWith("source.") ? name.slice("source.".length) : name;
    if (key === name && !OWN.some((prefix) => name.startsWith(prefix))) continue;
    const marks = { ...(secret === true ? { secret } : {}), ...(address === true ? { address } : {}) };
    properties[key] = Type.Optional(Type.Unknown({ description: why, ...marks }));
  }
  for (const [name, { schema }] of Object.entries(sections)) properties[name] = Type.Optional(schema);
  properties["name"] = Type.String({
    pattern: "^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$",
    description: "the name of the source (letters, digits, - and _, at most 31)",
  });
  return section(
    Type.Array(Type.Object(properties, { additionalProperties: false }), { description: "a list of sources" }),
    [],
    "Several sources at once; each entry has a name and what differs from the settings source.*. Empty: source.* is the one.",
  );
}
