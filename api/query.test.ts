/**
 * Goal: SQL over HTTP reaches whoever answers it with the name of who asked, comes back in the type asked for, and errors
 * say what a client may know. Method: a real server over a desk of answers that are fixed.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Fatal, Transient } from "../pipeline/errors.ts";
import { silentLog } from "../pipeline/log.ts";
import type { ForeignAnswer, ForeignQuery } from "../storage/analytics/foreign.ts";
import { FakeBackend } from "./fixture.ts";
import { type RunningApi, startApi } from "./server.ts";

const SEEN = { lake: null, lineages: [], hot: [], files: [] };
const asked: ForeignQuery[] = [];
let outcome: () => Omit<ForeignAnswer, "body"> & { body: string };
let api: RunningApi;

beforeAll(async () => {
  const queries = {
    ask: async (query: ForeignQuery) => {
      asked.push(query);
      const answer = outcome();
      const stream: ReadableStream<Uint8Array> = new Response(answer.body).body!;
      return { ...answer, body: stream };
    },
  };
  api = await startApi({
    ...{ host: "127.0.0.1", port: 0, backend: new FakeBackend(), log: silentLog, version: "0", queries },
  });
});
afterAll(() => api.stop());

async function ask(body: unknown): Promise<{ response: Response; text: string }> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${api.url}/api/query`, { method: "POST", headers, body: JSON.stringify(body) });
  return { response, text: await response.text() };
}

test("rows come as JSON, with what they were answered from", async () => {
  outcome = () => ({ body: '[{"n":"18446744073709551615"}]', rows: 1, truncated: true, seen: SEEN });
  const { response, text } = await ask({ sql: "SELECT 1" });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
  expect(JSON.parse(text)).toEqual({ rows: [{ n: "18446744073709551615" }], truncated: true, seen: SEEN });
  expect(asked.at(-1)).toEqual({ sql: "SELECT 1", format: "json", key: "127.0.0.1" });
});

test("the provider's cursor is not told", async () => {
  const position = { slot: 7, hash: "abc", cursor: "the-cursor", moduleHash: "m" };
  const hot = [{ source: "main", name: "lane 0", position, finalSlot: 5 }];
  outcome = () => ({ body: "[]", rows: 0, truncated: false, seen: { ...SEEN, hot } });
  const { text } = await ask({ sql: "SELECT 1" });
  expect((JSON.parse(text) as { seen: object }).seen).toEqual({
    ...SEEN,
    hot: [{ source: "main", name: "lane 0", position: { slot: 7, hash: "abc" }, finalSlot: 5 }],
  });
  expect(text).not.toContain("cursor");
});

test("or as CSV", async () => {
  outcome = () => ({ body: "n\r\n1\r\n", rows: 1, truncated: false, seen: SEEN });
  const { response, text } = await ask({ sql: "SELECT 1", format: "csv" });
  expect(response.headers.get("content-type")).toBe("text/csv; charset=utf-8");
  expect([text, response.headers.get("x-truncated")]).toEqual(["n\r\n1\r\n", "false"]);
});

test("or as an Arrow stream", async () => {
  outcome = () => ({ body: "ARROW\u0000", rows: 1, truncated: true, seen: SEEN });
  const { response, text } = await ask({ sql: "SELECT 1", format: "arrow" });
  expect(response.headers.get("content-type")).toBe("application/vnd.apache.arrow.stream");
  expect([text, response.headers.get("x-truncated")]).toEqual(["ARROW\u0000", "true"]);
  expect(asked.at(-1)?.format).toBe("arrow");
});

test("what is wrong with a query is said; what failed inside is not", async () => {
  for (const [error, status, told] of [
    [new Fatal("SQL_REFUSED", "SHOW_REF is not answered"), 400, "SHOW_REF is not answered"],
    [new Fatal("SQL_LIMIT", "it took longer than 10 s"), 422, "it took longer than 10 s"],
    [new Transient("SQL_BUSY", "4 queries are being answered"), 429, "4 queries are being answered"],
    [new Fatal("SQL_FAILED", "at /secret/place"), 500, "failed inside"],
  ] as const) {
    outcome = () => {
      throw error;
    };
    const { response, text } = await ask({ sql: "SELECT 1" });
    expect([response.status, text.includes(told), text.includes("/secret")]).toEqual([status, true, false]);
    expect(response.headers.has("retry-after")).toBe(status === 429);
  }
});

test("what is no query is refused before anybody is asked", async () => {
  const before = asked.length;
  for (const body of [
    {},
    { sql: "" },
    { sql: 1 },
    { sql: "SELECT 1", format: "xml" },
    { sql: "SELECT 1", more: 1 },
    [],
  ]) {
    expect((await ask(body)).response.status).toBe(400);
  }
  expect(asked.length).toBe(before);
  const { text } = await ask({ sql: "SELECT 1", format: "xml" });
  expect(text).toContain("the body's format is wrong: one of json, csv, arrow is expected");
});
