/** The lake of a deployment: where its archive writes and its readers read. */
import { withoutSecrets } from "../pipeline/addresses.ts";
import type { Config } from "../pipeline/config.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import { FolderStore } from "../storage/lake/folder-store.ts";
import { LakeSink } from "../storage/lake/sink.ts";
import { folders } from "./folders.ts";

export function lakeStore(config: Config): FolderStore {
  return new FolderStore(folders(config).lake);
}

export async function openLakeSink(config: Config, catalog: DatasetCatalog): Promise<LakeSink> {
  const package_ = config["source.package"] === "" ? "built-in demo package" : withoutSecrets(config["source.package"]);
  return new LakeSink({
    store: lakeStore(config),
    workDir: folders(config).temp,
    lineage: { kind: "live", source: config["source.name"], dataset: "all", start: null, stop: null },
    datasets: [...catalog.values()],
    package: `${package_}:${config["source.module"]}`,
    memoryMb: Math.floor(config["archive.memoryBytes"] / 1e6),
  });
}
