/** Where a deployment keeps what on this host. */
import { join } from "node:path";
import { type Config, hotFolder } from "../pipeline/config.ts";

interface Folders {
  readonly data: string;
  readonly hot: string;
  readonly lake: string;
  readonly nats: string;
  readonly temp: string;
  /** With a lake in a bucket: commits on their way there, and copies of its files. */
  readonly spool: string;
  readonly cache: string;
}

export function folders(config: Config): Folders {
  const data = config["data.dir"];
  return {
    data,
    hot: hotFolder(config),
    lake: config["lake.dir"] === "" ? join(data, "lake") : config["lake.dir"],
    nats: join(data, "nats"),
    temp: join(data, "tmp"),
    spool: join(data, "spool"),
    cache: join(data, "cache"),
  };
}
