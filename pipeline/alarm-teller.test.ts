/**
 * Goal: every alarm is told once, to log and webhook, over restarts and refusals, with bounded tries and no secret in sight.
 * Method: a list of changes, a world whose time is counted, and a real HTTP server for the webhook.
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { Alarm, AlarmChange, ToldAlarms } from "./alarm.ts";
import { type AlarmSource, AlarmTeller, messageOf } from "./alarm-teller.ts";
import { Shutdown } from "./errors.ts";
import { Webhook } from "./webhook.ts";
import { systemWorld, type World } from "./world.ts";

const alarm = (id: string, slot = 100): Alarm => {
  const [, program = "p", dataset = null] = id.split("/");
  return { id, kind: "unknown_layout", program, dataset, slot, time: 1_759_276_740 + slot, detail: "12 of 40" };
};
const change = (serial: number, what: "raised" | "cleared", of: Alarm): AlarmChange => ({
  ...{ serial, change: what, slot: of.slot + serial, time: of.time + serial, alarm: of },
});

interface Request {
  readonly path: string;
  readonly authorization: string | null;
  readonly body: Record<string, unknown>;
}
const requests: Request[] = [];
let answers: number[] = [];
const server = Bun.serve({
  ...{ hostname: "127.0.0.1", port: 0 },
  async fetch(request) {
    const body = (await request.json()) as Record<string, unknown>;
    requests.push({ path: new URL(request.url).pathname, authorization: request.headers.get("authorization"), body });
    const status = answers.shift() ?? 204;
    return new Response(null, { status, ...(status === 302 ? { headers: { location: "/elsewhere" } } : {}) });
  },
});
afterAll(() => server.stop(true));
const SECRET = "T0000/B0000/XXXX";
const address = `http://127.0.0.1:${server.port}/services/${SECRET}`;

interface Ground {
  readonly watch: { -readonly [K in keyof AlarmSource]: AlarmSource[K] };
  told: ToldAlarms | null;
  readonly lines: string[];
  readonly slept: number[];
}

/** Looks `looks` times and ends. */
async function tell(ground: Ground, webhook: Webhook | null, looks = 1): Promise<AlarmTeller> {
  const stop = new AbortController();
  const world: World = {
    ...systemWorld,
    sleep: async (ms) => {
      ground.slept.push(ms);
      if (ms === 1_000 && --looks <= 0) stop.abort(new Shutdown());
    },
    random: () => 0.3,
  };
  const teller = new AlarmTeller({
    ...{ source: "main", watch: ground.watch, webhook, world },
    read: async () => ground.told,
    write: async (told) => {
      ground.told = structuredClone(told);
    },
    log: (level, message, fields) => void ground.lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
  });
  await teller.run(stop.signal);
  return teller;
}

function groundOf(changes: readonly AlarmChange[], active: readonly Alarm[]): Ground {
  requests.length = 0;
  return {
    watch: { alarms: active, changes, watchedSeconds: 0, at: { slot: 900, time: 1_759_277_640 } },
    ...{ told: null, lines: [], slept: [] },
  };
}

describe("to a webhook", () => {
  test("a change is posted as JSON, with a text for people and the token", async () => {
    const raised = change(1, "raised", alarm("unknown_layout/spinpet/buy_sell"));
    const teller = await tell(groundOf([raised], [raised.alarm]), new Webhook(address, "s3cret"));
    expect(requests).toEqual([
      { path: `/services/${SECRET}`, authorization: "Bearer s3cret", body: { ...messageOf(raised, "main") } },
    ]);
    expect(requests[0]!.body).toMatchObject({
      version: 1,
      change: "raised",
      dataset: "buy_sell",
      slot: 101,
      since: 100,
    });
    expect(requests[0]!.body["text"]).toBe(
      "Sluice (main): unknown layout of spinpet, buy_sell since slot 100: 12 of 40",
    );
    expect(teller.status()).toEqual({ sent: 1, failed: 0, lastError: null });
  });

  test("credentials in the address go into the header", async () => {
    await new Webhook(address.replace("//", "//me:p%40ss@")).post({});
    expect(requests.at(-1)!.authorization).toBe(`Basic ${btoa("me:p@ss")}`);
  });

  test("it is tried again when that may help, five times in all, and given up with a word in the log", async () => {
    const raised = change(1, "raised", alarm("a/p"));
    const ground = groundOf([raised], [raised.alarm]);
    answers = [500, 429];
    expect((await tell(ground, new Webhook(address))).status()).toMatchObject({ sent: 1, failed: 0 });
    expect(requests.length).toBe(3);
    const other = groundOf([raised], [raised.alarm]);
    answers = [503, 503, 503, 503, 503];
    expect((await tell(other, new Webhook(address))).status()).toMatchObject({ sent: 0, failed: 1 });
    expect(requests.length).toBe(5);
    expect(other.lines.at(-1)).toContain("ALARM_WEBHOOK");
    expect(other.told).not.toBeNull();
    expect([...ground.lines, ...other.lines].filter((line) => line.includes("XXXX"))).toEqual([]);
  });

  test.each([302, 404])("status %p is no reason to try again, or to go elsewhere", async (status) => {
    const raised = change(1, "raised", alarm("a/p"));
    answers = [status];
    const ground = groundOf([raised], [raised.alarm]);
    expect((await tell(ground, new Webhook(address))).status()).toMatchObject({ failed: 1 });
    expect(requests.map(({ path }) => path)).toEqual([`/services/${SECRET}`]);
  });

  test("nobody there is an error without the address", async () => {
    const error = await new Webhook("http://127.0.0.1:1/secret").post({}).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "ALARM_WEBHOOK", kind: "transient", where: "http://127.0.0.1:1" });
    expect(String(error)).not.toContain("secret");
  });
});

describe("once", () => {
  test("raised and cleared between two looks are both told", async () => {
    const a = alarm("a/p");
    const ground = groundOf([change(1, "raised", a), change(2, "cleared", a)], []);
    await tell(ground, new Webhook(address), 3);
    expect(requests.map(({ body }) => body["change"])).toEqual(["raised", "cleared"]);
    expect(ground.lines.map((line) => line.split(" ")[0])).toEqual(["warning", "info"]);
    expect(ground.told).toEqual({});
  });

  test("a restart does not tell again of what lasts, and tells of its end", async () => {
    const a = alarm("a/p");
    const ground = groundOf([change(1, "raised", a)], [a]);
    await tell(ground, new Webhook(address));
    await tell(ground, new Webhook(address));
    expect(requests.length).toBe(1);
    ground.watch.changes = [...ground.watch.changes, change(2, "cleared", a)];
    await tell(ground, new Webhook(address));
    expect(requests.map(({ body }) => body["change"])).toEqual(["raised", "cleared"]);
  });

  test("what an earlier run told of and this one does not see is over after an hour of stream time", async () => {
    const ground = groundOf([], []);
    ground.told = { "a/p": alarm("a/p") };
    ground.watch.watchedSeconds = 3_599;
    await tell(ground, null);
    expect(ground.told).toHaveProperty("a/p");
    ground.watch.watchedSeconds = 3_600;
    await tell(ground, null);
    expect(ground.told).toEqual({});
    expect(ground.lines.at(-1)).toContain('"slot":900');
  });

  test("changes that were forgotten before anybody looked are owned up to", async () => {
    const ground = groundOf([change(7, "raised", alarm("a/p"))], []);
    await tell(ground, null);
    expect(ground.lines[0]).toContain("6 changes of alarms came too fast");
  });
});
