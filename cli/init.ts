/** `sluice init`: writes a commented settings file and its JSON schema, by questions on a terminal or from options. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { type Config, KNOBS, loadConfig, type Setting, sourceConfigs } from "../pipeline/config.ts";
import type { Knob } from "../pipeline/config-knob.ts";
import { configSchema } from "../pipeline/config-schema.ts";
import { describe, Fatal, Transient } from "../pipeline/errors.ts";
import { type CliContext, DEFAULT_FILE, type GlobalOptions, splitSetting } from "./context.ts";
import { programsOf, renderSettings, SCHEMA_FILE } from "./init-file.ts";
import type { Asker } from "./init-wizard.ts";
import { type CommandIo, EXIT, toJson } from "./output.ts";

interface Options {
  readonly preset: readonly string[];
  readonly idl: readonly string[];
  readonly yes?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("init")
    .description("write a commented settings file, by questions or from options")
    .option("--preset <name>", "a program to decode, by preset; may be repeated", collect, [])
    .option("--idl <file>", "a program to decode, by its Anchor IDL: file or URL; may be repeated", collect, [])
    .option("--yes", "ask nothing: what is not given by options stays at its default")
    .addHelpText(
      "after",
      `
Examples:
  sluice init                                   asks, and writes sluice.yaml
  sluice --config prod.yaml init --yes --preset pumpfun --set source.package=./solana.spkg \\
         --set source.module=transactions_by_programid_without_votes
  sluice init --idl ./my-program.json --set source.startBlock=-1000

The file is the one that --config names (default: ${DEFAULT_FILE}); one that is there is never overwritten. Secrets are not
written: they belong in the environment. Beside it, ${SCHEMA_FILE} lets editors complete and check the settings.`,
    )
    .action(async (options: Options, command: Command) => {
      const { config, set = [], data, json } = command.optsWithGlobals<GlobalOptions>();
      const flags = {
        ...Object.fromEntries(set.map(splitSetting)),
        ...(data === undefined ? {} : { "data.dir": data }),
      };
      const programs = programsOf(options.preset, options.idl);
      const given = { ...flags, ...(programs.length === 0 ? {} : { programs }) };
      const ask = Object.keys(given).length === 0 && options.yes !== true;
      if (ask && !(context.stdout.isTTY && process.stdin.isTTY === true)) {
        throw new Fatal("USAGE", "there is no terminal to ask on", {
          hint: "Give settings with --set, --preset and --idl, or --yes for the defaults.",
        });
      }
      const asker = ask ? (await import("./init-prompts.ts")).terminalAsker() : null;
      const file = config ?? DEFAULT_FILE;
      context.setExitCode(await initialize({ file, given, asker, json: json === true }, context));
    });
}

export interface InitOptions {
  readonly file: string;
  /** Settings and sections by dotted name. */
  readonly given: Readonly<Record<string, unknown>>;
  /** Null: nobody is asked. */
  readonly asker: Asker | null;
  readonly json: boolean;
}

/** Throws `Fatal` USAGE when the file is there or a secret is given, CONFIG_* and what the readers of IDLs and ranges throw. */
export async function initialize({ file, given, asker, json }: InitOptions, io: CommandIo): Promise<number> {
  mustBeFree(file);
  const wanted = asker === null ? given : await answersOf(asker);
  if (wanted === null) {
    io.stderr.write("Nothing was written.\n");
    return EXIT.failed;
  }
  mustHoldNoSecret(wanted);
  const { values } = loadConfig({ flags: wanted });
  await mustBeReadable(values, io);
  const chosen = Object.fromEntries(Object.keys(wanted).map((name) => [name, values[name as Setting]]));
  const schema = join(dirname(file), SCHEMA_FILE);
  // "wx": whoever was quicker than we keeps their file.
  await writeFile(file, renderSettings(chosen), { flag: "wx" });
  await writeFile(schema, `${JSON.stringify(configSchema(), null, 2)}\n`);
  if (json) io.stdout.write(`${toJson({ file, schema, settings: Object.keys(chosen) })}\n`);
  else io.stdout.write(nextSteps(file, schema, idlsOf(values)));
  return EXIT.ok;
}

/** The questions know all presets, and so the decoders: they are loaded only when there is somebody to ask. */
async function answersOf(asker: Asker): Promise<Record<string, unknown> | null> {
  const { askForSettings } = await import("./init-wizard.ts");
  return askForSettings(asker, { maps, defaults: loadConfig().values });
}

function mustBeFree(file: string): void {
  if (!existsSync(file)) return;
  throw new Fatal("USAGE", `${file} is there already and is not overwritten`, {
    where: file,
    hint: "Name another file with --config, or move this one away. `sluice config show` says what it sets.",
  });
}

/** What the stages would refuse is not written. What cannot be fetched now may be there by then: that is said. */
async function mustBeReadable(config: Config, { stderr }: Pick<CommandIo, "stderr">): Promise<void> {
  const [{ parseRange }, { decodersFor }] = await Promise.all([
    import("../pipeline/source/range.ts"),
    import("./programs.ts"),
  ]);
  for (const own of sourceConfigs(config)) {
    parseRange(own["source.startBlock"], own["source.stopBlock"], 0);
    try {
      await decodersFor(own);
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      stderr.write(`Not checked: ${describe(error)}\n`);
    }
  }
}

function mustHoldNoSecret(wanted: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(wanted)) {
    const knob = (KNOBS as Record<string, Knob>)[name];
    if (knob?.secret !== true) continue;
    throw new Fatal("USAGE", `${name} is a secret and is not written to a file`, {
      hint: `Set ${knob.env?.[0] ?? "it"} in the environment, for example in a .env file that only you can read.`,
    });
  }
}

async function maps(location: string) {
  const [{ loadPackage, mapModules }, { selectModule }] = await Promise.all([
    import("../pipeline/source/package.ts"),
    import("../pipeline/source/module.ts"),
  ]);
  const from = await loadPackage(location);
  return mapModules(from.modules).map(({ name }) => ({
    name,
    initialBlock: selectModule(from, { module: name }).initialBlock,
  }));
}

function idlsOf({ programs }: Config): string[] {
  return programs.flatMap(({ idl }) => (idl === undefined ? [] : [idl]));
}

function nextSteps(file: string, schema: string, idls: readonly string[]): string {
  const config = file === DEFAULT_FILE ? "" : ` --config ${file}`;
  const looks = idls.map(
    (idl) => `  sluice idl check ${idl}        # what it becomes, and what could name the token of an event\n`,
  );
  return `Wrote ${file} and ${schema}.

Next:
${looks.join("")}  export SUBSTREAMS_API_KEY=...        # or SUBSTREAMS_JWT_TOKEN, from your provider's dashboard
  sluice${config} doctor
  sluice${config} stages
  sluice${config} api
`;
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}
