/**
 * Goal: whoever meets an error code can look it up, without a network. Method: the command is asked for codes that there
 * are, that there are not, and that are nearly right. That the registry and the code base agree is held by `test/tidy.test.ts`.
 */
import { describe, expect, test } from "bun:test";
import { errorCodes } from "./error-codes.ts";
import { explainCode } from "./explain.ts";
import { BufferOutput } from "./output.ts";

test("a page with a code that lacks its remedy, or comes twice, is refused", () => {
  expect(() => errorCodes("## A\n\n### X_Y\n*Fatal.* It broke.\n")).toThrow("X_Y has no kind");
  const entry = "### X_Y\n*Fatal.* It broke.\n**Do:** mend it.\n\n";
  expect(() => errorCodes(`## A\n\n${entry}${entry}`)).toThrow("X_Y is explained twice");
});

describe("sluice explain", () => {
  const say = (code: string, json = false) => {
    const stdout = new BufferOutput();
    explainCode(code, json, { stdout });
    return stdout.text;
  };

  test("gives meaning and remedy; case and a colon from the log do not matter", () => {
    expect(say("stream_full:")).toContain("STREAM_FULL (NATS JetStream; transient)");
    expect(say("STREAM_FULL")).toContain("What to do: see which stage limits the pipeline");
    expect(JSON.parse(say("STREAM_FULL", true))).toMatchObject({ code: "STREAM_FULL", kind: "Transient" });
  });

  test("an unknown code is a usage error that names the nearest", () => {
    expect(() => say("STREAM_FUL")).toThrow(
      expect.objectContaining({ code: "USAGE", hint: expect.stringContaining("STREAM_FULL") }),
    );
    expect(() => say("GAPP")).toThrow(expect.objectContaining({ hint: expect.stringContaining("Did you mean GAP?") }));
    expect(() => say("NOPE")).toThrow(expect.objectContaining({ hint: "`sluice explain` lists them all." }));
  });
});
