/** Reads a settings file: YAML (of which JSON is a part) to settings by dotted name. */
import { existsSync, readFileSync } from "node:fs";
import { Fatal } from "./errors.ts";
import { parseYaml } from "./yaml.ts";

/** `isSetting` tells names that are a setting as a whole: their values are not looked into. Throws `Fatal` CONFIG_FILE. */
export function readConfigFile(path: string, isSetting: (name: string) => boolean): Record<string, unknown> {
  if (!existsSync(path)) {
    throw new Fatal("CONFIG_FILE", "the configuration file does not exist", {
      where: path,
      hint: "Check the path given with --config.",
    });
  }
  let parsed: unknown;
  try {
    parsed = parseYaml(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Fatal("CONFIG_FILE", `the configuration file is not valid YAML: ${(cause as Error).message}`, {
      where: path,
    });
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== "object" || Array.isArray(parsed)) {
    throw new Fatal("CONFIG_FILE", "the configuration file must be a YAML mapping", { where: path });
  }
  return flatten(parsed as Record<string, unknown>, "", isSetting);
}

/** `source: {endpoint: x}` and `source.endpoint: x` are the same setting. */
function flatten(
  tree: Record<string, unknown>,
  prefix: string,
  isSetting: (name: string) => boolean,
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(tree)) {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    const nested = typeof value === "object" && value !== null && !Array.isArray(value);
    if (nested && !isSetting(name)) Object.assign(out, flatten(value as Record<string, unknown>, name, isSetting));
    else out[name] = value;
  }
  return out;
}
