/** The OpenAPI document, made from the table of routes: a route cannot be forgotten or described twice. */
import { type TSchema, Type as t } from "@sinclair/typebox";
import type { Param } from "./params.ts";
import type { Audience, Route } from "./routes/route.ts";
import type { Transport } from "./transport.ts";

export const ErrorSchema = t.Object(
  {
    success: t.Literal(false),
    error: t.Object({
      code: t.String({ description: "stable: match on it, not on the message" }),
      message: t.String(),
      id: t.String({ description: "as x-request-id; names the entry in the server's log" }),
    }),
  },
  { title: "Error" },
);

/** RFC 9457. */
export const ProblemSchema = t.Object(
  {
    type: t.String(),
    title: t.String(),
    status: t.Integer(),
    detail: t.String(),
    code: t.String({ description: "stable: match on it, not on the detail" }),
    id: t.String({ description: "as x-request-id; names the entry in the server's log" }),
  },
  { title: "Problem" },
);

export function openApiOf(
  routes: readonly Route[],
  version: string,
  transports: readonly Pick<Transport, "path" | "audience" | "operation">[] = [],
): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  for (const transport of transports) {
    if (transport.operation !== undefined) paths[transport.path] = { get: transportOperation(transport) };
  }
  const schemas: Schemas = {};
  return {
    openapi: "3.1.0",
    info: { title: "Sluice", version, description: ABOUT, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/", description: "where this document came from" }],
    tags: Object.entries(TAGS).map(([name, { description }]) => ({ name, description })),
    paths: named(paths, schemas),
    components: {
      schemas,
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "Made by `sluice token create`; scopes: read, live, control, sql.",
        },
      },
    },
  };
}

const ABOUT = `Tokens, trades, candles and orders of a Solana token market, and the pipeline that indexes them.

The live feed is \`GET /v1/live\`, as a WebSocket or as Server-Sent Events; its messages are described here, its rules in docs/live.md, as
is Socket.IO at \`/kline\`, for which OpenAPI has no words. What else cannot be read here: docs/api.md.`;

/** In the order in which they are shown; a route belongs to the first whose paths fit. */
const TAGS: Readonly<Record<string, { readonly paths: RegExp; readonly description: string }>> = {
  tokens: { paths: /^\/v1\/(mints|candles|users)/, description: "What new clients should use" },
  live: { paths: /^\/v1\/live$/, description: "What happens, as it happens" },
  query: { paths: /^\/api\/query$/, description: "SQL over lake and hot stores" },
  pipeline: { paths: /^\/v1\/(stages|lake|quarantine|openapi)/, description: "Stages, lake and quarantine" },
  control: {
    paths: /^\/api\/(indexer|sync)\//,
    description: "Whether it runs, how far it is, what it logs; start and stop",
  },
  health: { paths: /^\/(health|ready|metrics|api\/cluster)/, description: "For probes and Prometheus" },
  spinpet: { paths: /^\/api\//, description: "As clients of the spinpet server know it" },
  aliases: {
    paths: /\/indexer\//,
    description: "Other addresses of the same, for clients that have them in their settings",
  },
};

type Schemas = Record<string, unknown>;

/** Schemas that have a title become components of that name, told once and referred to. */
function named(value: unknown, schemas: Schemas): unknown {
  if (Array.isArray(value)) return value.map((entry) => named(entry, schemas));
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, named(inner, schemas)]));
  const { title } = copy;
  if (typeof title !== "string") return copy;
  schemas[title] = copy;
  return { $ref: `#/components/schemas/${title}` };
}

/** "getV1MintsByMintTrades": what generated clients call it. */
function operationId({ method, path }: Pick<Route, "method" | "path">): string {
  const words = path.split(/[/_.-]/).filter((word) => word !== "");
  const name = words.map((word) => (word.startsWith(":") ? `By${capital(word.slice(1))}` : capital(word)));
  return method.toLowerCase() + name.join("");
}

const capital = (word: string) => word.slice(0, 1).toUpperCase() + word.slice(1);

function transportOperation({ path, audience, operation }: Pick<Transport, "path" | "audience" | "operation">) {
  const { tag, ...told } = operation!;
  return {
    operationId: operationId({ method: "GET", path }),
    tags: [tag],
    security: securityOf(audience),
    "x-scope": audience,
    ...told,
  };
}

/** Where no token is set, or this caller needs none, none is sent. */
function securityOf(audience: Audience): object[] {
  return audience === "anyone" ? [] : [{ token: [] }, {}];
}

function operationOf(route: Route): Record<string, unknown> {
  const { answers, contentType, summary, audience, body, version } = route;
  const told = Object.entries(answers ?? {}).map(
    ([status, schema]) => [status, answer(Number(status), schema)] as const,
  );
  const text = { description: "OK", content: { [contentType ?? "application/json"]: {} } };
  const parameters = parametersOf(route);
  return {
    operationId: operationId(route),
    tags: Object.keys(TAGS)
      .filter((tag) => TAGS[tag]!.paths.test(route.path))
      .slice(0, 1),
    summary,
    security: securityOf(audience),
    "x-scope": audience,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: body } } } }),
    responses: {
      ...(answers === undefined ? { 200: text } : Object.fromEntries(told)),
      ...(version === undefined ? {} : { 304: { description: "The client's copy (If-None-Match) still holds" } }),
      default: errorOf(route),
    },
  };
}

function parametersOf({ path, params = {} }: Route): unknown[] {
  const inPath = new Set([...path.matchAll(/:(\w+)/g)].map((found) => found[1]));
  return Object.entries(params).map(([name, param]: [string, Param<unknown>]) => ({
    name,
    in: inPath.has(name) ? "path" : "query",
    required: param.required,
    description: param.doc,
    schema: param.schema,
  }));
}

function errorOf({ path, errorBody, answers = {} }: Route): unknown {
  if (errorBody !== undefined) {
    const envelope = { ...answers[200], properties: { ...answers[200]?.["properties"], success: t.Boolean() } };
    return { description: "Error", content: { "application/json": { schema: envelope } } };
  }
  return path.startsWith("/v1/")
    ? { description: "Error", content: { "application/problem+json": { schema: ProblemSchema } } }
    : { description: "Error", content: { "application/json": { schema: ErrorSchema } } };
}

function answer(status: number, schema: TSchema): Record<string, unknown> {
  return { description: status < 400 ? "OK" : "Not now", content: { "application/json": { schema } } };
}
