/**
 * Where requests come in and answers go out: every request is judged before anything is done for it, and every answer
 * leaves with an id and the headers that keep browsers from misusing it.
 */
import { randomUUID } from "node:crypto";
import type { World } from "../pipeline/world.ts";
import type { Access, Caller } from "./access/access.ts";
import { requestTime } from "./clock.ts";
import type { Asking, Responder } from "./respond.ts";
import type { Audience, Route } from "./routes/route.ts";
import type { Traffic } from "./traffic.ts";

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
} as const;

/** What pages of allowed origins may do, and for how long browsers remember it. */
const PREFLIGHT = {
  "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, HEAD, PATCH",
  "access-control-allow-headers": "authorization, content-type, if-none-match, x-request-id, x-request-start-time",
  "access-control-max-age": "86400",
};

/** What a client may choose as the id of its request. */
const REQUEST_ID = /^[\w.:-]{1,64}$/;

export class FrontDesk {
  private readonly access: Access;
  private readonly responder: Responder;
  private readonly traffic: Traffic;
  private readonly world: Pick<World, "now" | "monotonic">;
  /** Where requests come from. */
  private readonly peers = new WeakMap<Request, string>();

  constructor(access: Access, responder: Responder, traffic: Traffic, world: Pick<World, "now" | "monotonic">) {
    this.traffic = traffic;
    this.access = access;
    this.responder = responder;
    this.world = world;
  }

  /** Remembers the address that a request comes from. */
  arrived(request: Request, peer: string): void {
    this.peers.set(request, peer);
  }

  async answer(route: Route, asking: Omit<Asking, "at" | "asker">): Promise<Response> {
    const started = this.world.monotonic();
    const response = await this.judged(route, asking);
    this.traffic.observe(route, response.status, (this.world.monotonic() - started) / 1_000);
    return response;
  }

  private async judged(route: Route, asking: Omit<Asking, "at" | "asker">): Promise<Response> {
    const { request } = asking;
    const peer = this.peers.get(request) ?? "";
    let caller: Caller;
    try {
      caller = this.access.admit(request, route.audience, peer, route.uncounted);
    } catch (error) {
      return this.refuse(error, route, request);
    }
    const at = requestTime(request.headers, this.world.now());
    const asker = caller.token ?? peer;
    return this.finish(await this.responder.respond(route, { ...asking, at, asker }), request);
  }

  /** For what answers by itself: judged like any other request. Undefined: it has become a socket. */
  async handOver(
    request: Request,
    audience: Audience,
    handle: () => Promise<Response | undefined> | Response | undefined,
  ): Promise<Response | undefined> {
    try {
      this.access.admit(request, audience, this.peers.get(request) ?? "");
      const response = await handle();
      return response === undefined ? undefined : this.finish(response, request);
    } catch (error) {
      return this.refuse(error, null, request);
    }
  }

  /** A page of another origin asks whether it may ask. */
  preflight(request: Request): Response {
    try {
      this.access.admit(request, "anyone", this.peers.get(request) ?? "");
    } catch (error) {
      return this.refuse(error, null, request);
    }
    const allowed = this.access.corsHeaders(request.headers);
    const headers = allowed === null ? { allow: "GET, HEAD, POST, OPTIONS" } : PREFLIGHT;
    return this.finish(new Response(null, { status: 204, headers }), request);
  }

  /** For a request that reached no route. Who may not even come in is told no more than that. */
  refuseUnrouted(error: unknown, request: Request): Response {
    try {
      this.access.admit(request, "anyone", this.peers.get(request) ?? "");
    } catch (refusal) {
      return this.refuse(refusal, null, request);
    }
    return this.refuse(error, null, request);
  }

  refuse(error: unknown, route: Route | null, request: Request): Response {
    return this.finish(this.responder.refuse(error, route, request.url), request);
  }

  private finish(response: Response, request: Request): Response {
    const { headers } = response;
    for (const name in HEADERS) if (!headers.has(name)) headers.set(name, HEADERS[name as keyof typeof HEADERS]);
    const id = request.headers.get("x-request-id");
    headers.set("x-request-id", id !== null && REQUEST_ID.test(id) ? id : randomUUID());
    const cors = this.access.corsHeaders(request.headers);
    headers.set("cross-origin-resource-policy", cors === null ? "same-origin" : "cross-origin");
    for (const name in cors) headers.set(name, cors[name]!);
    return response;
  }
}
