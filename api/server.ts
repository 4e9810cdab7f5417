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
import { systemWorld, type World } from "../pipeline/world.ts";
import { refused } from "./errors.ts";
import { checkRequest, mustBeLoopback } from "./guard.ts";
import { Responder } from "./respond.ts";
import { allRoutes, type RouteOptions } from "./routes/index.ts";
import type { Route } from "./routes/route.ts";
import { pathOf, socketHandlers, type Transport } from "./transport.ts";

/** Requests carry hardly anything; more is refused. */
const BODY_BYTES_MAX = 64 * 1024;

const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
} as const;

export interface ApiOptions extends RouteOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly log: Log;
  /** What is not answered once but goes on: the live feed. They end with the server. */
  readonly transports?: readonly Transport[];
}

export interface RunningApi {
  /** Without a slash at the end. */
  readonly url: string;
  /** Answers what has been asked, then closes. */
  stop(): Promise<void>;
}

/** Throws `Fatal` API_HOST for an address that is not loopback, API_PORT when the port cannot be had. */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { host, port, log, transports = [], world = systemWorld } = options;
  mustBeLoopback(host);
  const responder = new Responder(log);
  const app = appOf(await allRoutes(options), responder, world);
  let server: Bun.Server<unknown>;
  try {
    server = Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port,
      maxRequestBodySize: BODY_BYTES_MAX,
      idleTimeout: 30,
      development: false,
      fetch: (request, server) => answer({ app, transports, server }, request, responder),
      websocket: socketHandlers(transports),
      error: (error) => withHeaders(responder.refuse(error, null, "")),
    });
  } catch (cause) {
    throw new Fatal("API_PORT", `the API cannot listen on ${host}:${port}: ${classify(cause).message}`, {
      where: "api.port",
      hint: "Choose another port with API_PORT or --set api.port=N; 0 picks a free one.",
      cause,
    });
  }
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return {
    url: `http://${name}:${server.port}`,
    async stop() {
      await Promise.all(transports.map((transport) => transport.stop()));
      await server.stop();
    },
  };
}

type App = { fetch(request: Request): Response | Promise<Response> };

function appOf(routes: readonly Route[], responder: Responder, world: Pick<World, "now">): App {
  const app = new Elysia({ aot: false }).onError({ as: "global" }, ({ error, code, request }) =>
    responder.refuse(translated(error, code), null, request.url),
  );
  for (const route of routes) {
    app.route(route.method, route.path, ({ request, params, body }) =>
      responder.respond(route, { request, path: params as Record<string, string>, body, at: world.now() }),
    );
  }
  return app;
}

interface Answering {
  readonly app: App;
  readonly transports: readonly Transport[];
  readonly server: Bun.Server<unknown>;
}

/** Undefined: the request has become a socket. */
async function answer(
  { app, transports, server }: Answering,
  request: Request,
  responder: Responder,
): Promise<Response | undefined> {
  try {
    checkRequest(request.method, request.headers);
    const path = pathOf(request.url);
    const transport = transports.find((transport) => transport.path === path);
    if (transport !== undefined) {
      const response = await transport.handle(request, server);
      return response === undefined ? undefined : withHeaders(response);
    }
    // HEAD is GET without the body, which Bun leaves out by itself.
    const asked = request.method === "HEAD" ? new Request(request.url, { headers: request.headers }) : request;
    return withHeaders(await app.fetch(asked));
  } catch (error) {
    return withHeaders(responder.refuse(error, null, request.url));
  }
}

function withHeaders(response: Response): Response {
  for (const [name, value] of Object.entries(HEADERS)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
}

/** Elysia's own errors, in our terms. A body is parsed before any handler runs, and handlers throw no SyntaxError. */
function translated(error: unknown, code: string | number): unknown {
  if (code === "NOT_FOUND") return refused("NOT_FOUND", "there is no such route; GET /v1/openapi.json lists them");
  if (error instanceof Error && error.message.includes("maxRequestBodySize")) {
    return refused("BODY_TOO_LARGE", `the body is larger than ${BODY_BYTES_MAX} bytes`);
  }
  if (code === "PARSE" || error instanceof SyntaxError) return refused("BAD_REQUEST", "the body is not valid");
  return error;
}
