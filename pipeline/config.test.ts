/**
 * Settings. Goal: each setting given wrong is refused with its name, what is allowed and where it was given; unknown ones
 * are refused with a suggestion; secrets never show; precedence holds.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KNOBS, loadConfig, type Setting, showConfig, sourceConfigs } from "./config.ts";
import type { Knob } from "./config-knob.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-config-"));
function file(yaml: string): string {
  const path = join(folder, `${Bun.hash(yaml).toString(36)}.yaml`);
  writeFileSync(path, yaml);
  return path;
}

const WRONG: Record<Knob["kind"], unknown[]> = {
  integer: ["many", 1.5, "1e3", null, {}, -1e15, 1e15],
  boolean: ["yes", 2, {}],
  choice: ["nonsense", 7],
  list: [{ a: 1 }, [1, 2], 5],
  text: [{ a: 1 }, ["x"], true],
};

describe("each setting in turn", () => {
  for (const [name, knob] of Object.entries(KNOBS) as [Setting, Knob][]) {
    test(`${name}: wrong values are refused by name`, () => {
      for (const value of WRONG[knob.kind]) {
        expect(() => loadConfig({ flags: { [name]: value } })).toThrow(
          new RegExp(`^${name.replaceAll(".", "\\.")} must be`),
        );
      }
      for (const variable of knob.env ?? []) {
        if (knob.kind === "text" || knob.kind === "list") continue;
        expect(() => loadConfig({ env: { [variable]: "@@" } })).toThrow(name);
      }
    });
  }

  test("defaults are within their own limits and each setting says why", () => {
    for (const [name, knob] of Object.entries(KNOBS) as [Setting, Knob][]) {
      expect(loadConfig({ flags: { [name]: knob.default } }).values[name]).toEqual(knob.default as never);
      expect(knob.why.length).toBeGreaterThan(15);
    }
  });
});

test("command line over environment over file over default", () => {
  const path = file("source:\n  startBlock: 7\nlanes: 3\napi.port: 9\n");
  const env = { START_BLOCK: "8", SLUICE_LANES: "4" };
  const loaded = loadConfig({ file: path, env, flags: { "source.startBlock": "9" } });
  expect(loaded.values["source.startBlock"]).toBe("9");
  expect(loaded.values.lanes).toBe(4);
  expect(loaded.values["api.port"]).toBe(9);
  expect(loaded.origins["source.startBlock"]).toBe("command line");
  expect(loaded.origins.lanes).toBe("environment");
  expect(loaded.origins["api.port"]).toBe("file");
  expect(loaded.origins["source.module"]).toBe("default");
});

test("unknown settings are refused with a suggestion", () => {
  expect(() => loadConfig({ file: file("source:\n  endpont: x\n") })).toThrow('unknown setting "source.endpont"');
  try {
    loadConfig({ flags: { "source.endpont": "x" } });
    throw new Error("accepted");
  } catch (error) {
    expect((error as { hint?: string }).hint).toBe('Did you mean "source.endpoint"?');
  }
});

test("missing and broken files are named", () => {
  expect(() => loadConfig({ file: join(folder, "none.yaml") })).toThrow("does not exist");
  expect(() => loadConfig({ file: file("a: [1") })).toThrow("not valid YAML");
  expect(() => loadConfig({ file: file("- 1\n- 2\n") })).toThrow("YAML mapping");
  expect(loadConfig({ file: file("") }).values.lanes).toBe(1);
});

test("names of the systems people come from are understood", () => {
  const env = { RUST_LOG: "warn,hyper=off", DATABASE_URL: "sqlite:///var/lib/hot", SUBSTREAMS_API_TOKEN: "jwt" };
  const { values } = loadConfig({ env });
  expect(values["log.level"]).toBe("warn,hyper=off");
  expect(() => loadConfig({ env: { LOG_LEVEL: "loud,decode=very" } })).toThrow("must be a level");
  expect(values["hot.dir"]).toBe("/var/lib/hot");
  expect(values["source.token"]).toBe("jwt");
  expect(loadConfig().values["source.startBlock"]).toBe("370500000");
  expect(loadConfig().values["source.endpoint"]).toBe("mainnet.sol.streamingfast.io:443");
});

test("secrets are masked in what is shown and in errors", () => {
  const env = {
    SUBSTREAMS_JWT_TOKEN: "s3cret-jwt",
    NATS_PASSWORD: "s3cret-pw",
    NATS_TOKEN: "s3cret-t",
    SUBSTREAMS_API_KEY: "s3cret-k",
  };
  expect(JSON.stringify(showConfig(loadConfig({ env })))).not.toContain("s3cret");
  const addresses = { "nats.url": "nats://ann:s3cret@h:1,s3cret@h", "source.package": "https://h/x.spkg?sig=s3cret" };
  const shown = JSON.stringify(showConfig(loadConfig({ flags: addresses })));
  expect(shown).not.toContain("s3cret");
  expect(shown).toContain("nats://***@h:1");
  expect(() => loadConfig({ flags: { "nats.url": ["nats://ann:s3cret@h"] } })).toThrow(
    /^nats\.url must be(?!.*s3cret)/,
  );
  expect(() => loadConfig({ flags: { "source.token": { s3cret: 1 } } })).toThrow(/^(?!.*s3cret).*$/);
});

describe("several sources", () => {
  const load = (text: string, flags: Record<string, unknown> = {}) =>
    loadConfig({ flags: { sources: text, ...flags } });

  test("each has its own settings on top of the common ones, and a folder of its own for hot stores", () => {
    const { values } = load(
      `[{name: main, startBlock: 5}, {name: dev-net, endpoint: "http://127.0.0.1:9", decode.programs: [spinpet], protocol: v2}]`,
      { "source.module": "map_x", "source.startBlock": "7" },
    );
    const [first, second] = sourceConfigs(values);
    expect([first?.["source.name"], first?.["source.startBlock"], first?.["source.module"]]).toEqual([
      "main",
      "5",
      "map_x",
    ]);
    expect([second?.["source.startBlock"], second?.["source.protocol"], second?.["decode.programs"]]).toEqual([
      "7",
      "v2",
      ["spinpet"],
    ]);
    expect([first?.["hot.dir"], second?.["hot.dir"]]).toEqual(["data/hot/main", "data/hot/dev-net"]);
    expect([first?.["data.dir"], first?.sources]).toEqual(["data", []]);
  });

  test("without a list the settings themselves are the one source", () => {
    const { values } = loadConfig();
    expect(sourceConfigs(values)).toEqual([values]);
  });

  test("what is wrong is named by its path, secrets are not", () => {
    const wrong = (text: string) => {
      try {
        load(text);
      } catch (error) {
        return (error as Error).message;
      }
      return null;
    };
    expect(wrong(`[{name: a, endpont: x}]`)).toBe('unknown setting "sources[0].endpont"');
    expect(wrong(`[{name: a}, {endpoint: x}]`)).toContain("sources[1].name is missing");
    expect(wrong(`[{name: a.b}]`)).toContain("sources[0].name must be the name of the source");
    expect(wrong(`[{name: a, idleTimeoutMs: 1}]`)).toContain("sources[0].idleTimeoutMs must be a whole number of ms");
    expect(wrong(`[{name: a-b}, {name: A_B}]`)).toBe('two sources are named "A_B"');
    expect(wrong(`[{name: a, nats.url: x}]`)).toBe('unknown setting "sources[0].nats.url"');
    const shown = JSON.stringify(showConfig(load(`[{name: a, token: hush, endpoint: "https://u:hush@h"}]`)));
    expect(shown).not.toContain("hush");
  });
});
