/** The OpenAPI document, made from the table of routes: a route cannot be forgotten or described twice. */
import { type TSchema, Type as t } from "@sinclair/typebox";
import type { Route } from "./routes/route.ts";

export const ErrorSchema = t.Object({
  success: t.Literal(false),
  error: t.Object({
    code: t.String({ description: "stable: match on it, not on the message" }),
    message: t.String(),
    id: t.String({ description: "names the entry in the server's log" }),
  }),
});

export function openApiOf(routes: readonly Route[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Sluice", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths,
  };
}

function operationOf(route: Route): Record<string, unknown> {
  const { answers, contentType, summary } = route;
  const told = Object.entries(answers ?? {}).map(
    ([status, schema]) => [status, answer(Number(status), schema)] as const,
  );
  const text = { description: "OK", content: { [contentType ?? "application/json"]: {} } };
  return {
    summary,
    responses: {
      ...(answers === undefined ? { 200: text } : Object.fromEntries(told)),
      default: { description: "Error", content: { "application/json": { schema: ErrorSchema } } },
    },
  };
}

function answer(status: number, schema: TSchema): Record<string, unknown> {
  return { description: status < 400 ? "OK" : "Not now", content: { "application/json": { schema } } };
}
