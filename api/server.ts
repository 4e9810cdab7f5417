/**
 * The HTTP server, and the only place that knows Elysia. Routes come as a table; requests are checked before the framework
 * sees them; whatever is thrown anywhere leaves in one shape. Bun itself refuses bodies over the limit (413, no body).
 *
 * Elysia runs without generated code (`aot: false`): this plane answers a few requests a second, and a parser less that
 * assembles code from routes is worth more here than microseconds.
 */
import { Elysia } from "elysia";
import { classify, Fatal } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import { systemWorld } from "../pipeline/world.ts";
import { Access, type AccessOptions, type AccessSettings } from "./access/access.ts";
import { refused, refusedMethod } from "./errors.ts";
import { FrontDesk } from "./front-desk.ts";
import { Responder } from "./respond.ts";
import { allRoutes, type RouteOptions } from "./routes/index.ts";
import type { Route } from "./routes/route.ts";
import { Traffic } from "./traffic.ts";
import { pathOf, socketHandlers, type Transport } from "./transport.ts";

/** Requests carry hardly anything; more is refused. */
const BODY_BYTES_MAX = 64 * 1024;

export interface ApiOptions extends RouteOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly log: Log;
  /** Tokens; without them there are none, and only loopback is listened on. */
  readonly tokens?: AccessOptions["tokens"];
  readonly access?: Partial<AccessSettings>;
  /** What is not answered once but goes on: the live feed. They end with the server. */
  readonly transports?: readonly Transport[];
}

export interface RunningApi {
  /** Without a slash at the end. */
  readonly url: string;
  /** From the next request on, answers from what is given: another generation of the source. */
  replace(options: RouteOptions): Promise<void>;
  /** Answers what has been asked, then closes. */
  stop(): Promise<void>;
}

/** Throws `Fatal` API_HOST for an address that needs tokens and has none, API_PORT when the port cannot be had. */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { host, port, log, transports = [], tokens = NO_TOKENS, world = systemWorld } = options;
  const settings = options.access ?? {};
  const access = new Access({ host, tokens, settings, world: { monotonic: systemWorld.monotonic } });
  const { traffic = new Traffic() } = options;
  for (const transport of transports) transport.guard((token) => access.mayStay(token, transport.audience));
  const desk = new FrontDesk(access, new Responder(log), traffic, { ...systemWorld, now: () => world.now() });
  let app = appOf(await allRoutes({ ...options, traffic, described: transports }), desk);
  let server: Bun.Server<unknown>;
  try {
    server = Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port,
      maxRequestBodySize: BODY_BYTES_MAX,
      idleTimeout: 30,
      development: false,
      fetch: (request, server) => answer({ app, transports, server, desk }, request),
      websocket: socketHandlers(transports),
      error: (error) => desk.refuse(error, null, new Request("http://localhost/")),
    });
  } catch (cause) {
    throw new Fatal("API_PORT", `the API cannot listen on ${host}:${port}: ${classify(cause).message}`, {
      where: "api.port",
      hint: "Choose another port with API_PORT or --set api.port=N; 0 picks a free one.",
      cause,
    });
  }
  traffic.connections = () => server.pendingWebSockets + server.pendingRequests;
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return {
    url: `http://${name}:${server.port}`,
    async replace(others) {
      app = appOf(await allRoutes({ ...others, traffic, described: transports }), desk);
    },
    async stop() {
      await Promise.all(transports.map((transport) => transport.stop()));
      await server.stop();
    },
  };
}

const NO_TOKENS: AccessOptions["tokens"] = { path: "", entries: () => [], find: () => null };

interface App {
  fetch(request: Request): Response | Promise<Response>;
  readonly allowed: ReturnType<typeof methodsAt>;
}

function appOf(routes: readonly Route[], desk: FrontDesk): App {
  const allowed = methodsAt(routes);
  const app = new Elysia({ aot: false }).onError({ as: "global" }, ({ error, code, request }) =>
    desk.refuseUnrouted(translated(error, code, allowed(pathOf(request.url))), request),
  );
  for (const route of routes) {
    const handle = ({ request, params }: { request: Request; params: Record<string, string> }) =>
      desk.answer(route, { request, path: params });
    // A body is read as what the route takes, once the request was let in: any answer here keeps the framework from it.
    app.route(route.method, route.path, handle, { parse: () => "unread" });
  }
  return { fetch: (request) => app.fetch(request), allowed };
}

/** Tells what may be asked at a path: methods as the header Allow has them; null where nothing is. */
function methodsAt(routes: readonly Route[]): (path: string) => string | null {
  const known = routes.map(
    ({ method, path }) => [new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+")}/?$`), method] as const,
  );
  return (path) => {
    const methods = known.filter(([pattern]) => pattern.test(path)).map(([, method]) => method);
    if (methods.length === 0) return null;
    return [...new Set(methods.flatMap((method) => (method === "GET" ? [method, "HEAD"] : [method]))), "OPTIONS"].join(
      ", ",
    );
  };
}

interface Answering {
  readonly app: App;
  readonly transports: readonly Transport[];
  readonly server: Bun.Server<unknown>;
  readonly desk: FrontDesk;
}

/** Undefined: the request has become a socket. */
async function answer({ app, transports, server, desk }: Answering, request: Request): Promise<Response | undefined> {
  const { method } = request;
  const peer = () => server.requestIP(request)?.address ?? "";
  desk.arrived(request, peer);
  const again = method === "GET" ? desk.again(request) : null;
  if (again !== null) return again;
  const path = pathOf(request.url);
  // Before anything is handed over: a browser asks without a token whether a page may come with one.
  if (method === "OPTIONS") return desk.preflight(request, app.allowed(path) ?? "GET, HEAD, POST, OPTIONS");
  const transport = transports.find((transport) => transport.path === path);
  if (transport !== undefined) {
    return desk.handOver(request, transport.audience, () => transport.handle(request, server));
  }
  if (method !== "HEAD") return app.fetch(request);
  // HEAD is GET without the body, which Bun leaves out by itself.
  const asked = new Request(request.url, { headers: request.headers });
  desk.arrived(asked, peer);
  return app.fetch(asked);
}

/** Elysia's own errors, in our terms. `allow`: what may be asked at the path; null for nothing. */
function translated(error: unknown, code: string | number, allow: string | null): unknown {
  if (code === "NOT_FOUND" && allow !== null) return refusedMethod(allow);
  if (code === "NOT_FOUND") return refused("NOT_FOUND", "there is no such route; GET /v1/openapi.json lists them");
  if (error instanceof Error && error.message.includes("maxRequestBodySize")) {
    return refused("BODY_TOO_LARGE", `the body is larger than ${BODY_BYTES_MAX} bytes`);
  }
  return error;
}
