/** `sluice map`: proposes how the output of a package's module becomes rows. */
import type { Command } from "commander";
import type { CliContext } from "./context.ts";
import { toJson } from "./output.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("map")
    .description("propose how a module's output becomes rows: lines for `maps` in sluice.yaml")
    .option("--package <location>", "a .spkg file or an https URL (default: source.package)")
    .option("--module <name>", "the module (default: the only map of --package; without that, source.module)")
    .addHelpText(
      "after",
      `
Examples:
  sluice map --package dex_swaps.spkg --module map_events
  sluice map --package my.spkg --module map_block >> sluice.yaml

Modules whose output is sf.solana.type.v1.Block or sf.substreams.solana.v1.Transactions need no mapping: name programs.`,
    )
    .action(async (options: { package?: string; module?: string }, command: Command) => {
      const { config, json } = context.load(command);
      const [{ onlyMap, openPackage, outputType }, { proposeMaps, proposalYaml }, { Fatal }] = await Promise.all([
        import("./maps.ts"),
        import("./map-proposal.ts"),
        import("../pipeline/errors.ts"),
      ]);
      const location = options.package ?? config["source.package"];
      if (location === "") throw new Fatal("USAGE", "which package? Give --package, or set source.package");
      const from = await openPackage(location, null);
      const module = options.module ?? (options.package === undefined ? config["source.module"] : onlyMap(from));
      const type = outputType(from, module);
      const proposals = proposeMaps(type);
      if (json) context.stdout.write(`${toJson({ type: type.typeName, proposals })}\n`);
      else
        context.stdout.write(
          `# ${module} puts out ${type.typeName}\n${proposalYaml(proposals, { package: location, module })}`,
        );
    });
}
