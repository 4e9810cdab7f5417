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
import { errorResponse, refused } from "./errors.ts";
import { checkRequest, mustBeLoopback } from "./guard.ts";
import { allRoutes, type RouteOptions } from "./routes/index.ts";
import type { Route } from "./routes/route.ts";

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
}

export interface RunningApi {
  /** Without a slash at the end. */
  readonly url: string;
  /** Answers what has been asked, then closes. */
  stop(): Promise<void>;
}

/** Throws `Fatal` API_HOST for an address that is not loopback, API_PORT when the port cannot be had. */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { host, port, log } = options;
  mustBeLoopback(host);
  const app = appOf(await allRoutes(options), log);
  let server: Bun.Server<undefined>;
  try {
    server = Bun.serve({
      hostname: host.replace(/^\[|\]$/g, ""),
      port,
      maxRequestBodySize: BODY_BYTES_MAX,
      idleTimeout: 30,
      development: false,
      fetch: (request) => answer(app, request, log),
      error: (error) => withHeaders(errorResponse(error, log)),
    });
  } catch (cause) {
    throw new Fatal("API_PORT", `the API cannot listen on ${host}:${port}: ${classify(cause).message}`, {
      where: "api.port",
      hint: "Choose another port with API_PORT or --set api.port=N; 0 picks a free one.",
      cause,
    });
  }
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return { url: `http://${name}:${server.port}`, stop: () => server.stop() };
}

type App = { fetch(request: Request): Response | Promise<Response> };

function appOf(routes: readonly Route[], log: Log): App {
  const app = new Elysia({ aot: false }).onError({ as: "global" }, ({ error, code }) =>
    errorResponse(translated(error, code), log),
  );
  for (const route of routes) app.route(route.method, route.path, () => respond(route));
  return app;
}

async function respond(route: Route): Promise<Response> {
  const { status, body, headers } = await route.handle();
  if (route.contentType === undefined)
    return Response.json(body, { status, ...(headers === undefined ? {} : { headers }) });
  return new Response(String(body), { status, headers: { ...headers, "content-type": route.contentType } });
}

async function answer(app: App, request: Request, log: Log): Promise<Response> {
  try {
    checkRequest(request.method, request.headers);
    // HEAD is GET without the body, which Bun leaves out by itself.
    const asked = request.method === "HEAD" ? new Request(request.url, { headers: request.headers }) : request;
    return withHeaders(await app.fetch(asked));
  } catch (error) {
    return withHeaders(errorResponse(error, log));
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
