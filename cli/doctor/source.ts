/** Checks of the Substreams side: credentials, endpoint, package, module, range, and that one block really decodes. */
import { type Config, sourceConfigs } from "../../pipeline/config.ts";
import { silentLog } from "../../pipeline/log.ts";
import { parseEndpoint } from "../../pipeline/source/endpoint.ts";
import { type EndpointInfo, mismatches } from "../../pipeline/source/info.ts";
import type { SelectedModule } from "../../pipeline/source/module.ts";
import { parseRange } from "../../pipeline/source/range.ts";
import type { BlockBatch } from "../../pipeline/wire/batch.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { askEndpoint, openModule, openSource } from "../source.ts";
import { type Check, type Finding, fail, ok, once, skip, warn } from "./check.ts";
import type { Clock } from "./host.ts";

const HOUR_SECONDS = 3_600;

export interface SourceProbe {
  /** Of a deployment, which may have several sources. */
  readonly config: Config;
  /** Do not call the endpoint: nothing is sent, nothing is paid for. */
  readonly offline: boolean;
}

export function sourceChecks({ config, offline }: SourceProbe): Check[] {
  const sources = sourceConfigs(config);
  return sources.flatMap((own) => checksOf(own, offline, sources.length === 1 ? "" : `${own["source.name"]}: `));
}

function checksOf(config: Config, offline: boolean, prefix: string): Check[] {
  const module = once(() => openModule(config));
  const info = once(() => askEndpoint(config, systemWorld));
  const calling = (run: Check["run"]): Check["run"] => (offline ? () => skip("not called: --offline") : run);
  const check = (name: string, run: Check["run"], needs?: string): Check => ({
    group: "source",
    name: prefix + name,
    ...(needs === undefined ? {} : { needs: prefix + needs }),
    run,
  });
  return [
    check("credentials", () => credentials(config)),
    check("package and module", async () => judgeModule(config, await module())),
    check("programs", () => programs(config)),
    check("range", async () => judgeRange(config, await module()), "package and module"),
    check(
      "endpoint",
      calling(async () => judgeEndpoint(config, await info(), await module())),
      "credentials",
    ),
    check(
      "one block",
      calling(async (signal) => oneBlock(config, await module(), signal)),
      "endpoint",
    ),
  ];
}

function credentials(config: Config): Finding {
  const { loopback, plaintext } = parseEndpoint(config["source.endpoint"]);
  const [token, apiKey] = [config["source.token"], config["source.apiKey"]];
  if (plaintext && !loopback && token + apiKey !== "") {
    return fail("they would go over the network in plain text", "Leave http:// away from source.endpoint.");
  }
  return judgeCredentials({ token, apiKey, loopback }, Date.now() / 1000);
}

/** `now`: Unix seconds. Nothing of the secret itself is told but its kind and end. */
export function judgeCredentials(
  { token, apiKey, loopback }: { readonly token: string; readonly apiKey: string; readonly loopback: boolean },
  now: number,
): Finding {
  const renew = "Get a new one from your provider's dashboard and set SUBSTREAMS_JWT_TOKEN, or use SUBSTREAMS_API_KEY.";
  if (token === "" && apiKey === "") {
    if (loopback) return ok("none, and none are needed on this machine");
    return fail(
      "there are none",
      "Set SUBSTREAMS_API_KEY or SUBSTREAMS_JWT_TOKEN; your provider's dashboard gives you one.",
    );
  }
  if (token === "") {
    // Providers tell kinds of keys by their first word; the rest is the secret.
    const kind = /^(mobile|server|web|worker|hosted)_/.exec(apiKey)?.[1];
    return ok(
      `an API key${kind === undefined ? "" : ` of kind "${kind}"`}; when it ends is known to the provider only`,
    );
  }
  const claims = jwtClaims(token);
  if (claims === null) {
    return warn(
      "what is set as token is no JWT: it may be an API key",
      "Set it as SUBSTREAMS_API_KEY instead of SUBSTREAMS_JWT_TOKEN.",
    );
  }
  if (claims.exp === undefined) return ok("a JWT without an end");
  const left = claims.exp - now;
  const end = new Date(claims.exp * 1000).toISOString();
  if (left <= 0) return fail(`a JWT that expired at ${end}`, renew);
  if (left < 24 * HOUR_SECONDS)
    return warn(`a JWT that expires at ${end}, in ${Math.ceil(left / HOUR_SECONDS)} h`, renew);
  return ok(`a JWT until ${end}`);
}

/** The claims of a JWT, unverified: only the provider can verify. Null for what is no JWT. */
function jwtClaims(token: string): { readonly exp?: number } | null {
  const parts = token.split(".");
  if (parts.length !== 3) return null;
  try {
    const claims = JSON.parse(Buffer.from(parts[1]!, "base64url").toString()) as { exp?: unknown };
    return typeof claims.exp === "number" ? { exp: claims.exp } : {};
  } catch {
    return null;
  }
}

export function judgeModule(config: Config, module: SelectedModule): Finding {
  const { package: spkg, name, typeName, hash } = module;
  const meta = spkg.packageMeta[0];
  const what = meta === undefined ? "package" : `${meta.name} ${meta.version}`;
  const evidence = `${what}: map ${name}, output ${typeName}, hash ${hash.slice(0, 12)}`;
  if (config["source.package"] !== "" || parseEndpoint(config["source.endpoint"]).loopback) return ok(evidence);
  return warn(
    `${evidence}; it is the built-in demo package`,
    "Set source.package to a .spkg and source.module to one of its maps: providers do not serve the demo.",
  );
}

/** That everything the settings name to decode by is there and can be read. */
async function programs(config: Config): Promise<Finding> {
  const { decodersFor } = await import("../programs.ts");
  const { programs, maps, catalog } = await decodersFor(config);
  const named = [...programs.map(({ name }) => name), ...maps.map(({ type }) => type.name)];
  return ok(`${named.join(", ")}: ${catalog.size} datasets`);
}

export function judgeRange(config: Config, module: Pick<SelectedModule, "initialBlock">): Finding {
  const { start, stop } = parseRange(config["source.startBlock"], config["source.stopBlock"], module.initialBlock);
  const from = start < 0 ? `${-start} blocks before the head` : `slot ${start}`;
  const evidence = `from ${from} ${stop === null ? "on" : `to ${stop}`}; the module begins at ${module.initialBlock}`;
  if (start < 0 || start >= module.initialBlock) return ok(evidence);
  return warn(
    evidence,
    `Set source.startBlock to ${module.initialBlock} or leave it empty: before it there is nothing.`,
  );
}

export function judgeEndpoint(
  config: Config,
  info: EndpointInfo | null,
  module: Pick<SelectedModule, "name" | "network" | "initialBlock">,
): Finding {
  const { origin } = parseEndpoint(config["source.endpoint"]);
  if (info === null) return ok(`${origin} answers; it does not say what it serves`);
  const chain = info.chain === "" ? "" : ` and serves ${info.chain} from slot ${info.firstSlot}`;
  const wrong = mismatches(info, module, firstBlock(config, module));
  if (wrong.length === 0) return ok(`${origin} answers${chain}`);
  return fail(wrong.join("; "), "Take the endpoint of the package's network, set source.network, or start later.");
}

/** First block that can come: before the module's initial block there is nothing. Negative: counted from the head. */
function firstBlock(config: Config, { initialBlock }: Pick<SelectedModule, "initialBlock">): number {
  const { start } = parseRange(config["source.startBlock"], "", initialBlock);
  return start < 0 ? start : Math.max(start, initialBlock);
}

/** Streams one block as the deployment would, in development mode: at most one block is paid for. */
async function oneBlock(config: Config, module: SelectedModule, signal: AbortSignal): Promise<Finding> {
  const first = firstBlock(config, module);
  const range = { "source.startBlock": String(first), "source.stopBlock": first < 0 ? "" : "+1" };
  const once = { ...config, ...range, "source.productionMode": false } as const;
  const source = await openSource(once, systemWorld, silentLog);
  const enough = new AbortController();
  try {
    for await (const message of source.blocks(null, AbortSignal.any([signal, enough.signal]))) {
      if (message.kind === "end") break;
      if (message.kind !== "block") continue;
      const { block, payload, typeName } = message;
      const protocol = `protocol ${source.status.protocol}`;
      return await decodeOne(config, { blocks: [block], payloads: [payload], typeName }, protocol);
    }
  } finally {
    enough.abort();
  }
  const { lastError, protocol } = source.status;
  if (lastError !== null)
    return fail(`no block came: ${lastError}`, "Check endpoint, credentials and range, in this order.");
  return warn(
    `the module has nothing at the start of the range (protocol ${protocol})`,
    "If that surprises you, check source.params and source.startBlock.",
  );
}

async function decodeOne(config: Config, batch: BlockBatch, protocol: string): Promise<Finding> {
  const [{ DecodeStage }, { decodersFor }] = await Promise.all([
    import("../../stages/decode/stage.ts"),
    import("../programs.ts"),
  ]);
  const { programs, maps } = await decodersFor(config);
  const stage = new DecodeStage({ programs, maps });
  const { tables } = stage.apply(batch);
  const rows = [...tables].reduce((sum, [name, table]) => sum + (name === "quarantine" ? 0 : table.length), 0);
  return judgeDecoded(batch, rows, tables.get("quarantine")?.length ?? 0, protocol);
}

export function judgeDecoded(
  { blocks, payloads, typeName }: BlockBatch,
  rows: number,
  quarantined: number,
  protocol: string,
): Finding {
  const size = payloads.reduce((sum, payload) => sum + payload.length, 0);
  const evidence = `slot ${blocks[0]!.slot}, ${size} bytes of ${typeName}, ${rows} rows, ${protocol}`;
  if (quarantined === 0) return ok(evidence);
  return warn(
    `${evidence}; ${quarantined} payloads could not be decoded`,
    'See why: `sluice sql "select reason, count(*) from quarantine group by reason"` once it runs; the program may have a newer layout.',
  );
}

/** The endpoint's clock, from the Date of any answer it gives. Null when it gives none. */
export async function endpointClock(config: Config): Promise<Clock | null> {
  const { origin } = parseEndpoint(config["source.endpoint"]);
  const askedAt = Date.now();
  const response = await fetch(origin, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(3_000) });
  const date = Date.parse(response.headers.get("date") ?? "");
  // A Date has whole seconds: on average it is half a second old.
  return Number.isNaN(date) ? null : { name: "the endpoint", aheadMs: date + 500 - (askedAt + Date.now()) / 2 };
}
