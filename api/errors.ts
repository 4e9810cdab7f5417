/**
 * Errors as they leave the API. Texts of errors that were not written for clients stay here: they go to the log under the
 * id that the answer names. Two shapes: problem+json (RFC 9457) under `/v1`, `{success: false, error}` elsewhere.
 */
import { classify, describe, Poison, type SluiceError, stackOf, Transient } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";
import { toJson } from "./json.ts";

/** Codes whose messages are written for clients, with their HTTP status. */
const PUBLIC = {
  BAD_REQUEST: 400,
  TOKEN_NEEDED: 401,
  TOKEN_REFUSED: 401,
  SCOPE_NEEDED: 403,
  HOST_NOT_ALLOWED: 403,
  ORIGIN_NOT_ALLOWED: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  POSITION_NOT_KEPT: 410,
  BODY_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  TOO_MANY_CONNECTIONS: 503,
  HOT_MISSING: 503,
  LANE_ELSEWHERE: 503,
  SQL_REFUSED: 400,
  SQL_ERROR: 400,
  SQL_LIMIT: 422,
  SQL_MEMORY: 422,
  SQL_BUSY: 429,
  INDEXER_NOT_STARTED: 503,
  INDEXER_FAILED: 503,
} as const satisfies Record<string, number>;
type PublicCode = keyof typeof PUBLIC;

/** What to say of errors whose own texts are not for clients, by code. */
const EXPLAINED: Readonly<Record<string, string>> = {
  LAKE_ENTRY_MISSING: "An entry of the lake's manifest is missing, and nothing is told from a part of the lake.",
  LAKE_BUSY: "Too many old ranges are being read at once.",
};
const RETRY_AFTER_SECONDS = 2;
/** A lane changes its host when one dies or is stopped, which takes a lease's time; until then another host must be asked. */
const RETRY_ELSEWHERE_SECONDS = 30;

/** What a client is told of an error. */
export interface PublicError {
  readonly status: number;
  /** Stable: match on it, not on the message. */
  readonly code: string;
  readonly message: string;
  /** Of the request: names the entry in the server's log. */
  readonly id: string;
  readonly retryAfterSeconds: number | null;
  /** What may be done at this path instead; null where that is not the trouble. */
  readonly allow: string | null;
}

/** A refusal that says after how many seconds to come back. */
class Later extends Poison {
  readonly seconds: number;
  constructor(code: PublicCode, message: string, seconds: number) {
    super(code, message);
    this.seconds = seconds;
  }
}

/** A refusal of a method that the path does not have. */
class WrongMethod extends Poison {
  readonly allow: string;
  constructor(allow: string) {
    super("METHOD_NOT_ALLOWED", `here only ${allow} may be asked`);
    this.allow = allow;
  }
}

/** A request for a path that is there, in a way that is not. `allow`: the methods that are. */
export function refusedMethod(allow: string): Poison {
  return new WrongMethod(allow);
}

/** A request that can never succeed as it is. */
export function refused(code: PublicCode, message: string): Poison {
  return new Poison(code, message);
}

/** A request that would be answered later. */
export function refusedUntil(code: PublicCode, message: string, seconds: number): Poison {
  return new Later(code, message, seconds);
}

/** Something that may succeed a little later. */
export function unavailable(code: PublicCode, message: string): Transient {
  return new Transient(code, message);
}

/** What may be told of an error. What may not is logged, under `id`. */
export function publicError(error: unknown, log: Log, id: string): PublicError {
  const known = classify(error);
  const told = Object.hasOwn(PUBLIC, known.code) ? PUBLIC[known.code as PublicCode] : undefined;
  const status = told ?? (known.kind === "transient" ? 503 : 500);
  if (told === undefined)
    log(status === 503 ? "warning" : "error", describe(known), { id, code: known.code, stack: stackOf(known) });
  return {
    status,
    code: known.code,
    message: told === undefined ? generic(status, known.code) : known.message,
    id,
    retryAfterSeconds: retryAfter(known, status),
    allow: known instanceof WrongMethod ? known.allow : null,
  };
}

function retryAfter(error: SluiceError, status: number): number | null {
  if (error instanceof Later) return error.seconds;
  if (status !== 503 && status !== 429) return null;
  return error.code === "LANE_ELSEWHERE" ? RETRY_ELSEWHERE_SECONDS : RETRY_AFTER_SECONDS;
}

/** The answer to an error, in the shape that belongs to the path, or with the body given. */
export function errorResponse(error: PublicError, path: string, body?: unknown): Response {
  const { status, code, message, id, retryAfterSeconds, allow } = error;
  const isProblem = body === undefined && path.startsWith("/v1/");
  const told = body ?? (isProblem ? problemOf(error) : { success: false, error: { code, message, id } });
  const headers: Record<string, string> = {
    "content-type": isProblem ? "application/problem+json" : "application/json",
    "cache-control": "no-store",
  };
  if (retryAfterSeconds !== null) headers["retry-after"] = String(retryAfterSeconds);
  if (allow !== null) headers["allow"] = allow;
  if (status === 401) headers["www-authenticate"] = 'Bearer realm="sluice"';
  return new Response(toJson(told), { status, headers });
}

function problemOf({ status, code, message, id }: PublicError) {
  return { type: "about:blank", title: TITLES[status] ?? "Error", status, detail: message, code, id };
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  410: "Gone",
  413: "Content too large",
  422: "Unprocessable content",
  429: "Too many requests",
  500: "Internal server error",
  503: "Service unavailable",
};

function generic(status: number, code: string): string {
  const explained = EXPLAINED[code];
  if (explained !== undefined) return explained;
  if (status === 503) return "This cannot be answered right now; try again in a moment.";
  return "This failed inside the server; its log has the details under this id.";
}
