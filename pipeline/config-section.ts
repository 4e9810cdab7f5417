/**
 * Structured sections of `sluice.yaml`: lists and objects that a flat setting cannot say, such as `programs`. A section is
 * a TypeBox schema, and everything else follows from it: what is refused (unknown keys with "did you mean", wrong values
 * by their path, `programs[1].idl`), what is masked where it is shown, and the JSON schema for editors.
 *
 * Keywords that schemas may carry beside JSON schema's own: `description` (said in errors: write it so that it follows "must be"),
 * `secret: true` (never shown), `address: true` (shown without credentials).
 */
import { Kind, type Static, type TSchema } from "@sinclair/typebox";
import { Value, type ValueError, ValueErrorType } from "@sinclair/typebox/value";
import { withoutSecrets } from "./addresses.ts";
import { closest } from "./closest.ts";
import { Fatal } from "./errors.ts";

export interface Section<Schema extends TSchema = TSchema> {
  readonly schema: Schema;
  readonly default: Static<Schema>;
  readonly why: string;
}

export function section<Schema extends TSchema>(
  schema: Schema,
  fallback: Static<Schema>,
  why: string,
): Section<Schema> {
  return { schema, default: fallback, why };
}

/**
 * The value of a section from its raw form, with defaults filled in. A text is read as YAML: that is how a section is given on the
 * command line. Throws `Fatal` CONFIG_UNKNOWN or CONFIG_VALUE that names the path.
 */
export function parseSection(name: string, { schema, why }: Section, raw: unknown, where: string): unknown {
  const value = Value.Default(schema, structuredClone(typeof raw === "string" ? parseYaml(name, raw, where) : raw));
  const error = Value.Errors(schema, value).First();
  if (error === undefined) return value;
  throw explain(name, error, value, where, why);
}

/** The value as one may show it. */
export function shownSection(schema: TSchema, value: unknown): unknown {
  if (value === undefined || value === null) return value;
  if (schema["secret"] === true) return value === "" ? "" : "********";
  if (schema["address"] === true) return withoutSecrets(String(value));
  if (Array.isArray(schema["anyOf"])) {
    const fitting = (schema["anyOf"] as TSchema[]).find((option) => Value.Check(option, value));
    return fitting === undefined ? "********" : shownSection(fitting, value);
  }
  if (Array.isArray(value)) return value.map((item) => shownSection(schema["items"] as TSchema, item));
  if (typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const inner = propertySchema(schema, key);
      return [key, inner === undefined ? item : shownSection(inner, item)];
    }),
  );
}

function propertySchema(schema: TSchema, key: string): TSchema | undefined {
  const named = (schema["properties"] as Record<string, TSchema> | undefined)?.[key];
  if (named !== undefined) return named;
  const patterns = schema["patternProperties"] as Record<string, TSchema> | undefined;
  return patterns === undefined ? undefined : Object.values(patterns)[0];
}

function parseYaml(name: string, text: string, where: string): unknown {
  try {
    return Bun.YAML.parse(text);
  } catch (cause) {
    throw new Fatal("CONFIG_VALUE", `${name} is not valid YAML: ${(cause as Error).message}`, { where });
  }
}

function explain(name: string, error: ValueError, root: unknown, where: string, why: string): Fatal {
  const { type, path, schema, value } = decisive(error);
  if (type === ValueErrorType.ObjectAdditionalProperties) {
    const key = path.slice(path.lastIndexOf("/") + 1);
    const known = Object.keys((schema["properties"] as object | undefined) ?? {});
    const near = closest(key, known);
    return new Fatal("CONFIG_UNKNOWN", `unknown setting "${pathText(name, path, root)}"`, {
      where,
      hint: near === null ? `There is: ${known.join(", ")}.` : `Did you mean "${near}"?`,
    });
  }
  const at = pathText(name, path, root);
  const text = expected(schema);
  if (value === undefined) return new Fatal("CONFIG_VALUE", `${at} is missing: it is ${text}`, { where, hint: why });
  const given = schema["secret"] === true || schema["address"] === true ? "what was given" : shortJson(value);
  return new Fatal("CONFIG_VALUE", `${at} must be ${text}, not ${given}`, { where, hint: why });
}

/** A union says only that nothing fits: what counts is the complaint of the option that the value looks most like. */
function decisive(error: ValueError): ValueError {
  if (error.type !== ValueErrorType.Union) return error;
  const options = error.schema["anyOf"] as TSchema[];
  const likeness = options.map((option) => sharedKeys(option, error.value));
  const best = Math.max(...likeness);
  if (best === 0 || likeness.filter((score) => score === best).length > 1) return error;
  const inner = error.errors[likeness.indexOf(best)]?.First();
  return inner === undefined ? error : decisive(inner);
}

/** How many of the value's keys the schema knows; a mapping where one is expected counts for something by itself. */
function sharedKeys(schema: TSchema, value: unknown): number {
  const properties = schema["properties"] as object | undefined;
  if (properties === undefined || typeof value !== "object" || value === null || Array.isArray(value)) {
    return Array.isArray(value) && schema[Kind] === "Array" ? 1 : 0;
  }
  return 1 + Object.keys(value).filter((key) => Object.hasOwn(properties, key)).length;
}

function expected(schema: TSchema): string {
  if (typeof schema.description === "string") return schema.description;
  if (Array.isArray(schema["anyOf"])) return (schema["anyOf"] as TSchema[]).map(expected).join(" or ");
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  const words: Record<string, string> = {
    Array: "a list",
    Object: "a mapping",
    Record: "a mapping",
    String: "a text",
    Integer: "a whole number",
    Number: "a number",
    Boolean: "true or false",
  };
  const bounds = schema["minimum"] === undefined ? "" : ` from ${schema["minimum"]} to ${schema["maximum"]}`;
  return `${words[schema[Kind]] ?? "another value"}${bounds}`;
}

/** "/1/events/BuyEvent" of `programs` becomes "programs[1].events.BuyEvent". */
function pathText(name: string, pointer: string, root: unknown): string {
  let text = name;
  let at: unknown = root;
  for (const escaped of pointer.split("/").slice(1)) {
    const key = escaped.replaceAll("~1", "/").replaceAll("~0", "~");
    text += Array.isArray(at) ? `[${key}]` : `.${key}`;
    at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
  }
  return text;
}

function shortJson(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
