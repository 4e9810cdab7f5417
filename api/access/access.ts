/**
 * Who may do what. A request is judged in this order: does its Host name us, is it sent by another site, whose token does
 * it carry, is that good for the route, and is it one too many.
 *
 * Callers without a token: on loopback, this host's own programs may read and listen, and steer as long as no token is set;
 * anywhere else they may do nothing, unless `anonymous` says "read". A request that a proxy has forwarded is not this
 * host's own, whatever address it comes from.
 */
import { Fatal } from "../../pipeline/errors.ts";
import { isLoopback } from "../../pipeline/source/endpoint.ts";
import type { World } from "../../pipeline/world.ts";
import { refused, refusedUntil } from "../errors.ts";
import type { Audience, Scope } from "../routes/route.ts";
import { RateLimiter } from "./rate-limit.ts";
import type { TokenEntry, TokenFile } from "./tokens.ts";

export interface AccessSettings {
  /** What callers without a token may do. auto: by where the server listens. */
  readonly anonymous: "auto" | "none" | "read";
  /** Requests of a caller without a token in a window, and of a token that has no limit of its own. */
  readonly rateLimit: number;
  readonly tokenRateLimit: number;
  readonly rateWindowMs: number;
  /** Count this host's own programs too. */
  readonly limitLoopback: boolean;
  /** Origins whose pages may read answers; "*" for any. */
  readonly corsOrigins: readonly string[];
  /** Names besides loopback's that a Host header may have where the server listens on loopback. */
  readonly hosts: readonly string[];
  /** The last address of X-Forwarded-For is the caller's: there is a proxy, and it writes that header. */
  readonly trustProxy: boolean;
}

export const ACCESS_DEFAULTS: AccessSettings = {
  anonymous: "auto",
  rateLimit: 60,
  tokenRateLimit: 6_000,
  rateWindowMs: 60_000,
  limitLoopback: false,
  corsOrigins: [],
  hosts: [],
  trustProxy: false,
};

export interface AccessOptions {
  /** Where the server listens. */
  readonly host: string;
  readonly tokens: Pick<TokenFile, "entries" | "find" | "path">;
  readonly settings?: Partial<AccessSettings>;
  readonly world: Pick<World, "monotonic">;
}

/** What was found out about who asks. */
export interface Caller {
  /** Name of the token; null without one. */
  readonly token: string | null;
  readonly scopes: readonly Scope[];
  /** How many requests it may make, and how many are left just now; null where nobody counts. */
  readonly quota: Quota | null;
}

export interface Quota {
  readonly of: "token" | "address";
  readonly limit: number;
  readonly windowMs: number;
  readonly remaining: number;
}

/** Headers that pages of other origins may read. */
const EXPOSED = "etag, retry-after, ratelimit, ratelimit-policy, x-request-id";
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
const LOOPBACK_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);
const BEARER = /^bearer ([\w-]{1,256})$/i;
/** Browsers cannot give a socket a header of their own, but a protocol: `new WebSocket(url, ["sluice", "bearer.slc_..."])`. */
const SOCKET_BEARER = /(?:^|,)\s*bearer\.([\w-]{1,256})\s*(?:,|$)/;
const LOCAL: readonly Scope[] = ["read", "live", "sql"];
const OPEN: readonly Scope[] = ["read", "live"];

export class Access {
  private readonly options: AccessOptions;
  private readonly settings: AccessSettings;
  private readonly onLoopback: boolean;
  private readonly limiter: RateLimiter;

  /** Throws `Fatal` API_HOST, see `mustHaveToken`. */
  constructor(options: AccessOptions) {
    this.options = options;
    this.settings = { ...ACCESS_DEFAULTS, ...options.settings };
    this.onLoopback = isLoopback(options.host);
    this.limiter = new RateLimiter(this.settings.rateWindowMs);
    mustHaveToken(options.host, options.tokens);
  }

  /**
   * Lets a request pass or throws `Poison` HOST_NOT_ALLOWED, ORIGIN_NOT_ALLOWED, TOKEN_NEEDED, TOKEN_REFUSED, SCOPE_NEEDED
   * or RATE_LIMITED. `audience` null: there is no such route. `peer` says the address that the connection comes from.
   */
  admit(request: Request, audience: Audience | null, peer: () => string, uncounted = false): Caller {
    const { headers, method } = request;
    this.checkHost(headers);
    const presented = tokenIn(headers);
    if (presented === null) this.checkOrigin(method, headers, audience);
    const isOwn = this.onLoopback && !isForwarded(headers);
    if (audience === "anyone" && uncounted) return { token: null, scopes: [], quota: null };
    const entry = presented === null || audience === "anyone" ? null : this.find(presented, peer, headers);
    const isCounted = !(isOwn && entry === null && !this.settings.limitLoopback);
    const quota = isCounted ? this.count(entry, peer, headers) : null;
    const scopes = entry?.scopes ?? this.anonymousScopes(isOwn);
    if (audience !== null && audience !== "anyone" && !scopes.includes(audience)) throw tooLittle(audience, entry);
    return { token: entry?.name ?? null, scopes, quota };
  }

  /** Whether who came with this token, or with none, and stayed (on a socket) may still be here. */
  mayStay(token: string | null, audience: Audience): boolean {
    if (token === null || audience === "anyone") return true;
    return this.options.tokens.find(token)?.scopes.includes(audience) === true;
  }

  /** Headers that let pages of other origins read an answer; null where they may not. */
  corsHeaders(headers: Headers): Record<string, string> | null {
    const { corsOrigins } = this.settings;
    const origin = headers.get("origin");
    if (origin === null || !this.allowsOrigin(origin)) return null;
    const exposed = { "access-control-expose-headers": EXPOSED };
    if (corsOrigins.includes("*")) return { "access-control-allow-origin": "*", ...exposed };
    const credentials = { "access-control-allow-credentials": "true", vary: "origin" };
    return { "access-control-allow-origin": origin, ...credentials, ...exposed };
  }

  private checkHost(headers: Headers): void {
    if (!this.onLoopback) return;
    const name = (headers.get("host") ?? "").replace(/:\d{1,5}$/, "").toLowerCase();
    if (LOOPBACK_NAMES.has(name) || this.settings.hosts.includes(name)) return;
    throw refused(
      "HOST_NOT_ALLOWED",
      "the Host header must name localhost, 127.0.0.1, [::1], or what the setting api.hosts allows",
    );
  }

  /**
   * What changes something, and sockets (whose content browsers do not keep from other sites), is not taken from pages of
   * other sites: they would act with the rights of whoever happens to visit them. A token is proof of its own.
   */
  private checkOrigin(method: string, headers: Headers, audience: Audience | null): void {
    if (SAFE_METHODS.has(method) && !headers.has("upgrade")) return;
    const site = headers.get("sec-fetch-site");
    const origin = headers.get("origin");
    const isOwn = (site === null || site === "same-origin" || site === "none") && isOwnOrigin(origin, headers);
    if (isOwn || (origin !== null && audience !== "control" && this.allowsOrigin(origin))) return;
    throw refused("ORIGIN_NOT_ALLOWED", "requests that change something, and sockets, are not taken from other sites");
  }

  private allowsOrigin(origin: string): boolean {
    const { corsOrigins } = this.settings;
    return corsOrigins.includes("*") || corsOrigins.includes(origin.toLowerCase());
  }

  private anonymousScopes(isOwn: boolean): readonly Scope[] {
    const { anonymous } = this.settings;
    if (anonymous === "none") return [];
    if (!isOwn) return anonymous === "read" ? OPEN : [];
    return this.options.tokens.entries().length === 0 ? [...LOCAL, "control"] : LOCAL;
  }

  private find(presented: string, peer: () => string, headers: Headers): TokenEntry {
    const entry = this.options.tokens.find(presented);
    if (entry !== null) return entry;
    // Guessing is counted as well.
    this.count(null, peer, headers);
    const isToken = presented !== "";
    throw refused(
      "TOKEN_REFUSED",
      isToken ? "this token is unknown, revoked or expired" : 'the Authorization header must be "Bearer" and a token',
    );
  }

  private count(entry: TokenEntry | null, peer: () => string, headers: Headers): Quota {
    const { rateLimit, tokenRateLimit, rateWindowMs: windowMs } = this.settings;
    const caller = entry === null ? this.addressOf(peer, headers) : `token ${entry.id}`;
    const limit = entry === null ? rateLimit : (entry.rateLimit ?? tokenRateLimit);
    const { allowed, waitMs, remaining } = this.limiter.take(caller, limit, this.options.world.monotonic());
    if (allowed) return { of: entry === null ? "address" : "token", limit, windowMs, remaining };
    const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
    const window = Math.round(windowMs / 1_000);
    throw refusedUntil(
      "RATE_LIMITED",
      `more than ${limit} requests in ${window} s; come back in ${seconds} s`,
      seconds,
    );
  }

  private addressOf(peer: () => string, headers: Headers): string {
    const forwarded = this.settings.trustProxy ? headers.get("x-forwarded-for") : null;
    return forwarded === null
      ? peer()
      : forwarded
          .slice(forwarded.lastIndexOf(",") + 1)
          .trim()
          .slice(0, 64);
  }
}

/** Throws `Fatal` API_HOST for an address that others can reach, as long as there is no token. */
export function mustHaveToken(host: string, tokens: Pick<TokenFile, "entries">): void {
  if (isLoopback(host) || tokens.entries().length > 0) return;
  throw new Fatal("API_HOST", `others can reach ${JSON.stringify(host)}, and there is no token`, {
    where: "api.host",
    hint: "Make one with `sluice token create NAME --scope read`, or listen on 127.0.0.1.",
  });
}

/** The token that a request carries; null where it carries none. What is no token at all is one that nobody knows. */
export function tokenIn(headers: Pick<Headers, "get">): string | null {
  const header = headers.get("authorization");
  if (header === null) return SOCKET_BEARER.exec(headers.get("sec-websocket-protocol") ?? "")?.[1] ?? null;
  return BEARER.exec(header)?.[1] ?? "";
}

function isForwarded(headers: Headers): boolean {
  return headers.has("x-forwarded-for") || headers.has("forwarded") || headers.has("x-real-ip");
}

/** Browsers send Origin with every POST; programs usually send none. A proxy may have ended TLS before us. */
function isOwnOrigin(origin: string | null, headers: Headers): boolean {
  if (origin === null) return true;
  const host = (headers.get("host") ?? "").toLowerCase();
  return origin.toLowerCase() === `http://${host}` || origin.toLowerCase() === `https://${host}`;
}

function tooLittle(scope: Scope, entry: TokenEntry | null) {
  if (entry === null) {
    return refused("TOKEN_NEEDED", `this needs a token with scope ${scope}: send it as "Authorization: Bearer ..."`);
  }
  return refused("SCOPE_NEEDED", `this needs a token with scope ${scope}; this one has ${entry.scopes.join(", ")}`);
}
