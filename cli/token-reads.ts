/** What the API of this host knows of a source's tokens: hot stores, lake, and what tokens' `uri` say. */
import { join } from "node:path";
import type { JoinedReads } from "../api/reads/index.ts";
import type { RouteOptions } from "../api/routes/index.ts";
import type { Config } from "../pipeline/config.ts";
import { logFor } from "../pipeline/log.ts";
import { systemWorld } from "../pipeline/world.ts";
import { folders } from "./folders.ts";
import { lakeStore } from "./lake.ts";

export interface OpenReads extends Pick<RouteOptions, "metadata"> {
  readonly reads: JoinedReads;
  close(): Promise<void>;
}

export async function openReads(config: Config): Promise<OpenReads> {
  const [reading, { TokenMetadata }] = await Promise.all([
    import("../api/reads/index.ts"),
    import("../api/metadata/metadata.ts"),
  ]);
  const { data, hot } = folders(config);
  const metadata = config["api.metadata"]
    ? new TokenMetadata({
        file: join(data, "metadata.sqlite"),
        gateway: config["api.ipfsGateway"],
        world: systemWorld,
        log: logFor("metadata"),
      })
    : null;
  const reads = new reading.JoinedReads({
    folder: hot,
    lanes: config.lanes,
    source: config["source.name"],
    lake: await lakeStore(config),
    revision: () => metadata?.revision ?? 0,
  });
  return {
    reads,
    ...(metadata === null ? {} : { metadata }),
    async close() {
      reads.close();
      await metadata?.close();
    },
  };
}
