/**
 * Goal: each check of `sluice doctor` tells right from wrong, and what to mend. Method: the judging part of every check is
 * given what it could see, good and bad; stores that misbehave stand in for real ones.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../pipeline/config.ts";
import type { SelectedModule } from "../../pipeline/source/module.ts";
import { FolderStore } from "../../storage/lake/folder-store.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { bytesText, type Check, type CheckState, type Finding, isAtLeast, ok, runChecks } from "./check.ts";
import { judgeBun, judgeClock, judgeFileSystem, judgeMemory, judgeSpace, judgeSync } from "./host.ts";
import { lakeChecks } from "./lake.ts";
import { judgePayload, judgeRetention, judgeStorage, judgeSyncInterval, judgeVersion } from "./nats.ts";
import { judgeCredentials, judgeDecoded, judgeEndpoint, judgeModule, judgeRange } from "./source.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const NOW = 1_800_000_000;

/** Every verdict, what it must say, and that what is wrong comes with a fix. */
function verdicts(cases: readonly (readonly [name: string, finding: Finding, state: CheckState, says: RegExp])[]) {
  test.each(cases.map((c) => [...c] as [string, Finding, CheckState, RegExp]))("%s", (_name, finding, state, says) => {
    expect(finding).toMatchObject({ state, evidence: expect.stringMatching(says) });
    expect(finding.fix !== undefined).toBe(state === "fail" || state === "warn");
  });
}

describe("host", () => {
  verdicts([
    ["the right Bun", judgeBun("1.4.5"), "ok", /1\.4\.5/],
    ["a newer Bun", judgeBun("1.10.0"), "warn", /tested with/],
    ["an old Bun", judgeBun("1.3.22"), "fail", /is needed/],
    ["enough memory", judgeMemory(512 * MIB), "ok", /512 MiB/],
    ["too little memory", judgeMemory(256 * MIB), "fail", /together need 512 MiB/],
    ["enough space", judgeSpace(20 * GIB, 8 * GIB, "data"), "ok", /20 GiB free under data/],
    ["space for less than the streams may take", judgeSpace(5 * GIB, 8 * GIB, "data"), "warn", /may grow to 8 GiB/],
    ["hardly any space", judgeSpace(200 * MIB, 0, "data"), "fail", /200 MiB free/],
    ["a fast disk", judgeSync(1.2), "ok", /1\.2 ms/],
    ["a slow disk", judgeSync(40), "warn", /40\.0 ms/],
    ["a disk that is too slow", judgeSync(400), "fail", /400\.0 ms/],
    ["a local file system", judgeFileSystem(0xef53, "hot"), "ok", /local/],
    ["a network file system", judgeFileSystem(0x6969, "hot"), "fail", /NFS/],
    ["a clock nobody can compare", judgeClock([], NOW * 1000), "skip", /2027-01-15/],
    ["a right clock", judgeClock([{ name: "the NATS server", aheadMs: -400 }], 0), "ok", /0\.4 s behind/],
    [
      "a clock that is off",
      judgeClock(
        [
          { name: "a", aheadMs: 0 },
          { name: "b", aheadMs: 9_000 },
        ],
        0,
      ),
      "warn",
      /b is 9\.0 s ahead/,
    ],
    ["a clock that is far off", judgeClock([{ name: "a", aheadMs: -120_000 }], 0), "fail", /120\.0 s behind/],
  ]);
});

describe("nats", () => {
  verdicts([
    ["a good server", judgeVersion("2.14.1", false), "ok", /2\.14\.1/],
    ["an older one", judgeVersion("2.12.4", false), "warn", /disk error/],
    ["one that is too old", judgeVersion("2.11.9", true), "fail", /2\.12\.3 is needed/],
    ["one that does not say", judgeVersion("unknown", false), "fail", /unknown/],
    ["the default message size", judgePayload(MIB), "ok", /1 MiB/],
    ["a small message size", judgePayload(256 * 1024), "fail", /256 KiB/],
    ["an account without a limit", judgeStorage(-1, 0, 8 * GIB), "ok", /no limit/],
    ["an account with room", judgeStorage(9 * GIB, GIB, 8 * GIB), "ok", /limit is 9 GiB/],
    ["an account without room", judgeStorage(GIB, 0, 8 * GIB), "fail", /may grow to 8 GiB.*limit is 1 GiB/],
    ["a server that syncs", judgeSyncInterval({ sync_always: true }), "ok", /always/],
    ["a server that syncs now and then", judgeSyncInterval({ sync_interval: 120e9 }), "warn", /120 s/],
    ["a server that does not tell", judgeSyncInterval({}), "skip", /does not tell/],
    ["a stream that holds long enough", judgeRetention("EVENTS", 2 * GIB, 50_000, 3_600), "ok", /holds 286 minutes/],
    [
      "a stream that does not",
      judgeRetention("EVENTS", 2 * GIB, 500_000, 3_600),
      "warn",
      /holds 29 minutes.*121 are needed/,
    ],
    ["a stream without blocks", judgeRetention("BLOCKS", 4 * GIB, null, 3_600), "ok", /under 231 KiB/],
  ]);

  test("the fix of a stream that is too small is the size that it needs", () => {
    const { fix } = judgeRetention("BLOCKS", GIB, 1_000_000, 3_600);
    const bytes = Number(/blocksMaxBytes to (\d+)/.exec(fix!)![1]);
    expect(judgeRetention("BLOCKS", bytes, 1_000_000, 3_600).state).toBe("ok");
    expect(judgeRetention("BLOCKS", bytes - 2_000_000, 1_000_000, 3_600).state).toBe("warn");
  });
});

describe("source", () => {
  const jwt = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  const keys = (token: string, apiKey = "", loopback = false) => judgeCredentials({ token, apiKey, loopback }, NOW);
  const config = (flags: Record<string, string>) => loadConfig({ flags }).values;
  const remote = config({ "source.package": "x.spkg", "source.startBlock": "150" });
  const module = { name: "map_events", network: "solana", initialBlock: 100 } as const;
  const info = (chain: string, firstSlot = 0) => ({ chain, aliases: [], firstSlot });
  const selected = {
    ...module,
    typeName: "test.Events",
    hash: "0123456789abcdef",
    package: { packageMeta: [{ name: "mine", version: "v1.2.3" }] },
  } as unknown as SelectedModule;
  const batch = {
    blocks: [{ slot: 7, hash: "h", time: 0, parentSlot: 6, parentHash: "g", cursor: "c", finalSlot: 5 }],
    payloads: [new Uint8Array(9)],
    typeName: "t.T",
  };
  verdicts([
    ["no credentials", keys(""), "fail", /there are none/],
    ["none on this machine", keys("", "", true), "ok", /none are needed/],
    ["an API key", keys("", "server_secret"), "ok", /an API key of kind "server"/],
    ["a key of another kind", keys("", "0123456789abcdef"), "ok", /an API key;/],
    ["an API key where a token goes", keys("server_secret"), "warn", /no JWT/],
    ["a garbled token", keys("a.b.c"), "warn", /no JWT/],
    ["a token that has expired", keys(jwt({ exp: NOW - 1 })), "fail", /expired at 2027/],
    ["a token that soon expires", keys(jwt({ exp: NOW + 7_200 })), "warn", /in 2 h/],
    ["a token", keys(jwt({ exp: NOW + 90_000 })), "ok", /until 2027/],
    ["a token without an end", keys(jwt({})), "ok", /without an end/],
    [
      "a module",
      judgeModule(remote, selected),
      "ok",
      /mine v1\.2\.3: map map_events, output test\.Events, hash 0123456789ab/,
    ],
    ["the demo's package at a provider", judgeModule(config({}), selected), "warn", /built-in demo package/],
    ["a range", judgeRange(remote, module), "ok", /from slot 150 on/],
    [
      "a range from the head",
      judgeRange(config({ "source.startBlock": "-50" }), module),
      "ok",
      /50 blocks before the head/,
    ],
    [
      "a range before the module begins",
      judgeRange(config({ "source.startBlock": "5" }), module),
      "warn",
      /begins at 100/,
    ],
    [
      "an endpoint of the package's network",
      judgeEndpoint(remote, info("Solana", 3), module),
      "ok",
      /serves Solana from slot 3/,
    ],
    ["an endpoint that does not say", judgeEndpoint(remote, null, module), "ok", /does not say/],
    [
      "an endpoint of another network",
      judgeEndpoint(remote, info("mainnet"), module),
      "fail",
      /network "solana".*"mainnet"/,
    ],
    [
      "an endpoint with too short a history",
      judgeEndpoint(remote, info("solana", 151), module),
      "fail",
      /begins at slot 150/,
    ],
    [
      "a block that decodes",
      judgeDecoded(batch, 12, 0, "protocol v4"),
      "ok",
      /slot 7, 9 bytes of t\.T, 12 rows, protocol v4/,
    ],
    [
      "a block that decodes in part",
      judgeDecoded(batch, 12, 3, "protocol v4"),
      "warn",
      /3 payloads could not be decoded/,
    ],
  ]);

  test("no secret is in what is told", () => {
    const told = [keys("server_secret"), keys("", "server_secret"), keys(jwt({ exp: 1, sub: "server_secret" }))];
    expect(JSON.stringify(told)).not.toContain("server_secret");
  });
});

describe("lake", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-doctor-"));
  const real = () => new FolderStore(folder);
  const changed = (change: Partial<ObjectStore>): ObjectStore => {
    const store = real();
    const kept: ObjectStore = {
      name: "bucket",
      putIfAbsent: (key, body, sha) => store.putIfAbsent(key, body, sha),
      get: (key) => store.get(key),
      head: (key) => store.head(key),
      list: (prefix) => store.list(prefix),
      delete: (key) => store.delete(key),
      checksum: (key) => store.checksum(key),
      localPath: (key) => store.localPath(key),
      release: () => store.release(),
    };
    return { ...kept, ...change };
  };
  const examine = (store: ObjectStore) =>
    runChecks(lakeChecks({ store: async () => store }).slice(0, 2), 5_000, () => undefined);
  const states = async (store: ObjectStore) => (await examine(store)).map((r) => r.state);

  test("a store that does what it must", async () => {
    expect(await states(real())).toEqual(["ok", "ok"]);
    expect(await real().list("")).toEqual([]);
  });

  test("stores that lose, change or keep what they must not", async () => {
    const overwritten = new Map<string, Uint8Array>();
    const careless = changed({
      putIfAbsent: async (key, body) => {
        overwritten.set(key, body as Uint8Array);
        return "created";
      },
      get: async (key) => overwritten.get(key) ?? null,
      head: async (key) => ({ bytes: overwritten.get(key)!.length, modifiedAt: 0 }),
      delete: async (key) => void overwritten.delete(key),
    });
    expect(await states(careless)).toEqual(["ok", "fail"]);
    expect(await states(changed({ get: async () => null }))).toEqual(["fail", "skip"]);
    expect(await states(changed({ get: async () => new Uint8Array(3) }))).toEqual(["fail", "skip"]);
    expect(await states(changed({ head: async () => null }))).toEqual(["fail", "skip"]);
    expect(await states(changed({ putIfAbsent: async () => "exists-other" }))).toEqual(["fail", "skip"]);
    expect(await states(changed({ delete: async () => undefined }))).toEqual(["fail", "skip"]);
    for (const key of await real().list("")) await real().delete(key);
  });

  test("a folder that cannot be", async () => {
    const [first] = await examine(new FolderStore("/dev/null/lake"));
    expect(first).toMatchObject({ state: "fail", evidence: expect.stringContaining("LAKE_"), fix: expect.any(String) });
    rmSync(folder, { recursive: true });
  });
});

describe("running checks", () => {
  const check = (name: string, run: Check["run"], needs?: string): Check => ({
    group: "g",
    name,
    run,
    ...(needs === undefined ? {} : { needs }),
  });

  test("what is thrown, and silence, are findings; what rests on them is not tried", async () => {
    const results = await runChecks(
      [
        check("silent", () => new Promise(() => undefined)),
        check("broken", () => Promise.reject(new Error("boom"))),
        check("good", () => ok("fine")),
        check("on silent", () => ok("fine"), "silent"),
        check("on that", () => ok("fine"), "on silent"),
        check("on good", () => ok("fine"), "good"),
      ],
      30,
      () => undefined,
    );
    expect(results.map((r) => r.state)).toEqual(["fail", "fail", "ok", "skip", "skip", "ok"]);
    expect(results[1]?.evidence).toContain("boom");
    expect(results[3]?.evidence).toBe('needs "silent"');
  });

  test("versions and sizes", () => {
    expect([isAtLeast("2.14.0-RC.1", "2.14"), isAtLeast("v2.9.9", "2.12"), isAtLeast("3", "2.12.3")]).toEqual([
      true,
      false,
      true,
    ]);
    expect([bytesText(0), bytesText(1536), bytesText(10 * GIB)]).toEqual(["0 bytes", "1.5 KiB", "10 GiB"]);
  });
});
