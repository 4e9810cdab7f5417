/**
 * Who may talk to the API while there are no tokens: programs of this host only. A web page that the user happens to
 * visit must not: neither through a name that resolves to loopback (DNS rebinding), nor by posting blindly across sites.
 */
import { Fatal } from "../pipeline/errors.ts";
import { isLoopback } from "../pipeline/source/endpoint.ts";
import { refused } from "./errors.ts";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
const LOOPBACK_NAMES = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Throws `Fatal` API_HOST unless `host` is a loopback address. */
export function mustBeLoopback(host: string): void {
  if (isLoopback(host)) return;
  throw new Fatal("API_HOST", `the API listens on loopback only, not on ${JSON.stringify(host)}`, {
    where: "api.host",
    hint: "It has no tokens yet. Keep 127.0.0.1 and put a proxy that authenticates in front of it.",
  });
}

/** Throws `Poison` for a request that did not come from this host's own programs or from our own page. */
export function checkRequest(method: string, headers: Headers): void {
  const host = headers.get("host") ?? "";
  if (!LOOPBACK_NAMES.has(host.replace(/:\d{1,5}$/, "").toLowerCase())) {
    throw refused("HOST_NOT_ALLOWED", "the Host header must name localhost, 127.0.0.1 or [::1]");
  }
  // What a socket carries is not kept from other sites by the browser, as answers are.
  if (SAFE_METHODS.has(method) && !headers.has("upgrade")) return;
  const site = headers.get("sec-fetch-site");
  const foreign = site !== null && site !== "same-origin" && site !== "none";
  if (foreign || !isOwnOrigin(headers.get("origin"), host)) {
    throw refused("ORIGIN_NOT_ALLOWED", "requests that change something, and sockets, are not taken from other sites");
  }
}

/** Browsers send Origin with every POST; programs usually send none. */
function isOwnOrigin(origin: string | null, host: string): boolean {
  return origin === null || origin.toLowerCase() === `http://${host.toLowerCase()}`;
}
