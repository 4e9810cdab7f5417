/** What every command is given: the settings with their origins, and where to write. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { type Config, type LoadedConfig, loadConfig } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import { type CommandIo, type OutputStream, streamOutput } from "./output.ts";

/** The options that every command understands, as commander gives them. */
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
  /**
   * Settings for a command: from its global options, the environment and the file; `flags`, by dotted name, are those
   * that options of the command's own stand for. Throws `Fatal` CONFIG_* or USAGE.
   */
  load(command: Command, flags?: Readonly<Record<string, unknown>>): Settings;
  /** The exit code of the process, for commands that fail without throwing. */
  setExitCode(code: number): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

export const DEFAULT_FILE = "sluice.yaml";

export function createContext(process: {
  readonly env: Environment;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
}): CliContext {
  const { env } = process;
  return {
    stdout: streamOutput(process.stdout, env),
    stderr: streamOutput(process.stderr, env),
    load: (command, flags) => loadSettings(command.optsWithGlobals<GlobalOptions>(), env, flags),
    setExitCode: (code) => {
      globalThis.process.exitCode = code;
    },
  };
}

export function loadSettings(
  options: GlobalOptions,
  env: Environment,
  own: Readonly<Record<string, unknown>> = {},
): Settings {
  const data = options.data === undefined ? {} : { "data.dir": options.data };
  const flags = { ...Object.fromEntries((options.set ?? []).map(splitSetting)), ...data, ...own };
  const file = options.config ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined);
  const loaded = loadConfig({ ...(file === undefined ? {} : { file }), env, flags });
  return { config: loaded.values, loaded, json: options.json === true };
}

/** A whole number from an option's text. Throws `Fatal` USAGE that names the option and its range. */
export function wholeNumber(option: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw new Fatal("USAGE", `${option} takes a whole number ${range}, not ${JSON.stringify(text.slice(0, 40))}`);
}

/** One of some words. Throws `Fatal` USAGE that names the option and the words. */
export function oneOf<T extends string>(option: string, text: string, words: readonly T[]): T {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new Fatal("USAGE", `${option} takes ${words.join(" or ")}, not ${JSON.stringify(text.slice(0, 40))}`);
}

export function splitSetting(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at).trim(), text.slice(at + 1)];
  // The text itself is not repeated: it might be a secret without its name.
  throw new Fatal("USAGE", "--set needs a name and a value", {
    where: "command line",
    hint: "Write --set name=value, for example --set log.level=debug. `sluice config show` lists every setting.",
  });
}
