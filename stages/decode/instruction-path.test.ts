/** Goal: every place has the path that it is known by, cached or not. Method: all places around the edges of the cache. */
import { expect, test } from "bun:test";
import { instructionPath, unmatchedPath } from "./instruction-path.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

test("paths of all places up to the seventieth instruction and its three-hundredth inner one", () => {
  const wrong: string[] = [];
  for (const _ of ["made", "cached"]) {
    for (let top = 0; top < 70; top++) {
      for (let inner = -1; inner < 300; inner++) {
        const expected = inner < 0 ? `${top}` : `${top}.${inner}`;
        if (text(instructionPath(top, inner)) !== expected) wrong.push(expected);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("an invocation without an instruction is named by its number in the log", () => {
  expect(text(unmatchedPath(12))).toBe("~12");
});
