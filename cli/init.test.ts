/**
 * Goal: what `sluice init` writes is a settings file that means what was chosen, refuses nothing of itself, and that an
 * editor can check by the schema beside it. Method: files are written and read back; the schema is judged by ajv, an
 * independent validator; the wizard is answered by a script.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Ajv from "ajv";
import { KNOBS, loadConfig } from "../pipeline/config.ts";
import type { Knob } from "../pipeline/config-knob.ts";
import { configSchema } from "../pipeline/config-schema.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { buildDemoPackage } from "../simulator/index.ts";
import { initialize } from "./init.ts";
import { renderSettings, SCHEMA_FILE } from "./init-file.ts";
import { type Asker, askForSettings } from "./init-wizard.ts";
import { BufferOutput } from "./output.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-init-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = () => join(folder, `${files++}.yaml`);

const validate = new Ajv({ strict: false }).compile(configSchema());
const isValid = (yaml: string) => validate(Bun.YAML.parse(yaml) ?? {});

function write(yaml: string): string {
  const file = newFile();
  writeFileSync(file, yaml);
  return file;
}

async function init(given: Record<string, unknown>, asker: Asker | null = null, json = true) {
  const file = newFile();
  const io = { stdout: new BufferOutput(), stderr: new BufferOutput() };
  const code = await initialize({ file, given, asker, json }, io);
  return { file, code, io };
}

const IDL = join(import.meta.dir, "..", "docs", "examples", "market-idl.json");
const GIVEN = {
  "source.package": "./solana.spkg",
  "source.startBlock": "-1000",
  "source.params": "a=b,c=d",
  "streams.blocksMaxBytes": "100000000",
  "log.level": "info,decode=debug",
  "decode.failedTransactions": "true",
  programs: [{ preset: "pumpfun" }, { idl: IDL }],
};

describe("the file", () => {
  test("read back, it means what was chosen, and everything else is at its default", async () => {
    const { file, code } = await init(GIVEN);
    expect(code).toBe(0);
    const { values, origins } = loadConfig({ file });
    expect(values).toEqual(loadConfig({ flags: GIVEN }).values);
    const set = Object.entries(origins).filter(([, origin]) => origin !== "default");
    expect(set.map(([name]) => name).sort()).toEqual(Object.keys(GIVEN).sort());
  });

  test("names its schema, which is written beside it and finds it valid", async () => {
    const { file } = await init(GIVEN);
    const text = readFileSync(file, "utf8");
    expect(text.split("\n")[0]).toBe(`# yaml-language-server: $schema=./${SCHEMA_FILE}`);
    expect(JSON.parse(readFileSync(join(folder, SCHEMA_FILE), "utf8"))).toEqual(configSchema());
    expect(isValid(text)).toBe(true);
  });

  test("says what to look at next: of an IDL, what it becomes", async () => {
    const said = async (given: Record<string, unknown>) => (await init(given, null, false)).io.stdout.text;
    expect(await said(GIVEN)).toContain(`sluice idl check ${IDL} `);
    expect(await said({})).not.toContain("idl check");
  });

  test("with every # taken away, every setting is there, valid, at its default", () => {
    const everything = renderSettings({}).replaceAll(/^( *)#(?=\w+:| {2})/gm, "$1");
    const { origins, values } = loadConfig({ file: write(everything) });
    const secrets = Object.entries(KNOBS as Record<string, Knob>).filter(([, knob]) => knob.secret === true);
    const left = Object.entries(origins).filter(([, origin]) => origin === "default");
    expect(left.map(([name]) => name).sort()).toEqual(secrets.map(([name]) => name).sort());
    const { programs, sources, ...settings } = values;
    const { programs: _, sources: __, ...defaults } = loadConfig().values;
    expect(settings).toEqual(defaults);
    expect([programs, sources as unknown[]].map((section) => section.length)).toEqual([2, 2]);
    expect(isValid(everything)).toBe(true);
  });

  test("is never overwritten, and never holds a secret", async () => {
    const file = write("lanes: 3\n");
    const io = { stdout: new BufferOutput(), stderr: new BufferOutput() };
    const again = initialize({ file, given: { lanes: 8 }, asker: null, json: true }, io);
    expect(await again.catch((e: SluiceError) => e.code)).toBe("USAGE");
    expect(readFileSync(file, "utf8")).toBe("lanes: 3\n");
    const secret = await init({ "source.token": "s3cret" }).catch(
      (e: SluiceError) => `${e.code} ${e.message} ${e.hint}`,
    );
    expect(secret).toContain("USAGE source.token is a secret");
    expect(secret).not.toContain("s3cret");
  });

  test("a setting that cannot be leaves no file behind", async () => {
    const before = files;
    expect(await init({ lanes: "many" }).catch((e: SluiceError) => e.code)).toBe("CONFIG_VALUE");
    expect(await init({ lane: 8 }).catch((e: SluiceError) => e.code)).toBe("CONFIG_UNKNOWN");
    for (const [given, code] of [
      [{ "source.startBlock": "abc" }, "CONFIG_VALUE"],
      [{ "source.stopBlock": "-5" }, "CONFIG_VALUE"],
      [{ "source.startBlock": "100", "source.stopBlock": "50" }, "RANGE_INVALID"],
      [{ programs: [{ preset: "pumpfunn" }] }, "CONFIG_VALUE"],
      [{ programs: [{ idl: "./nothing.json" }] }, "IDL_FILE"],
      [{ programs: [{ idl: join(import.meta.dir, "..", "tsconfig.json") }] }, "IDL_INVALID"],
    ] as const) {
      expect(await init(given).catch((e: SluiceError) => e.code)).toBe(code);
    }
    for (let n = before; n < files; n++) expect(existsSync(join(folder, `${n}.yaml`))).toBe(false);
  });
});

describe("the schema", () => {
  test.each([
    ["sorce:\n  endpoint: x\n", "a section that does not exist"],
    ["source:\n  endpont: x\n", "a setting that does not exist"],
    ["lanes: many\n", "a text for a number"],
    ["lanes: 65\n", "a number out of range"],
    ["log:\n  format: xml\n", "a choice that there is none of"],
    ["programs:\n  - presets: pumpfun\n", "a wrong key in a section"],
  ])("%j: %s is refused, as it is when settings are read", (yaml) => {
    expect(isValid(yaml)).toBe(false);
    expect(() => loadConfig({ file: write(yaml) })).toThrow();
  });

  test.each([
    "source:\n  startBlock: 370500000\n  finalBlocksOnly: true\n  params: a=b\n",
    "source.endpoint: localhost:9000\nlanes: 8\n",
    "programs:\n  - idl: ./x.json\n    events:\n      Buy: {mint: [a, b]}\n",
  ])("%j is taken, as it is when settings are read", (yaml) => {
    expect(isValid(yaml)).toBe(true);
    expect(() => loadConfig({ file: write(yaml) })).not.toThrow();
  });
});

describe("the wizard", () => {
  /** Answers by what is asked; null: breaks off there. Whatever is not named is answered with the suggestion. */
  function scripted(answers: Readonly<Record<string, string | readonly string[] | null>>) {
    const asked: string[] = [];
    const told: string[] = [];
    const find = (question: string) => {
      asked.push(question);
      return Object.entries(answers).find(([part]) => question.includes(part))?.[1];
    };
    const asker: Asker = {
      choose: async (question, choices) => {
        const answer = find(question);
        return answer === undefined ? choices[0]!.value : (answer as string | null);
      },
      chooseSome: async (question) => (find(question) ?? []) as readonly string[],
      text: async (question, suggestion, wrong) => {
        const answer = find(question);
        const value = answer === undefined ? suggestion : (answer as string | null);
        const complaint = value === null ? undefined : wrong?.(value);
        if (complaint !== undefined) told.push(complaint);
        return value;
      },
      tell: (what) => void told.push(what),
    };
    return { asker, asked, told };
  }

  test("answers become settings; a readable package offers its maps and their first block", async () => {
    const spkg = join(folder, "demo.spkg");
    writeFileSync(spkg, buildDemoPackage());
    const { asker } = scripted({ Package: spkg, presets: ["moonshot"], IDLs: `${IDL}, `, NATS: "url" });
    const { file, code } = await init({}, asker);
    expect(code).toBe(0);
    expect(loadConfig({ file }).values).toMatchObject({
      "source.package": spkg,
      "source.module": expect.stringMatching(/^map_/),
      "source.startBlock": "370500000",
      programs: [{ preset: "moonshot" }, { idl: IDL }],
      "nats.url": "nats://127.0.0.1:4222",
    });
  });

  test("a package that cannot be read is told, and its module asked for by name", async () => {
    const { asker, told } = scripted({ Package: "nowhere.spkg", "output module": "map_x" });
    const settings = await askForSettings(asker, {
      maps: () => Promise.reject(new Error("not there")),
      defaults: loadConfig().values,
    });
    expect(settings).toMatchObject({ "source.package": "nowhere.spkg", "source.module": "map_x" });
    expect(told.join()).toContain("cannot be read now");
  });

  test("an IDL that is not there is said where it is asked for", async () => {
    const { asker, told } = scripted({ Package: "", IDLs: "./nothing.json, https://example.com/idl.json" });
    await askForSettings(asker, { maps: async () => [], defaults: loadConfig().values });
    expect(told).toContain("There is no file ./nothing.json.");
  });

  test("who breaks off has written nothing", async () => {
    const { asker } = scripted({ Folder: null });
    const { file, code, io } = await init({}, asker);
    expect({ code, written: existsSync(file) }).toEqual({ code: 1, written: false });
    expect(io.stderr.text).toBe("Nothing was written.\n");
  });
});
