/**
 * Goal: `sluice doctor` against the real things: a deployment that is well has no failed check, and each thing that is
 * broken on purpose is found, named and given a fix. Method: a replay endpoint, nats-servers of our own, ports and files.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../pipeline/config.ts";
import { natsServerBinary } from "../pipeline/embedded-nats.ts";
import { type Replay, serveReplay } from "../pipeline/source/replay.ts";
import { systemWorld } from "../pipeline/world.ts";
import { writeSimulation } from "../simulator/index.ts";
import { S3Server } from "../storage/lake/s3/server-fixture.ts";
import type { CheckResult } from "./doctor/check.ts";
import { missingFolders, removeEmpty } from "./doctor/traces.ts";
import { examine, GROUPS } from "./doctor.ts";
import { BufferOutput } from "./output.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-doctor-"));
const JWT_EXPIRED = `e30.${Buffer.from('{"exp":1}').toString("base64url")}.c2ln`;
let replay: Replay;
const endpoint = () => `http://127.0.0.1:${replay.port}`;
const servers: Bun.Subprocess[] = [];

beforeAll(async () => {
  const recording = join(folder, "chain.zst");
  await writeSimulation({ seed: 3, blocks: 20, output: "transactions", out: recording });
  replay = await serveReplay({
    recording,
    host: "127.0.0.1",
    port: 0,
    blocksPerSecond: 0,
    protocols: ["v4", "v3", "v2"],
    requireToken: "let-me-in",
    progressMs: 1_000,
    gzip: true,
    endAtEof: false,
    chain: "solana-mainnet-beta",
    world: systemWorld,
  });
});
afterAll(async () => {
  for (const server of servers) server.kill("SIGKILL");
  await Promise.all(servers.map((server) => server.exited));
  await replay.close();
  rmSync(folder, { recursive: true });
});

interface Report {
  readonly ok: boolean;
  readonly checks: readonly CheckResult[];
}

async function doctor(
  flags: Record<string, unknown>,
  options: { groups?: readonly (typeof GROUPS)[number][]; offline?: boolean; monitor?: string } = {},
): Promise<Report & { code: number; of(name: string): CheckResult }> {
  const stdout = new BufferOutput();
  const base = {
    "data.dir": join(folder, "data"),
    "source.endpoint": endpoint(),
    "source.apiKey": "let-me-in",
    "source.startBlock": "",
    "api.port": 0,
  };
  const config = loadConfig({ flags: { ...base, ...flags } }).values;
  const { groups = GROUPS, offline = false, monitor = null } = options;
  const code = await examine({ config, groups, offline, monitor, json: true }, { stdout, stderr: new BufferOutput() });
  const report = JSON.parse(stdout.text) as Report;
  return { ...report, code, of: (name) => report.checks.find((check) => check.name === name)! };
}

/** A nats-server of one's own; monitoring as the configuration says. */
async function natsServer(name: string, ...lines: string[]): Promise<{ url: string; monitor: string }> {
  const ports = join(folder, `${name}-ports`);
  const config = join(folder, `${name}.conf`);
  const store = JSON.stringify(join(folder, `${name}-store`));
  const text = [`listen: "127.0.0.1:-1"`, `http: "127.0.0.1:-1"`, `ports_file_dir: ${JSON.stringify(ports)}`, ...lines];
  writeFileSync(config, `${text.join("\n").replaceAll("%store", store)}\n`);
  await Bun.$`mkdir -p ${ports}`.quiet();
  servers.push(Bun.spawn([natsServerBinary(), "-c", config], { stdin: "ignore", stdout: "ignore", stderr: "ignore" }));
  for (;;) {
    for (const file of new Bun.Glob("*.ports").scanSync({ cwd: ports, absolute: true })) {
      const found = JSON.parse((await Bun.file(file).text()) || "{}") as { nats?: string[]; monitoring?: string[] };
      if (found.nats?.[0] !== undefined) return { url: found.nats[0], monitor: found.monitoring?.[0] ?? "" };
    }
    await Bun.sleep(20);
  }
}

test("a deployment that is well: every check has looked, none has failed", async () => {
  const { ok, code, checks, of } = await doctor({});
  const failed = checks.filter((check) => check.state === "fail");
  // A machine that is busy, or has little room, is told so.
  expect(failed.filter((check) => check.group !== "host")).toEqual([]);
  expect({ ok, code }).toEqual(failed.length === 0 ? { ok: true, code: 0 } : { ok: false, code: 1 });
  expect(new Set(checks.map((check) => check.group))).toEqual(new Set(GROUPS));
  expect(of("one block")).toMatchObject({ state: "ok", evidence: expect.stringMatching(/rows, protocol v4/) });
  expect(of("endpoint").evidence).toContain("solana-mainnet-beta");
  expect(of("server").evidence).toContain("embedded");
});

test("nothing is left behind where nothing was; what others have put there stays", async () => {
  const [data, lake] = [join(folder, "fresh", "data"), join(folder, "fresh-lake")];
  expect((await doctor({ "data.dir": data, "lake.dir": lake }, { offline: true })).of("server").state).toBe("ok");
  expect([existsSync(join(folder, "fresh")), existsSync(lake)]).toEqual([false, false]);
  const made = missingFolders([data]);
  mkdirSync(data, { recursive: true });
  writeFileSync(join(folder, "fresh", "mine"), "");
  await removeEmpty(made);
  expect([existsSync(data), existsSync(join(folder, "fresh", "mine"))]).toEqual([false, true]);
});

test.each([
  [{ programs: [{ preset: "pumpfunn" }] }, "pumpfun"],
  [{ programs: [{ idl: "./nothing.json" }] }, "IDL_FILE"],
])("offline too, what to decode by is looked at: %j", async (flags, says) => {
  const found = (await doctor(flags, { groups: ["source"], offline: true })).of("programs");
  expect(found.state).toBe("fail");
  expect(`${found.evidence} ${found.fix}`).toContain(says);
});

test("one block is looked for where the module begins, not before it", async () => {
  const { of } = await doctor({ "source.startBlock": "5" }, { groups: ["source"] });
  expect([of("range").state, of("one block").state]).toEqual(["warn", "ok"]);
});

test("offline, the endpoint is left alone", async () => {
  const { of, code } = await doctor({ "source.endpoint": "http://127.0.0.1:1" }, { groups: ["source"], offline: true });
  expect([of("endpoint").state, of("one block").state, code]).toEqual(["skip", "skip", 0]);
});

test.each([
  ["a refused key", { "source.apiKey": "wrong" }, "endpoint", "SUBSTREAMS_AUTH"],
  ["a token that has expired", { "source.token": JWT_EXPIRED }, "credentials", "expired"],
  ["nobody there", { "source.endpoint": "http://127.0.0.1:1" }, "endpoint", "ENDPOINT_UNREACHABLE"],
  ["an endpoint that is none", { "source.endpoint": "a b" }, "credentials", "ENDPOINT_INVALID"],
  ["a package that is not there", { "source.package": "nowhere.spkg" }, "package and module", "PACKAGE_MISSING"],
  ["a module that is not there", { "source.module": "map_transaction" }, "package and module", "MODULE_UNKNOWN"],
  ["a range that is none", { "source.startBlock": "200", "source.stopBlock": "100" }, "range", "RANGE_INVALID"],
  ["a program that cannot be", { "decode.programs": "spinpet=abc" }, "one block", "PROGRAM_ADDRESS"],
])("source: %s", async (_name, flags, check, says) => {
  const { of, code, ok } = await doctor(flags, { groups: ["source"] });
  expect({ code, ok }).toEqual({ code: 1, ok: false });
  expect(of(check)).toMatchObject({ state: "fail", evidence: expect.stringContaining(says), fix: expect.any(String) });
});

test("source: of several, each is looked at by itself", async () => {
  const sources = [{ name: "good" }, { name: "bad", module: "nope" }];
  const { of, code } = await doctor({ sources }, { groups: ["source"] });
  expect(code).toBe(1);
  expect([of("good: one block").state, of("bad: package and module").state]).toEqual(["ok", "fail"]);
});

test("nats: one that cannot be reached fails once, not five times", async () => {
  const { checks, of } = await doctor({ "nats.url": "nats://127.0.0.1:1" }, { groups: ["nats"] });
  expect(of("server")).toMatchObject({ state: "fail", evidence: expect.stringContaining("NATS_UNREACHABLE") });
  expect(checks.slice(1).map((check) => check.state)).toEqual(["skip", "skip", "skip", "skip", "skip"]);
});

test("nats: a server that syncs always, asked by its monitoring; and what follows when it is closed", async () => {
  const { url, monitor } = await natsServer("good", "jetstream { store_dir: %store, sync_interval: always }");
  expect((await doctor({ "nats.url": url }, { groups: ["nats"], monitor })).of("sync_interval").state).toBe("ok");
  const closed = await doctor({ "nats.url": url }, { groups: ["nats"], monitor: "http://127.0.0.1:1" });
  expect(closed.of("sync_interval")).toMatchObject({ state: "warn", fix: expect.stringContaining("--nats-monitor") });
});

test("nats: small messages, little room, lazy syncing", async () => {
  const { url, monitor } = await natsServer(
    "poor",
    "max_payload: 64KB",
    "jetstream { store_dir: %store, max_file: 1GB }",
    "accounts { A { jetstream { max_file: 100MB, max_mem: 10MB }, users: [{ user: a, password: b }] } }",
  );
  const flags = { "nats.url": url, "nats.user": "a", "nats.password": "b" };
  const { of, code } = await doctor(flags, { groups: ["nats"], monitor });
  expect(code).toBe(1);
  expect(of("message size").state).toBe("fail");
  expect(of("storage")).toMatchObject({ state: "fail", evidence: expect.stringContaining("limit is 100 MiB") });
  expect(of("sync_interval")).toMatchObject({ state: "warn", evidence: expect.stringContaining("120 s") });
});

test("nats: a server without JetStream", async () => {
  const { url } = await natsServer("bare");
  const { of } = await doctor({ "nats.url": url }, { groups: ["nats"] });
  expect(of("server")).toMatchObject({ state: "fail", evidence: expect.stringContaining("NATS_NO_JETSTREAM") });
});

test("lake in a bucket: there, missing, and on a store that ignores conditional writes", async () => {
  const [good, careless] = [new S3Server(), new S3Server({ conditional: false })];
  const at = (server: S3Server, more: Record<string, unknown> = {}) => ({
    "lake.url": "s3://bucket/lake",
    "lake.s3.endpoint": server.url,
    "lake.s3.accessKeyId": "key",
    "lake.s3.secretAccessKey": "s3cret",
    ...more,
  });
  const look = (flags: Record<string, unknown>) => doctor(flags, { groups: ["lake"] });
  try {
    const missing = await look(at(good));
    expect(missing.of("bucket")).toMatchObject({
      state: "fail",
      evidence: expect.stringContaining("LAKE_BUCKET_MISSING"),
    });
    expect(missing.of("put, get, delete").state).toBe("skip");
    expect((await look(at(good, { "lake.s3.createBucket": true }))).of("bucket").state).toBe("skip");
    expect(good.buckets.size).toBe(0);
    for (const server of [good, careless]) server.buckets.set("bucket", new Map());
    expect((await look(at(good))).checks.map((check) => check.state)).toEqual(["ok", "ok", "ok", "ok"]);
    expect((await look(at(careless))).of("conditional put").state).toBe("fail");
    const leased = await look(at(careless, { "lake.s3.conditionalWrites": "lease" }));
    expect(leased.of("conditional put").state).toBe("warn");
    expect([...good.buckets.get("bucket")!.keys()]).toEqual([]);
  } finally {
    await Promise.all([good.stop(), careless.stop()]);
  }
  const away = await look(at({ url: "http://127.0.0.1:1" } as S3Server));
  expect(away.of("bucket")).toMatchObject({ state: "fail", fix: expect.any(String) });
});

test("host, lake and API: folders that cannot be, and a port that is taken", async () => {
  const file = join(folder, "a-file");
  writeFileSync(file, "");
  const host = await doctor({ "data.dir": join(file, "data"), "nats.url": "nats://127.0.0.1:1" }, { groups: ["host"] });
  for (const name of ["disk space", "disk speed", "hot store folder"]) expect(host.of(name).state).toBe("fail");
  const lake = await doctor({ "lake.dir": join(file, "lake") }, { groups: ["lake"] });
  expect(lake.of("put, get, delete").state).toBe("fail");
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const port = (server.address() as { port: number }).port;
  expect((await doctor({ "api.port": port }, { groups: ["api"] })).of("port")).toMatchObject({
    state: "fail",
    evidence: expect.stringContaining("EADDRINUSE"),
  });
  server.close();
  expect((await doctor({ "api.host": "0.0.0.0" }, { groups: ["api"] })).of("port").evidence).toContain("API_HOST");
});

test("for people: a line for each check, its fix below, a verdict at the end", async () => {
  const stdout = new BufferOutput();
  const config = loadConfig({ flags: { "source.endpoint": endpoint(), "source.module": "nope" } }).values;
  const options = { config, groups: ["source"], offline: true, monitor: null, json: false } as const;
  expect(await examine(options, { stdout, stderr: new BufferOutput() })).toBe(1);
  expect(stdout.text).toMatch(/^FAIL {2}source: package and module +MODULE_UNKNOWN: .*\n {6}fix: There is: /m);
  expect(stdout.text).toMatch(/\n\n1 check has failed\. 2 ok, 0 warnings, 3 skipped\.\n$/);
});
