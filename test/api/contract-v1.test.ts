/**
 * Goal: every endpoint under /v1 that tells of tokens gives, over real HTTP, exactly what happened. Method: the real server on a
 * simulated market in three lanes; each answer is held against the simulator's truth, or against what follows from it,
 * page by page; and against the schema that the route declares for it.
 */
import { describe, expect, test } from "bun:test";
import {
  api,
  busiest,
  cursors,
  data,
  eventsOf,
  get,
  linesOf,
  market,
  reads,
  useContractGround,
} from "./contract-ground.ts";

useContractGround();

describe("/v1", () => {
  test("tokens, one and all", async () => {
    const all = await cursors("/v1/mints?limit=3");
    expect(all.map((row) => row["mint"]).toSorted()).toEqual(market.truth.mints.map((row) => row.mint).toSorted());
    for (const truth of market.truth.mints) {
      const { data: mint } = await get(`/v1/mints/${truth.mint}`);
      expect(mint).toMatchObject({
        name: truth.name,
        symbol: truth.symbol,
        created_by: truth.created_by,
        created_at: truth.create_timestamp,
        total_sol_amount: truth.total_sol_amount,
        total_close_profit: truth.total_close_profit,
      });
    }
    const unknown = await fetch(`${api.url}/v1/mints/So11111111111111111111111111111111111111112`);
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ status: 404, code: "NOT_FOUND", detail: "this token was never seen" });
  });

  test("trades and events of a token, page by page", async () => {
    const [mint] = busiest();
    for (const order of ["asc", "desc"]) {
      const trades = await cursors(`/v1/mints/${mint}/trades?limit=40&order=${order}`);
      const expected = linesOf("trades")
        .filter((fields) => fields[6] === mint)
        .map((f) => [f[0], f[2], f[10], f[11]]);
      const found = trades.map((trade) =>
        [trade["slot"], trade["signature"], trade["base_amount"] ?? "", trade["quote_amount"] ?? ""].map(String),
      );
      expect(order === "asc" ? found : found.reverse()).toEqual(expected as string[][]);
    }
    const events = await cursors(`/v1/mints/${mint}/events?limit=40`);
    const told = events.map((e) =>
      [e["slot"], e["signature"], e["event"], e["instruction_path"], e["ordinal"]].map(String).join(" "),
    );
    expect(told.toSorted()).toEqual(
      eventsOf(mint!)
        .map((e) => e.join(" "))
        .toSorted(),
    );
  });

  test("candles: a range, and so many before a time", async () => {
    const [mint] = busiest();
    const expected = linesOf("candles_s1")
      .filter((fields) => fields[1] === mint)
      .map((fields) => Number(fields[0]));
    const times = async (query: string) => {
      const { rows, next_to } = await data(`/v1/candles/${mint}?interval=s1${query}`);
      return { times: (rows as unknown[][]).map((row) => Number(row[0])), next: next_to };
    };
    const [from, to] = [expected[5]!, expected[20]!];
    expect(await times(`&from=${from}&to=${to}`)).toEqual({ times: expected.slice(5, 20), next: null });
    expect(await times(`&to=${to}&countback=7`)).toEqual({ times: expected.slice(13, 20), next: expected[13]! });
    expect(await times(`&from=${to - 1}&to=${to}&countback=7`)).toEqual({
      times: expected.slice(13, 20),
      next: expected[13]!,
    });
    expect((await times("&countback=3")).times).toEqual(expected.slice(-3));
  });

  test("orders of tokens and users", async () => {
    for (const { mint, user } of market.truth.orders.slice(0, 5)) {
      const longs = await cursors(`/v1/mints/${mint}/orders?side=long&limit=2`);
      const shorts = await cursors(`/v1/mints/${mint}/orders?side=short&limit=2`);
      const own = market.truth.orders.filter((order) => order.mint === mint);
      expect([...longs, ...shorts].map((order) => order["order"]).toSorted()).toEqual(
        own.map((order) => order.order_pda).toSorted(),
      );
      const ofUser = await cursors(`/v1/users/${user}/orders?limit=2`);
      expect(ofUser).toHaveLength(market.truth.orders.filter((order) => order.user === user).length);
      const trades = await cursors(`/v1/users/${user}/trades?limit=3`);
      const traded = linesOf("trades").filter((fields) => fields[8] === user);
      expect(trades.map((trade) => [trade["slot"], trade["signature"], trade["mint"]].map(String))).toEqual(
        traded.reverse().map((fields) => [fields[0]!, fields[2]!, fields[6]!]),
      );
      const events = await cursors(`/v1/users/${user}/events?limit=3`);
      expect(events).toHaveLength(linesOf("user_events").filter((fields) => fields[6] === user).length);
    }
  });

  test("every answer says how final it is and where it was read", async () => {
    const [mint] = busiest();
    for (const path of [
      "/v1/mints",
      `/v1/mints/${mint}`,
      `/v1/candles/${mint}`,
      "/v1/mints/ranked",
      `/v1/mints/${mint}/trades`,
    ]) {
      const body = await get(path);
      expect(body).toMatchObject({
        as_of: { slot: market.truth.chain.lastSlot, hash: market.truth.chain.lastHash },
        source: "hot",
      });
      expect(body["final_up_to"]).toBe(reads.standing(null).finalUpTo);
    }
  });

  test("a copy that still holds is not sent again; a made-up tag gets a new copy", async () => {
    const [mint] = busiest();
    for (const path of [`/v1/candles/${mint}`, "/v1/mints?limit=2", `/api/kline?mint=${mint}&interval=s1`]) {
      const first = await fetch(api.url + path);
      const tag = first.headers.get("etag")!;
      expect(tag).toStartWith('W/"');
      const again = await fetch(api.url + path, { headers: { "if-none-match": `"x", ${tag}` } });
      expect([again.status, await again.text()]).toEqual([304, ""]);
      const other = await fetch(api.url + path, { headers: { "if-none-match": 'W/"0-x"' } });
      expect([other.status, await other.text()]).toEqual([200, await first.text()]);
    }
  });

  test.each([
    ["/v1/mints?limit=0", "limit must be a whole number from 1 to 500"],
    ["/v1/mints?limit=1e3", "limit must be a whole number from 1 to 500"],
    ["/v1/mints?limit=1&limit=2", "limit was given 2 times; give it once"],
    ["/v1/mints?order=up", "order must be one of desc, asc"],
    ["/v1/mints?cursor=AAAA", "cursor must be the next_cursor of an earlier answer of this listing"],
    ["/v1/mints/abc", "mint must be a base58 address of 32 to 44 characters that decodes to 32 bytes"],
    ["/v1/mints/search", "q must be 1 to 64 characters"],
    ["/v1/candles/So11111111111111111111111111111111111111112?from=9&to=9", "from must be less than to"],
    [
      "/v1/candles/So11111111111111111111111111111111111111112?interval=m2",
      "interval must be one of s1, s30, m1, m5, m15, h1, h4, d1",
    ],
  ])("%s is a problem that says what is allowed", async (path, detail) => {
    const response = await fetch(api.url + path);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({ status: 400, code: "BAD_REQUEST", detail });
  });
});
