/** Checks of the NATS server: version, message size, how it keeps its promises, and whether its streams hold long enough. */
import { jetstreamManager } from "@nats-io/jetstream";
import { parseNatsUrl } from "../../pipeline/addresses.ts";
import type { Broker } from "../../pipeline/broker.ts";
import { type Config, sourceConfigs } from "../../pipeline/config.ts";
import { Control } from "../../pipeline/control.ts";
import { LIMITS } from "../../pipeline/limits.ts";
import { names } from "../../pipeline/names.ts";
import { keptGenerations, runConfigs } from "../generations.ts";
import { checkRecordedLanes } from "../lanes.ts";
import { bytesText, type Check, type Finding, fail, isAtLeast, ok, skip, warn } from "./check.ts";
import { type Clock, streamBytes } from "./host.ts";

/** Atomic batches came with 2.12; since 2.14 a stream whose disk fails stops instead of going on. */
const VERSION_MIN = "2.12.3";
const VERSION_GOOD = "2.14.0";
/** A message, its header and the client's protocol. */
export const PAYLOAD_MIN = LIMITS.messageBytesMax + 64 * 1024;
/** Target time of a slot, seconds; and blocks that may wait for finality, generously. */
const SLOT_SECONDS = 0.4;
const UNFINAL_SLOTS = 150;

export interface NatsProbe {
  readonly config: Config;
  /** The connection that all these checks share. */
  broker(): Promise<Broker>;
  /** Base of the server's monitoring endpoint, as in "http://127.0.0.1:8222". Null: as the server's address suggests. */
  readonly monitor: string | null;
}

export function natsChecks(probe: NatsProbe): Check[] {
  const { config } = probe;
  return [
    {
      group: "nats",
      name: "server",
      run: async () => judgeVersion(versionOf(await probe.broker()), config["nats.url"] === ""),
    },
    {
      group: "nats",
      name: "message size",
      needs: "server",
      run: async () => judgePayload((await probe.broker()).maxPayload),
    },
    { group: "nats", name: "storage", needs: "server", run: async () => storage(await probe.broker(), config) },
    { group: "nats", name: "sync_interval", needs: "server", run: (signal) => syncInterval(probe, signal) },
    { group: "nats", name: "lanes", needs: "server", run: async () => lanes(await probe.broker(), config) },
    { group: "nats", name: "retention", needs: "server", run: async () => retention(await probe.broker(), config) },
  ];
}

/** Hosts without a lane know by this what the deployment was begun with. */
async function lanes(broker: Broker, config: Config): Promise<Finding> {
  const control = new Control(broker, config["nats.prefix"]);
  for (const own of runConfigs(config, keptGenerations(config))) await checkRecordedLanes(own, control);
  return ok(`${config.lanes}, and nothing else is recorded`);
}

/** The server's clock, compared with ours; null when it has nothing to tell it by. */
export async function natsClock(broker: Broker): Promise<Clock | null> {
  const jsm = await jetstreamManager(broker.connection, { timeout: 5_000 });
  const askedAt = Date.now();
  for await (const info of jsm.streams.list()) {
    // The answer is made somewhere between question and arrival.
    const here = (askedAt + Date.now()) / 2;
    const there = Date.parse((info as { ts?: string }).ts ?? "");
    return Number.isNaN(there) ? null : { name: "the NATS server", aheadMs: there - here };
  }
  return null;
}

function versionOf(broker: Broker): string {
  return broker.connection.info?.version ?? "unknown";
}

export function judgeVersion(version: string, embedded: boolean): Finding {
  const what = `nats-server ${version}${embedded ? ", embedded" : ""}`;
  const fix = `Install nats-server ${VERSION_GOOD} or newer${embedded ? " and name it in SLUICE_NATS_SERVER" : ""}.`;
  if (!isAtLeast(version, VERSION_MIN)) return fail(`${what}; ${VERSION_MIN} is needed`, fix);
  if (isAtLeast(version, VERSION_GOOD)) return ok(what);
  return warn(`${what}; before ${VERSION_GOOD} a stream goes on after a disk error`, fix);
}

export function judgePayload(bytes: number): Finding {
  const evidence = `max_payload ${bytesText(bytes)}, messages have up to ${bytesText(PAYLOAD_MIN)}`;
  return bytes >= PAYLOAD_MIN
    ? ok(evidence)
    : fail(evidence, "Set `max_payload: 1MB` (the default) in the server's configuration and reload it.");
}

async function storage(broker: Broker, config: Config): Promise<Finding> {
  const account = await (await jetstreamManager(broker.connection, { timeout: 5_000 })).getAccountInfo();
  return judgeStorage(account.limits.max_storage, account.storage, streamBytes(config) * config["nats.replicas"]);
}

/** `limit` -1: the account has none. */
export function judgeStorage(limit: number, used: number, needed: number): Finding {
  const evidence = `streams may grow to ${bytesText(needed)}, ${bytesText(used)} are used`;
  if (limit < 0) return ok(`${evidence}, the account has no limit`);
  if (limit >= needed) return ok(`${evidence}, the account's limit is ${bytesText(limit)}`);
  const fix =
    "Raise the account's JetStream storage (or max_file_store), or lower streams.blocksMaxBytes and its neighbours.";
  return fail(`${evidence}, the account's limit is ${bytesText(limit)}`, fix);
}

/** Told by the server's monitoring endpoint alone; the embedded server is configured by us. */
async function syncInterval({ config, broker, monitor }: NatsProbe, signal: AbortSignal): Promise<Finding> {
  if (config["nats.url"] === "") return ok("always: the embedded server syncs before it acknowledges");
  await broker();
  const url = monitor ?? monitorOf(config["nats.url"]);
  try {
    const response = await fetch(`${url}/varz`, { signal: AbortSignal.any([signal, AbortSignal.timeout(2_000)]) });
    const { jetstream } = (await response.json()) as { jetstream?: { config?: SyncConfig } };
    return judgeSyncInterval(jetstream?.config ?? {});
  } catch {
    return warn(
      `cannot be read: nothing answers at ${url}/varz`,
      "Open monitoring on the server (`http: 127.0.0.1:8222`) and name it with --nats-monitor, or see that its configuration says `sync_interval: always`.",
    );
  }
}

export interface SyncConfig {
  readonly sync_always?: boolean;
  /** Nanoseconds. */
  readonly sync_interval?: number;
}

export function judgeSyncInterval({ sync_always, sync_interval }: SyncConfig): Finding {
  if (sync_always === true) return ok("always");
  if (sync_interval === undefined) return skip("the server's monitoring does not tell");
  const seconds = sync_interval / 1e9;
  const evidence = `${seconds} s: a power cut may lose what was acknowledged since`;
  return warn(
    evidence,
    "Set `jetstream { sync_interval: always }`. What is lost is noticed and read again, but that costs time and, where BLOCKS is concerned, money.",
  );
}

function monitorOf(natsUrl: string): string {
  const first = parseNatsUrl(natsUrl).servers[0] ?? "127.0.0.1";
  const host = first.replace(/^[a-z]+:\/\//, "").replace(/:\d+$/, "");
  return `http://${host}:8222`;
}

/** The design's rule: BLOCKS and EVENTS hold the unfinal window, one roll that is not flushed, and an hour. */
async function retention(broker: Broker, config: Config): Promise<Finding> {
  const findings: Finding[] = [];
  for (const own of sourceConfigs(config)) {
    const n = names(own["nats.prefix"], own["source.name"]);
    const [blocks, events] = await Promise.all([
      bytesPerSlot(broker, n.blocks.stream),
      bytesPerSlot(broker, n.events.stream),
    ]);
    const rollSeconds = own["archive.rollSeconds"];
    findings.push(judgeRetention("BLOCKS", own["streams.blocksMaxBytes"], blocks, rollSeconds));
    findings.push(judgeRetention("EVENTS", own["streams.eventsMaxBytes"], events, rollSeconds));
  }
  const wrong = findings.find((f) => f.state !== "ok");
  const evidence = findings.map((f) => f.evidence).join("; ");
  return wrong?.fix === undefined ? ok(evidence) : warn(evidence, wrong.fix);
}

/** Bytes that a slot takes in the stream, on average; null while it holds too little to tell. */
async function bytesPerSlot(broker: Broker, stream: string): Promise<number | null> {
  const state = await broker.streamState(stream);
  if (state === null || state.messages < 20) return null;
  const [first, last] = await Promise.all([
    broker.header(stream, { seq: state.firstSeq }),
    broker.header(stream, { seq: state.lastSeq }),
  ]);
  const slots = (last?.header.next.slot ?? 0) - (first?.header.next.slot ?? 0);
  return slots <= 0 ? null : state.bytes / slots;
}

/** `perSlot` null: not known yet; then the rule is told as what a slot may take. */
export function judgeRetention(stream: string, maxBytes: number, perSlot: number | null, rollSeconds: number): Finding {
  const neededSeconds = UNFINAL_SLOTS * SLOT_SECONDS + rollSeconds + 3_600;
  const needed = neededSeconds / SLOT_SECONDS;
  if (perSlot === null) {
    return ok(
      `${stream} holds the ${Math.round(neededSeconds / 60)} minutes it must while a slot takes under ${bytesText(maxBytes / needed)}`,
    );
  }
  const holds = (maxBytes / perSlot) * SLOT_SECONDS;
  const evidence = `${stream} holds ${Math.round(holds / 60)} minutes at ${bytesText(perSlot)} a slot, ${Math.round(neededSeconds / 60)} are needed`;
  if (holds >= neededSeconds) return ok(evidence);
  const setting = stream === "BLOCKS" ? "streams.blocksMaxBytes" : "streams.eventsMaxBytes";
  return warn(evidence, `Set ${setting} to ${Math.ceil(needed * perSlot)} or more, or lower archive.rollSeconds.`);
}
