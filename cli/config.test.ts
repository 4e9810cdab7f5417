/**
 * Goal: settings are shown with their origin, and a secret never is. Method: settings from all four origins into the
 * function behind the command; how they are merged; and the words and numbers that options take.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../pipeline/config.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { showSettings } from "./config.ts";
import { loadSettings, oneOf, wholeNumber } from "./context.ts";
import { BufferOutput } from "./output.ts";

function codeOf(action: () => unknown): string {
  try {
    action();
    return "fine";
  } catch (error) {
    return (error as SluiceError).code;
  }
}

const SECRET = "eyJhbGciOiJIUzI1NiJ9.hidden-part";

function inTempFile<T>(text: string, use: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "sluice-config-"));
  try {
    const file = join(folder, "settings.yaml");
    writeFileSync(file, text);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("config show", () => {
  const loaded = () =>
    inTempFile("lanes: 8\nsource:\n  name: file-name\n", (file) =>
      loadConfig({
        file,
        env: { SUBSTREAMS_JWT_TOKEN: SECRET, LOG_LEVEL: "debug" },
        flags: { "nats.password": SECRET, "api.port": "0" },
      }),
    );

  function show(options: { json: boolean; why: boolean }): string {
    const stdout = new BufferOutput();
    showSettings(loaded(), options, { stdout });
    return stdout.text;
  }

  test("JSON: value and origin of every setting", () => {
    const settings = JSON.parse(show({ json: true, why: false })) as Record<string, unknown>[];
    const of = (name: string) => settings.find((s) => s["name"] === name);
    expect(of("lanes")).toMatchObject({ value: 8, origin: "file", unit: "lanes" });
    expect(of("source.name")).toMatchObject({ value: "file-name", origin: "file" });
    expect(of("log.level")).toMatchObject({ value: "debug", origin: "environment" });
    expect(of("api.port")).toMatchObject({ value: 0, origin: "command line" });
    expect(of("api.host")).toMatchObject({ value: "127.0.0.1", origin: "default" });
    expect(of("source.token")).toMatchObject({ value: "********", origin: "environment" });
    expect(of("source.apiKey")).toMatchObject({ value: "", origin: "default" });
  });

  test("as a table, a line a setting; with reasons", () => {
    const text = show({ json: false, why: false });
    expect(text).toMatch(/^lanes +8 +lanes +file$/m);
    expect(text).toMatch(/^source\.apiKey +"" +default$/m);
    expect(show({ json: false, why: true })).toContain("lanes = 8 lanes (file)\n  Lanes (hot store files).");
  });

  test("no secret in any form", () => {
    for (const json of [true, false]) {
      for (const why of [true, false]) expect(show({ json, why })).not.toContain("hidden-part");
    }
  });
});

describe("where settings come from", () => {
  test("--data stands for data.dir; a command's own options win over --set", () => {
    const { config } = loadSettings(
      { set: ["data.dir=a", "api.port=1", "log.level=error"], data: "b" },
      {},
      { "api.port": "2" },
    );
    expect([config["data.dir"], config["api.port"], config["log.level"]]).toEqual(["b", 2, "error"]);
  });

  test("a value may contain an equals sign", () => {
    expect(loadSettings({ set: ["source.params=map=owner=x"] }, {}).config["source.params"]).toEqual(["map=owner=x"]);
  });

  test("what is wrong is refused by its code, without repeating it", () => {
    expect(codeOf(() => loadSettings({ set: ["api.prot=1"] }, {}))).toBe("CONFIG_UNKNOWN");
    expect(codeOf(() => loadSettings({ set: ["api.port=many"] }, {}))).toBe("CONFIG_VALUE");
    expect(codeOf(() => loadSettings({ config: "/nowhere/sluice.yaml" }, {}))).toBe("CONFIG_FILE");
    try {
      loadSettings({ set: [SECRET] }, {});
      expect.unreachable();
    } catch (error) {
      expect((error as SluiceError).code).toBe("USAGE");
      expect((error as SluiceError).message).not.toContain("hidden-part");
    }
  });
});

test("numbers and words of options", () => {
  expect(wholeNumber("--n", "42", 1, 42)).toBe(42);
  for (const bad of ["43", "0", "-1", "1.5", "1e3", "", " 1", "0x1", "9007199254740993"]) {
    expect(codeOf(() => wholeNumber("--n", bad, 1, bad.length > 5 ? undefined : 42))).toBe("USAGE");
  }
  expect(oneOf("--w", "b", ["a", "b"])).toBe("b");
  expect(codeOf(() => oneOf("--w", "c", ["a", "b"]))).toBe("USAGE");
});
