/** Where a deployment keeps what on this host. */
import { join } from "node:path";
import { type Config, hotFolder } from "../pipeline/config.ts";

export function folders(config: Config): { data: string; hot: string; lake: string; nats: string; temp: string } {
  const data = config["data.dir"];
  return {
    data,
    hot: hotFolder(config),
    lake: config["lake.dir"] === "" ? join(data, "lake") : config["lake.dir"],
    nats: join(data, "nats"),
    temp: join(data, "tmp"),
  };
}
