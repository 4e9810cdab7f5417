/** `sluice config show`: every setting, its value, and who set it. Secrets are masked. */
import type { Command } from "commander";
import { type LoadedConfig, showConfig } from "../pipeline/config.ts";
import type { CliContext } from "./context.ts";
import { type CommandIo, paint, table, toJson } from "./output.ts";

export function register(program: Command, context: CliContext): void {
  const group = program.command("config").description("look at the settings");
  group
    .command("schema")
    .description("print the JSON schema of the settings file, for editors")
    .addHelpText("after", "\nExamples:\n  sluice config schema > sluice.schema.json")
    .action(async () => {
      const { configSchema } = await import("../pipeline/config-schema.ts");
      context.stdout.write(`${toJson(configSchema())}\n`);
    });
  group
    .command("show")
    .description("print every setting with its value and origin; secrets are masked")
    .option("--why", "say what each setting is for")
    .addHelpText(
      "after",
      `
Examples:
  sluice config show --why                    what can be set, and why one would
  sluice --config prod.yaml config show       what a process started with this file would use
  sluice config show --json | jq '.[] | select(.origin != "default")'

A setting can be given, in this order of precedence, by --set name=value, by its environment variable, or in a YAML file.`,
    )
    .action((options: { why?: boolean }, command: Command) => {
      const { loaded, json } = context.load(command);
      showSettings(loaded, { json, why: options.why === true }, context);
    });
}

export function showSettings(
  loaded: LoadedConfig,
  options: { readonly json: boolean; readonly why: boolean },
  { stdout }: Pick<CommandIo, "stdout">,
): void {
  const settings = showConfig(loaded);
  if (options.json) {
    stdout.write(`${toJson(settings)}\n`);
    return;
  }
  if (!options.why) {
    const rows = settings.map((s) => [s.name, text(s.value), s.unit, s.origin]);
    stdout.write(table(stdout, [{ name: "setting" }, { name: "value" }, { name: "unit" }, { name: "origin" }], rows));
    return;
  }
  for (const { name, value, unit, origin, why } of settings) {
    const measure = unit === undefined ? "" : ` ${unit}`;
    stdout.write(`${paint(stdout, "bold", name)} = ${text(value)}${measure} (${origin})\n  ${why}\n`);
  }
}

function text(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '""' : value.map(item).join(",");
  return value === "" ? '""' : String(value);
}

/** Structured sections show their items as JSON; `--json` gives them as they are. */
function item(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
