/** Goal: whoever has mistyped a settings file is told the line. Method: texts with one fault each, on a line that is known. */
import { expect, test } from "bun:test";
import { parseYaml } from "./yaml.ts";

test.each([
  ["a: 1\nb: [1\nc: 2\n", "line 2:"],
  ["a: 1\n b: 2\nlanes: 3\n", "line 2:"],
  ["# head\n\nlanes: 1\nfoo\nb: 2\n", "line 4:"],
  ["a:\n\t- b\n", "line 2:"],
  ["a: 1\nb: 'x\nc: 1\n", "line 2:"],
  ["a: 1\n\n# why\nb: @x\nc: 3\n", "line 4:"],
  ["{", "line 1:"],
])("%j is wrong at %s", (text, line) => {
  expect(() => parseYaml(text)).toThrow(line);
});

test("what is right is read", () => {
  expect(parseYaml("a: [1, x]\n")).toEqual({ a: [1, "x"] });
  expect(parseYaml('{"a": 1}')).toEqual({ a: 1 });
});

test("a text that is too long to search is refused without a line", () => {
  const long = `${Array.from({ length: 3_000 }, (_, i) => `a${i}: 1`).join("\n")}\nb: [`;
  expect(() => parseYaml(long)).toThrow(/^Unexpected/);
});
