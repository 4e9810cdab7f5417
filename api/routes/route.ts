/** What a route is, without a framework: the server registers them, and the OpenAPI document is made from them. */
import type { TSchema } from "@sinclair/typebox";

export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly summary: string;
  /** JSON answers by status. A route that answers with other content names its type instead. */
  readonly answers?: Readonly<Record<number, TSchema>>;
  readonly contentType?: string;
  handle(): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  /** JSON, or the whole text where the route has a content type. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export function ok(body: unknown): Answer {
  return { status: 200, body };
}
