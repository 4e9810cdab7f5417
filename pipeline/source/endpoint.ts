/** Addresses: which are our own machine, and what an endpoint's is. */
import { Fatal } from "../errors.ts";

/** True for names and addresses that never leave this machine. */
export function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

export interface Endpoint {
  /** "https://host:port" or "http://host:port". */
  readonly origin: string;
  readonly loopback: boolean;
  readonly plaintext: boolean;
}

/**
 * Reads "host:port" or "host" (TLS, port 443), "https://host" or "http://host" (plain text, port 80). Throws `Fatal`
 * ENDPOINT_INVALID.
 */
export function parseEndpoint(text: string): Endpoint {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `https://${text}`);
  const bare = url !== null && url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "";
  if (url === null || !bare || url.hostname === "" || /\s/.test(text)) {
    throw new Fatal("ENDPOINT_INVALID", "the endpoint is not host:port", {
      where: "source.endpoint",
      hint: "For example mainnet.sol.streamingfast.io:443, or http://127.0.0.1:9000 for plain text.",
    });
  }
  return { origin: url.origin, loopback: isLoopback(url.hostname), plaintext: url.protocol === "http:" };
}
