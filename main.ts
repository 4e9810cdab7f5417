#!/usr/bin/env bun
/** The command line. Commands live in `cli/`, one file each; heavy modules are loaded by the command that needs them. */
import { Command, CommanderError } from "commander";
import * as alive from "./cli/alive.ts";
import * as answer from "./cli/answer.ts";
import * as api from "./cli/api.ts";
import * as backfill from "./cli/backfill.ts";
import * as backup from "./cli/backup.ts";
import * as catalogue from "./cli/catalogue.ts";
import * as completions from "./cli/completions.ts";
import * as config from "./cli/config.ts";
import { createContext } from "./cli/context.ts";
import * as demo from "./cli/demo.ts";
import * as doctor from "./cli/doctor.ts";
import { errorCodes } from "./cli/error-codes.ts";
import * as explain from "./cli/explain.ts";
import * as idl from "./cli/idl.ts";
import * as init from "./cli/init.ts";
import * as logs from "./cli/logs.ts";
import * as map from "./cli/map.ts";
import { EXIT, exitCodeOf } from "./cli/output.ts";
import * as quarantine from "./cli/quarantine.ts";
import * as rebuild from "./cli/rebuild.ts";
import * as record from "./cli/record.ts";
import * as redecode from "./cli/redecode.ts";
import * as replay from "./cli/replay.ts";
import * as simulate from "./cli/simulate.ts";
import * as spend from "./cli/spend.ts";
import * as sql from "./cli/sql.ts";
import * as stages from "./cli/stages.ts";
import * as tiers from "./cli/tiers.ts";
import * as token from "./cli/token.ts";
import * as upgrade from "./cli/upgrade.ts";
import * as upkeep from "./cli/upkeep.ts";
import * as verify from "./cli/verify.ts";
import { VERSION } from "./cli/version.ts";
import { classify, describe, stackOf } from "./pipeline/errors.ts";

const program = new Command()
  .name("sluice")
  .description("Streams Solana blocks from Substreams into a live token API and a lake that anyone can verify.")
  .version(VERSION)
  .option("--config <file>", "settings file, YAML (default: sluice.yaml when it is there)")
  .option("--set <name=value>", "one setting, by its dotted name; may be repeated", collect, [])
  .option("--data <dir>", "data folder (setting data.dir)")
  .option("--json", "machine-readable output on stdout")
  .showHelpAfterError("(add --help for usage)")
  .addHelpText(
    "after",
    `
Examples:
  sluice demo                         everything on this machine, no account needed
  sluice stages                       run the pipeline
  sluice sql "select * from trades order by slot desc limit 10"

Settings: sluice config show
Ctrl-C: ends in order. Once more, a second or later: ends at once, as a kill does, which loses nothing that was committed.`,
  )
  .exitOverride();

const context = createContext({ env: process.env, stdout: process.stdout, stderr: process.stderr });
const COMMANDS = [
  demo,
  init,
  doctor,
  stages,
  api,
  logs,
  token,
  sql,
  verify,
  backfill,
  backup,
  upkeep,
  rebuild,
  redecode,
  quarantine,
  tiers,
  catalogue,
  record,
  spend,
  upgrade,
  replay,
  simulate,
  idl,
  map,
  config,
  alive,
  explain,
  completions,
  answer,
];
for (const command of COMMANDS) command.register(program, context);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
  process.stderr.write(`sluice: ${describe(error)}\n`);
  const known = classify(error);
  const { code } = known;
  if (code !== "USAGE" && errorCodes().has(code)) process.stderr.write(`  More: sluice explain ${code}\n`);
  const stack = stackOf(known);
  if (stack !== undefined) process.stderr.write(`${stack}\n`);
  return exitCodeOf(error);
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}
