/** SQL from elsewhere as the API takes it: over the lake and this host's hot stores of the source that it serves. */
import { join } from "node:path";
import type { Config } from "../pipeline/config.ts";
import { lakeView } from "../storage/analytics/analytics.ts";
import { ForeignQueries } from "../storage/analytics/foreign.ts";
import { folders } from "./folders.ts";
import { lakeStore } from "./lake.ts";
import { decodersFor } from "./programs.ts";

const MAIN = join(import.meta.dir, "..", "main.ts");

export async function foreignQueries(config: Config): Promise<ForeignQueries> {
  const { hot, temp } = folders(config);
  const { catalog } = await decodersFor(config);
  return new ForeignQueries({
    command: [process.execPath, "--smol", MAIN, "answer"],
    lake: lakeView(await lakeStore(config), config["source.name"]),
    hot: [{ source: config["source.name"], folder: hot, lanes: config.lanes }],
    catalog: [...catalog.values()],
    workDir: temp,
  });
}
