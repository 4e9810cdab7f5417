/**
 * The one shape of every error that leaves the API: `{success: false, error: {code, message, id}}`. Texts of errors that
 * were not written for clients stay here: they go to the log under the same id.
 */
import { randomUUID } from "node:crypto";
import { classify, describe, Poison, type SluiceError, Transient } from "../pipeline/errors.ts";
import type { Log } from "../pipeline/log.ts";

/** Codes whose messages are written for clients, with their HTTP status. */
const PUBLIC = {
  BAD_REQUEST: 400,
  HOST_NOT_ALLOWED: 403,
  ORIGIN_NOT_ALLOWED: 403,
  NOT_FOUND: 404,
  BODY_TOO_LARGE: 413,
  INDEXER_NOT_STARTED: 503,
  INDEXER_FAILED: 503,
} as const satisfies Record<string, number>;
type PublicCode = keyof typeof PUBLIC;

/** Status of a public code; undefined for all others. */
function publicStatus(code: string): number | undefined {
  return Object.hasOwn(PUBLIC, code) ? PUBLIC[code as PublicCode] : undefined;
}

export interface ErrorBody {
  readonly success: false;
  readonly error: { readonly code: string; readonly message: string; readonly id: string };
}

/** A request that can never succeed as it is. */
export function refused(code: PublicCode, message: string): Poison {
  return new Poison(code, message);
}

/** Something that may succeed a little later. */
export function unavailable(code: PublicCode, message: string): Transient {
  return new Transient(code, message);
}

export function errorResponse(error: unknown, log: Log): Response {
  const known = classify(error);
  const told = publicStatus(known.code);
  const status = told ?? (known.kind === "transient" ? 503 : 500);
  const id = randomUUID();
  const isPublic = told !== undefined;
  if (!isPublic)
    log(status === 503 ? "warning" : "error", describe(known), { id, code: known.code, stack: stackOf(known) });
  const body: ErrorBody = {
    success: false,
    error: { code: known.code, message: isPublic ? known.message : generic(status), id },
  };
  return Response.json(body, { status, headers: status === 503 ? { "retry-after": "2" } : {} });
}

function generic(status: number): string {
  if (status === 503) return "This cannot be answered right now; try again in a moment.";
  return "This failed inside the server; its log has the details under this id.";
}

function stackOf(error: SluiceError): string | undefined {
  return error.cause instanceof Error ? error.cause.stack : error.stack;
}
