/** `sluice catalogue`: prints a script that makes a DuckLake catalogue of the lake, for engines that read that format. */
import { resolve } from "node:path";
import type { Command } from "commander";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { CliContext } from "./context.ts";
import { sourcesOfLake } from "./one-source.ts";
import { paint } from "./output.ts";

export function register(program: Command, context: CliContext): void {
  program
    .command("catalogue")
    .description("print a DuckDB script that registers the lake's files in a DuckLake catalogue; nothing is copied")
    .option("--file <path>", "the catalogue that the script is to make", "sluice.ducklake")
    .option("--source <name>", "one source of several")
    .addHelpText(
      "after",
      `
Examples:
  sluice catalogue > catalogue.sql && duckdb < catalogue.sql
  duckdb -c "ATTACH 'ducklake:sluice.ducklake' AS lake (READ_ONLY); SELECT count(*) FROM lake.trades"

The script needs DuckDB 1.4 or later, which downloads its ducklake extension. It tells of the lake as it is now: make a new
catalogue after a compaction, or to see what came since. For a bucket, it reads credentials as DuckDB's "credential_chain" does.`,
    )
    .action(async (options: { file: string; source?: string }, command: Command) => {
      const { config } = context.load(command);
      const [own] = sourcesOfLake(config, options.source);
      const [{ duckLakeScript }, { LakeReader, ofSource }, { lakeStore, requireFolder }, { folders }] =
        await Promise.all([
          import("../storage/lake/ducklake.ts"),
          import("../storage/lake/reader.ts"),
          import("./lake.ts"),
          import("./folders.ts"),
        ]);
      await requireFolder(own!);
      const whole = await new LakeReader(await lakeStore(own!)).read();
      const lake = options.source === undefined ? whole : ofSource(whole, own!["source.name"]);
      const url = own!["lake.url"];
      const inBucket = url !== "";
      const script = duckLakeScript({
        lake,
        root: inBucket ? url.replace(/\/+$/, "") : resolve(folders(own!).lake),
        catalogue: options.file,
        ...(inBucket ? { access: bucketAccess(own!) } : {}),
      });
      if (script === null) {
        throw new Fatal("LAKE_EMPTY", "the lake has no files yet", {
          where: inBucket ? url : folders(own!).lake,
          hint: "Files come with the first roll of final blocks; `sluice verify` tells what there is.",
        });
      }
      context.stdout.write(script);
      const { stderr } = context;
      stderr.write(`${paint(stderr, "dim", `entry ${lake.head!.number}; run it with: duckdb < FILE`)}\n`);
    });
}

/** No secret is printed: DuckDB finds the credentials where this host keeps them. */
function bucketAccess(config: Config): string {
  const { "lake.s3.endpoint": endpoint, "lake.s3.region": region, "lake.s3.pathStyle": style } = config;
  const terms = ["TYPE s3", "PROVIDER credential_chain", `REGION '${region.replaceAll("'", "''")}'`];
  if (endpoint !== "") {
    const { host, protocol } = new URL(endpoint);
    terms.push(`ENDPOINT '${host}'`, `USE_SSL ${protocol === "https:"}`);
  }
  if (style === "path" || (style === "auto" && endpoint !== "")) terms.push("URL_STYLE 'path'");
  return `INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws; CREATE SECRET (${terms.join(", ")});`;
}
