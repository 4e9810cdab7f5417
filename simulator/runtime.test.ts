/**
 * The simulated runtime by itself, on hand-made calls: where payloads are placed, what a failure leaves behind, and the
 * validator's rule for a log that grows too long.
 */
import { describe, expect, test } from "bun:test";
import { PROGRAMS, type Program } from "./accounts.ts";
import { type Call, Execution, type Payload, type Step } from "./runtime.ts";

const A = PROGRAMS.router;
const B = PROGRAMS.exchange;
const NATIVE = PROGRAMS.system;
const SILENT = PROGRAMS.ed25519;
const index = new Map([A, B, NATIVE, SILENT].map((program, i) => [program, i] as const));
const payload: Payload = { kind: "unknown" };

function call(program: Program, steps: readonly Step[] = [], error?: number): Call {
  return {
    program,
    accounts: [],
    data: new Uint8Array(0),
    units: 100,
    steps,
    ...(error === undefined ? {} : { error }),
  };
}
const inner = (c: Call, tagged = false): Step => ({ kind: "call", call: c, ...(tagged ? { payload } : {}) });
const data = (length: number, tagged = true): Step => ({
  kind: "data",
  bytes: new Uint8Array(length),
  ...(tagged ? { payload } : {}),
});
const line = (length: number): Step => ({ kind: "line", line: "x".repeat(length) });

function run(calls: readonly Call[]) {
  const execution = new Execution();
  const outcome = execution.run(calls, index, 1_000);
  // Each line is a field 6 of wire type 2; lengths fit two bytes here.
  const bytes = execution.logs.finish();
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at++]).toBe((6 << 3) | 2);
    let length = bytes[at++]!;
    if (length > 127) length = (length & 127) + bytes[at++]! * 128;
    lines.push(Buffer.from(bytes.subarray(at, at + length)).toString());
    at += length;
  }
  return { outcome, lines, places: outcome.placements.map((p) => `${p.path}#${p.ordinal}${p.carried ? "" : " lost"}`) };
}

describe("placement", () => {
  test("paths count the flattened inner list, ordinals the tagged payloads of one call", () => {
    const deep = call(B, [data(8), inner(call(A, [data(8), data(8, false), data(8)])), data(8)]);
    const { places } = run([
      call(SILENT),
      call(A, [data(8), inner(call(NATIVE)), inner(deep), inner(call(B), true), data(8)]),
    ]);
    expect(places).toEqual(["1#0", "1.1#0", "1.2#0", "1.2#1", "1.1#1", "1.3#0", "1#1"]);
  });

  test("natives log no units, precompiles nothing", () => {
    const { lines } = run([call(SILENT), call(NATIVE), call(A, [inner(call(NATIVE))])]);
    expect(lines).toEqual([
      `Program ${NATIVE.text} invoke [1]`,
      `Program ${NATIVE.text} success`,
      `Program ${A.text} invoke [1]`,
      `Program ${NATIVE.text} invoke [2]`,
      `Program ${NATIVE.text} success`,
      `Program ${A.text} consumed 200 of 800 compute units`,
      `Program ${A.text} success`,
    ]);
  });
});

test("a failure goes all the way up and ends the transaction", () => {
  const { outcome, lines } = run([call(A, [inner(call(B, [data(8)], 0x1772)), line(5)]), call(B)]);
  expect(outcome.failure).toEqual({ index: 0, code: 0x1772 });
  expect(lines.filter((text) => text.endsWith("failed: custom program error: 0x1772")).length).toBe(2);
  expect(lines.at(-1)).toStartWith(`Program ${A.text} failed`);
  expect(lines.some((text) => text === "xxxxx")).toBe(false);
});

describe("a log that grows too long", () => {
  test("is marked once; shorter lines may still find room, payloads never", () => {
    const { outcome, lines, places } = run([call(A, [line(9_700), data(30), data(600), line(90), data(8)])]);
    expect(outcome.truncated).toBe(true);
    expect(places).toEqual(["0#0", "0#1 lost", "0#2 lost"]);
    expect(lines.filter((text) => text === "Log truncated").length).toBe(1);
    expect(lines.slice(lines.indexOf("Log truncated"))).toContain("x".repeat(90));
    expect(lines.filter((text) => text.startsWith("Program data: ")).length).toBe(1);
  });

  test("counts bytes of text, and does not touch what CPIs carry", () => {
    const exact = 9_999 - `Program ${A.text} invoke [1]`.length;
    expect(run([call(A, [line(exact)])]).lines.slice(0, 2)).toContain("x".repeat(exact));
    expect(run([call(A, [line(exact + 1)])]).lines[1]).toBe("Log truncated");
    const { places } = run([call(A, [line(10_000), inner(call(A), true)])]);
    expect(places).toEqual(["0.0#0"]);
  });
});
