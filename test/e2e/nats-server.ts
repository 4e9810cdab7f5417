/** A nats-server of one's own, with what a test wants in its configuration, on a free loopback port. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { natsServerBinary } from "../../pipeline/embedded-nats.ts";
import { type Ground, until } from "./ground.ts";

export interface NatsServer {
  readonly url: string;
  readonly child: Bun.Subprocess;
}

/** `lines` of configuration; "%store" in them stands for a folder. `again`: where one was that has ended. */
export async function startNatsServer(
  ground: Pick<Ground, "path" | "atEnd">,
  lines: readonly string[],
  again: NatsServer | null = null,
): Promise<NatsServer> {
  const ports = ground.path("nats-ports");
  const port = again === null ? -1 : new URL(again.url).port;
  // A server that is killed leaves its file behind.
  await rm(ports, { recursive: true, force: true });
  const config = ground.path("nats-server.conf");
  const own = lines.map((line) => line.replaceAll("%store", ground.path("nats-store")));
  const text = [`listen: "127.0.0.1:${port}"`, `ports_file_dir: ${JSON.stringify(ports)}`, ...own].join("\n");
  await writeFile(config, `${text}\n`);
  await Bun.$`mkdir -p ${ports}`.quiet();
  const child = Bun.spawn([natsServerBinary(), "-c", config], {
    stdin: "ignore",
    stdout: Bun.file(ground.path("nats-server.log")),
    stderr: Bun.file(ground.path("nats-server.err")),
  });
  ground.atEnd(() => {
    child.kill("SIGKILL");
    return child.exited;
  });
  const url = await until("the nats-server's port", async () => {
    for (const name of new Bun.Glob("*.ports").scanSync(ports)) {
      const { nats } = JSON.parse((await Bun.file(join(ports, name)).text()) || "{}") as { nats?: string[] };
      return nats?.[0];
    }
    return null;
  });
  return { url, child };
}
