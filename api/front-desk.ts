/**
 * Where requests come in and answers go out: every request is judged before anything is done for it, and every answer
 * leaves with an id and the headers that keep browsers from misusing it.
 */
import { randomUUID } from "node:crypto";
import type { World } from "../pipeline/world.ts";
import type { Access, Caller, Quota } from "./access/access.ts";
import { requestTime } from "./clock.ts";
import { secure } from "./headers.ts";
import type { Asking, Responder } from "./respond.ts";
import type { Audience, Route } from "./routes/route.ts";
import type { Traffic } from "./traffic.ts";

/** What pages of allowed origins may do, and for how long browsers remember it. */
const PREFLIGHT = {
  "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, HEAD, PATCH",
  "access-control-allow-headers": "authorization, content-type, if-none-match, x-request-id, x-request-start-time",
  "access-control-max-age": "86400",
};

/** What a client may choose as the id of its request. */
const REQUEST_ID = /^[\w.:-]{1,64}$/;

const UNKNOWN = () => "";

/** A request, and what is known of it before it was let in. */
type Arrived = Omit<Asking, "id" | "at" | "asker">;

export class FrontDesk {
  private readonly access: Access;
  private readonly responder: Responder;
  private readonly traffic: Traffic;
  private readonly world: Pick<World, "now" | "monotonic">;
  /** Says where requests come from: only asked for when they are counted. */
  private readonly peers = new WeakMap<Request, () => string>();

  constructor(access: Access, responder: Responder, traffic: Traffic, world: Pick<World, "now" | "monotonic">) {
    this.traffic = traffic;
    this.access = access;
    this.responder = responder;
    this.world = world;
  }

  /** Remembers how to tell the address that a request comes from. */
  arrived(request: Request, peer: () => string): void {
    this.peers.set(request, peer);
  }

  /**
   * For a URL that was answered before: it is not routed or parsed again, and when the answer still holds, it is given
   * again. Null for any other. This is the path that a popular chart takes, so nothing here waits.
   */
  again(request: Request): Response | Promise<Response> | null {
    const kept = this.responder.known(request.url);
    if (kept === undefined) return null;
    const { route } = kept;
    const started = this.world.monotonic();
    try {
      const caller = this.admit(request, route);
      const at = requestTime(request.headers, this.world.now());
      const own = () => this.ownHeaders(request, requestId(request), caller.quota);
      const response = this.responder.repeat(kept, request, at, own);
      if (response === null) return this.serve(route, { request, path: null, kept }, caller, started);
      this.traffic.observe(route, response.status, (this.world.monotonic() - started) / 1_000);
      return response;
    } catch (error) {
      return this.refuse(error, route, request);
    }
  }

  async answer(route: Route, asking: Arrived): Promise<Response> {
    const { request } = asking;
    const started = this.world.monotonic();
    let caller: Caller;
    try {
      caller = this.admit(request, route);
    } catch (error) {
      const refusal = this.refuse(error, route, request);
      this.traffic.observe(route, refusal.status, (this.world.monotonic() - started) / 1_000);
      return refusal;
    }
    return this.serve(route, asking, caller, started);
  }

  private admit(request: Request, { audience, uncounted }: Route): Caller {
    return this.access.admit(request, audience, this.peers.get(request) ?? UNKNOWN, uncounted);
  }

  /** For a request that was let in. */
  private async serve(route: Route, asking: Arrived, caller: Caller, started: number): Promise<Response> {
    const { request } = asking;
    const at = requestTime(request.headers, this.world.now());
    const asker = caller.token ?? (this.peers.get(request) ?? UNKNOWN)();
    const id = requestId(request);
    const response = await this.responder.respond(route, { ...asking, id, at, asker });
    this.traffic.observe(route, response.status, (this.world.monotonic() - started) / 1_000);
    return this.finish(response, request, id, caller.quota);
  }

  /** For what answers by itself: judged like any other request. Undefined: it has become a socket. */
  async handOver(
    request: Request,
    audience: Audience,
    handle: () => Promise<Response | undefined> | Response | undefined,
  ): Promise<Response | undefined> {
    try {
      const { quota } = this.access.admit(request, audience, this.peers.get(request) ?? UNKNOWN);
      const response = await handle();
      return response === undefined ? undefined : this.finish(response, request, requestId(request), quota);
    } catch (error) {
      return this.refuse(error, null, request);
    }
  }

  /** A page of another origin asks whether it may ask; or somebody what may be asked at all: `allow`. */
  preflight(request: Request, allow: string): Response {
    try {
      this.access.admit(request, "anyone", this.peers.get(request) ?? UNKNOWN);
    } catch (error) {
      return this.refuse(error, null, request);
    }
    const allowed = this.access.corsHeaders(request.headers);
    const headers = allowed === null ? { allow } : PREFLIGHT;
    return this.finish(new Response(null, { status: 204, headers }), request, requestId(request));
  }

  /** For a request that reached no route. Who may not even come in is told no more than that. */
  refuseUnrouted(error: unknown, request: Request): Response {
    try {
      this.access.admit(request, "anyone", this.peers.get(request) ?? UNKNOWN);
    } catch (refusal) {
      return this.refuse(refusal, null, request);
    }
    return this.refuse(error, null, request);
  }

  refuse(error: unknown, route: Route | null, request: Request): Response {
    const id = requestId(request);
    return this.finish(this.responder.refuse(error, route, request.url, id), request, id);
  }

  private finish(response: Response, request: Request, id: string, quota: Quota | null = null): Response {
    const { headers } = response;
    secure(headers);
    const own = this.ownHeaders(request, id, quota);
    for (const name in own) headers.set(name, own[name]!);
    return response;
  }

  /**
   * What is told to this client alone: the id of its request, how many more it may make, and whether other pages may read
   * the answer.
   */
  private ownHeaders(request: Request, id: string, quota: Quota | null): Record<string, string> {
    const cors = this.access.corsHeaders(request.headers);
    return {
      "x-request-id": id,
      "cross-origin-resource-policy": cors === null ? "same-origin" : "cross-origin",
      ...cors,
      ...(quota === null ? {} : quotaHeaders(quota)),
    };
  }
}

/** The client's own, where it is one; else a new one. */
function requestId({ headers }: Request): string {
  const own = headers.get("x-request-id");
  return own !== null && REQUEST_ID.test(own) ? own : randomUUID();
}

/** As the IETF's draft on RateLimit header fields has them. */
function quotaHeaders({ of, limit, windowMs, remaining }: Quota): Record<string, string> {
  return { "ratelimit-policy": `"${of}";q=${limit};w=${windowMs / 1_000}`, ratelimit: `"${of}";r=${remaining}` };
}
