/** What clients of the feed are told when something that they asked for cannot be. */
import { randomUUID } from "node:crypto";
import { classify, type SluiceError } from "../../pipeline/errors.ts";
import type { Log } from "../../pipeline/log.ts";
import { publicError, refused } from "../errors.ts";
import { toJson } from "../json.ts";
import type { LiveHub } from "./hub.ts";
import { type Place, placeText } from "./place.ts";

export interface Refusal {
  readonly error: SluiceError;
  /** Where the feed can be gone on from; only where that is what was wrong. */
  readonly oldest?: Place | null;
  readonly head?: Place | null;
}

/** Explains a place that is not held; every other error stays what it is. */
export async function refusalOf(error: unknown, hub: LiveHub): Promise<Refusal> {
  const known = classify(error);
  if (known.code !== "LIVE_POSITION") return { error: known };
  const { oldest, head } = await hub.reach();
  const message = `the feed cannot go on from this position: ${keptText(oldest, head)}. Read the present state, and go on from its position.`;
  return { error: refused("POSITION_NOT_KEPT", message), oldest, head };
}

function keptText(oldest: Place | null, head: Place | null): string {
  if (oldest !== null) return `what comes after ${placeText(oldest)} is kept`;
  return head === null ? "nothing is kept" : "everything is kept from the beginning, and this is not on the chain";
}

/** As a message on a socket. */
export function errorMessage({ error, ...reach }: Refusal, request: unknown, log: Log): string {
  const { code, message, id } = publicError(error, log, randomUUID());
  return toJson({
    type: "error",
    code,
    message,
    error_id: id,
    ...(request === undefined ? {} : { id: request }),
    ...reach,
  });
}
