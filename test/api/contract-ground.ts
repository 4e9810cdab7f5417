/**
 * The real server on a simulated market in three lanes. Answers are held against the schemas that their routes declare, pages
 * against each other, and the market's truth is at hand.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { Value } from "@sinclair/typebox/value";
import { FakeBackend } from "../../api/fixture.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { allRoutes } from "../../api/routes/index.ts";
import type { Route } from "../../api/routes/route.ts";
import { type RunningApi, startApi } from "../../api/server.ts";
import { Market, SOURCE } from "./market.ts";

export type Json = Record<string, unknown>;

const backend = new FakeBackend();
export let market: Market;
export let reads: JoinedReads;
export let api: RunningApi;
let routes: Route[];

/** Lays the ground for the tests of a file. */
export function useContractGround(): void {
  beforeAll(async () => {
    market = await Market.make({ seed: 4, blocks: 400, lanes: 3 });
    reads = new JoinedReads({ folder: market.folder, lanes: 3, source: SOURCE, lake: market.lake });
    const options = { backend, reads, version: "0.1.0" };
    routes = await allRoutes(options);
    api = await startApi({ ...options, host: "127.0.0.1", port: 0, log: () => undefined });
  }, 60_000);
  afterAll(async () => {
    await api.stop();
    reads.close();
    await market.dispose();
  });
}

/** Answers 200 with a body of the declared schema. Integers beyond 2^53 come as they are written: as text. */
export async function get(path: string, init?: RequestInit): Promise<Json> {
  const response = await fetch(api.url + path, init);
  const text = await response.text();
  expect({ path, status: response.status, text: response.status === 200 ? "" : text }).toEqual({
    path,
    status: 200,
    text: "",
  });
  const route = routes.find(
    (r) => r.method === (init?.method ?? "GET") && patternOf(r.path).test(path.split("?")[0]!),
  )!;
  const body = JSON.parse(text) as Json;
  expect({ path, errors: [...Value.Errors(route.answers![200]!, body)] }).toEqual({ path, errors: [] });
  return JSON.parse(text.replaceAll(/([:[,])(-?\d{16,}|-?\d+\.\d+)(?=[,\]}])/g, '$1"$2"')) as Json;
}

const patternOf = (path: string) => new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+")}$`);
export const data = async (path: string) => (await get(path))["data"] as Json;

export const linesOf = (dataset: string) => market.truth.lines![dataset]!.map((line) => line.split("|"));
export const EVENTS = [
  "token_created",
  "buy_sell",
  "long_short",
  "force_liquidate",
  "full_close",
  "partial_close",
  "milestone_discount",
];
/** Identity of the events of a token in chain order: slot, signature, kind, however they are listed. */
export function eventsOf(mint: string): string[][] {
  const all = EVENTS.flatMap((kind) =>
    linesOf(kind)
      .filter((f) => f[6] === mint)
      .map((f) => [f[0]!, f[2]!, kind, f[3]!, f[4]!]),
  );
  return all.sort((a, b) => Number(a[0]) - Number(b[0]));
}
export const busiest = () => {
  const byMint = Map.groupBy(linesOf("trades"), (fields) => fields[6]!);
  return [...byMint].sort(([, a], [, b]) => b.length - a.length).map(([mint]) => mint);
};
export const variant = (kind: string) => kind.replaceAll(/(?:^|_)(.)/g, (_, c: string) => c.toUpperCase());

/** All pages of a listing by page number, and that what they say of themselves agrees. */
export async function pages(path: string, key: string, limit: number): Promise<Json[]> {
  const all: Json[] = [];
  for (let page = 1; ; page++) {
    const { [key]: entries, ...about } = await data(`${path}&limit=${limit}&page=${page}`);
    all.push(...(entries as Json[]));
    expect(about).toMatchObject({ page, limit, has_prev: page > 1 });
    expect(about["has_next"]).toBe((about["total"] as number) > page * limit);
    if (about["has_next"] !== true) {
      expect(about["total"]).toBe(all.length);
      return all;
    }
  }
}

/** All pages of a listing by cursor. */
export async function cursors(path: string): Promise<Json[]> {
  const all: Json[] = [];
  for (let cursor = ""; ; ) {
    const body = await get(`${path}${cursor === "" ? "" : `&cursor=${cursor}`}`);
    all.push(...(body["data"] as Json[]));
    if (body["next_cursor"] === null) return all;
    expect((body["data"] as Json[]).length).toBeGreaterThan(0);
    cursor = String(body["next_cursor"]);
  }
}
