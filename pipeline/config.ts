/**
 * Every setting, on one page: name, default, unit, range and why one would touch it. The same dotted name is used in
 * `sluice.yaml`, in errors and in `sluice config show`; most have an environment variable as well. Order of precedence:
 * command line, environment, file, default. Unknown settings are refused; secrets are masked wherever they are shown.
 */
import { join } from "node:path";
import type { Static } from "@sinclair/typebox";
import { withoutSecrets } from "./addresses.ts";
import { closest } from "./closest.ts";
import { ALARM_KNOBS } from "./config-alarm.ts";
import { API_KNOBS } from "./config-api.ts";
import { readConfigFile } from "./config-file.ts";
import { choice, flag, integer, type Knob, list, parseValue, text } from "./config-knob.ts";
import { LAKE_KNOBS } from "./config-lake.ts";
import { MAPS } from "./config-maps.ts";
import { PROGRAMS } from "./config-programs.ts";
import { RETENTION_KNOBS } from "./config-retention.ts";
import { parseSection, type Section, shownSection } from "./config-section.ts";
import { SOURCE_KNOBS } from "./config-source.ts";
import { type SourceEntry, settingOf, sourcesSection } from "./config-sources.ts";
import { Fatal } from "./errors.ts";
import { parseLogLevels } from "./log-levels.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const KNOBS = {
  "data.dir": text("data", "Folder of everything this host keeps: hot stores, the embedded server, the local lake.", {
    env: ["SLUICE_DATA"],
  }),
  "hot.dir": text("", "Folder of the hot stores (one SQLite file a lane). Empty: <data.dir>/hot.", {
    env: ["DATABASE_URL"],
  }),
  ...LAKE_KNOBS,
  "log.level": text(
    "info",
    "How much is logged: debug, info, warning, error or off; for single components: info,decode=debug.",
    {
      env: ["LOG_LEVEL", "RUST_LOG"],
      check: (value) => (parseLogLevels(value) === null ? "a level, or levels such as info,decode=debug" : null),
    },
  ),
  "log.format": choice(
    "auto",
    ["auto", "json", "text"],
    "auto: text on a terminal, JSON lines elsewhere.",
    "LOG_FORMAT",
  ),

  ...SOURCE_KNOBS,

  "batch.maxBlocks": integer(
    32,
    "blocks",
    1,
    500,
    "Most blocks in one message while catching up. Live, a message is a block.",
  ),
  "batch.maxBytes": integer(
    8 * MIB,
    "bytes",
    64 * KIB,
    64 * MIB,
    "Most raw bytes in one message while catching up; a larger single block still fits.",
  ),

  "decode.programs": list("Programs to decode, preset or preset=program id. Empty: spinpet.", "SLUICE_PROGRAMS"),
  "decode.failedTransactions": flag(false, "Decode events of failed transactions too.", "PROCESS_FAILED_TRANSACTIONS"),
  "decode.keepLonger": flag(
    true,
    "Keep events that are longer than every known layout in quarantine too: their row has only the known fields.",
  ),
  ...ALARM_KNOBS,

  "nats.url": text("", "NATS server or servers, comma-separated. Empty: the embedded server.", {
    env: ["NATS_URL"],
    address: true,
  }),
  "nats.token": text("", "Token for nats.url.", { env: ["NATS_TOKEN"], secret: true }),
  "nats.user": text("", "User for nats.url.", { env: ["NATS_USER"] }),
  "nats.password": text("", "Password for nats.url.", { env: ["NATS_PASSWORD"], secret: true }),
  "nats.prefix": text("sluice", "Prefix of streams, subjects and buckets: several deployments can share a server.", {
    env: ["NATS_PREFIX"],
  }),
  "nats.replicas": integer(1, "copies", 1, 5, "Copies of each stream, on a cluster."),

  "streams.blocksMaxBytes": integer(
    4 * GIB,
    "bytes",
    16 * MIB,
    1024 * GIB,
    "Room for raw blocks: how far back a decoder fix can be applied without paying again.",
  ),
  "streams.eventsMaxBytes": integer(
    2 * GIB,
    "bytes",
    16 * MIB,
    1024 * GIB,
    "Room for decoded rows: the unfinal window, one unflushed roll and an hour.",
  ),
  "streams.lanesMaxBytes": integer(
    2 * GIB,
    "bytes",
    16 * MIB,
    1024 * GIB,
    "Room for sharded rows that lanes have not applied.",
  ),
  "streams.liveMaxBytes": integer(
    256 * MIB,
    "bytes",
    1 * MIB,
    64 * GIB,
    "Room of the live feed; the oldest is dropped.",
  ),

  lanes: integer(
    1,
    "lanes",
    1,
    64,
    "Lanes (hot store files). Fixed for the life of a deployment: 1 on one host, 8 for a fleet.",
    "SLUICE_LANES",
  ),
  "lease.ttlMs": integer(
    5_000,
    "ms",
    2_000,
    60_000,
    "How long a dead process keeps its units before another takes over.",
  ),

  "archive.rollRows": integer(250_000, "rows", 1, 100_000_000, "A roll is written when it holds so many rows."),
  "archive.rollBytes": integer(
    16 * MIB,
    "bytes",
    1 * KIB,
    4 * GIB,
    "A roll is written when its columns hold so many bytes.",
  ),
  "archive.rollSeconds": integer(
    3_600,
    "seconds of block time",
    1,
    86_400,
    "A roll is written when it spans so much block time.",
  ),
  "archive.rawBlocks": flag(
    false,
    "Keep the provider's output of every final block in the lake too (zstd): a decoder fix can then begin anywhere.",
  ),
  "archive.memoryBytes": integer(128 * MIB, "bytes", 64 * MIB, 64 * GIB, "Memory DuckDB may use to write Parquet."),

  ...RETENTION_KNOBS,

  ...API_KNOBS,
} as const satisfies Record<string, Knob>;

/** What a flat setting cannot say: lists and objects, each described by a schema. Their names stand beside those of the settings. */
export const SECTIONS = {
  programs: PROGRAMS,
  maps: MAPS,
  sources: sourcesSection(KNOBS, { programs: PROGRAMS, maps: MAPS }),
} as const satisfies Record<string, Section>;

export type SectionName = keyof typeof SECTIONS;
export type Setting = keyof typeof KNOBS;

/** Environment variables that stand for settings. */
export const SETTING_VARIABLES: ReadonlySet<string> = new Set(
  Object.values(KNOBS as Record<string, Knob>).flatMap((knob) => knob.env ?? []),
);

type ValueOf<K extends Knob> = K extends { kind: "integer" }
  ? number
  : K extends { kind: "boolean" }
    ? boolean
    : K extends { kind: "list" }
      ? readonly string[]
      : K extends { kind: "choice"; choices: readonly (infer C)[] }
        ? C
        : string;

export type Config = { readonly [K in Setting]: ValueOf<(typeof KNOBS)[K]> } & {
  readonly [K in SectionName]: Static<(typeof SECTIONS)[K]["schema"]>;
};

export type Origin = "default" | "file" | "environment" | "command line";

export interface LoadedConfig {
  readonly values: Config;
  readonly origins: Readonly<Record<Setting | SectionName, Origin>>;
}

export interface ConfigInputs {
  /** Path of a YAML file; must exist when given. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Settings given on the command line, by dotted name. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

export function loadConfig(inputs: ConfigInputs = {}): LoadedConfig {
  const env = inputs.env ?? {};
  const file = inputs.file === undefined ? {} : readConfigFile(inputs.file, isKnown);
  const flags = inputs.flags ?? {};
  for (const name of Object.keys(file)) mustBeKnown(name, inputs.file ?? "configuration file");
  for (const name of Object.keys(flags)) mustBeKnown(name, "command line");
  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [name, knob] of Object.entries(KNOBS) as [Setting, Knob][]) {
    const variable = knob.env?.find((v) => (env[v] ?? "") !== "");
    if (flags[name] !== undefined) {
      values[name] = parseValue(name, knob, flags[name], "command line");
      origins[name] = "command line";
    } else if (variable !== undefined) {
      values[name] = parseValue(name, knob, fromEnvironment(name, env[variable]!), `environment variable ${variable}`);
      origins[name] = "environment";
    } else if (file[name] !== undefined && file[name] !== null) {
      values[name] = parseValue(name, knob, file[name], inputs.file ?? "");
      origins[name] = "file";
    } else {
      values[name] = knob.default;
      origins[name] = "default";
    }
  }
  for (const [name, section] of Object.entries(SECTIONS)) {
    const [raw, origin] = firstGiven([flags[name], "command line"], [file[name], "file"], [section.default, "default"]);
    values[name] = parseSection(name, section, raw, origin === "file" ? (inputs.file ?? "") : origin);
    origins[name] = origin;
  }
  const loaded = { values: values as Config, origins: origins as LoadedConfig["origins"] };
  sourceConfigs(loaded.values); // what is wrong with one of them is said now, not when it is opened
  return loaded;
}

/** Folder of the hot stores; a source of several has one of its own in it. */
export function hotFolder(config: Pick<Config, "data.dir" | "hot.dir">): string {
  return config["hot.dir"] === "" ? join(config["data.dir"], "hot") : config["hot.dir"];
}

/**
 * One configuration for each source: the settings as they are where `sources` is empty, else those of each entry on top of
 * them. Throws `Fatal` CONFIG_VALUE.
 */
export function sourceConfigs(config: Config): readonly Config[] {
  const entries = config.sources as readonly SourceEntry[];
  if (entries.length === 0) return [config];
  const taken = new Set<string>();
  return entries.map((entry, i) => {
    const where = `sources[${i}]`;
    // Stream names have no small letters.
    const id = entry.name.toUpperCase().replaceAll("-", "_");
    if (taken.has(id)) throw new Fatal("CONFIG_VALUE", `two sources are named "${entry.name}"`, { where });
    taken.add(id);
    const own: Record<string, unknown> = { "hot.dir": join(hotFolder(config), entry.name) };
    for (const [key, raw] of Object.entries(entry)) {
      const name = settingOf(key);
      if (Object.hasOwn(SECTIONS, key)) own[key] = raw;
      else own[name] = parseValue(`${where}.${key}`, KNOBS[name as Setting], raw, "sources");
    }
    return { ...config, ...own, sources: [] };
  });
}

function firstGiven(...candidates: readonly [value: unknown, origin: Origin][]): [unknown, Origin] {
  return candidates.find(([value]) => value !== undefined && value !== null) ?? candidates.at(-1)!;
}

/** The configuration as one may show it: secrets masked, origins named. */
export function showConfig(
  loaded: LoadedConfig,
): { name: Setting | SectionName; value: unknown; origin: Origin; unit?: string; why: string }[] {
  const sections = (Object.entries(SECTIONS) as [SectionName, Section][]).map(([name, { schema, why }]) => {
    return { name, value: shownSection(schema, loaded.values[name]), origin: loaded.origins[name], why };
  });
  const settings = (Object.entries(KNOBS) as [Setting, Knob][]).map(([name, knob]) => {
    const value = loaded.values[name];
    return {
      name,
      value: shownValue(knob, value),
      origin: loaded.origins[name],
      ...(knob.unit === undefined ? {} : { unit: knob.unit }),
      why: knob.why,
    };
  });
  return [...settings, ...sections];
}

function shownValue(knob: Knob, value: unknown): unknown {
  if (knob.secret === true && value !== "") return "********";
  return knob.address === true ? withoutSecrets(String(value)) : value;
}

/** Old habits: DATABASE_URL may carry a scheme. */
function fromEnvironment(name: Setting, value: string): string {
  if (name === "hot.dir") return value.replace(/^(sqlite|file):(\/\/)?/, "");
  return value;
}

function isKnown(name: string): boolean {
  return Object.hasOwn(KNOBS, name) || Object.hasOwn(SECTIONS, name);
}

function mustBeKnown(name: string, where: string): void {
  if (isKnown(name)) return;
  const near = closest(name, [...Object.keys(KNOBS), ...Object.keys(SECTIONS)]);
  throw new Fatal("CONFIG_UNKNOWN", `unknown setting "${name}"`, {
    where,
    hint: near === null ? "`sluice config show` lists every setting." : `Did you mean "${near}"?`,
  });
}
