/**
 * Structured sections. Goal: wrong values are refused by their path, unknown keys with a suggestion, secrets never show.
 * Method: a schema with every kind of part, and the real section `programs`.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Type } from "@sinclair/typebox";
import { loadConfig, showConfig } from "./config.ts";
import { parseSection, section, shownSection } from "./config-section.ts";
import { SluiceError } from "./errors.ts";

const SOURCES = section(
  Type.Array(
    Type.Object(
      {
        name: Type.String({ description: "a name" }),
        endpoint: Type.Optional(Type.String({ address: true })),
        token: Type.Optional(Type.String({ secret: true })),
        retries: Type.Integer({ minimum: 1, maximum: 9, default: 3 }),
        mode: Type.Optional(Type.Union([Type.Literal("fast"), Type.Literal("slow")])),
        params: Type.Optional(
          Type.Record(Type.String(), Type.Object({ value: Type.String() }, { additionalProperties: false })),
        ),
        rule: Type.Optional(
          Type.Union([Type.String(), Type.Object({ of: Type.Array(Type.String()) }, { additionalProperties: false })]),
        ),
      },
      { additionalProperties: false },
    ),
  ),
  [],
  "Where blocks come from.",
);

function refusal(raw: unknown): { code: string; message: string; hint: string | undefined } {
  try {
    parseSection("sources", SOURCES, raw, "test.yaml");
  } catch (error) {
    if (error instanceof SluiceError) return { code: error.code, message: error.message, hint: error.hint };
    throw error;
  }
  throw new Error("accepted");
}

describe("parseSection", () => {
  test("fills in defaults and leaves what was given as it was", () => {
    const raw = [{ name: "a" }, { name: "b", retries: 5, mode: "fast" }];
    expect(parseSection("sources", SOURCES, raw, "x")).toEqual([
      { name: "a", retries: 3 },
      { name: "b", retries: 5, mode: "fast" },
    ]);
    expect(raw[0]).toEqual({ name: "a" });
  });

  test("a text is YAML", () => {
    expect(parseSection("sources", SOURCES, "[{name: a}]", "command line")).toEqual([{ name: "a", retries: 3 }]);
    expect(refusal("[{name: a")).toMatchObject({ code: "CONFIG_VALUE" });
  });

  test.each<[unknown, string]>([
    [{}, "sources must be a list, not {}"],
    [[7], "sources[0] must be a mapping, not 7"],
    [[{ name: "a" }, { name: 7 }], "sources[1].name must be a name, not 7"],
    [[{}], "sources[0].name is missing: it is a name"],
    [[{ name: "a", retries: 10 }], "sources[0].retries must be a whole number from 1 to 9, not 10"],
    [[{ name: "a", mode: "slwo" }], 'sources[0].mode must be "fast" or "slow", not "slwo"'],
    [[{ name: "a", params: { "x/y": { value: 1 } } }], "sources[0].params.x/y.value must be a text, not 1"],
    [[{ name: "a", rule: { of: [1] } }], "sources[0].rule.of[0] must be a text, not 1"],
    [[{ name: "a", rule: 4 }], "sources[0].rule must be a text or a mapping, not 4"],
  ])("%j: %s", (raw, message) => {
    expect(refusal(raw)).toMatchObject({ code: "CONFIG_VALUE", message });
  });

  test("unknown keys are refused by path, with the nearest or all that there are", () => {
    expect(refusal([{ name: "a" }, { name: "b", endpont: "x" }])).toEqual({
      code: "CONFIG_UNKNOWN",
      message: 'unknown setting "sources[1].endpont"',
      hint: 'Did you mean "endpoint"?',
    });
    expect(refusal([{ name: "a", something: 1 }]).hint).toContain("name, endpoint, token");
    expect(refusal([{ name: "a", rule: { off: ["x"], of: [] } }]).message).toBe(
      'unknown setting "sources[0].rule.off"',
    );
  });

  test("what may be a secret is not repeated", () => {
    const { message } = refusal([{ name: "a", token: { s3cret: 1 } }]);
    expect(message).toBe("sources[0].token must be a text, not what was given");
  });
});

test("shownSection masks secrets and credentials, wherever they stand", () => {
  const shown = shownSection(SOURCES.schema, [
    { name: "a", token: "s3cret", endpoint: "https://u:s3cret@host/x?key=s3cret", retries: 3, rule: { of: ["x"] } },
  ]);
  expect(shown).toEqual([
    { name: "a", token: "********", endpoint: "https://***@host/x?***", retries: 3, rule: { of: ["x"] } },
  ]);
});

describe("programs, as a setting", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-section-"));
  const file = (yaml: string) => {
    const path = join(folder, `${Bun.hash(yaml).toString(36)}.yaml`);
    writeFileSync(path, yaml);
    return path;
  };

  test("is empty by default, read from the file, and overruled by the command line", () => {
    expect(loadConfig().values.programs).toEqual([]);
    const path = file("programs:\n  - preset: pumpfun\n  - idl: ./a.json\n    mint: mint\n");
    const loaded = loadConfig({ file: path });
    expect(loaded.values.programs).toEqual([{ preset: "pumpfun" }, { idl: "./a.json", mint: "mint" }]);
    expect(loaded.origins.programs).toBe("file");
    const flags = { programs: "[{preset: spinpet}]" };
    expect(loadConfig({ file: path, flags }).values.programs).toEqual([{ preset: "spinpet" }]);
    expect(loadConfig({ file: path, flags }).origins.programs).toBe("command line");
  });

  test("is refused by path; the setting itself with a suggestion", () => {
    expect(() => loadConfig({ file: file("programs:\n  - idl: a\n  - idll: b\n") })).toThrow('"programs[1].idll"');
    expect(() => loadConfig({ file: file("programs:\n  - idl: [a]\n") })).toThrow(/^programs\[0\]\.idl must be an IDL/);
    expect(() => loadConfig({ file: file("program:\n  - idl: a\n") })).toThrow('unknown setting "program"');
    const trade = "programs:\n  - idl: a\n    events: {Buy: {trade: {user: u, price: {quote: q}}}}\n";
    expect(() => loadConfig({ file: file(trade) })).toThrow("programs[0].events.Buy.trade.price.base is missing");
  });

  test("survives being written as JSON and read again, and is shown without credentials", () => {
    const path = file("programs:\n  - idl: https://u:s3cret@host/idl.json\n");
    const loaded = loadConfig({ file: path });
    const again = loadConfig({ file: file(JSON.stringify(loaded.values)) });
    expect(again.values).toEqual(loaded.values);
    const shown = showConfig(loaded).find(({ name }) => name === "programs");
    expect(shown).toMatchObject({ value: [{ idl: "https://***@host/idl.json" }], origin: "file" });
  });
});
