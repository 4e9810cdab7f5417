/**
 * Goal: whoever has an API key never has to think of tokens again, and whoever has only a token is told when it has run
 * out. Method: an exchange of our own that issues numbered tokens, on a clock that the test moves; then the real client
 * against an endpoint that refuses what has run out.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { Authorization, tokenExpiry } from "./authorization.ts";
import type { Credentials } from "./credentials.ts";
import { parseEndpoint } from "./endpoint.ts";
import { GrpcCode } from "./grpc-status.ts";
import { codeOf } from "./testing.ts";
import { data, ok, run, type Script, sends, session } from "./testing-client.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Exchange {
  readonly url: string;
  readonly asked: string[];
}

/** `answer` gets the number of the request, from 1. */
function exchange(answer: (count: number) => Response): Exchange {
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      asked.push(`${request.method} ${await request.text()}`);
      return answer(asked.length);
    },
  });
  closing.push(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}/v1/auth/issue`, asked };
}

const T0 = Date.UTC(2026, 0, 1);
const jwt = (exp: number) => `x.${Buffer.from(JSON.stringify({ exp })).toString("base64url")}.y`;
const never = new AbortController().signal;

function open(credentials: Partial<Credentials>, endpoint = "http://127.0.0.1:1") {
  const clock = { now: T0 };
  const whole = { token: "", apiKey: "", ...credentials };
  const authorization = new Authorization(whole, parseEndpoint(endpoint), { now: () => clock.now });
  return { clock, authorization, bearer: async () => (await authorization.headers(never))["authorization"] };
}

describe("exchanging a key", () => {
  test("once, and again shortly before the token runs out", async () => {
    const { url, asked } = exchange((n) => Response.json({ token: `t${n}`, expires_at: T0 / 1000 + 3_600 * n }));
    const { clock, authorization, bearer } = open({ apiKey: "server_1", exchangeUrl: url });
    expect([await bearer(), await bearer()]).toEqual(["Bearer t1", "Bearer t1"]);
    expect(authorization.expiresAt).toBe(T0 + 3_600_000);
    clock.now = T0 + 3_600_000 - 61_000;
    expect(await bearer()).toBe("Bearer t1");
    clock.now += 2_000;
    expect(await bearer()).toBe("Bearer t2");
    expect(asked).toEqual(['POST {"api_key":"server_1"}', 'POST {"api_key":"server_1"}']);
  });

  test("what the answer says of the end: seconds, a date, the token itself, nothing", async () => {
    const answers = [
      { token: "a", expires_at: T0 / 1000 + 60 },
      { token: "b", expires_at: new Date(T0 + 60_000).toISOString() },
      { token: jwt(T0 / 1000 + 60) },
      { token: "d" },
    ];
    for (const [i, answer] of answers.entries()) {
      const { authorization } = open({ apiKey: "k", exchangeUrl: exchange(() => Response.json(answer)).url });
      await authorization.headers(never);
      expect(authorization.expiresAt).toBe(i === 3 ? 0 : T0 + 60_000);
    }
  });

  test("failures that pass are transient, a refused key is not, and no secret is told", async () => {
    const cases: [() => Response, string][] = [
      [() => new Response("busy", { status: 503 }), "AUTH_EXCHANGE"],
      [() => new Response("slow down", { status: 429 }), "AUTH_EXCHANGE"],
      [() => new Response("not json"), "AUTH_EXCHANGE"],
      [() => Response.json({ token: "a b" }), "AUTH_EXCHANGE"],
      [() => new Response("x".repeat(100_000)), "AUTH_EXCHANGE"],
      [() => Response.redirect("http://127.0.0.1:1/"), "AUTH_EXCHANGE"],
      [() => new Response("hush-hush is unknown", { status: 401 }), "SUBSTREAMS_AUTH"],
    ];
    for (const [answer, code] of cases) {
      const { authorization } = open({ apiKey: "hush-hush", exchangeUrl: exchange(answer).url });
      const error = await codeOf(() => authorization.headers(never));
      expect([error.code, `${error.message} ${error.hint}`.includes("hush")]).toEqual([code, false]);
    }
  });

  test("a refused token is exchanged anew, but not one that was just issued", async () => {
    const { url } = exchange((n) => Response.json({ token: `t${n}` }));
    const { clock, authorization, bearer } = open({ apiKey: "k", exchangeUrl: url });
    expect([await bearer(), authorization.renew(), await bearer()]).toEqual(["Bearer t1", false, "Bearer t1"]);
    clock.now += 10_000;
    expect([authorization.renew(), await bearer()]).toEqual([true, "Bearer t2"]);
    expect(authorization.mask("t2 and k were refused")).toBe("*** and *** were refused");
  });

  test("keys go over TLS or not off this machine", async () => {
    for (const exchangeUrl of ["http://example.com/issue", "ftp://127.0.0.1", "nonsense", "https://u:p@example.com/"]) {
      expect((await codeOf(() => open({ apiKey: "k", exchangeUrl }))).code).toBe("AUTH_URL");
    }
  });
});

describe("a token that was given", () => {
  test("is used while it lasts, also beside a key; then the key", async () => {
    const { clock, authorization } = open({ token: jwt(T0 / 1000 + 60), apiKey: "key" });
    expect(await authorization.headers(never)).toEqual({ authorization: `Bearer ${jwt(T0 / 1000 + 60)}` });
    expect(authorization.expiresAt).toBe(T0 + 60_000);
    clock.now += 60_000;
    expect(await authorization.headers(never)).toEqual({ "x-api-key": "key" });
  });

  test("without a key: it says when it ran out", async () => {
    const { authorization } = open({ token: jwt(T0 / 1000 - 1) });
    const error = await codeOf(() => authorization.headers(never));
    expect([error.kind, error.code, error.where]).toEqual(["fatal", "SUBSTREAMS_AUTH", "source.token"]);
    expect(error.message).toContain("2025-12-31T23:59:59.000Z");
  });

  test("the end of a token, where it has one", () => {
    expect(
      [jwt(5), "opaque", "a.b.c", "a.!!.c", `x.${Buffer.from("null").toString("base64url")}.y`].map(tokenExpiry),
    ).toEqual([5_000, 0, 0, 0, 0]);
  });
});

describe("the client", () => {
  const expired = { code: GrpcCode.unauthenticated, message: "token expired" };
  /** Refuses every token but the one with this number. */
  const wants =
    (token: string, then: Script): Script =>
    (call, protocol) =>
      call.headers.authorization === `Bearer ${token}` ? then(call, protocol) : call.finish(expired);

  test("goes on from its cursor with a new token when the old one has run out", async () => {
    const { url, asked: issued } = exchange((n) => Response.json({ token: `t${n}` }));
    let now = T0;
    const passing = (script: Script): Script => {
      return async (call, protocol) => {
        now += 60_000;
        await script(call, protocol);
      };
    };
    const world = { now: () => now, monotonic: () => performance.now(), random: () => 0, sleep: Bun.sleep };
    const { out, error, asked, source } = await run(
      [passing(wants("t1", sends([session, data(5)], expired))), wants("t2", sends([session, data(6)], ok))],
      { credentials: { token: "", apiKey: "key", exchangeUrl: url }, world },
    );
    expect(error).toBeNull();
    expect(out.map((s) => (s.kind === "block" ? s.block.slot : s.kind))).toEqual([5, 6, "end"]);
    expect([asked.length, issued.length]).toEqual([2, 2]);
    expect(source.status).toMatchObject({ attempts: 2, failedAttempts: 1, reconnects: 1, state: "ended" });
  });

  test("a key that the endpoint refuses is refused for good, also after an exchange", async () => {
    const { url } = exchange(() => Response.json({ token: "t" }));
    const credentials = { token: "", apiKey: "key", exchangeUrl: url };
    const { error, asked } = await run([sends([], expired)], { credentials });
    expect([error, asked.length]).toMatchObject([{ code: "SUBSTREAMS_AUTH" }, 1]);
  });

  test("tries again while the exchange is down", async () => {
    const { url } = exchange((n) => (n < 3 ? new Response("", { status: 500 }) : Response.json({ token: "t" })));
    const credentials = { token: "", apiKey: "key", exchangeUrl: url };
    const { error, out, source } = await run([sends([session, data(5)], ok)], { credentials });
    expect([error, out.length]).toEqual([null, 2]);
    expect(source.status).toMatchObject({ attempts: 3, failedAttempts: 2 });
  });
});

test("attempts have no end unless a ceiling is set; data begins the count anew", async () => {
  const busy = { code: GrpcCode.unavailable, message: "busy" };
  const scripts = [sends([], busy), sends([], busy), sends([session, data(5)], busy), sends([session], busy)];
  const { error, out, source, asked } = await run(scripts, { maxAttempts: 3 });
  expect(error).toMatchObject({ code: "SUBSTREAMS_ATTEMPTS", retry: "when asked" });
  expect((error as Error).message).toContain("busy");
  expect([out.length, asked.length, source.status.state, source.status.failedAttempts]).toEqual([1, 5, "error", 5]);
  expect(source.status.lastAttemptAt).toBeGreaterThan(0);
});
