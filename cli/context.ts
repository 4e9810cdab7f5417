/** What every command needs from the command line: the settings, and where to print. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { type Config, type LoadedConfig, loadConfig } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly config?: string;
  readonly set?: readonly string[];
  readonly data?: string;
  readonly json?: boolean;
}

export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  /** Settings by all sources; `extra` are those that a command's own options stand for. */
  load(
    command: Command,
    extra?: Readonly<Record<string, unknown>>,
  ): LoadedConfig & { readonly config: Config; readonly json: boolean };
}

/** Read when --config is not given and the file is there. */
export const DEFAULT_CONFIG_FILE = "sluice.yaml";

export function createContext(options: Pick<CliContext, "env" | "stdout" | "stderr">): CliContext {
  return {
    ...options,
    load(command, extra = {}) {
      const global = command.optsWithGlobals<GlobalOptions>();
      const file = global.config ?? (existsSync(DEFAULT_CONFIG_FILE) ? DEFAULT_CONFIG_FILE : undefined);
      const flags: Record<string, unknown> = { ...extra };
      for (const assignment of global.set ?? []) {
        const at = assignment.indexOf("=");
        if (at < 1) {
          throw new Fatal("USAGE", `--set takes name=value, not "${assignment}"`, {
            hint: "For example --set lanes=8",
          });
        }
        flags[assignment.slice(0, at)] = assignment.slice(at + 1);
      }
      if (global.data !== undefined) flags["data.dir"] = global.data;
      const loaded = loadConfig({ env: options.env, flags, ...(file === undefined ? {} : { file }) });
      return { ...loaded, config: loaded.values, json: global.json === true };
    },
  };
}
