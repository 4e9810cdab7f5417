/**
 * Goal: the document tells every route, and every answer keeps to it. Method: a real server on loopback over a fake backend with fixed reports; whole bodies are compared.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { FormatRegistry } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { FakeBackend } from "./fixture.ts";
import { LIVE_OPERATION } from "./live/described.ts";
import { allRoutes } from "./routes/index.ts";
import type { Answer, Route } from "./routes/route.ts";
import { Served } from "./served-fixture.ts";

FormatRegistry.Set("date-time", (text) => !Number.isNaN(Date.parse(text)));

let served: Served;
let backend: FakeBackend;
const get = (path: string) => served.get(path);
beforeEach(async () => {
  served = await Served.start();
  backend = served.backend;
});
afterEach(() => served.stop());

test("answers keep to the schemas that their routes declare, in health and in sickness", async () => {
  for (const sicken of [() => undefined, () => backend.change("lane.main.0", { state: "failed" }), killAll]) {
    sicken();
    const world = { now: () => backend.now, sleep: async () => undefined };
    for (const route of await allRoutes({ backend, version: "0.1.0", world, obeyWithinMs: 0 })) {
      if (route.answers === undefined) continue;
      const answer = await answerOf(route);
      if (answer === null) continue;
      const schema = route.answers[answer.status];
      const body = JSON.parse(JSON.stringify(answer.body));
      const errors = schema === undefined ? ["no schema"] : [...Value.Errors(schema, body)];
      expect({ path: route.path, errors }).toEqual({ path: route.path, errors: [] });
    }
  }
});

/** Null where it cannot answer just now. */
async function answerOf(route: Route): Promise<Answer | null> {
  try {
    return await route.handle({ params: {}, body: undefined, at: backend.now, asker: "test" });
  } catch {
    return null;
  }
}

function killAll(): void {
  backend.nodes = [];
}

describe("the document", () => {
  test("/v1/openapi.json lists every route but the page", async () => {
    const { body } = await get("/v1/openapi.json");
    const all = Object.keys((body as { paths: object }).paths).sort();
    // The other addresses of the indexer's routes are held in operations.test.ts.
    expect(all.filter((path) => !/^(\/v1\/api)?\/indexer\//.test(path))).toEqual([
      "/api/cluster/health",
      "/api/indexer/health",
      "/api/indexer/metrics",
      "/api/indexer/start",
      "/api/indexer/status",
      "/api/indexer/stop",
      "/api/kline/status",
      "/api/kline/subscriptions",
      "/api/sync/status",
      "/api/sync/trigger",
      "/api/time",
      "/health",
      "/metrics",
      "/ready",
      "/v1/openapi.json",
      "/v1/stages",
    ]);
  });

  test("is found where clients of the spinpet server look for it, and says where it came from", async () => {
    const [own, before] = await Promise.all([get("/v1/openapi.json"), get("/api-docs/openapi.json")]);
    expect(before).toEqual(own);
    expect(own.body).toMatchObject({ openapi: "3.1.0", servers: [{ url: "/" }] });
  });

  test("is one that tools can use: names are unique, references lead somewhere, schemas are of the dialect", async () => {
    const { paths, components, tags } = await document();
    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain("getV1MintsByMintTrades");
    const known = tags.map(({ name }) => name);
    for (const operation of operations) expect(known).toContain(operation.tags[0]!);
    expect(Object.keys(components.schemas)).toContain("Trade");
    for (const [, to] of JSON.stringify(paths).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
      expect(Object.keys(components.schemas)).toContain(to!);
    const ajv = new Ajv2020({ strict: true, strictTypes: false, formats: { "date-time": true } });
    ajv.addKeyword("components");
    ajv.addSchema({ $id: "doc", components }, "doc");
    for (const schema of [...schemasIn(paths), ...Object.values(components.schemas)])
      expect(() => ajv.compile(rooted(schema) as object)).not.toThrow();
  });

  test("has the live feed where it is served: how it is asked for, both ways, and all its messages", async () => {
    const { paths, components } = await document();
    const live = paths["/v1/live"]!["get"]!;
    expect(live).toMatchObject({ operationId: "getV1Live", tags: ["live"], "x-scope": "live" });
    expect(live.parameters.map(({ name }) => name)).toEqual(["topic", "resume_from", "Last-Event-ID"]);
    const { responses } = live as unknown as { responses: Record<string, { content: Record<string, unknown> }> };
    expect(Object.entries(responses).map(([status, { content }]) => [status, ...Object.keys(content)])).toEqual([
      ["101", "application/json"],
      ["200", "text/event-stream"],
      ["410", "application/problem+json"],
      ["default", "application/problem+json"],
    ]);
    const all = Object.keys(components.schemas).filter((name) => name.startsWith("Live"));
    expect(all.toSorted()).toEqual(
      "Candle Closed Correction Error Event Final Gap Heartbeat Mint Place Pong Request Subscribed Trade Undo Unsubscribed"
        .split(" ")
        .map((name) => `Live${name}`),
    );
  });

  test("tells no default for what may be left out and then stands for something else", async () => {
    const { paths } = await document();
    const { parameters } = paths["/v1/candles/{mint}"]!["get"]!;
    const defaults = Object.fromEntries(parameters.map(({ name, schema }) => [name, schema.default]));
    expect(defaults).toEqual({ interval: "m1" });
  });
});

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly schema: { readonly default?: unknown } }[];
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
  readonly tags: readonly { readonly name: string }[];
}

/** With all routes, of which none is asked. */
async function document(): Promise<Document> {
  const none = {} as never;
  const described = [{ path: "/v1/live", audience: "live", operation: LIVE_OPERATION }] as const;
  const routes = await allRoutes({ backend, version: "0.1.0", reads: none, stores: none, queries: none, described });
  const { body } = (await answerOf(routes.find(({ path }) => path === "/v1/openapi.json")!))!;
  return JSON.parse(JSON.stringify(body)) as Document;
}

/** Values of every key "schema". */
function schemasIn(value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => (key === "schema" ? [inner] : schemasIn(inner)));
}

/** With references as the validator knows the document. */
function rooted(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"doc#/components'));
}
