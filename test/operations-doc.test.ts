/**
 * Goal: the prose of OPERATIONS.md tells the truth (that its tables are current is held by the house rules). Method: every
 * command, option, setting, error code and file that it names is looked up in the program.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCodes } from "../cli/error-codes.ts";
import { KNOBS, SETTING_VARIABLES } from "../pipeline/config.ts";

const ROOT = join(import.meta.dir, "..");
const page = readFileSync(join(ROOT, "OPERATIONS.md"), "utf8");
/** Those of which the prose names options. */
const SUBCOMMANDS: Readonly<Record<string, readonly string[]>> = {
  token: ["create"],
  config: ["show"],
  quarantine: ["list", "show", "drop"],
};
const prose = page.replace(/<!-- (\w+): made[\s\S]*?<!-- end of \1 -->/g, "");

test("every command that it names is there, with its options", async () => {
  const help = async (...command: string[]) => {
    const child = Bun.spawn([process.execPath, join(ROOT, "main.ts"), ...command, "--help"], { stdout: "pipe" });
    return await child.stdout.text();
  };
  const named = [...prose.matchAll(/\bsluice (?:--config \S+ )?([a-z]+)((?: [^`\n|#]*)?)/g)].map((m) => ({
    command: m[1]!,
    options: [...(m[2] ?? "").matchAll(/(?<= )--[a-z-]+/g)].map((option) => option[0]),
  }));
  const commands = [...new Set(named.map(({ command }) => command))];
  expect(commands.length).toBeGreaterThan(8);
  const helpOfAll = (command: string) => [
    help(command),
    ...(SUBCOMMANDS[command] ?? []).map((sub) => help(command, sub)),
  ];
  const texts = await Promise.all(commands.map(async (command) => (await Promise.all(helpOfAll(command))).join("")));
  const unknown = commands.filter((command, i) => !texts[i]!.startsWith(`Usage: sluice ${command}`));
  expect(unknown).toEqual([]);
  const all = await help();
  const missing = named.flatMap(({ command, options }) => {
    const text = all + texts[commands.indexOf(command)]!;
    return options.filter((option) => !text.includes(option)).map((option) => `${command} ${option}`);
  });
  expect(missing).toEqual([]);
}, 300_000);

test("every setting, variable, error code and file that it names is there", () => {
  const sections = Object.keys(KNOBS).map((name) => name.split(".")[0]!);
  const quoted = [...prose.matchAll(/`([^`\n]+)`/g)].map((m) => m[1]!);
  const settings = quoted.filter(
    (text) => /^[a-z]+(\.[a-zA-Z0-9]+)+$/.test(text) && sections.includes(text.split(".")[0]!),
  );
  expect(settings.filter((name) => !(name in KNOBS))).toEqual([]);
  expect(settings.length).toBeGreaterThan(15);
  const capitals = quoted.filter((text) => /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(text));
  const others = new Set([
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "SLUICE_NATS_SERVER",
    "LAKE_ACCESS_KEY",
    "LAKE_SECRET_KEY",
  ]);
  const codes = errorCodes();
  expect(capitals.filter((name) => !codes.has(name) && !SETTING_VARIABLES.has(name) && !others.has(name))).toEqual([]);
  const files = [...quoted, ...[...prose.matchAll(/\]\(([^)#]+)\)/g)].map((m) => m[1]!)].filter((text) =>
    /^(deploy|docs|api|test|bench)\/[\w./@-]+$|^[\w-]+\.(md|yaml)$/.test(text),
  );
  const written = ["sluice.yaml", "upgraded.yaml"];
  expect(files.filter((file) => !written.includes(file) && !existsSync(join(ROOT, file)))).toEqual([]);
});
