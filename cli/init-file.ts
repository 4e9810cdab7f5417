/** A commented `sluice.yaml`: what was chosen, and every other setting with its default, one `#` away from being set. */
import { KNOBS, SECTIONS } from "../pipeline/config.ts";
import type { Knob } from "../pipeline/config-knob.ts";

/** Name of the JSON schema that is written beside the settings. */
export const SCHEMA_FILE = "sluice.schema.json";

const HEAD = [
  `# yaml-language-server: $schema=./${SCHEMA_FILE}`,
  "#",
  "# Settings of this deployment. A line that begins with #name is a setting with its default: take the # away to set it.",
  "# Precedence: --set name=value, then the environment, then this file, then the default. Secrets belong in the environment.",
  "# `sluice config show --why` says what is in force and where it came from; `sluice doctor` checks it.",
  "",
];

/** How a section may look; shown while it is not set. */
const EXAMPLES: Readonly<Record<string, unknown>> = {
  programs: [{ preset: "pumpfun" }, { idl: "./my-program.json", mint: "mint" }],
  sources: [{ name: "first" }, { name: "second", endpoint: "devnet.example.com:443", package: "./other.spkg" }],
};

interface Branch {
  readonly knob?: Knob;
  readonly branches: Map<string, Branch>;
}

/** `chosen`: values by dotted name, of settings and sections, as `loadConfig` gives them. */
export function renderSettings(chosen: Readonly<Record<string, unknown>>): string {
  const root: Branch = { branches: new Map() };
  for (const [name, knob] of Object.entries(KNOBS as Record<string, Knob>)) {
    let at = root;
    for (const part of name.split(".")) {
      const next: Branch = at.branches.get(part) ?? { branches: new Map() };
      at.branches.set(part, next);
      at = next;
    }
    Object.assign(at, { knob });
  }
  const settings = [...root.branches].map(([name, branch]) => linesOf(name, branch, name, chosen));
  const sections = Object.entries(SECTIONS).map(([name, { why }]) => sectionLines(name, why, chosen[name]));
  return [...HEAD, ...[...sections, ...settings].map((lines) => `${lines.join("\n")}\n`)].join("\n");
}

function linesOf(
  name: string,
  { knob, branches }: Branch,
  path: string,
  chosen: Readonly<Record<string, unknown>>,
): string[] {
  if (knob !== undefined) return settingLines(name, knob, chosen[path]);
  const isSet = Object.keys(chosen).some((set) => set.startsWith(`${path}.`));
  const inner = [...branches].flatMap(([part, branch]) => linesOf(part, branch, `${path}.${part}`, chosen));
  return [`${isSet ? "" : "#"}${name}:`, ...inner.map((line) => `  ${line}`)];
}

function settingLines(name: string, knob: Knob, value: unknown): string[] {
  const unit = knob.unit === undefined ? "" : ` Unit: ${knob.unit}.`;
  const choices = knob.choices === undefined ? "" : ` One of ${knob.choices.join(", ")}.`;
  const env = knob.env?.[0] === undefined ? "" : ` Environment: ${knob.env[0]}.`;
  const comment = `# ${knob.why}${choices}${unit}${env}`;
  if (knob.secret === true) return [comment, `# Not here: it is a secret.`];
  return [comment, `${value === undefined ? "#" : ""}${name}: ${scalar(value ?? knob.default)}`];
}

function scalar(value: unknown): string {
  if (Array.isArray(value)) return JSON.stringify(value);
  return Bun.YAML.stringify(value).trim();
}

function sectionLines(name: string, why: string, value: unknown): string[] {
  const isSet = value !== undefined;
  const text = Bun.YAML.stringify({ [name]: value ?? EXAMPLES[name] ?? [] }, null, 2).trimEnd();
  return [`# ${why}`, ...text.split("\n").map((line) => (isSet ? line : `#${line}`))];
}

/** The section `programs` from presets and IDLs. */
export function programsOf(presets: readonly string[], idls: readonly string[]): Record<string, string>[] {
  const files = idls.map((idl) => idl.trim()).filter((idl) => idl !== "");
  return [...presets.map((preset) => ({ preset })), ...files.map((idl) => ({ idl }))];
}
