/** What the reference page shows of an OpenAPI document, and the requests that its forms make. Pure. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly "x-scope": string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Listed {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** Operations of a tag, as the document orders them. */
export function operationsOf({ paths }: OpenApi, tag: string): Listed[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(tag))
      .map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** In a few words: "integer, 1 to 500", "long or short", "list of Trade", "text or null". */
export function typeOf(schema: Schema): string {
  const { $ref, type, anyOf, items, minimum, maximum } = schema;
  if ($ref !== undefined) return $ref.slice($ref.lastIndexOf("/") + 1);
  if (schema.enum !== undefined) return schema.enum.join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (anyOf !== undefined) return [...new Set(anyOf.map(typeOf))].join(" or ");
  if (type === "array") return `list of ${items === undefined ? "anything" : typeOf(items)}`;
  const words = type === "string" ? "text" : (type ?? "anything");
  return minimum === undefined || maximum === undefined ? words : `${words}, ${minimum} to ${maximum}`;
}

export interface Field {
  readonly depth: number;
  readonly name: string;
  readonly type: string;
  readonly description: string;
}

/** The members of an answer, and theirs: as deep as it goes, a component within itself left out. */
export function fieldsOf(schema: Schema, components: Readonly<Record<string, Schema>>): Field[] {
  const fields: Field[] = [];
  const visit = (outer: Schema, depth: number, within: readonly string[]) => {
    const { anyOf = [] } = outer;
    const isChoice = anyOf.filter(({ $ref }) => $ref !== undefined).length > 1;
    for (const inner of [outer, ...anyOf]) {
      const name = inner.$ref?.slice(inner.$ref.lastIndexOf("/") + 1);
      if (isChoice && name !== undefined) {
        fields.push({ depth, name, type: "or", description: components[name]?.description ?? "" });
        visit(inner, depth + 1, within);
        continue;
      }
      if (name !== undefined && within.includes(name)) continue;
      const { properties = {}, items } = name === undefined ? inner : (components[name] ?? {});
      const path = name === undefined ? within : [...within, name];
      for (const [member, own] of Object.entries(properties)) {
        fields.push({ depth, name: member, type: typeOf(own), description: own.description ?? "" });
        visit(own, depth + 1, path);
      }
      if (items !== undefined) visit(items, depth, path);
    }
  };
  visit(schema, 0, []);
  return fields;
}

/** Path and query with what was given; what was left empty is left out, and stays as it is named in a path. */
export function urlOf(path: string, parameters: readonly Parameter[], given: ReadonlyMap<string, string>): string {
  const query = new URLSearchParams();
  let filled = path;
  for (const { name, in: place, schema } of parameters) {
    const value = given.get(name)?.trim() ?? "";
    if (value === "") continue;
    if (place === "query") for (const one of isList(schema) ? value.split(/[\s,]+/) : [value]) query.append(name, one);
    else if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(value));
  }
  return query.size === 0 ? filled : `${filled}?${query}`;
}

const isList = ({ type }: Schema) => type === "array";

/** The same request for a shell. */
export function curlOf(method: string, url: string, body: string): string {
  const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const how = method === "GET" ? "" : ` -X ${method}`;
  const what = body === "" ? "" : ` -H 'content-type: application/json' -d ${quoted(body)}`;
  return `curl${how} ${quoted(url)}${what}`;
}
