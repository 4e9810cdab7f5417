/** What a route is, without a framework: the server registers them, and the OpenAPI document is made from them. */
import type { TSchema } from "@sinclair/typebox";
import type { PublicError } from "../errors.ts";
import type { Params, ValuesOf } from "../params.ts";

/** What a token may be good for. */
export const SCOPES = ["read", "live", "control", "sql"] as const;
export type Scope = (typeof SCOPES)[number];

/** Who may use a route: anyone who reaches the server, or those whose token has the scope. */
export type Audience = "anyone" | Scope;

export interface Asked<P extends Params = Params> {
  readonly params: ValuesOf<P>;
  /** The JSON body; undefined where there is none. */
  readonly body: unknown;
  /** Time of the request, ms since the Unix epoch: the client's own word where it is near ours. */
  readonly at: number;
  /** Who asks: the name of the token, or the address. */
  readonly asker: string;
}

export interface Route<P extends Params = Params> {
  readonly method: "GET" | "POST";
  /** Segments that begin with ":" are parameters. */
  readonly path: string;
  readonly summary: string;
  readonly audience: Audience;
  /** Not counted by the rate limit: for probes. */
  readonly uncounted?: true;
  /** It reads tokens: how long it takes is measured. */
  readonly timed?: true;
  /** Of path and query. */
  readonly params?: P;
  readonly body?: TSchema;
  /** JSON answers by status. A route that answers with other content names its type instead. */
  readonly answers?: Readonly<Record<number, TSchema>>;
  readonly contentType?: string;
  /** Tells the present answer from every other one to the same URL: it becomes the ETag, and answers are kept by it. */
  version?(asked: Asked<P>): string;
  handle(asked: Asked<P>): Answer | Promise<Answer>;
  /** The body of an error; without it, errors have the shape that belongs to the path. */
  errorBody?(error: PublicError): unknown;
}

/** The text of a body that was made elsewhere, in JSON or in the type that the answer's headers name. */
export class MadeText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A body that comes in pieces, in JSON or in the type that the answer's headers name. */
export class MadeStream {
  readonly stream: ReadableStream<Uint8Array>;
  constructor(stream: ReadableStream<Uint8Array>) {
    this.stream = stream;
  }
}

export interface Answer {
  readonly status: number;
  /** JSON, or a stream, or text that is ready, or the whole text where the route has a content type. bigint becomes a JSON number with all its digits. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Keeps the types of a route's parameters while it is written, and forgets them for the table. */
export function route<P extends Params>(definition: Route<P>): Route {
  return definition as unknown as Route;
}

export function ok(body: unknown): Answer {
  return { status: 200, body };
}
