/**
 * The JSON schema of `sluice.yaml`, for editors: names, types, ranges and what each setting is for, made from the same
 * tables that settings are read by. Written by `sluice init` beside the file, and by `sluice config schema`.
 */
import { KNOBS, SECTIONS } from "./config.ts";
import type { Knob } from "./config-knob.ts";

type Schema = Record<string, unknown>;

export function configSchema(): Schema {
  const root = mapping("Settings of a Sluice deployment. `sluice config show --why` lists them with their values.");
  for (const [name, knob] of Object.entries(KNOBS as Record<string, Knob>)) {
    place(root, name.split("."), ofKnob(knob));
  }
  for (const [name, { schema, why }] of Object.entries(SECTIONS)) {
    // What TypeBox keeps under symbols is not JSON.
    const plain = JSON.parse(JSON.stringify(schema)) as Schema;
    place(root, name.split("."), { ...plain, description: why });
  }
  return { $schema: "http://json-schema.org/draft-07/schema#", title: "sluice.yaml", ...root };
}

function mapping(description?: string): Schema {
  return {
    type: "object",
    ...(description === undefined ? {} : { description }),
    properties: {},
    additionalProperties: false,
    // A setting may also be written flat, by its dotted name.
    patternProperties: { "^[A-Za-z0-9]+(\\.[A-Za-z0-9]+)+$": {} },
  };
}

function place(tree: Schema, [first, ...rest]: readonly string[], schema: Schema): void {
  const properties = tree["properties"] as Record<string, Schema>;
  if (rest.length === 0) {
    properties[first!] = schema;
    return;
  }
  properties[first!] ??= mapping();
  place(properties[first!]!, rest, schema);
}

function ofKnob(knob: Knob): Schema {
  const notes = [
    knob.unit === undefined ? "" : `Unit: ${knob.unit}.`,
    knob.env === undefined || knob.env.length === 0 ? "" : `Environment: ${knob.env.join(", ")}.`,
    knob.secret === true ? "A secret: better in the environment than in a file." : "",
  ];
  const description = [knob.why, ...notes.filter((note) => note !== "")].join(" ");
  return { description, ...typeOf(knob), ...(knob.secret === true ? {} : { default: knob.default }) };
}

function typeOf(knob: Knob): Schema {
  switch (knob.kind) {
    case "integer":
      return { type: "integer", minimum: knob.min, maximum: knob.max };
    case "boolean":
      return { type: "boolean" };
    case "choice":
      // YAML reads a bare true as a boolean.
      return { enum: knob.choices!.flatMap((c) => (c === "true" ? [c, true] : c === "false" ? [c, false] : [c])) };
    case "list":
      return { type: ["string", "array"], items: { type: "string" } };
    case "text":
      return { type: ["string", "integer"] };
  }
}
