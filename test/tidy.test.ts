/**
 * House rules, held by a test. Goal: imports follow the data (datasets <- wire <- stages; storage knows no stages; api
 * knows neither stages nor the runner; the simulator knows none of them, because its truth must be computed apart);
 * files and functions stay readable; nothing is skipped or silenced.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { errorCodes } from "../cli/error-codes.ts";
import { SETTING_VARIABLES } from "../pipeline/config.ts";
import { operationsPage } from "./operations-doc.ts";

const ROOT = join(import.meta.dir, "..");
const FOLDERS = "{pipeline,stages,storage,api,cli,simulator,test,bench}/**/*.ts";
// One pattern each: Bun's Glob finds nothing at all where braces stand inside braces.
const FILES = ["main.ts", ...new Bun.Glob(FOLDERS).scanSync(ROOT)].sort();

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const SOURCES: Source[] = FILES.map((file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  const found = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map((m) => m[1]!);
  return { file, text, imports: found.map((to) => relative(ROOT, join(ROOT, dirname(file), to))) };
});

const isTest = (file: string) => /\.(test|conformance)\.ts$/.test(file) || file.startsWith("test/");

/** Who may not import whom; tests may see more than what they test. */
const FORBIDDEN: readonly {
  readonly from: RegExp;
  readonly to: RegExp;
  readonly because: string;
  readonly except?: RegExp;
}[] = [
  {
    from: /^pipeline\/datasets\//,
    to: /^pipeline\/(?!datasets\/)/,
    because: "datasets say what a row is and know nothing else",
    except: /^pipeline\/errors\.ts$/,
  },
  {
    from: /^pipeline\/wire\//,
    to: /^(stages|storage|api|cli|simulator)\//,
    because: "the wire format knows datasets only",
  },
  {
    from: /^pipeline\/source\//,
    to: /^(stages|storage|api|cli|simulator)\//,
    because: "sources know no stage and no store",
  },
  {
    from: /^pipeline\/(?!topology|deployment|live|backfill)/,
    to: /^stages\/(?!stage\.ts)/,
    because: "only the topology sees stages",
  },
  {
    from: /^pipeline\/(?!topology|deployment|live|backfill)/,
    to: /^storage\/(?!sink\.ts)/,
    because: "only the topology sees stores",
  },
  {
    from: /^stages\//,
    to: /^(storage|api|cli|simulator)\//,
    because: "stages are functions of their input",
    except: /^storage\/sink\.ts$/,
  },
  {
    from: /^storage\//,
    to: /^(stages|api|cli|simulator)\//,
    because: "storage knows datasets, not stages",
    except: /^stages\/stage\.ts$/,
  },
  {
    from: /^api\//,
    to: /^(stages|simulator)\/|^pipeline\/(runner|topology|supervisor)\.ts/,
    because: "the API reads state and sets desires",
  },
  { from: /^simulator\//, to: /^(stages|storage|api|cli)\//, because: "the truth is computed apart from the pipeline" },
];

test("there is something to look at", () => {
  expect(FILES.length).toBeGreaterThan(200);
  expect(SOURCES.flatMap((source) => source.imports).length).toBeGreaterThan(500);
});

describe("imports", () => {
  for (const rule of FORBIDDEN) {
    test(`${rule.from.source} does not import ${rule.to.source}: ${rule.because}`, () => {
      const offences = SOURCES.filter((s) => rule.from.test(s.file) && !isTest(s.file)).flatMap((s) =>
        s.imports.filter((to) => rule.to.test(to) && rule.except?.test(to) !== true).map((to) => `${s.file} -> ${to}`),
      );
      expect(offences).toEqual([]);
    });
  }

  test("Elysia is imported in one place only", () => {
    const sites = SOURCES.filter((s) => !isTest(s.file) && /from "elysia"/.test(s.text)).map((s) => s.file);
    expect(sites).toEqual(["api/server.ts"]);
  });
});

test("files fit in a head: 450 lines at most, tables of cases 600", () => {
  const linesMax = (file: string) => (isTest(file) ? 600 : 450);
  const long = SOURCES.filter((s) => s.text.split("\n").length > linesMax(s.file) + 1).map((s) => s.file);
  expect(long).toEqual([]);
});

test("each file opens by saying what it is for", () => {
  const silent = SOURCES.filter((s) => !/^(#!.*\n)?\/\*\*/.test(s.text)).map((s) => s.file);
  expect(silent).toEqual([]);
});

test("nothing is skipped, focused or silenced", () => {
  const banned =
    /\b(test|it|describe)\.(only|todo|skip)\(|@ts-ignore|@ts-nocheck|\bas any\b(?! other)|catch\s*(\([^)]*\))?\s*\{\s*\}/;
  const offences = SOURCES.filter((s) => s.file !== "test/tidy.test.ts" && banned.test(s.text)).map((s) => s.file);
  expect(offences).toEqual([]);
});

test("stages have no clock, no randomness and no waiting", () => {
  const banned = /\b(Date\.now|performance\.now|Math\.random|setTimeout|setInterval|await|async)\b/;
  const code = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  const offences = SOURCES.filter((s) => s.file.startsWith("stages/") && !isTest(s.file) && banned.test(code(s.text)));
  expect(offences.map((s) => s.file)).toEqual([]);
});

describe("docs/errors.md, the registry of error codes", () => {
  const CODE = "[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*";
  /** `new Fatal("CODE"`, and the short forms of the API. */
  const RAISED = new RegExp(
    `(?:new (Fatal|Transient|Poison|Fenced|Rewind)|\\b(refused|refusedUntil|unavailable))\\(\\s*"(${CODE})"`,
    "g",
  );
  /** A code handed to a function that makes the error, or in a table of advice. */
  const HANDED_ON =
    /(?:\b(?:broken|malformed|fail|failed|fatal|failure|poison|transient|wrong|super)\(|\[)\s*"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)",/g;
  const KINDS: Readonly<Record<string, string>> = {
    refused: "poison",
    refusedUntil: "poison",
    unavailable: "transient",
  };
  const ours = SOURCES.filter(
    ({ file }) => !/^(test|bench)\//.test(file) && !isTest(file) && !/(fixture|testing)/.test(file),
  );
  const known = errorCodes();
  const raised = ours.flatMap(({ file, text }) => [
    ...[...text.matchAll(RAISED)].map((m) => {
      const made = m[1] ?? m[2] ?? "";
      return { code: m[3]!, kind: KINDS[made] ?? made.toLowerCase(), file };
    }),
    ...[...text.matchAll(HANDED_ON)]
      .filter((m) => !SETTING_VARIABLES.has(m[1]!))
      .map((m) => ({ code: m[1]!, kind: null, file })),
  ]);

  test("explains every code that can be raised", () => {
    expect(new Set(raised.map(({ code }) => code)).size).toBeGreaterThan(100);
    const missing = raised.filter(({ code }) => !known.has(code)).map(({ code, file }) => `${code} (${file})`);
    expect([...new Set(missing)]).toEqual([]);
  });

  test("explains no code that nobody raises", () => {
    const isThere = (code: string) =>
      ours.some(({ text }) => text.includes(`"${code}"`) || text.includes(` ${code}: `));
    expect([...known.keys()].filter((code) => !isThere(code))).toEqual([]);
  });

  test("says of each what happens next, as the code does", () => {
    const wrong = raised.filter(({ code, kind }) => {
      const told = known.get(code)?.kind.toLowerCase();
      return kind !== null && told !== undefined && !told.split(" or ").includes(kind);
    });
    expect(wrong.map(({ code, kind, file }) => `${code} is ${kind} in ${file}`)).toEqual([]);
  });
});

test("the tables of OPERATIONS.md are current; if not: bun run docs", async () => {
  const page = readFileSync(join(ROOT, "OPERATIONS.md"), "utf8");
  expect(await operationsPage(page)).toBe(page);
});

test("the scripts name the tests they run by path: a bare word would match in every folder", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const runs = Object.values(scripts).flatMap((script) => script.match(/bun test [^&;]*/g) ?? []);
  const bare = runs.flatMap((run) => run.split(/\s+/).slice(2)).filter((word) => /^[a-z]/.test(word));
  expect([runs.length > 5, bare]).toEqual([true, []]);
});
