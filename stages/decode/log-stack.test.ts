/**
 * Goal: the program on top of the stack is the one that speaks, whatever programs print, and every invocation finds its
 * instruction. Method: written logs, one rule at a time; the instruction list is filled by hand.
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { keyOf } from "./block-fixture.ts";
import { InstructionList } from "./instruction-list.ts";
import { InvocationMatcher, LINE, LogStack } from "./log-stack.ts";
import { ProgramSet } from "./program-set.ts";

const OURS = bs58.encode(keyOf(7));
const OTHER = bs58.encode(keyOf(9));
const SYSTEM = "11111111111111111111111111111111";
const set = new ProgramSet([keyOf(7)]);

/** Feeds the lines, which stand in one buffer as they do in a block. */
function feedAll(lines: readonly string[]): { stack: LogStack; kinds: number[] } {
  const stack = new LogStack(set);
  stack.startTransaction();
  const bytes = new TextEncoder().encode(lines.join(""));
  let at = 0;
  const kinds = lines.map((line) => {
    const start = at;
    at += new TextEncoder().encode(line).length;
    return stack.feed(bytes, start, at);
  });
  return { stack, kinds };
}

describe("lines", () => {
  test.each([
    [`Program ${OURS} invoke [1]`, LINE.invoke],
    [`Program ${SYSTEM} invoke [2]`, LINE.invoke],
    ["Program data: QUJD", LINE.data],
    ["Program data: ", LINE.data],
    ["Log truncated", LINE.truncated],
    ["Program log: Parameters updated successfully!", LINE.other],
    [`Program log: Program ${OURS} success`, LINE.other],
    [`Program log: x\nProgram ${OURS} success`, LINE.other],
    [`Program ${OURS} consumed 21971 of 200000 compute units`, LINE.other],
    [`Program return: ${OURS} FAAAAAAAAAA=`, LINE.other],
    ["Program consumption: 1000 units remaining", LINE.other],
    ["Program failed to complete: exceeded CUs meter at BPF instruction", LINE.other],
    [`Upgraded program ${OURS}`, LINE.other],
    [`Program ${OURS} invoke [0]`, LINE.other],
    [`Program ${OURS} invoke [999]`, LINE.other],
    [`Program ${OURS} invoke [x]`, LINE.other],
    [`Program ${OURS} invoke [1] `, LINE.other],
    [`Program ${OURS} invoke [1`, LINE.other],
    ["Program short invoke [1]", LINE.other],
    [`Program ${OURS}${OTHER} invoke [1]`, LINE.other],
    ["Program 0OIl0OIl0OIl0OIl0OIl0OIl0OIl0OIl invoke [1]", LINE.other],
    [" Log truncated", LINE.other],
    ["Log truncated ", LINE.other],
    ["Program ", LINE.other],
    ["", LINE.other],
  ])("%p", (line, kind) => {
    expect(feedAll([line]).kinds).toEqual([kind]);
  });

  test("an end counts only for a program that is running, and only as a whole line", () => {
    const running = `Program ${OURS} invoke [1]`;
    expect(feedAll([running, `Program ${OURS} success`]).stack.depth).toBe(0);
    expect(feedAll([running, `Program ${OURS} failed: custom program error: 0x1`]).stack.depth).toBe(0);
    expect(feedAll([running, `Program ${OURS} success.`]).stack.depth).toBe(1);
    expect(feedAll([running, `Program ${OURS} failed`]).stack.depth).toBe(1);
    expect(feedAll([running, `Program ${OTHER} success`]).stack.depth).toBe(1);
    expect(feedAll([running, "Program log: all was a success"]).stack.depth).toBe(1);
  });
});

describe("stack", () => {
  test("the top changes with invocations and ends, not with what is said", () => {
    const { stack } = feedAll([`Program ${OURS} invoke [1]`, `Program ${OTHER} invoke [2]`, "Program log: hello"]);
    expect([stack.depth, stack.top]).toEqual([2, 0]);
    const after = feedAll([
      `Program ${OURS} invoke [1]`,
      `Program ${OTHER} invoke [2]`,
      `Program ${SYSTEM} invoke [3]`,
      `Program ${SYSTEM} success`,
      `Program ${OTHER} success`,
    ]).stack;
    expect([after.depth, after.top]).toEqual([1, 1]);
  });

  test("an address that only begins like ours is not ours", () => {
    expect(OURS).toHaveLength(43);
    expect(feedAll([`Program ${OURS}1 invoke [1]`]).stack.top).toBe(0);
    expect(feedAll([`Program ${OURS.slice(0, 42)} invoke [1]`]).stack.top).toBe(0);
  });

  test("where lines are missing, the height of an invocation is the authority", () => {
    const lost = feedAll([
      `Program ${OTHER} invoke [1]`,
      `Program ${OTHER} invoke [2]`,
      `Program ${OURS} invoke [1]`,
    ]).stack;
    expect([lost.depth, lost.top]).toEqual([1, 1]);
    const gap = feedAll([`Program ${OURS} invoke [3]`, `Program ${OURS} success`]).stack;
    expect([gap.depth, gap.top]).toEqual([2, 0]);
  });
});

describe("matching", () => {
  /** Instructions as [program, height, top, inner]. */
  function matcherOf(instructions: readonly (readonly [number, number, number, number])[]): InvocationMatcher {
    const list = new InstructionList(2);
    list.startTransaction();
    for (const [program, height, top, inner] of instructions) list.add(program, height, top, inner, 0, 0, 0, 0);
    const matcher = new InvocationMatcher(list, 2);
    matcher.startTransaction(0, list.length);
    return matcher;
  }

  test("instructions that leave no line are passed over", () => {
    const matcher = matcherOf([
      [0, 1, 0, -1], // a precompile
      [1, 1, 1, -1],
      [0, 1, 2, -1],
      [1, 1, 3, -1],
    ]);
    expect([matcher.match(1, 1), matcher.match(1, 1), matcher.match(1, 1)]).toEqual([1, 3, -1]);
  });

  test("height tells a call from a call within it", () => {
    const matcher = matcherOf([
      [2, 1, 0, -1],
      [1, 2, 0, 0],
      [2, 3, 0, 1],
      [1, 3, 0, 2],
      [2, 2, 0, 3],
    ]);
    expect([matcher.match(2, 1), matcher.match(1, 2), matcher.match(2, 3)]).toEqual([0, 1, 2]);
    expect([matcher.match(1, 3), matcher.match(2, 2)]).toEqual([3, 4]);
  });

  test("a deeper call of the same program is passed over; a miss ends the search for good", () => {
    const matcher = matcherOf([
      [2, 1, 0, -1],
      [1, 3, 0, 0],
      [1, 2, 0, 1],
      [1, 3, 0, 2],
    ]);
    expect([matcher.match(1, 2), matcher.match(1, 2), matcher.match(1, 3)]).toEqual([2, -1, -1]);
  });

  test("blocks from before heights were recorded match by order", () => {
    const matcher = matcherOf([
      [2, 1, 0, -1],
      [1, 0, 0, 0],
      [1, 0, 0, 1],
    ]);
    expect([matcher.match(1, 2), matcher.match(1, 3), matcher.match(1, 2)]).toEqual([1, 2, -1]);
  });

  test("inner instructions that were not recorded do not lose the top-level ones", () => {
    const matcher = matcherOf([
      [2, 1, 0, -1],
      [1, 1, 1, -1],
    ]);
    expect([matcher.match(2, 1), matcher.match(1, 2), matcher.match(1, 1)]).toEqual([0, -1, 1]);
  });
});
