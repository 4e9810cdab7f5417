/**
 * Goal: the containers of compose.yaml would run: their commands, their health checks, their settings, and nothing written
 * outside /data and /tmp. Method: there is no container engine here, so the files that the image would hold are laid into a
 * folder and each service's command is run there with its environment, against a nats-server with the shipped configuration,
 * a replay endpoint and an S3 service; addresses of the network are replaced by ones on loopback, nothing else.
 */
import { expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { startService } from "../../cli/child.ts";
import { writeSimulation } from "../../simulator/index.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";
import { ROOT, until, useGround } from "./ground.ts";
import { startNatsServer } from "./nats-server.ts";

const ground = useGround();
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

interface Service {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly healthcheck: { readonly test: readonly string[] };
}
const { services } = Bun.YAML.parse(read("compose.yaml")) as { services: Record<string, Service> };
const entrypoint = JSON.parse(/^ENTRYPOINT (.+)$/m.exec(read("Dockerfile"))![1]!) as string[];

/** Lays out /app as the Dockerfile does. */
function buildImage(): string {
  const app = ground.path("image", "app");
  const copied = [...read("Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((m) => m[1]!.split(" "));
  for (const from of copied) {
    if (from === "bun.lock") continue;
    mkdirSync(dirname(join(app, from)), { recursive: true });
    const filter = (file: string) => !/\.(test|conformance)\.ts$/.test(file);
    cpSync(join(ROOT, from), join(app, from), { recursive: true, filter });
  }
  symlinkSync(join(ROOT, "node_modules"), join(app, "node_modules"));
  return app;
}

/** What is in the image's folder, and when each was last changed. */
function contents(app: string): string[] {
  const files = [...new Bun.Glob("**/*").scanSync({ cwd: app, onlyFiles: false, dot: true, followSymlinks: false })];
  return files.map((file) => `${file} ${statSync(join(app, file)).mtimeMs}`).sort();
}

test("stages and API run from the image's files with the compose file's commands, and their health checks say so", async () => {
  const app = buildImage();
  const before = contents(app);
  expect(before.length).toBeGreaterThan(150);
  const conf = read("deploy/nats/nats-server.conf")
    .replace(/^listen:.*$|^http:.*$/gm, "")
    .replace('"/data"', '"%store"');
  const nats = await startNatsServer(ground, conf.split("\n"));
  const s3 = new S3Server();
  ground.atEnd(() => s3.stop());
  const recording = ground.path("market.zst");
  const { chain } = await writeSimulation({ seed: 11, blocks: 40, output: "transactions", out: recording });
  const replay = await startService<{ endpoint: string }>({
    args: ["replay", recording, "--port", "0", "--json"],
    logFile: ground.path("replay.log"),
  });
  ground.atEnd(() => replay.stop());
  const data = ground.path("data");
  mkdirSync(data);
  const config = ground.path("etc");
  cpSync(join(ROOT, "deploy/config"), config, { recursive: true });
  const envFile = {
    SUBSTREAMS_ENDPOINT: replay.ready.endpoint,
    START_BLOCK: String(chain.firstSlot),
    STOP_BLOCK: "+30",
    SLUICE_LAKE_URL: "s3://sluice/lake",
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ACCESS_KEY_ID: "key",
    AWS_SECRET_ACCESS_KEY: "secret",
  };
  const moved = { NATS_URL: nats.url, SLUICE_DATA: data, API_HOST: "127.0.0.1", API_PORT: "0" };
  const run = (service: string, command: readonly string[]) => {
    const settings = { ...services[service]!.environment };
    for (const name of Object.keys(moved) as (keyof typeof moved)[])
      if (name in settings || name === "API_PORT") settings[name] = moved[name];
    const env = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", ...envFile, ...settings };
    const args = command.map((word) => (word === "bun" ? process.execPath : word.replace("/app/", `${app}/`)));
    const child = Bun.spawn([...args], { cwd: config, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    ground.atEnd(() => child.kill("SIGKILL"));
    return child;
  };
  const start = (service: string, command = services[service]!.command) => run(service, [...entrypoint, ...command]);
  const healthy = async (service: string, replace: (word: string) => string = (word) => word) => {
    const [, ...command] = services[service]!.healthcheck.test;
    return (await run(service, command.map(replace)).exited) === 0;
  };

  expect(await healthy("stages")).toBe(false);
  const token = (await start("api", ["token", "create", "admin", "--scope", "read,control"]).stdout.text()).trim();
  const stages = start("stages");
  const api = start("api");
  const url = (
    await api.stdout
      .getReader()
      .read()
      .then(({ value }) => new TextDecoder().decode(value))
  ).trim();
  await until("the stages' health check", async () => ((await healthy("stages")) ? true : null));
  expect(await healthy("api", (word) => word.replace("http://127.0.0.1:8787", url))).toBe(true);

  const scrape = async () => (await fetch(`${url}/api/indexer/metrics`)).text();
  await until("all blocks, in the lake too", async () => {
    const text = await scrape();
    return /^substreams_indexer_running 1$/m.test(text) && /^sluice_lake_rows_total\{[^}]*\} [1-9]/m.test(text)
      ? text
      : null;
  });
  expect([...s3.buckets.keys()]).toEqual(["sluice"]);
  const stop = (headers: Record<string, string>) => fetch(`${url}/api/indexer/stop`, { method: "POST", headers });
  expect((await stop({ authorization: `Bearer ${token}` })).status).toBe(200);

  for (const child of [stages, api]) child.kill("SIGTERM");
  expect([await stages.exited, await api.exited]).toEqual([0, 0]);
  expect(contents(app)).toEqual(before);
});
