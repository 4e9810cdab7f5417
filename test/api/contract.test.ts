/**
 * Goal: every endpoint under /api that tells of tokens gives, over real HTTP, exactly what happened. Method: the real server on a
 * simulated market in three lanes; each answer is held against the simulator's truth, or against what follows from it,
 * page by page; and against the schema that the route declares for it.
 */
import { describe, expect, test } from "bun:test";
import {
  api,
  busiest,
  data,
  EVENTS,
  eventsOf,
  get,
  type Json,
  linesOf,
  market,
  pages,
  reads,
  useContractGround,
  variant,
} from "./contract-ground.ts";

useContractGround();

describe("/api", () => {
  test("/api/mints: every token once, and the last full page says that it is the last", async () => {
    const { mints } = market.truth;
    for (const sort of ["slot_asc", "slot_desc"]) {
      for (const limit of [2, mints.length]) {
        const found: string[] = [];
        for (let cursor = ""; ; ) {
          const page = await data(`/api/mints?limit=${limit}&sort_by=${sort}${cursor && `&cursor=${cursor}`}`);
          found.push(...(page["mints"] as string[]));
          expect(page).toMatchObject({ total: null, sort_by: sort, has_prev: cursor !== "" });
          expect(page["has_next"]).toBe(found.length < mints.length);
          if (page["has_next"] !== true) break;
          cursor = String(page["next_cursor"]);
          expect(cursor).toMatch(/^mt:\d{10}:/);
        }
        expect(found.toSorted()).toEqual(mints.map((row) => row.mint).toSorted());
      }
    }
  });

  test("/api/details: every field of every token; unknown ones are left out", async () => {
    const { mints } = market.truth;
    const unknown = "11111111111111111111111111111111";
    const body = JSON.stringify({ mints: [unknown, ...mints.map((row) => row.mint)] });
    const found = (
      await get("/api/details", { method: "POST", headers: { "content-type": "application/json" }, body })
    )["data"] as Json;
    expect(found["total"]).toBe(mints.length);
    for (const [i, truth] of mints.entries()) {
      const detail = (found["details"] as Json[])[i]!;
      const expected: Json = { ...truth, mint_account: truth.mint, payer: truth.created_by, uri_data: null };
      delete expected["mint"];
      for (const [name, value] of Object.entries(expected)) {
        expect({ name, value: String(detail[name]) }).toEqual({ name, value: String(value) });
      }
      expect(detail["last_updated_at"]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    }
  });

  test("/api/events: every event of a token in order, with the fields of its program", async () => {
    for (const mint of busiest().slice(0, 3)) {
      const expected = eventsOf(mint);
      for (const [order, limit] of [
        ["slot_asc", 37],
        ["slot_desc", 1000],
      ] as const) {
        const found = await pages(`/api/events?mint=${mint}&order_by=${order}`, "events", limit);
        const slots = found.map((event) => Number(event["slot"]));
        expect(slots).toEqual(slots.toSorted((a, b) => (order === "slot_asc" ? a - b : b - a)));
        const told = found.map((event) => `${event["slot"]} ${event["signature"]} ${event["event_type"]}`).sort();
        expect(told).toEqual(
          expected.map(([slot, signature, kind]) => `${slot} ${signature} ${variant(kind!)}`).sort(),
        );
      }
      for (const event of (await pages(`/api/events?mint=${mint}`, "events", 1000)).filter(
        (e) => e["event_type"] === "BuySell",
      )) {
        const line = linesOf("buy_sell").find(
          (f) => f[2] === event["signature"] && f[8] !== undefined && f[10] === String(event["sol_amount"]),
        )!;
        // payer, is_buy, token_amount, sol_amount, latest_price
        expect(
          [
            event["payer"],
            event["is_buy"] ? "1" : "0",
            String(event["token_amount"]),
            String(event["sol_amount"]),
            event["latest_price"],
          ].map(String),
        ).toEqual(line.slice(7));
        expect(event["mint_account"]).toBe(mint);
        expect(Date.parse(String(event["timestamp"])) / 1000).toBe(Number(line[1]));
      }
    }
  });

  test("/api/events/stats and status count what happened", async () => {
    const stats = await data("/api/events/stats");
    // Rows that a fork took back are not counted.
    for (const kind of EVENTS) expect(stats[kind]).toBe(linesOf(kind).length);
    expect(stats["total"]).toBe(market.truth.eventsTotal);
    const last = Math.max(...EVENTS.flatMap((kind) => linesOf(kind).map((fields) => Number(fields[1]))));
    expect(await data("/api/events/status")).toEqual({
      is_running: true,
      last_event_time: new Date(last * 1000).toISOString().replace(".000", ""),
      total_events_processed: market.truth.eventsTotal,
      connection_status: "Connected",
      program_id: "JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ",
    });
    expect(String((await get("/api/events/db-stats"))["data"])).toMatch(
      /^Total Keys: \d+\nEstimated Size: [\d.]+ MB\n/,
    );
  });

  test("/health, /api/cluster/health and metrics tell what is held and what was asked", async () => {
    const last = Math.max(...linesOf("candles_s1").map((fields) => Number(fields[0])));
    const headTime = reads.stats().headTime!;
    expect(headTime).toBeGreaterThanOrEqual(last);
    const recent = EVENTS.flatMap(linesOf).concat(linesOf("quarantine"));
    const held = {
      rocksdb_status: "healthy",
      mint_count: market.truth.mints.length,
      recent_events_count: recent.filter((fields) => Number(fields[1]) >= headTime - 60).length,
    };
    const health = await get("/health");
    expect(health).toMatchObject({ ...held, features: { databases: true, kv: true, zk_proof: false } });
    expect(await get("/api/cluster/health")).toEqual({
      ...held,
      server_id: "sluice",
      status: health["status"],
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      active_connections: expect.any(Number),
      solana_listener_status: "connected",
    });
    const metrics = await (await fetch(`${api.url}/metrics`)).text();
    expect(metrics).toMatch(/^spin_server_requests_total\{method="GET",path="\/api\/mints",status="200"\} [1-9]/m);
    expect(metrics).toMatch(/^spin_server_mint_query_duration_seconds_count\{path="\/api\/mints"\} [1-9]/m);
  });

  test("/api/mint_orders: up by rising, down by falling start price; with what is known of the token", async () => {
    for (const mint of busiest().slice(0, 5)) {
      for (const [type, side] of [
        ["up_orders", 2],
        ["down_orders", 1],
      ] as const) {
        const expected = market.truth.orders.filter((order) => order.mint === mint && order.order_type === side);
        const found = await pages(`/api/mint_orders?mint=${mint}&type=${type}`, "orders", 3);
        expect(found.map((order) => order["order_pda"]).toSorted()).toEqual(
          expected.map((order) => order.order_pda).toSorted(),
        );
        const prices = found.map((order) => BigInt(String(order["lock_lp_start_price"])));
        expect(prices).toEqual(prices.toSorted((a, b) => (a < b ? -1 : 1) * (side === 2 ? 1 : -1)));
        const truth = market.truth.mints.find((row) => row.mint === mint)!;
        for (const order of found) {
          const own = expected.find((o) => o.order_pda === order["order_pda"])!;
          for (const [name, value] of Object.entries(own)) expect(String(order[name])).toBe(String(value));
          expect(order).toMatchObject({ name: truth.name, symbol: truth.symbol, latest_price: truth.latest_price });
        }
      }
    }
  });

  test("/api/user_orders and /api/user_event: of one token and of all", async () => {
    const users = [...new Set(market.truth.orders.map((order) => order.user))].slice(0, 4);
    for (const user of users) {
      const own = market.truth.orders.filter((order) => order.user === user);
      const found = await pages(`/api/user_orders?user=${user}`, "orders", 2);
      expect(found.map((order) => order["order_pda"]).toSorted()).toEqual(
        own.map((order) => order.order_pda).toSorted(),
      );
      const times = found.map((order) => Number(order["start_time"]));
      expect(times).toEqual(times.toSorted((a, b) => b - a));

      // slot, block_time, signature, path, ordinal, event, user, mint
      const history = linesOf("user_events").filter((fields) => fields[6] === user);
      const events = await pages(`/api/user_event?user=${user}&order_by=slot_asc`, "transactions", 5);
      expect(
        events.map((e) => [e["slot"], e["timestamp"], e["signature"], e["event_type"], e["mint_account"]].map(String)),
      ).toEqual(history.map((f) => [f[0]!, f[1]!, f[2]!, f[5]!, f[7]!]));
      for (const event of events) {
        expect(event["event_data"]).toMatchObject({
          signature: event["signature"],
          event_type: variant(String(event["event_type"])),
        });
      }
      const mint = history[0]![7]!;
      const ofMint = await pages(`/api/user_event?user=${user}&mint=${mint}`, "transactions", 50);
      expect(ofMint).toHaveLength(history.filter((fields) => fields[7] === mint).length);
    }
  });

  test("/api/kline: every candle with every digit", async () => {
    const decimal = (price: string) =>
      price
        .padStart(29, "0")
        .replace(/(\d{28})$/, ".$1")
        .replace(/\.?0+$/, "");
    for (const mint of busiest().slice(0, 2)) {
      for (const interval of ["s1", "s30", "m5"]) {
        const expected = linesOf(`candles_${interval}`).filter((fields) => fields[1] === mint);
        const found = await pages(`/api/kline?mint=${mint}&interval=${interval}&order_by=time_asc`, "klines", 50);
        expect(
          found.map((k) => [k["time"], k["open"], k["high"], k["low"], k["close"], k["update_count"]].map(String)),
        ).toEqual(
          expected.map(([time, , open, high, low, close, , , trades]) => [
            time!,
            ...[open, high, low, close].map((p) => decimal(p!)),
            trades!,
          ]),
        );
        const { finalTime } = reads.standing(null);
        expect(found.some((k) => k["is_final"] === true)).toBe(true);
        expect(found.filter((k) => k["is_final"] === true && Number(k["time"]) > finalTime!)).toEqual([]);
      }
    }
  });

  test("/api/time: the clock in the form asked for", async () => {
    const time = await data("/api/time?format=%25Y/%25m/%25d");
    const now = Number(time["timestamp"]);
    expect(Math.abs(now - Date.now() / 1000)).toBeLessThan(60);
    expect(time["utc"]).toBe(`${new Date(now * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`);
    expect(time["local"]).toMatch(/^\d{4}\/\d\d\/\d\d [+-]\d\d:\d\d$/);
    expect(Math.floor(Date.parse(String(time["iso8601"])) / 1000)).toBe(now);
  });

  const mint = "So11111111111111111111111111111111111111112";
  test.each([
    ["/api/events?mint=", "mint parameter cannot be empty"],
    ["/api/events", "mint parameter cannot be empty"],
    [`/api/events?mint=${mint}&limit=1001`, "limit cannot exceed 1000"],
    [`/api/events?mint=${mint}&page=0`, "page must be greater than 0"],
    ["/api/mints?sort_by=name", "sort_by must be 'slot_asc' or 'slot_desc'"],
    [`/api/mint_orders?mint=${mint}&type=sideways`, "type parameter must be 'up_orders' or 'down_orders'"],
    ["/api/mint_orders?type=up_orders", "mint parameter cannot be empty"],
    ["/api/user_event?user=", "user parameter cannot be empty"],
    [`/api/user_orders?user=${mint}&order_by=x`, "order_by must be 'start_time_asc' or 'start_time_desc'"],
    [`/api/kline?mint=${mint}&interval=m2`, "interval parameter must be one of: s1, s30, m5"],
    [`/api/kline?mint=${mint}&interval=m5&order_by=x`, "order_by must be 'time_asc' or 'time_desc'"],
    ["/api/events?mint=0OIl", "mint must be a base58 address of 32 to 44 characters that decodes to 32 bytes"],
    [
      `/api/events?mint=${"z".repeat(44)}`,
      "mint must be a base58 address of 32 to 44 characters that decodes to 32 bytes",
    ],
    [`/api/events?mint=${mint}&limit=ten`, "limit must be a whole number"],
  ])("%s is refused with its message and a 400", async (path, message) => {
    const response = await fetch(api.url + path);
    const body = (await response.json()) as Json;
    expect({ status: response.status, success: body["success"], message: body["message"] }).toEqual({
      status: 400,
      success: false,
      message,
    });
    expect(body["data"]).toBeObject();
  });

  test("an order that nobody knows is newest first, as ever", async () => {
    const [mint] = busiest();
    expect(await data(`/api/events?mint=${mint}&order_by=what`)).toEqual(
      await data(`/api/events?mint=${mint}&order_by=slot_desc`),
    );
  });

  test("/api/details without tokens, or without sense", async () => {
    for (const [body, message] of [
      ['{"mints":[]}', "mints parameter cannot be empty"],
      ["{}", 'the body must be {"mints": [address, ...]}'],
      ['{"mints":["x"]}', "mints[0] must be a base58 address of 32 to 44 characters that decodes to 32 bytes"],
    ] as const) {
      const response = await fetch(`${api.url}/api/details`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      expect({ status: response.status, body: await response.json() }).toEqual({
        status: 400,
        body: { success: false, data: { details: [], total: 0 }, message },
      });
    }
  });
});
