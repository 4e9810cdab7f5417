/**
 * Goal: what is logged can be chosen by level and component, read by people and by programs, and asked for later. Method:
 * levels and lines are compared with what they must be; a child process shows what comes out of the real set-up.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { LIMITS } from "./limits.ts";
import { jsonLine, textLine } from "./log.ts";
import { isLogged, LOG_LEVELS, parseLogLevels } from "./log-levels.ts";
import { type LogEntry, LogRing } from "./log-ring.ts";

const entry = (more: Partial<LogEntry> = {}): LogEntry => ({
  time: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
  level: "info",
  component: "decode",
  message: "standing",
  fields: {},
  ...more,
});

describe("levels", () => {
  const logged = (text: string, component: string) => {
    const levels = parseLogLevels(text);
    return levels === null ? null : LOG_LEVELS.filter((level) => isLogged(levels, component, level)).length;
  };

  test.each([
    ["info", "decode", 3],
    ["WARN", "decode", 2],
    ["trace", "decode", 4],
    ["off", "decode", 0],
    ["info,sluice=debug", "decode", 4],
    ["info,decode=debug", "decode", 4],
    ["info,decode=debug", "lane", 3],
    ["warn,sluice::nats=trace", "nats", 4],
    ["warn,sluice::nats=trace", "decode", 2],
    ["error,hyper=off,h2::client=off", "decode", 1],
    ["decode", "decode", 4],
    ["decode=off", "decode", 0],
    [" info , lane = debug ", "lane", null],
    ["info, lane=debug", "lane", 4],
  ])("%s logs of %s %p levels", (text, component, count) => {
    expect(logged(text, component)).toBe(count);
  });

  test.each(["", "loud=very", "info,", "info/regex", "[span]=info", "a=b=c", "decode=4"])(
    "%p means nothing",
    (text) => {
      expect(parseLogLevels(text)).toBeNull();
    },
  );
});

describe("lines", () => {
  const fields = { unit: "decode.main", nested: { a: 1 }, where: "", time: "not this" };

  test("JSON: one object, its own names before those of the fields", () => {
    const line = jsonLine(entry({ fields, message: "two\nlines" }));
    expect(line).not.toContain("\n");
    expect(Object.keys(JSON.parse(line) as object).slice(0, 4)).toEqual(["time", "level", "component", "message"]);
    expect(JSON.parse(line)).toMatchObject({
      time: "2026-01-02T03:04:05.006Z",
      nested: { a: 1 },
      message: "two\nlines",
    });
  });

  test("text: one line that steers no terminal, a stack below an error", () => {
    const hostile = entry({
      message: "module said \u001b[2J\nERR forged: line",
      fields: { unit: "decode.main", hint: "" },
    });
    expect(textLine(hostile, false)).toMatch(
      /^\d\d:\d\d:\d\d\.006 INF decode: module said \\u\{1b\}\[2J\\nERR forged: line unit=decode\.main$/,
    );
    const broken = textLine(entry({ level: "error", fields: { stack: "Error: x\n    at y" } }), false);
    expect(broken.split("\n").slice(1)).toEqual(["Error: x", "    at y"]);
  });
});

describe("the ring", () => {
  test("keeps the latest, in order, whatever came before", () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: -1, max: 12 }),
        (count, capacity, lines) => {
          const ring = new LogRing(capacity);
          for (let i = 0; i < count; i++) ring.add(entry({ time: i }));
          const expected = Array.from({ length: count }, (_, i) => i).slice(-capacity);
          const found = ring.select({ lines }).map((e) => e.time);
          expect(found).toEqual(lines <= 0 ? [] : expected.slice(-lines));
        },
      ),
    );
  });

  test("is asked by level, component and text", () => {
    const ring = new LogRing();
    ring.add(entry({ message: "indexer started" }));
    ring.add(entry({ level: "error", component: "lane", message: "no space", fields: { code: "HOT_DISK_FULL" } }));
    ring.add(entry({ level: "warning", component: "lane", message: "slow" }));
    const found = (query: object) => ring.select({ lines: 10, ...query }).map((e) => e.message);
    expect(found({ level: "warning" })).toEqual(["no space", "slow"]);
    expect(found({ level: "error", component: "decode" })).toEqual([]);
    expect(found({ search: "INDEXER" })).toEqual(["indexer started"]);
    expect(found({ search: "hot_disk" })).toEqual(["no space"]);
  });

  test("a line of any size takes bounded room", () => {
    const ring = new LogRing();
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`field${i}`, i]));
    ring.add(entry({ message: "x".repeat(1e6), fields: { stack: "y".repeat(1e6) } }));
    ring.add(entry({ fields: many }));
    for (const kept of ring.select({ lines: 2 }))
      expect(JSON.stringify(kept).length).toBeLessThan(3 * LIMITS.logLineCharactersMax);
  });
});

test("the real thing: JSON off a terminal, by component, and the ring holds what was written", async () => {
  const script = `
    import { configureLogging, logFor, recentLog } from "./log.ts";
    await configureLogging({ level: "warn,decode=debug", format: "auto" });
    logFor("stages")("debug", "of a {unit}", { unit: "decode.main", rows: 12n });
    logFor("stages")("info", "not this", { unit: "lane.main.0" });
    logFor("nats")("warning", "down", { reason: new Error("gone") });
    console.log(recentLog.select({ lines: 9 }).length);`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    cwd: join(import.meta.dir),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [kept, text] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const lines = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toEqual([
    expect.objectContaining({ level: "debug", component: "decode", message: "of a {unit}", rows: "12" }),
    expect.objectContaining({ level: "warning", component: "nats", message: "down", reason: "gone" }),
  ]);
  expect(kept.trim()).toBe("2");
});
