/**
 * The lake of a deployment: where its archive writes and its readers read. A folder of this host, or a bucket; with a
 * bucket, commits gather on this host first and readers keep copies.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { withoutSecrets } from "../pipeline/addresses.ts";
import type { Config } from "../pipeline/config.ts";
import type { Control } from "../pipeline/control.ts";
import type { DatasetSpec } from "../pipeline/datasets/dataset.ts";
import { Fatal, Transient } from "../pipeline/errors.ts";
import { type Log, logFor } from "../pipeline/log.ts";
import type { Quiet } from "../pipeline/quiet.ts";
import { systemWorld } from "../pipeline/world.ts";
import { LakeCopies } from "../storage/lake/copies.ts";
import type { SlotRange } from "../storage/lake/coverage.ts";
import type { Lineage } from "../storage/lake/entry.ts";
import { FileCache } from "../storage/lake/file-cache.ts";
import { FolderStore } from "../storage/lake/folder-store.ts";
import type { LakeOutput } from "../storage/lake/output.ts";
import type { S3Options } from "../storage/lake/s3/client.ts";
import type { ProbeResult } from "../storage/lake/s3/probe.ts";
import type { WriteLock } from "../storage/lake/s3/store.ts";
import { LakeSink, type LakeSinkOptions } from "../storage/lake/sink.ts";
import { Spool } from "../storage/lake/spool.ts";
import { type ObjectStore, sha256Of } from "../storage/lake/store.ts";
import { folders } from "./folders.ts";
import { leaseLock } from "./lake-lock.ts";

/** For readers. The SDK is loaded only where the lake is in a bucket. */
export async function lakeStore(config: Config): Promise<ObjectStore> {
  return config["lake.url"] === "" ? new FolderStore(folders(config).lake) : bucketStore(config, lakeCache(config));
}

/** Where the lake is a folder: that it is one. Throws `Fatal` LAKE_MISSING, which tells a slip of the pen from an empty lake. */
export async function requireFolder(config: Config): Promise<void> {
  const { lake } = folders(config);
  if (config["lake.url"] !== "" || (await stat(lake).catch(() => null))?.isDirectory() === true) return;
  throw new Fatal("LAKE_MISSING", "there is no lake here", {
    where: lake,
    hint: "Name the deployment's folder with --data, or the lake's with --set lake.dir=DIR. An archive makes it.",
  });
}

/**
 * For upkeep, which writes now and then, to a lake that is there. `close` ends what it was opened with. Throws what
 * `requireFolder` and `prepareLake` throw.
 */
export async function lakeWriter(config: Config): Promise<{ store: ObjectStore; close: () => Promise<void> }> {
  const nothing = async () => undefined;
  await requireFolder(config);
  if (config["lake.url"] === "") return { store: await lakeStore(config), close: nothing };
  await prepareLake(config, logFor("lake"));
  const cache = lakeCache(config);
  if (config["lake.s3.conditionalWrites"] === "required")
    return { store: await bucketStore(config, cache), close: nothing };
  const { connectBroker } = await import("./deployment.ts");
  const connection = await connectBroker(config, "sluice-upkeep");
  const lock = leaseLock(config, connection.control, systemWorld);
  return { store: await bucketStore(config, cache, lock), close: () => connection.close() };
}

/**
 * For writers, before anything is written: that the bucket is there (made where allowed), and that two archives cannot
 * overwrite each other's entries in it. Throws `Fatal` with what to do; `Transient` when it cannot be reached.
 */
export async function prepareLake(config: Config, log: Log): Promise<void> {
  if (config["lake.url"] === "") return;
  const { created, conditionalWrites } = await probeLake(config, config["lake.s3.createBucket"]);
  if (created) log("info", "made the bucket of the lake", { url: config["lake.url"] });
  if (conditionalWrites) return;
  if (config["lake.s3.conditionalWrites"] === "required") {
    const { noConditionalWrites } = await import("../storage/lake/s3/probe.ts");
    throw noConditionalWrites(config["lake.url"]);
  }
  log("warning", "the store ignores conditional writes: a lease in NATS keeps two archives apart");
}

/** What the bucket of `lake.url` can do. Throws what `probeBucket` throws. */
export async function probeLake(config: Config, createBucket: boolean): Promise<ProbeResult> {
  const [{ probeBucket }, { parseBucketUrl }] = await Promise.all([
    import("../storage/lake/s3/probe.ts"),
    import("../storage/lake/s3/client.ts"),
  ]);
  return probeBucket({
    ...s3Options(config),
    bucket: parseBucketUrl(config["lake.url"]),
    world: systemWorld,
    createBucket,
    // Whoever waits for this has better things to do while the bucket is away.
    retry: { tries: 3, forMs: 10_000 },
  });
}

/** At the start of a process that archives: what is wrong with the bucket is said at once; that it is away may pass. */
export async function requireLake(config: Config, log: Log): Promise<void> {
  try {
    await prepareLake(config, log);
  } catch (error) {
    if (!(error instanceof Transient)) throw error;
    log("warning", `the bucket of the lake is away: ${error.message}`, { code: error.code, hint: error.hint });
  }
}

/** Opens the lake for one writer: the archive of a source, or a segment of its history. */
export async function openLake(
  config: Config,
  datasets: readonly DatasetSpec[],
  control: Pick<Control, "leases">,
  log: Log,
  quiet: Quiet,
  lineage: Lineage = { kind: "live", source: config["source.name"], dataset: "all", start: null, stop: null },
): Promise<LakeOutput> {
  const package_ = config["source.package"] === "" ? "built-in demo package" : withoutSecrets(config["source.package"]);
  const { temp } = folders(config);
  const options: Omit<LakeSinkOptions, "store"> = {
    workDir: temp,
    lineage,
    datasets,
    package: `${package_}:${config["source.module"]}`,
    memoryMb: Math.floor(config["archive.memoryBytes"] / 1e6),
    pause: () => quiet.pause(),
  };
  if (config["lake.url"] === "") {
    return {
      sink: new LakeSink({ ...options, store: new FolderStore(folders(config).lake) }),
      shipping: null,
      copies: null,
    };
  }
  const cache = lakeCache(config);
  const lock = config["lake.s3.conditionalWrites"] === "lease" ? leaseLock(config, control, systemWorld) : undefined;
  const bucket = await bucketStore(config, cache, lock);
  let prepared = false;
  const spool = new Spool({
    folder: spoolFolder(config, lineage),
    bucket,
    lineage,
    maxBytes: config["lake.spoolMaxBytes"],
    world: systemWorld,
    log,
    async prepare() {
      if (!prepared) await prepareLake(config, log);
      prepared = true;
    },
    onShipped: (key, path) => cache.adopt(key, path),
  });
  return {
    sink: new LakeSink({ ...options, store: spool.store, journal: spool }),
    shipping: spool,
    copies: new LakeCopies(bucket, cache),
  };
}

/** What this host keeps of a bucket's files; null where the lake is a folder. */
export async function lakeCopies(config: Config): Promise<LakeCopies | null> {
  if (config["lake.url"] === "") return null;
  const cache = lakeCache(config);
  return new LakeCopies(await bucketStore(config, cache), cache);
}

/** One for each lineage that this host writes in a bucket. */
function spoolFolder(config: Config, { kind, source, dataset, start, stop }: Lineage): string {
  const segment = kind === "backfill" ? `.${start}-${stop}` : dataset === "all" ? "" : `.${dataset}`;
  return join(folders(config).spool, `${lakeId(config)}-${source}${segment}`);
}

/** Segments of a source's history that have a spool on this host. */
export async function spooledSegments(config: Config): Promise<SlotRange[]> {
  if (config["lake.url"] === "") return [];
  const own = `${lakeId(config)}-${config["source.name"]}.`;
  const names = await readdir(folders(config).spool).catch(() => []);
  return names.flatMap((name) => {
    const range = name.startsWith(own) ? /^(\d+)-(\d+)$/.exec(name.slice(own.length)) : null;
    return range === null ? [] : [{ first: Number(range[1]), last: Number(range[2]) - 1 }];
  });
}

/** Names the lake where several could be meant: in local folders, and for its lock. */
export function lakeId(config: Config): string {
  const where = `${config["lake.s3.endpoint"]} ${config["lake.url"]}`;
  return sha256Of(new TextEncoder().encode(where)).slice(0, 16);
}

function lakeCache(config: Config): FileCache {
  const folder = join(folders(config).cache, lakeId(config));
  return new FileCache({ folder, maxBytes: config["lake.cacheMaxBytes"], world: systemWorld });
}

async function bucketStore(config: Config, cache: FileCache, lock?: WriteLock): Promise<ObjectStore> {
  const [{ S3Store }, { parseBucketUrl }] = await Promise.all([
    import("../storage/lake/s3/store.ts"),
    import("../storage/lake/s3/client.ts"),
  ]);
  return new S3Store({
    ...s3Options(config),
    bucket: parseBucketUrl(config["lake.url"]),
    cache,
    world: systemWorld,
    ...(lock === undefined ? {} : { lock }),
  });
}

function s3Options(config: Config): S3Options {
  const accessKeyId = config["lake.s3.accessKeyId"];
  if ((accessKeyId === "") !== (config["lake.s3.secretAccessKey"] === "")) {
    throw new Fatal("CONFIG_VALUE", "lake.s3.accessKeyId and lake.s3.secretAccessKey belong together", {
      where: "lake.s3",
      hint: "Set both, or neither to use the usual chain (AWS_* variables, profile, role).",
    });
  }
  return {
    endpoint: config["lake.s3.endpoint"],
    region: config["lake.s3.region"],
    pathStyle: config["lake.s3.pathStyle"],
    caFile: config["lake.s3.caFile"],
    accessKeyId,
    secretAccessKey: config["lake.s3.secretAccessKey"],
    sessionToken: config["lake.s3.sessionToken"],
    timeoutMs: config["lake.s3.timeoutMs"],
  };
}
