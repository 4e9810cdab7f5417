/**
 * Goal: `/v1/lake` tells what the lake holds and covers, and `/v1/quarantine` the newest payloads that could not be decoded,
 * over all lanes. Method: a simulated market with forks behind a real server; the answers are held against the simulator's
 * truth and against the schemas that the routes declare.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Value } from "@sinclair/typebox/value";
import bs58 from "bs58";
import { FakeBackend } from "../../api/fixture.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { LakeRows } from "../../api/reads/lake-rows.ts";
import { allRoutes } from "../../api/routes/index.ts";
import { type RunningApi, startApi } from "../../api/server.ts";
import { silentLog } from "../../pipeline/log.ts";
import { FolderStore } from "../../storage/lake/folder-store.ts";
import { entryKey } from "../../storage/lake/manifest.ts";
import { Market, SOURCE } from "./market.ts";

let market: Market;
let stores: JoinedReads;
let api: RunningApi;
beforeAll(async () => {
  market = await Market.make({ seed: 3, blocks: 400, lanes: 3 });
  stores = new JoinedReads({ folder: market.folder, lanes: 3, source: SOURCE, lake: market.lake });
  const options = { backend: new FakeBackend(), stores, version: "0.1.0" };
  api = await startApi({ ...options, host: "127.0.0.1", port: 0, log: silentLog });
}, 300_000);
afterAll(async () => {
  await api.stop();
  stores.close();
  await market.dispose();
});

async function get<T>(path: string): Promise<T> {
  const response = await fetch(api.url + path);
  expect(response.status).toBe(200);
  const body = await response.json();
  const routes = await allRoutes({ backend: new FakeBackend(), stores, version: "0.1.0" });
  const schema = routes.find((route) => route.path === path.split("?")[0])!.answers![200]!;
  expect([...Value.Errors(schema, body)]).toEqual([]);
  return body as T;
}

const fieldsOf = (dataset: string) => market.truth.lines![dataset]!.map((line) => line.split("|"));

interface Payload {
  readonly slot: number;
  readonly signature: string;
  readonly instruction_path: string;
  readonly ordinal: number;
  readonly payload_bytes: number;
  readonly payload_start: string;
  readonly discriminator: string | null;
}

test("quarantine: the newest payloads of all lanes, newest first, with their bytes", async () => {
  // slot, block_time, signature, instruction_path, ordinal, program, payload
  const truth = fieldsOf("quarantine").map(([slot, , signature, path, ordinal, , payload]) => {
    return { slot: Number(slot), identity: `${slot}|${signature}|${path}|${ordinal}`, payload: payload! };
  });
  expect(truth.length).toBeGreaterThan(20);
  const { data } = await get<{ data: Payload[] }>("/v1/quarantine?limit=20");
  expect(data.length).toBe(20);
  expect(data.map(({ slot }) => slot)).toEqual(
    truth
      .map(({ slot }) => slot)
      .sort((a, b) => b - a)
      .slice(0, 20),
  );
  for (const found of data) {
    const { slot, signature, instruction_path, ordinal } = found;
    const known = truth.find(({ identity }) => identity === `${slot}|${signature}|${instruction_path}|${ordinal}`)!;
    expect(found.payload_bytes).toBe(known.payload.length / 2);
    expect(found.payload_start).toBe(known.payload.slice(0, 128));
    expect(found.discriminator ?? known.payload.slice(0, 16)).toBe(known.payload.slice(0, 16));
  }
});

test("quarantine: so many as were asked for, 50 at most", async () => {
  expect((await get<{ data: unknown[] }>("/v1/quarantine?limit=3")).data.length).toBe(3);
  expect((await fetch(`${api.url}/v1/quarantine?limit=51`)).status).toBe(400);
});

interface Lake {
  readonly head: { readonly entry: number };
  readonly lineages: readonly { readonly slot: number }[];
  readonly datasets: readonly {
    readonly dataset: string;
    readonly rows: number;
    readonly files: number;
    readonly covered_slots: number;
    readonly range_count: number;
    readonly ranges: readonly (readonly [number, number])[];
    readonly from_time: number | null;
    readonly to_time: number | null;
  }[];
}

test("lake: rows and times of each dataset up to the slot that it has come to, covered without a gap", async () => {
  const { data } = await get<{ data: Lake }>("/v1/lake");
  const [{ slot: last }] = data.lineages as [{ slot: number }];
  expect(data.head.entry).toBeGreaterThan(1);
  expect(data.datasets.map(({ dataset }) => dataset)).toContain("quarantine");
  for (const { dataset, rows, files, range_count, ranges, covered_slots, from_time, to_time } of data.datasets) {
    const truth = fieldsOf(dataset).filter(([slot]) => Number(slot) <= last);
    const times = truth.map(([, time]) => Number(time));
    expect([dataset, rows]).toEqual([dataset, truth.length]);
    expect([from_time, to_time]).toEqual(rows === 0 ? [null, null] : [Math.min(...times), Math.max(...times)]);
    expect(files > 0).toBe(rows > 0);
    expect(range_count).toBe(1);
    expect(ranges[0]![1]).toBe(last);
    expect(covered_slots).toBe(last - ranges[0]![0] + 1);
  }
});

test("lake: old trades of a token are those of the source that is served", async () => {
  const readers = [SOURCE, "another"].map((source) => new LakeRows(market.lake, source));
  const found = [];
  for (const reader of readers) {
    const lake = await reader.snapshot(0, 0);
    const mint = bs58.decode(lake.files.get("trades")![0]!.mint!.min);
    found.push((await reader.trades(lake, mint, Number.MAX_SAFE_INTEGER, { order: "asc", limit: 5 })).length > 0);
    reader.close();
  }
  expect(found).toEqual([true, false]);
});

test("lake: with a hole in its manifest, nothing is told from it, and health says so", async () => {
  const lake = join(market.folder, "with-a-hole");
  await cp(join(market.folder, "lake"), lake, { recursive: true });
  await rm(join(lake, entryKey(2)));
  const damaged = new JoinedReads({ folder: market.folder, lanes: 3, source: SOURCE, lake: new FolderStore(lake) });
  const options = { backend: new FakeBackend(), stores: damaged, version: "0.1.0" };
  const own = await startApi({ ...options, host: "127.0.0.1", port: 0, log: silentLog });
  const answer = await fetch(`${own.url}/v1/lake`);
  expect([answer.status, await answer.json()]).toEqual([
    500,
    expect.objectContaining({ code: "LAKE_ENTRY_MISSING", detail: expect.stringContaining("manifest is missing") }),
  ]);
  const lakeCheck = async (url: string) => {
    const health = (await (await fetch(`${url}/health`)).json()) as { checks: { name: string; ok: boolean }[] };
    return health.checks.find(({ name }) => name === "lake");
  };
  const detail = "entry 2 is missing from the manifest (LAKE_ENTRY_MISSING); see sluice verify";
  // Whoever asks while it is being looked at hears what was known before.
  let seen = await lakeCheck(own.url);
  for (; seen?.ok === true; seen = await lakeCheck(own.url)) await Bun.sleep(20);
  expect(seen).toMatchObject({ ok: false, detail });
  expect(await lakeCheck(api.url)).toMatchObject({ ok: true });
  await own.stop();
  damaged.close();
});

test("lake: null where none is configured", async () => {
  const without = new JoinedReads({ folder: market.folder, lanes: 3, source: SOURCE });
  expect(await without.lakeNow()).toBeNull();
  without.close();
});
