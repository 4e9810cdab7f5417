/** `sluice explain CODE`: what an error code means and what to do, without a network. */
import type { Command } from "commander";
import { closest } from "../pipeline/closest.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { CliContext } from "./context.ts";
import { type Explanation, errorCodes } from "./error-codes.ts";
import { type CommandIo, paint, table, toJson } from "./output.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("explain")
    .description("say what an error code means and what to do; without a code, list them all")
    .argument("[code]", "the code, as errors and logs show it")
    .addHelpText(
      "after",
      `
Examples:
  sluice explain STREAM_FULL
  sluice explain | grep NATS`,
    )
    .action((code: string | undefined, _options: unknown, command: Command) => {
      const json = command.optsWithGlobals<{ json?: boolean }>().json === true;
      if (code === undefined) listCodes([...errorCodes().values()], json, context);
      else explainCode(code, json, context);
    });
}

function listCodes(all: readonly Explanation[], json: boolean, { stdout }: Pick<CommandIo, "stdout">): void {
  if (json) stdout.write(`${toJson(all)}\n`);
  else
    stdout.write(
      table(
        stdout,
        [{ name: "code" }, { name: "meaning" }],
        all.map((e) => [e.code, e.meaning]),
      ),
    );
}

/** Throws `Fatal` USAGE for a code that does not exist. */
export function explainCode(code: string, json: boolean, { stdout }: Pick<CommandIo, "stdout">): void {
  const known = errorCodes();
  const asked = code.trim().replace(/:$/, "").toUpperCase();
  const found = known.get(asked);
  if (found === undefined) {
    const near = closest(asked, [...known.keys()]);
    throw new Fatal("USAGE", `there is no error code ${JSON.stringify(code.slice(0, 60))}`, {
      hint: `${near === null ? "" : `Did you mean ${near}? `}\`sluice explain\` lists them all.`,
    });
  }
  if (json) {
    stdout.write(`${toJson(found)}\n`);
    return;
  }
  stdout.write(`${paint(stdout, "bold", found.code)} (${found.area}; ${found.kind.toLowerCase()})\n`);
  stdout.write(`${found.meaning}\n\nWhat to do: ${found.remedy}\n`);
}
