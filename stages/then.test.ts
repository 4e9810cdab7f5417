/** Two stages as one. Goal: what goes in comes out as if there were a stream between them. Method: a stage that gathers behind one that does not. */
import { expect, test } from "bun:test";
import type { Stage } from "./stage.ts";
import { then } from "./then.ts";

test("each batch goes through both; taking back and ending are the second one's", () => {
  const held: number[] = [];
  const gather: Stage<number, number[]> = {
    name: "gather",
    apply: (n) => (held.push(n) < 2 ? null : held.splice(0)),
    undo: () => void held.splice(0),
    end: () => (held.length === 0 ? null : held.splice(0)),
  };
  const stage = then({ name: "double", apply: (n: number) => (n < 0 ? null : 2 * n) }, gather);
  expect(stage.name).toBe("double and gather");
  expect([1, -1, 2, 3].map((n) => stage.apply(n))).toEqual([null, null, [2, 4], null]);
  stage.undo?.({ slot: 0, hash: "", cursor: "", moduleHash: "" });
  expect(stage.end?.()).toBeNull();
  stage.apply(4);
  expect(stage.end?.()).toEqual([8]);
});
