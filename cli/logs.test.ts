/**
 * Goal: log lines of all processes are printed once each, in either form, and followed until told to stop. Method: answers are
 * scripted; time passes when it is waited for.
 */
import { expect, test } from "bun:test";
import type { NodeLogEntry } from "../pipeline/log-exchange.ts";
import { systemWorld } from "../pipeline/world.ts";
import { printLogs } from "./logs.ts";
import { BufferOutput } from "./output.ts";

const line = (time: number, message: string): NodeLogEntry => ({
  time,
  level: "error",
  component: "lane",
  message,
  node: "host-a",
  fields: { code: "HOT_IO" },
});

test("as text, and as an object a line", async () => {
  const [text, json] = [new BufferOutput(), new BufferOutput()];
  const ask = async () => [line(0, "first\u001b[2J"), line(1, "second")];
  const options = { follow: false, signal: new AbortController().signal };
  await printLogs(ask, { ...options, json: false }, { stdout: text });
  await printLogs(ask, { ...options, json: true }, { stdout: json });
  expect(text.text.split("\n")).toEqual([
    expect.stringMatching(/^host-a \d\d:\d\d:\d\d\.000 ERR lane: first\\u\{1b\}\[2J code=HOT_IO$/),
    expect.stringMatching(/second code=HOT_IO$/),
    "",
  ]);
  expect(
    json.text
      .trim()
      .split("\n")
      .map((each) => JSON.parse(each) as object)[1],
  ).toEqual({
    time: "1970-01-01T00:00:00.001Z",
    level: "error",
    component: "lane",
    message: "second",
    node: "host-a",
    code: "HOT_IO",
  });
});

test("followed: each line once, until told to stop", async () => {
  const stop = new AbortController();
  const answers = [[line(0, "a"), line(1, "b")], [line(1, "b"), line(2, "c")], [line(2, "c")], [line(3, "d")]];
  const stdout = new BufferOutput();
  const world = { ...systemWorld, sleep: async () => (answers.length === 0 ? stop.abort() : undefined) };
  await printLogs(async () => answers.shift()!, { json: true, follow: true, signal: stop.signal }, { stdout }, world);
  const messages = stdout.text
    .trim()
    .split("\n")
    .map((each) => (JSON.parse(each) as { message: string }).message);
  expect(messages).toEqual(["a", "b", "c", "d"]);
});
