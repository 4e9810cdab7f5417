/** `sluice idl check`: what an Anchor IDL would be decoded into, before anything is decoded. */
import type { Command } from "commander";
import type { CliContext } from "./context.ts";
import { toJson } from "./output.ts";

export interface IdlCheckOptions {
  readonly id?: string;
  readonly mint?: string;
  readonly prefix?: string;
  readonly instructions?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("idl")
    .description("look at Anchor IDLs")
    .command("check")
    .description("explain what an IDL would be decoded into: datasets, columns, what is left out and why")
    .argument("<idl>", "a JSON file, an https URL, or the bytes of the program's IDL account")
    .option("--id <address>", "the program's address, where the IDL does not say")
    .option("--mint <field>", "the field that names the token of an event (default: mint)")
    .option("--prefix <text>", "put before the names of datasets")
    .option("--instructions", "instructions, too")
    .addHelpText(
      "after",
      `
Examples:
  sluice idl check my_program.json
  sluice idl check my_program.json --mint token_mint --instructions
  solana account IDL_ACCOUNT --output json > idl.json && sluice idl check idl.json

It ends with the lines for sluice.yaml. Exit code 1: something in the IDL cannot be decoded.`,
    )
    .action(async (location: string, options: IdlCheckOptions, command: Command) => {
      const { json } = context.load(command);
      const [{ loadIdl }, { checkIdl, printIdlReport }] = await Promise.all([
        import("./idl-source.ts"),
        import("./idl-report.ts"),
      ]);
      const idl = await loadIdl(location, null);
      const report = checkIdl(idl, location, options);
      if (json) context.stdout.write(`${toJson(report)}\n`);
      else printIdlReport(report, context);
      if (report.broken.length > 0) context.setExitCode(1);
    });
}
