/** Settings of the API; see `config.ts`. */
import { choice, flag, integer, list, text } from "./config-knob.ts";

export const API_KNOBS = {
  "api.host": text("127.0.0.1", "Address the API listens on. One that others can reach needs a token.", {
    env: ["API_HOST"],
  }),
  "api.port": integer(8787, "port", 0, 65_535, "Port of the API; 0 picks a free one.", "API_PORT"),
  "api.tokensFile": text("", "File of access tokens (`sluice token`). Empty: <data.dir>/tokens.json.", {
    env: ["API_TOKENS_FILE"],
  }),
  "api.anonymous": choice(
    "auto",
    ["auto", "none", "read"],
    "Callers without a token. auto: this host's own programs on loopback; none: nobody; read: anyone may read and listen.",
    "API_ANONYMOUS",
  ),
  "api.rateLimit": integer(
    60,
    "requests",
    1,
    1_000_000,
    "Requests of an address without a token in a window.",
    "DEFAULT_RATE_LIMIT",
  ),
  "api.rateWindowSeconds": integer(60, "seconds", 1, 3_600, "Window of the rate limits.", "DEFAULT_RATE_WINDOW"),
  "api.tokenRateLimit": integer(
    6_000,
    "requests",
    1,
    1_000_000,
    "Requests of a token in a window, unless it has its own.",
  ),
  "api.rateLimitLoopback": flag(false, "Limit this host's own programs on loopback too."),
  "api.cors": list("Origins whose pages may read the API, comma-separated; * for any.", "API_CORS"),
  "api.hosts": list("Names besides localhost that a proxy on this host may pass on in the Host header."),
  "api.trustProxy": flag(false, "Take the caller's address from X-Forwarded-For: only behind a proxy that writes it."),

  "live.connections": integer(1_000, "clients", 1, 100_000, "Clients of the live feed at once."),
  "live.topics": integer(100, "topics", 1, 10_000, "Topics that one client of the live feed may follow."),
  "live.bufferBytes": integer(
    1024 * 1024,
    "bytes",
    64 * 1024,
    4 * 1024 * 1024,
    "Bytes that may wait for a slow client of the live feed before it is closed; it can resume.",
  ),

  "api.metadata": flag(true, "Fetch what tokens' `uri` says, in the background."),
  "api.ipfsGateway": text("https://ipfs.io/ipfs/", "Gateway for ipfs:// addresses in tokens' `uri`.", {
    env: ["IPFS_GATEWAY"],
  }),
} as const;
