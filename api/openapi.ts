/** The OpenAPI document, made from the table of routes: a route cannot be forgotten or described twice. */
import { type TSchema, Type as t } from "@sinclair/typebox";
import type { Param } from "./params.ts";
import type { Route } from "./routes/route.ts";

export const ErrorSchema = t.Object({
  success: t.Literal(false),
  error: t.Object({
    code: t.String({ description: "stable: match on it, not on the message" }),
    message: t.String(),
    id: t.String({ description: "names the entry in the server's log" }),
  }),
});

/** RFC 9457. */
export const ProblemSchema = t.Object({
  type: t.String(),
  title: t.String(),
  status: t.Integer(),
  detail: t.String(),
  code: t.String({ description: "stable: match on it, not on the detail" }),
  id: t.String({ description: "names the entry in the server's log" }),
});

export function openApiOf(routes: readonly Route[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Sluice", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "Made by `sluice token create`; scopes: read, live, control, sql.",
        },
      },
    },
    paths,
  };
}

function operationOf(route: Route): Record<string, unknown> {
  const { answers, contentType, summary, audience, body, version } = route;
  const told = Object.entries(answers ?? {}).map(
    ([status, schema]) => [status, answer(Number(status), schema)] as const,
  );
  const text = { description: "OK", content: { [contentType ?? "application/json"]: {} } };
  const parameters = parametersOf(route);
  return {
    summary,
    // Where no token is set, or this caller needs none, none is sent.
    security: audience === "anyone" ? [] : [{ token: [] }, {}],
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
