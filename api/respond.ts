/**
 * From a request to its answer, without a framework: parameters are read, an answer that the client has already is not
 * made again (ETag), one that was given before and still holds is given again, and whatever is thrown leaves in the
 * route's shape.
 */
import type { Log } from "../pipeline/log.ts";
import { AnswerCache, type Kept } from "./answer-cache.ts";
import { errorResponse, publicError } from "./errors.ts";
import { JSON_HEADERS } from "./headers.ts";
import { toJson } from "./json.ts";
import { bad, readParams, refuseUnknown } from "./params.ts";
import { type Asked, MadeStream, MadeText, type Route } from "./routes/route.ts";
import { pathOf } from "./transport.ts";

export interface Asking {
  readonly request: Request;
  /** Parameters of the path; null where the same URL was read before. */
  readonly path: Readonly<Record<string, string>> | null;
  readonly kept?: Kept;
  /** Of the request: errors are told and logged under it. */
  readonly id: string;
  /** ms since the Unix epoch. */
  readonly at: number;
  /** Name of the token, or address. */
  readonly asker: string;
}

export class Responder {
  private readonly log: Log;
  private readonly cache = new AnswerCache();

  constructor(log: Log) {
    this.log = log;
  }

  async respond(route: Route, asking: Asking): Promise<Response> {
    try {
      return await this.answer(route, asking);
    } catch (error) {
      return this.refuse(error, route, asking.request.url, asking.id);
    }
  }

  /** The answer to an error. `route` null: none was found or reached. */
  refuse(error: unknown, route: Route | null, url: string, id: string): Response {
    const told = publicError(error, this.log, id);
    return errorResponse(told, pathOf(url), route?.errorBody?.(told));
  }

  /** What is known of a URL that was answered before. */
  known(url: string): Kept | undefined {
    return this.cache.get(keyOf(url));
  }

  /** The answer that was given before, with `own` headers, as long as it holds; null when another must be made. */
  repeat(kept: Kept, request: Request, at: number, own: () => Record<string, string>): Response | null {
    const { route, params, version, answer } = kept;
    if (route.version?.({ params, body: undefined, at, asker: "" }) !== version) return null;
    const tag = `W/"${version}"`;
    const held = request.headers.get("if-none-match");
    if (held !== null && matches(held, tag)) {
      return new Response(null, { status: 304, headers: { ...JSON_HEADERS, ...cacheHeaders(tag), ...own() } });
    }
    const again = answer.clone() as typeof answer;
    const mine = own();
    for (const name in mine) again.headers.set(name, mine[name]!);
    return again;
  }

  private async answer(route: Route, { request, path, kept, at, asker }: Asking): Promise<Response> {
    const { url } = request;
    const params = kept?.params ?? paramsOf(route, path ?? {}, url);
    const body = route.method === "POST" ? await bodyOf(request) : undefined;
    const asked: Asked = { params, body, at, asker };
    if (route.version === undefined) return this.make(route, asked);
    const version = route.version(asked);
    const tag = `W/"${version}"`;
    const held = request.headers.get("if-none-match");
    if (held !== null && matches(held, tag)) return new Response(null, { status: 304, headers: cacheHeaders(tag) });
    if (kept?.version === version)
      return new Response(kept.body, { headers: { ...JSON_HEADERS, ...cacheHeaders(tag) } });
    return this.make(route, asked, { key: keyOf(url), version });
  }

  private async make(route: Route, asked: Asked, keep?: { key: string; version: string }): Promise<Response> {
    const { status, body, headers } = await route.handle(asked);
    if (route.contentType !== undefined) {
      const cached = keep === undefined ? {} : cacheHeaders(`W/"${keep.version}"`);
      return new Response(String(body), {
        status,
        headers: { "content-type": route.contentType, ...cached, ...headers },
      });
    }
    if (body instanceof MadeStream)
      return new Response(body.stream, { status, headers: { ...JSON_HEADERS, ...headers } });
    const text = body instanceof MadeText ? body.text : toJson(body);
    if (keep === undefined) return new Response(text, { status, headers: { ...JSON_HEADERS, ...headers } });
    const bytes = new TextEncoder().encode(text);
    const tag = cacheHeaders(`W/"${keep.version}"`);
    const answer = new Response(bytes, { headers: { ...JSON_HEADERS, ...tag } });
    this.cache.set(keep.key, { route, params: asked.params, version: keep.version, body: bytes, answer });
    return new Response(bytes, { status, headers: { ...JSON_HEADERS, ...tag, ...headers } });
  }
}

/** Path and query of a URL. */
const keyOf = (url: string) => url.slice(url.indexOf("/", 8));

function paramsOf(route: Route, path: Readonly<Record<string, string>>, url: string): Asked["params"] {
  const query = new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?") + 1) : "");
  // A misspelt name must not become another question. Existing clients of other paths may send what they like.
  if (isOwnFace(route)) refuseUnknown(query, route.params ?? {}, path);
  return route.params === undefined ? {} : readParams(route.params, path, query);
}

/** Routes that are ours alone: under `/v1/`, and not there for clients of another system. */
const isOwnFace = ({ path, errorBody }: Route) => path.startsWith("/v1/") && errorBody === undefined;

/** As JSON, whatever the client calls it: `curl -d` says that it sends a form. Undefined where there is none. */
async function bodyOf(request: Request): Promise<unknown> {
  const text = await request.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw bad(`the body is not JSON: ${(error as Error).message}`);
  }
}

/** Clients may keep it and must ask whether it still holds. */
function cacheHeaders(tag: string) {
  return { etag: tag, "cache-control": "private, no-cache" };
}

/** Whether one of the tags of an If-None-Match header is `tag` (RFC 9110, weak comparison). */
function matches(header: string, tag: string): boolean {
  const strip = (text: string) => text.trim().replace(/^W\//, "");
  return header.trim() === "*" || header.split(",", 32).some((one) => strip(one) === strip(tag));
}
