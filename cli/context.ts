/** What every command is given: the settings with their origins, and where to write. The only place that reads `process`. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { type Config, type LoadedConfig, loadConfig } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import { type CommandIo, processOutput } from "./output.ts";

export interface GlobalOptions {
  readonly config?: string;
  readonly set?: readonly string[];
  readonly data?: string;
  readonly json?: boolean;
}

export interface Settings {
  readonly config: Config;
  readonly loaded: LoadedConfig;
  /** Print JSON on stdout. */
  readonly json: boolean;
}

export interface CliContext extends CommandIo {
  /** Settings for a command, from its global options, the environment and the file. Throws `Fatal` CONFIG_*. */
  load(command: Command): Settings;
  /** The exit code of the process, for commands that can fail without throwing. */
  setExitCode(code: number): void;
}

const DEFAULT_FILE = "sluice.yaml";

type Environment = Readonly<Record<string, string | undefined>>;

/** The options that every command understands, before or after its name. */
export function addGlobalOptions(program: Command): Command {
  return program
    .option("--config <file>", "YAML file with settings (default: ./sluice.yaml where there is one)")
    .option("--set <name=value>", "one setting; may be repeated", collect)
    .option("--data <dir>", "folder of everything this host keeps; short for --set data.dir=DIR")
    .option("--json", "print JSON on stdout");
}

export function processContext(env: Environment = process.env): CliContext {
  return {
    stdout: processOutput(process.stdout, env),
    stderr: processOutput(process.stderr, env),
    load: (command) => loadSettings(command.optsWithGlobals<GlobalOptions>(), env),
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}

export function loadSettings(options: GlobalOptions, env: Environment): Settings {
  const flags = Object.fromEntries((options.set ?? []).map(splitSetting));
  if (options.data !== undefined) flags["data.dir"] = options.data;
  const file = options.config ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined);
  const loaded = loadConfig({ ...(file === undefined ? {} : { file }), env, flags });
  return { config: loaded.values, loaded, json: options.json === true };
}

function splitSetting(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at).trim(), text.slice(at + 1)];
  // The text itself is not repeated: it might be a secret without its name.
  throw new Fatal("USAGE_SET", "--set needs a name and a value", {
    where: "command line",
    hint: "Write --set name=value, for example --set log.level=debug. `sluice config show` lists every setting.",
  });
}

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}
