/** Goal: what commands print is exact, aligned and safe for a terminal. Method: golden texts, and one exit code per error. */
import { describe, expect, test } from "bun:test";
import { Fatal, Fenced, Poison, Shutdown, Transient } from "../pipeline/errors.ts";
import {
  BufferOutput,
  cellText,
  EXIT,
  exitCodeOf,
  type OutputStream,
  paint,
  streamOutput,
  table,
  toJson,
} from "./output.ts";

test("a table is aligned and has no blanks at the end of lines", () => {
  const columns = [{ name: "name" }, { name: "rows", align: "right" as const }, { name: "note" }];
  const rows = [
    ["trades", 1_234, "x"],
    ["a", 5n, null],
  ];
  expect(table(new BufferOutput(), columns, rows)).toBe(
    ["name    rows  note", "trades  1234  x", "a          5", ""].join("\n"),
  );
});

test("JSON keeps exact integers and bytes", () => {
  expect(toJson({ big: 2n ** 64n - 1n, bytes: new Uint8Array([1, 255]), list: [1n] }, 0)).toBe(
    '{"big":"18446744073709551615","bytes":"01ff","list":["1"]}',
  );
});

test("control characters from data never reach the terminal", () => {
  expect(cellText("a\u001b[2Jb\nc\u009b31m\u202ed")).toBe("a\\u{1b}[2Jb\\nc\\u{9b}31m\\u{202e}d");
  expect(cellText("Zürich 🚀 東京")).toBe("Zürich 🚀 東京");
});

describe("colour", () => {
  const stream = (isTTY: boolean) =>
    ({ isTTY, columns: 80, write: () => true, on: () => stream(isTTY) }) as unknown as OutputStream;
  const painted = (isTTY: boolean, env: Record<string, string>) => paint(streamOutput(stream(isTTY), env), "red", "x");
  test("only on a terminal that wants it", () => {
    expect(painted(true, {})).toBe("\u001b[31mx\u001b[0m");
    expect(painted(false, {})).toBe("x");
    expect(painted(true, { NO_COLOR: "1" })).toBe("x");
    expect(painted(true, { NO_COLOR: "" })).toBe("\u001b[31mx\u001b[0m");
    expect(painted(true, { TERM: "dumb" })).toBe("x");
  });
});

test("exit codes", () => {
  const codes = [
    new Transient("NATS_UNREACHABLE", ""),
    new Fatal("CONFIG_VALUE", ""),
    new Fatal("USAGE", ""),
    new Fatal("HOT_STORE", ""),
    new Fenced("STREAM_FENCED", ""),
    new Poison("WIRE_DAMAGED", ""),
    new Error("bug"),
    new Shutdown(),
  ].map(exitCodeOf);
  expect(codes).toEqual([75, 2, 2, 1, 1, 1, 1, 0]);
  expect(EXIT).toEqual({ ok: 0, failed: 1, usage: 2, retryLater: 75 });
});
