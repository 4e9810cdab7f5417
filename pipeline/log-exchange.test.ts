/**
 * Goal: whoever asks gets the latest lines of every process that answers, in order of time, and never waits for one that
 * does not. Method: several clients of a real nats-server, one of them silent, one that answers with rubbish.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { LIMITS } from "./limits.ts";
import { answerLogRequests, collectLogs } from "./log-exchange.ts";
import { type LogEntry, type LogQuery, LogRing } from "./log-ring.ts";
import { type NatsFixture, startNats } from "./nats-fixture.ts";

let nats: NatsFixture;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.dispose());

const line = (time: number, more: Partial<LogEntry> = {}): LogEntry => ({
  time,
  level: "info",
  component: "decode",
  message: `at ${time}`,
  fields: {},
  ...more,
});

/** As the product asks, but until so many have answered, however long a busy machine takes. */
async function collect(prefix: string, answers: number, query: LogQuery) {
  const { connection } = await nats.connect();
  const requestMany: (typeof connection)["requestMany"] = (subject, payload) =>
    connection.requestMany(subject, payload, { strategy: "count", maxMessages: answers, maxWait: 300_000 });
  return collectLogs({ requestMany }, prefix, query);
}

async function process(prefix: string, node: string, ...lines: LogEntry[]) {
  const ring = new LogRing();
  for (const each of lines) ring.add(each);
  const { connection } = await nats.connect();
  const answering = answerLogRequests(connection, prefix, node, ring);
  await connection.flush();
  return answering;
}

test("the latest of all, in order of time; other deployments and silent processes do not matter", async () => {
  const { connection } = await nats.connect();
  connection.subscribe("one.logs");
  await process("one", "a", line(1), line(4), line(6));
  await process("one", "b", line(2), line(5));
  await process("two", "c", line(3));
  const { nodes, entries } = await collect("one", 2, { lines: 4 });
  expect(nodes).toEqual(["a", "b"]);
  expect(entries.map((e) => `${e.node}${e.time}`)).toEqual(["b2", "a4", "b5", "a6"]);
  // With the product's own patience it comes to its end all the same; a busy machine may be too late for it.
  const { nodes: inTime } = await collectLogs(connection, "one", { lines: 4 });
  expect(["a", "b"]).toEqual(expect.arrayContaining([...inTime]));
});

test("each process filters for itself", async () => {
  await process("level", "a", line(1), line(2, { level: "error", message: "broke" }));
  const { entries } = await collect("level", 1, { lines: 10, level: "warning" });
  expect(entries.map((e) => e.message)).toEqual(["broke"]);
});

test("nobody there: nothing, and no error", async () => {
  expect(await collect("nobody", 1, { lines: 10 })).toEqual({ nodes: [], entries: [] });
});

test("an answer fits in a message, with its latest lines; a request that is none is not answered", async () => {
  const { connection } = await nats.connect();
  const long = Array.from({ length: LIMITS.logLinesKept }, (_, i) => line(i, { message: `${i} ${"x".repeat(1_000)}` }));
  const answering = await process("long", "a", ...long);
  const { entries } = await collect("long", 1, { lines: LIMITS.logLinesKept });
  expect(entries.length).toBeGreaterThan(100);
  expect(entries.length).toBeLessThan(LIMITS.logLinesKept);
  expect(entries.at(-1)?.time).toBe(LIMITS.logLinesKept - 1);
  await expect(connection.request("long.logs", "rubbish", { timeout: 300 })).rejects.toThrow();
  answering.stop();
  await connection.flush();
});
