/**
 * Goal: whoever meets an error code can look it up. Method: the code base is searched for every code that it raises, and
 * compared with the registry both ways; then the command itself.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SETTING_VARIABLES } from "../pipeline/config.ts";
import { errorCodes } from "./error-codes.ts";
import { explainCode } from "./explain.ts";
import { BufferOutput } from "./output.ts";

const ROOT = join(import.meta.dir, "..");
const FOLDERS = "{pipeline,stages,storage,api,cli,simulator}/**/*.ts";
const SOURCES = ["main.ts", ...new Bun.Glob(FOLDERS).scanSync(ROOT)]
  .filter((file) => !/\.(test|conformance)\.ts$|(^|[/-])(testing|fixture)\b|-fixture\.ts$/.test(file))
  .map((file) => ({ file, text: readFileSync(join(ROOT, file), "utf8") }));

const CODE = "[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*";
/** `new Fatal("CODE"`, and the two short forms of the API. */
const RAISED = new RegExp(
  `(?:new (Fatal|Transient|Poison|Fenced|Rewind)|\\b(refused|refusedUntil|unavailable))\\(\\s*"(${CODE})"`,
  "g",
);
/** A code handed to a function that makes the error, alone or in a table of advice. */
const HANDED_ON =
  /(?:\b(?:broken|malformed|fail|failed|fatal|failure|poison|transient|wrong|super)\(|\[)\s*"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)",/g;
const SHORT_FORM = { refused: "Poison", refusedUntil: "Poison", unavailable: "Transient" } as const;

interface Raised {
  readonly code: string;
  /** Undefined where only the code is seen. */
  readonly kind?: string;
  readonly file: string;
}

const raised: Raised[] = SOURCES.flatMap(({ file, text }) => [
  ...[...text.matchAll(RAISED)].map((m) => ({
    code: m[3]!,
    kind: m[1] ?? SHORT_FORM[m[2] as keyof typeof SHORT_FORM],
    file,
  })),
  ...[...text.matchAll(HANDED_ON)].filter((m) => !SETTING_VARIABLES.has(m[1]!)).map((m) => ({ code: m[1]!, file })),
]);

describe("the registry", () => {
  const known = errorCodes();

  test("there is something to look at", () => {
    expect(SOURCES.length).toBeGreaterThan(150);
    expect(new Set(raised.map((r) => r.code)).size).toBeGreaterThan(100);
  });

  test("explains every code that can be raised", () => {
    const missing = raised.filter((r) => !known.has(r.code)).map((r) => `${r.code} (${r.file})`);
    expect([...new Set(missing)]).toEqual([]);
  });

  test("explains no code that nobody raises", () => {
    const isRaised = (code: string) =>
      SOURCES.some(({ text }) => text.includes(`"${code}"`) || text.includes(` ${code}: `));
    const idle = [...known.keys()].filter((code) => !isRaised(code));
    expect(idle).toEqual([]);
  });

  test("says of each what happens next, as the code does", () => {
    const wrong = raised.filter(({ code, kind }) => {
      const told = known.get(code)?.kind.toLowerCase();
      return kind !== undefined && told !== undefined && !told.split(" or ").includes(kind.toLowerCase());
    });
    expect(wrong.map(({ code, kind, file }) => `${code} is ${kind} in ${file}`)).toEqual([]);
  });

  test("refuses a page with a code that lacks its remedy, or comes twice", () => {
    expect(() => errorCodes("## A\n\n### X_Y\n*Fatal.* It broke.\n")).toThrow("X_Y has no kind");
    const entry = "### X_Y\n*Fatal.* It broke.\n**Do:** mend it.\n\n";
    expect(() => errorCodes(`## A\n\n${entry}${entry}`)).toThrow("X_Y is explained twice");
  });
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
  });
});
