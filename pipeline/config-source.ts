/** The settings of a source: where blocks come from, which, how they are asked for, and what they may cost. */
import { choice, flag, integer, type Knob, list, text } from "./config-knob.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** More than anybody will ever count. */
const COUNT_MAX = 1e14;

export const SOURCE_KNOBS = {
  "source.name": text("main", "Name of this source; part of stream and unit names.", { env: ["SLUICE_SOURCE"] }),
  "source.endpoint": text(
    "mainnet.sol.streamingfast.io:443",
    "Substreams endpoint, host:port. http:// in front: plain text.",
    { env: ["SUBSTREAMS_ENDPOINT"], address: true },
  ),
  "source.token": text(
    "",
    "JWT for the endpoint. Needed for endpoints that are not on loopback, unless there is an API key.",
    { env: ["SUBSTREAMS_JWT_TOKEN", "SUBSTREAMS_API_TOKEN"], secret: true },
  ),
  "source.apiKey": text("", "API key for the endpoint, sent as x-api-key.", {
    env: ["SUBSTREAMS_API_KEY"],
    secret: true,
  }),
  "source.authUrl": text(
    "",
    "Where the API key is exchanged for tokens, which are renewed before they run out. Empty: the key itself is sent.",
    { env: ["SUBSTREAMS_AUTH_URL"], address: true },
  ),
  "source.package": text("", "Substreams package: a .spkg file or an https URL. Empty: the built-in demo package.", {
    env: ["SUBSTREAMS_PACKAGE"],
    address: true,
  }),
  "source.module": text("map_transactions", "Output module; must be a map.", { env: ["SUBSTREAMS_MODULE"] }),
  "source.params": list("Module parameters, module=value; several are separated by commas.", "SUBSTREAMS_PARAMS"),
  "source.network": text("", "Network override for the package.", { env: ["SUBSTREAMS_NETWORK"] }),
  "source.startBlock": text(
    "370500000",
    "First block: absolute, or negative to count back from the head. Used only while nothing is stored.",
    {
      env: ["START_BLOCK"],
      check: (value) =>
        /^\s*([-+]?\d{1,16})?\s*$/.test(value) ? null : "a slot, -N from the head, +N from the initial block, or empty",
    },
  ),
  "source.stopBlock": text(
    "",
    "First block that is not wanted any more: absolute, or +N after the start. Empty: follow the head.",
    {
      env: ["STOP_BLOCK"],
      check: (value) => (/^\s*(\+?\d{1,16})?\s*$/.test(value) ? null : "a slot, +N from the start, or empty"),
    },
  ),
  "source.finalBlocksOnly": choice(
    "auto",
    ["auto", "true", "false"],
    "Receive only final blocks. auto: for bounded ranges.",
    "FINAL_BLOCKS_ONLY",
  ),
  "source.productionMode": flag(
    true,
    "Let the provider prepare history in parallel; off only to debug a package.",
    "PRODUCTION_MODE",
  ),
  "source.protocol": choice(
    "auto",
    ["auto", "v4", "v3", "v2"],
    "Substreams RPC version. auto: v4, then v3, then v2.",
    "SUBSTREAMS_PROTOCOL",
  ),
  "source.compression": choice(
    "auto",
    ["auto", "gzip", "none"],
    "Compression asked of the provider. auto: gzip, but none on this machine, where bytes cost less than cycles.",
  ),
  "source.maxMessageBytes": integer(
    128 * MIB,
    "bytes",
    1 * MIB,
    1 * GIB,
    "Largest message accepted from the provider.",
  ),
  "source.idleTimeoutMs": integer(
    90_000,
    "ms",
    1_000,
    3_600_000,
    "Reconnect when nothing, not even progress, came for so long.",
  ),
  "source.maxAttempts": integer(
    0,
    "calls",
    0,
    1_000_000,
    "Give up after so many calls in a row that brought no data, until a start is asked for. 0: never.",
  ),
  "source.keepaliveMs": integer(30_000, "ms", 1_000, 600_000, "HTTP/2 ping interval."),
  "source.moduleHashPolicy": choice(
    "error",
    ["error", "warn", "ignore"],
    "What to do when the module's hash differs from the stored data's.",
    "ON_MODULE_HASH_MISMATCH",
  ),

  "source.parallelJobs": integer(
    5,
    "jobs",
    0,
    1_000,
    "Jobs that the provider may run for a stream at a time: free plans allow 5. 0: as many as the plan allows.",
  ),
  "source.maxStreams": integer(
    2,
    "streams",
    0,
    1_000,
    "Streams of one endpoint at a time, over all sources and processes: free plans allow 2. The others wait. 0: no limit.",
  ),
  "source.limitProcessedBlocks": integer(
    0,
    "blocks",
    0,
    COUNT_MAX,
    "Have the provider refuse a request that would make it process more blocks than this. 0: no limit.",
  ),

  "spend.maxBlocksPerDay": integer(0, "blocks", 0, COUNT_MAX, "Budget of a day (UTC). 0: none."),
  "spend.maxBytesPerDay": integer(0, "bytes", 0, COUNT_MAX, "Budget of a day (UTC). 0: none."),
  "spend.maxBlocksPerMonth": integer(0, "blocks", 0, COUNT_MAX, "Budget of a month (UTC). 0: none."),
  "spend.maxBytesPerMonth": integer(0, "bytes", 0, COUNT_MAX, "Budget of a month (UTC). 0: none."),
  "spend.alarmPercent": integer(80, "percent", 1, 100, "A warning is logged when so much of a budget is used."),
  "spend.atLimit": choice(
    "stop",
    ["stop", "alarm"],
    "When a budget is used up: stop receiving until the day or month is over, or only say so.",
  ),
} as const satisfies Record<string, Knob>;
