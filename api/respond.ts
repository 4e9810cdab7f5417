/**
 * From a request to its answer, without a framework: parameters are read, an answer that the client has already is not
 * made again (ETag), one that was given before and still holds is given again, and whatever is thrown leaves in the
 * route's shape.
 */
import type { Log } from "../pipeline/log.ts";
import { AnswerCache } from "./answer-cache.ts";
import { errorResponse, publicError } from "./errors.ts";
import { toJson } from "./json.ts";
import { readParams } from "./params.ts";
import { type Asked, MadeText, type Route } from "./routes/route.ts";
import { pathOf } from "./transport.ts";

export interface Asking {
  readonly request: Request;
  readonly path: Readonly<Record<string, string>>;
  readonly body: unknown;
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
      return this.refuse(error, route, asking.request.url);
    }
  }

  /** The answer to an error. `route` null: none was found or reached. */
  refuse(error: unknown, route: Route | null, url: string): Response {
    const told = publicError(error, this.log);
    return errorResponse(told, pathOf(url), route?.errorBody?.(told));
  }

  private async answer(route: Route, { request, path, body, at, asker }: Asking): Promise<Response> {
    const { url } = request;
    const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
    const params = route.params === undefined ? {} : readParams(route.params, path, new URLSearchParams(query));
    const asked: Asked = { params, body, at, asker };
    if (route.version === undefined) return this.make(route, asked, null);
    const tag = `W/"${route.version(asked)}"`;
    const known = request.headers.get("if-none-match");
    if (known !== null && matches(known, tag)) return new Response(null, { status: 304, headers: cacheHeaders(tag) });
    const key = url.slice(url.indexOf("/", 8));
    const kept = this.cache.get(key, tag);
    if (kept !== undefined) return new Response(kept, { headers: { ...JSON_TYPE, ...cacheHeaders(tag) } });
    return this.make(route, asked, { key, tag });
  }

  private async make(route: Route, asked: Asked, keep: { key: string; tag: string } | null): Promise<Response> {
    const { status, body, headers } = await route.handle(asked);
    if (route.contentType !== undefined) {
      const cached = keep === null ? {} : cacheHeaders(keep.tag);
      return new Response(String(body), {
        status,
        headers: { "content-type": route.contentType, ...cached, ...headers },
      });
    }
    const text = body instanceof MadeText ? body.text : toJson(body);
    if (keep === null) return new Response(text, { status, headers: { ...JSON_TYPE, ...headers } });
    const bytes = new TextEncoder().encode(text);
    this.cache.set(keep.key, keep.tag, bytes);
    return new Response(bytes, { status, headers: { ...JSON_TYPE, ...cacheHeaders(keep.tag), ...headers } });
  }
}

const JSON_TYPE = { "content-type": "application/json" };

/** Clients may keep it and must ask whether it still holds. */
function cacheHeaders(tag: string) {
  return { etag: tag, "cache-control": "private, no-cache" };
}

/** Whether one of the tags of an If-None-Match header is `tag` (RFC 9110, weak comparison). */
function matches(header: string, tag: string): boolean {
  const strip = (text: string) => text.trim().replace(/^W\//, "");
  return header.trim() === "*" || header.split(",", 32).some((one) => strip(one) === strip(tag));
}
