/** Goal: the reference tells what the document says, and its forms ask what was filled in. Method: small documents by hand. */
import { expect, test } from "bun:test";
import {
  curlOf,
  fieldsOf,
  type OpenApi,
  operationsOf,
  type Parameter,
  type Schema,
  typeOf,
  urlOf,
} from "./reference-model.ts";

test("types in a few words", () => {
  const types: [Schema, string][] = [
    [{ type: "integer", minimum: 1, maximum: 500 }, "integer, 1 to 500"],
    [{ type: "string", enum: ["long", "short"] }, "long or short"],
    [{ anyOf: [{ type: "string" }, { type: "null" }] }, "text or null"],
    [{ type: "array", items: { $ref: "#/components/schemas/Trade" } }, "list of Trade"],
    [{ const: false }, "false"],
    [{}, "anything"],
  ];
  for (const [schema, text] of types) expect(typeOf(schema)).toBe(text);
});

test("members of an answer, through lists, choices and components, which may hold themselves", () => {
  const tree: Schema = { type: "object", properties: { leaf: { type: "string", description: "a word" } } };
  const node: Schema = {
    type: "object",
    properties: { tree: { $ref: "#/components/schemas/Tree" }, next: { $ref: "#/components/schemas/Node" } },
  };
  const answer: Schema = {
    type: "object",
    properties: {
      data: { type: "array", items: { $ref: "#/components/schemas/Node" } },
      at: { anyOf: [{ type: "object", properties: { slot: { type: "integer" } } }, { type: "null" }] },
    },
  };
  const fields = fieldsOf(answer, { Tree: tree, Node: node });
  expect(fields.map(({ depth, name, type }) => `${"-".repeat(depth)}${name}: ${type}`)).toEqual([
    "data: list of Node",
    "-tree: Tree",
    "--leaf: text",
    "-next: Node",
    "at: object or null",
    "-slot: integer",
  ]);
  expect(fields[2]!.description).toBe("a word");
});

test("one of several components: each under its name", () => {
  const one = (word: string): Schema => ({
    type: "object",
    description: word,
    properties: { [word]: { type: "string" } },
  });
  const answer: Schema = { anyOf: [{ $ref: "#/components/schemas/A" }, { $ref: "#/components/schemas/B" }] };
  const fields = fieldsOf(answer, { A: one("left"), B: one("right") });
  expect(fields.map(({ depth, name, description }) => `${"-".repeat(depth)}${name} ${description}`.trim())).toEqual([
    "A left",
    "-left",
    "B right",
    "-right",
  ]);
});

test("a form becomes a URL and a line for the shell; what is empty is left out", () => {
  const parameter = (name: string, place: Parameter["in"], schema: Schema = {}): Parameter => ({
    ...{ name, in: place, required: place === "path", description: "", schema },
  });
  const parameters = [parameter("mint", "path"), parameter("limit", "query"), parameter("q", "query")];
  const given = new Map([
    ["mint", "a/b"],
    ["limit", ""],
    ["q", "x & y"],
  ]);
  expect(urlOf("/v1/mints/{mint}", parameters, given)).toBe("/v1/mints/a%2Fb?q=x+%26+y");
  expect(urlOf("/v1/mints/{mint}", parameters, new Map())).toBe("/v1/mints/{mint}");
  const topics = [parameter("topic", "query", { type: "array" }), parameter("Last-Event-ID", "header")];
  const several = new Map(["topic", "Last-Event-ID"].map((name) => [name, "trades, mints"]));
  expect(urlOf("/v1/live", topics, several)).toBe("/v1/live?topic=trades&topic=mints");
  expect(curlOf("GET", "http://h/v1?a=1&b=2", "")).toBe("curl 'http://h/v1?a=1&b=2'");
  expect(curlOf("POST", "http://h/q", `{"sql":"select 'x'"}`)).toBe(
    `curl -X POST 'http://h/q' -H 'content-type: application/json' -d '{"sql":"select '\\''x'\\''"}'`,
  );
});

test("operations by tag, in the document's order", () => {
  const operation = (id: string, tag: string) => ({
    operationId: id,
    tags: [tag],
    summary: "",
    "x-scope": "read",
    responses: {},
  });
  const paths = { "/b": { get: operation("b", "t"), post: operation("c", "u") }, "/a": { get: operation("a", "t") } };
  const document = { paths } as unknown as OpenApi;
  expect(operationsOf(document, "t").map(({ method, path }) => `${method} ${path}`)).toEqual(["GET /b", "GET /a"]);
  expect(operationsOf(document, "u").map(({ method, path }) => `${method} ${path}`)).toEqual(["POST /b"]);
});
