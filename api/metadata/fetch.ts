/**
 * Fetches a small JSON document from an address that a stranger chose. The name is resolved once, its addresses are
 * judged, and the connection goes to exactly those: a name that resolves differently a moment later gains nothing.
 * Redirects are followed by hand and judged again.
 */
import { lookup as dnsLookup } from "node:dns/promises";
import http from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { Poison, Transient } from "../../pipeline/errors.ts";
import { isPublicAddress } from "./public-address.ts";

export interface FetchLimits {
  /** For the whole document, redirects included, ms. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly redirectsMax: number;
}

export const FETCH_LIMITS: FetchLimits = { timeoutMs: 30_000, bytesMax: 256 * 1024, redirectsMax: 3 };

export interface Address {
  readonly address: string;
  readonly family: number;
}

export interface FetchOptions {
  readonly limits?: Partial<FetchLimits>;
  /** Host of the operator's own gateway ("host" or "host:port"): it may be private, because the operator chose it. */
  readonly trustedHost?: string;
  readonly resolve?: (name: string) => Promise<readonly Address[]>;
}

/**
 * The document's text. Throws `Poison` for what will never succeed (METADATA_ADDRESS, METADATA_SIZE, METADATA_REDIRECTS,
 * METADATA_STATUS of a 4xx) and `Transient` for what may (METADATA_STATUS, METADATA_TIMEOUT, METADATA_UNREACHABLE).
 */
export async function fetchDocument(url: string, options: FetchOptions = {}): Promise<string> {
  const limits = { ...FETCH_LIMITS, ...options.limits };
  const signal = AbortSignal.timeout(limits.timeoutMs);
  let at = url;
  for (let redirects = 0; redirects <= limits.redirectsMax; redirects++) {
    const { status, location, text } = await fetchOnce(at, options, limits, signal);
    if (status >= 200 && status < 300) return text;
    if (status < 300 || status >= 400 || location === null) throw badStatus(status);
    at = URL.parse(location, at)?.href ?? "";
  }
  throw new Poison("METADATA_REDIRECTS", `more than ${limits.redirectsMax} redirects`);
}

interface Reply {
  readonly status: number;
  readonly location: string | null;
  readonly text: string;
}

async function fetchOnce(
  text: string,
  options: FetchOptions,
  limits: FetchLimits,
  signal: AbortSignal,
): Promise<Reply> {
  const url = URL.parse(text);
  const isTrusted = url !== null && url.host === options.trustedHost;
  if (url === null || !isAllowed(url, isTrusted)) {
    throw new Poison("METADATA_ADDRESS", "only http and https on their usual ports, without credentials, are fetched");
  }
  const addresses = await addressesOf(url.hostname.replace(/^\[(.*)\]$/, "$1"), options, signal);
  if (!isTrusted && !addresses.every(({ address }) => isPublicAddress(address))) {
    throw new Poison("METADATA_ADDRESS", "the address is not on the public internet");
  }
  return request(url, addresses, limits, signal);
}

function isAllowed(url: URL, isTrusted: boolean): boolean {
  if (url.protocol !== "http:" && url.protocol !== "https:") return false;
  // A usual port is left out of a URL.
  return url.username === "" && url.password === "" && (url.port === "" || isTrusted);
}

async function addressesOf(host: string, options: FetchOptions, signal: AbortSignal): Promise<readonly Address[]> {
  const family = isIP(host);
  if (family !== 0) return [{ address: host, family }];
  const resolve = options.resolve ?? ((name) => dnsLookup(name, { all: true }));
  const { promise: late, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(timedOut());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const found = await Promise.race([resolve(host), late]);
    if (found.length > 0) return found;
  } catch (cause) {
    if (cause instanceof Transient) throw cause;
    throw new Transient("METADATA_UNREACHABLE", "the name cannot be resolved", { cause });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  throw new Transient("METADATA_UNREACHABLE", "the name has no address");
}

function request(url: URL, addresses: readonly Address[], limits: FetchLimits, signal: AbortSignal): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  // The connection goes to an address that was judged, whatever the name says by now.
  const pinned: LookupFunction = (_name, lookup, done) => {
    if (lookup.all === true) done(null, [...addresses] as never);
    else done(null, addresses[0]!.address, addresses[0]!.family);
  };
  const headers = { accept: "application/json", "accept-encoding": "identity", "user-agent": "sluice" };
  const client = url.protocol === "https:" ? https : http;
  const asking = client.request(url, { lookup: pinned, headers, signal, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= limits.bytesMax) {
        chunks.push(chunk);
        return;
      }
      reject(new Poison("METADATA_SIZE", `the document is larger than ${limits.bytesMax} bytes`));
      asking.destroy();
    });
    response.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      resolve({ status: response.statusCode ?? 0, location: response.headers.location ?? null, text });
    });
    response.on("error", (cause) => reject(unreachable(cause, signal)));
  });
  asking.on("error", (cause) => reject(unreachable(cause, signal)));
  asking.end();
  return promise;
}

function badStatus(status: number) {
  const message = `the server answered ${status}`;
  const isTheirs = status >= 500 || status === 408 || status === 429;
  return isTheirs ? new Transient("METADATA_STATUS", message) : new Poison("METADATA_STATUS", message);
}

function unreachable(cause: unknown, signal: AbortSignal): Transient {
  return signal.aborted ? timedOut() : new Transient("METADATA_UNREACHABLE", "the server cannot be reached", { cause });
}

function timedOut(): Transient {
  return new Transient("METADATA_TIMEOUT", "the document did not come in time");
}
