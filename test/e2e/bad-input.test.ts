/**
 * Goal: whatever is wrong from outside is said at once, in words that name it and what to do, with an exit code that
 * scripts can act on; nothing is tried again that cannot succeed, and no secret is ever shown. Method: commands as users
 * type them, against servers and files that are wrong in one way each.
 */
import { describe, expect, test } from "bun:test";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startService } from "../../cli/child.ts";
import { throughSlot } from "../../cli/local-run.ts";
import { buildDemoPackage, writeSimulation } from "../../simulator/index.ts";
import { apiOf, processesOf, until, useGround } from "./ground.ts";
import { Market } from "./market.ts";
import { startNatsServer } from "./nats-server.ts";

const ground = useGround();

/** A command that has to fail: its exit code, and what it says. */
async function fails(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await ground.run(["--data", ground.path("data"), ...args], { env });
  expect(stdout).toBe("");
  return { code, said: stderr };
}

const set = (...settings: string[]) => settings.flatMap((setting) => ["--set", setting]);

describe("NATS", () => {
  test("without JetStream", async () => {
    const { url } = await startNatsServer(ground, []);
    const { code, said } = await fails(["stages", ...set(`nats.url=${url}`)]);
    expect(said).toContain("NATS_NO_JETSTREAM");
    expect(said).toContain("-js");
    expect(code).toBe(1);
  }, 300_000);

  test("credentials: wrong ones are refused by name, right ones work, also inside the address; none is shown", async () => {
    const lines = ['authorization { user: "ann", password: "r1ght-pw" }', 'jetstream { store_dir: "%store" }'];
    const { url } = await startNatsServer(ground, lines);
    const inside = (password: string) => url.replace("//", `//ann:${password}@`);
    const wrong = [
      await fails(["stages"], { NATS_URL: url, NATS_USER: "ann", NATS_PASSWORD: "wr0ng-pw" }),
      await fails(["stages"], { NATS_URL: url, NATS_TOKEN: "wr0ng-pw" }),
      await fails(["stages"], { NATS_URL: inside("wr0ng-pw") }),
      await fails(["stages"], { NATS_URL: url }),
    ];
    for (const { code, said } of wrong) {
      expect(said).toContain("NATS_AUTH");
      expect(said).toContain("NATS_TOKEN");
      expect(said).not.toContain("wr0ng-pw");
      expect(code).toBe(1);
    }
    // Past the server's door, the next thing that is wrong is found.
    const right = [{ NATS_URL: url, NATS_USER: "ann", NATS_PASSWORD: "r1ght-pw" }, { NATS_URL: inside("r1ght-pw") }];
    for (const env of right) {
      const { said } = await fails(["stages", "ingest", ...set("source.package=nowhere.spkg")], env);
      expect(said).toContain("PACKAGE_MISSING");
      expect(said).not.toContain("r1ght-pw");
    }
  }, 300_000);

  test("nobody there: the exit code says that it may be tried again", async () => {
    const { code, said } = await fails(["stages", ...set("nats.url=nats://127.0.0.1:1")]);
    expect(said).toContain("NATS_UNREACHABLE");
    expect(said).toContain("nats://127.0.0.1:1");
    expect(code).toBe(75);
  }, 300_000);
});

describe("what is typed", () => {
  test.each([
    [["stages", ...set("lanes=many")], /CONFIG_VALUE: lanes must be a whole number of lanes from 1 to 64, not "many"/],
    [
      ["stages", ...set("source.endpiont=x")],
      /CONFIG_UNKNOWN: .*"source.endpiont"[\s\S]*Did you mean "source.endpoint"/,
    ],
    [
      ["stages", "decode", ...set("decode.programs=spinpt")],
      /CONFIG_VALUE: decode.programs names "spinpt"[\s\S]*Presets: spinpet/,
    ],
    [["--config", "nowhere.yaml", "stages"], /CONFIG_FILE: .*\(nowhere.yaml\)/],
    [["stages", "decoed"], /USAGE: there is no stage "decoed"[\s\S]*Did you mean "decode"/],
    [["demo", "--blocks", "none"], /USAGE: --blocks takes a whole number/],
    [["stagse"], /unknown command 'stagse'/],
  ])(
    "%j",
    async (args, said) => {
      const result = await fails(args);
      expect(result.said).toMatch(said);
      expect(result.said).not.toContain("    at ");
      expect(result.code).toBe(2);
    },
    300_000,
  );

  test("the API listens on loopback only, and on no port that is taken", async () => {
    const open = await fails(["api", ...set("api.host=0.0.0.0")]);
    expect(open.said).toContain("API_HOST");
    expect(open.code).toBe(1);
    const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
    ground.atEnd(() => taken.stop(true));
    const busy = await fails(["api", "--port", String(taken.port)]);
    expect(busy.said).toContain("API_PORT");
    expect(busy.code).toBe(1);
    expect(processesOf(ground.folder)).toEqual([]);
  }, 300_000);
});

describe("the source", () => {
  const ingest = async (...settings: string[]) => {
    const { code, said } = await fails(["stages", "ingest", ...set(...settings)]);
    expect(code).toBe(1);
    expect(said).not.toContain("    at ");
    return said;
  };

  test("packages and modules", async () => {
    const whole = buildDemoPackage();
    await writeFile(ground.path("whole.spkg"), whole);
    await writeFile(ground.path("half.spkg"), whole.subarray(0, whole.length / 2));
    await writeFile(ground.path("page.spkg"), "<!doctype html><title>Not found</title>");
    const here = "source.endpoint=http://127.0.0.1:1";

    const missing = await ingest(here, `source.package=${ground.path("no.spkg")}`);
    expect(missing).toStartWith("sluice: PACKAGE_MISSING: ");
    expect(missing).toContain(`(${ground.path("no.spkg")})`);
    for (const name of ["half.spkg", "page.spkg"]) {
      const damaged = await ingest(here, `source.package=${ground.path(name)}`);
      expect(damaged).toStartWith("sluice: PACKAGE_CORRUPT: ");
      expect(damaged).toContain(`(${ground.path(name)})`);
    }
    const mistyped = [`source.package=${ground.path("whole.spkg")}`, "source.module=map_transaction"];
    const module = await ingest(here, ...mistyped);
    expect(module).toStartWith("sluice: MODULE_UNKNOWN: ");
    expect(module).toContain('Did you mean "map_transactions"?');
  }, 300_000);

  test("an endpoint elsewhere wants credentials; a range and an address must be one", async () => {
    const nobody = await ingest("source.endpoint=substreams.example:443");
    expect(nobody).toStartWith("sluice: SUBSTREAMS_AUTH: ");
    expect(nobody).toContain("SUBSTREAMS_JWT_TOKEN");
    expect(await ingest("source.endpoint=not an endpoint")).toStartWith("sluice: ENDPOINT_INVALID: ");
    const range = await ingest("source.endpoint=http://127.0.0.1:1", "source.startBlock=10", "source.stopBlock=5");
    expect(range).toStartWith("sluice: RANGE_INVALID: ");
  }, 300_000);

  test("a refused token: asked once, failed for good, seen in health; tried again when a start is asked for", async () => {
    const env = { SUBSTREAMS_JWT_TOKEN: "s3cret-wrong" };
    const market = await Market.open(ground, { blocks: 5, seed: 51, token: "s3cret-right", env });
    const stages = market.start();
    const error = JSON.parse(await market.logged(stages, '"level":"error"')) as { code: string; hint: string };
    expect(error).toMatchObject({ code: "SUBSTREAMS_AUTH", unit: "ingest.main" });
    expect(error.hint).toContain("SUBSTREAMS_JWT_TOKEN");

    const api = await apiOf(ground, market.settings());
    const attempts = async () => {
      const failed = await market.unit("ingest.main", "failed", (unit) => unit.state === "failed");
      return (failed.details["source"] as { attempts: number }).attempts;
    };
    expect(await attempts()).toBe(1);
    await Bun.sleep(2_000);
    expect(await attempts()).toBe(1);
    const detail = "ingest.main has failed (SUBSTREAMS_AUTH)";
    const checks = expect.arrayContaining([expect.objectContaining({ name: "units", ok: false, detail })]);
    await api.says("GET", "/health", { code: 503, body: { status: "unhealthy", checks } });

    await api.says("POST", "/api/indexer/stop", { code: 200 });
    const failed = { success: false, error: { code: "INDEXER_FAILED" } };
    await api.says("POST", "/api/indexer/start", { code: 503, body: failed });
    await until(
      "a second attempt",
      async () => (await readFile(stages.log, "utf8")).split('"level":"error"').length > 2,
    );
    // The process lives on for the units that can work.
    expect(await stages.stop()).toBe(0);
    expect(await readFile(stages.log, "utf8")).not.toContain("s3cret");
  }, 300_000);
});

test("secrets: in no log, no error, no listing of settings or of processes, and in no file that others can read", async () => {
  const secrets = { SUBSTREAMS_JWT_TOKEN: "s3cret-jwt", SUBSTREAMS_API_KEY: "s3cret-key", NATS_PASSWORD: "s3cret-pw" };
  const more = { NATS_URL: "", NATS_TOKEN: "s3cret-token", SUBSTREAMS_PACKAGE: "", LOG_LEVEL: "debug" };
  const env = { ...secrets, ...more };
  for (const args of [
    ["config", "show"],
    ["config", "show", "--why"],
    ["config", "show", "--json"],
  ]) {
    const address = set(
      "nats.url=nats://s3cret-user:s3cret-pw@host",
      "source.package=https://host/a.spkg?s=s3cret-sig",
    );
    const { code, stdout, stderr } = await ground.run([...args, ...address], { env });
    expect(code).toBe(0);
    expect(stdout).toContain("********");
    expect(stdout + stderr).not.toContain("s3cret");
  }

  const recording = ground.path("market.zst");
  const { chain } = await writeSimulation({ seed: 52, blocks: 30, output: "transactions", out: recording });
  const args = ["replay", recording, "--port", "0", "--json"];
  const replay = await startService<{ endpoint: string }>({ args, logFile: ground.path("replay.log") });
  ground.atEnd(() => replay.stop());
  const source = set(`source.endpoint=${replay.ready.endpoint}`, ...throughSlot(chain.lastSlot));
  const stages = ground.start(["--data", ground.path("data"), "stages", ...source], { env });
  await until("work", () => stages.stderr.includes("the input is complete"));
  const own = JSON.parse(await readFile(ground.path("data", "nats", "server.json"), "utf8")) as { token: string };
  const listing = processesOf(ground.folder).map(({ command }) => command);
  expect(listing.length).toBeGreaterThanOrEqual(3);
  stages.child.kill("SIGTERM");
  const { code, stdout, stderr } = await stages.finished;
  expect(code).toBe(0);
  for (const secret of ["s3cret", own.token]) {
    expect([...listing, stdout, stderr].join("\n")).not.toContain(secret);
    for (const file of await filesOf(ground.path("data"))) {
      const isOpen = ((await stat(file)).mode & 0o077) !== 0;
      if (isOpen && !isInside(ground.path("data", "nats"), file)) {
        expect((await readFile(file)).includes(secret) ? file : "no secret").toBe("no secret");
      }
    }
  }
  expect((await stat(ground.path("data", "nats"))).mode & 0o077).toBe(0);
}, 300_000);

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function isInside(folder: string, file: string): boolean {
  return file.startsWith(`${folder}/`);
}
