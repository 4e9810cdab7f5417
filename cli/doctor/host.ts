/** Checks of this machine: Bun, memory, disks and clock. Each has a part that looks and a part that judges. */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import { type Config, sourceConfigs } from "../../pipeline/config.ts";
import { checkLaneFiles } from "../../storage/hot/lane-files.ts";
import { folders } from "../folders.ts";
import { keptGenerations, runConfigs } from "../generations.ts";
import { bytesText, type Check, type Finding, fail, isAtLeast, ok, skip, warn } from "./check.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** The version that Sluice is tested with, and the oldest that works. */
const BUN = "1.4.5";
/** What all stages need on one host. */
const MEMORY_MIN = 512 * MIB;
/** A lake file, a write-ahead log and a roll need room at the same time. */
const FREE_MIN = 1 * GIB;
const SYNC_PROBES = 16;
const SYNC_BYTES = 64 * 1024;

/** `clocks`: what others say the time is, for comparison with ours. */
export function hostChecks(config: Config, clocks: () => Promise<readonly Clock[]>): Check[] {
  const paths = folders(config);
  const embedded = config["nats.url"] === "";
  const mayGrowTo = embedded ? streamBytes(config) : 0;
  return [
    { group: "host", name: "bun", run: () => judgeBun(Bun.version) },
    { group: "host", name: "memory", run: () => judgeMemory(memoryBytes()) },
    { group: "host", name: "disk space", run: () => diskSpace(paths.data, mayGrowTo) },
    { group: "host", name: "disk speed", run: () => diskSpeed(paths.data) },
    { group: "host", name: "hot store folder", run: () => hotFolder(paths.hot) },
    { group: "host", name: "lanes", run: async () => lanes(config) },
    { group: "host", name: "clock", run: async () => judgeClock(await clocks(), Date.now()) },
  ];
}

/** Bytes that the streams of a deployment may grow to, those of all its sources together. */
export function streamBytes(config: Config): number {
  const names = ["blocks", "events", "lanes", "live"] as const;
  const settings = names.map((name) => `streams.${name}MaxBytes` as const);
  return sourceConfigs(config).reduce((sum, own) => settings.reduce((bytes, name) => bytes + own[name], sum), 0);
}

export function judgeBun(version: string): Finding {
  const fix = `Install Bun ${BUN}: npm install -g bun@${BUN}, or run \`npx -y bun@${BUN} ...\`.`;
  if (!isAtLeast(version, BUN)) return fail(`Bun ${version}, ${BUN} is needed`, fix);
  return version === BUN ? ok(`Bun ${version}`) : warn(`Bun ${version}; Sluice is tested with ${BUN}`, fix);
}

export function judgeMemory(bytes: number): Finding {
  if (bytes >= MEMORY_MIN) return ok(bytesText(bytes));
  const fix =
    "Give the process 512 MiB (`mem_limit` in compose.yaml, `MemoryMax` in the systemd unit), or run fewer stages here.";
  return fail(`${bytesText(bytes)}, all stages together need ${bytesText(MEMORY_MIN)}`, fix);
}

/** What we may use: the container's limit, else what the machine has. */
function memoryBytes(): number {
  const file = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].find((f) => existsSync(f));
  const limit = file === undefined ? Number.NaN : Number(readFileSync(file, "utf8"));
  return Number.isFinite(limit) && limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

async function diskSpace(folder: string, mayGrowTo: number): Promise<Finding> {
  await mkdir(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  return judgeSpace(bavail * bsize, mayGrowTo, folder);
}

export function judgeSpace(free: number, mayGrowTo: number, folder: string): Finding {
  const evidence = `${bytesText(free)} free under ${folder}`;
  if (free < FREE_MIN)
    return fail(`${evidence}, ${bytesText(FREE_MIN)} is the least`, "Free space, or set data.dir to a larger disk.");
  if (free >= mayGrowTo + FREE_MIN) return ok(evidence);
  return warn(
    `${evidence}; the streams alone may grow to ${bytesText(mayGrowTo)}`,
    "Set data.dir to a larger disk, or lower streams.blocksMaxBytes and its neighbours.",
  );
}

async function diskSpeed(folder: string): Promise<Finding> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `.doctor-${process.pid}.tmp`);
  const file = await open(path, "w", 0o600);
  try {
    const bytes = crypto.getRandomValues(new Uint8Array(SYNC_BYTES));
    const times: number[] = [];
    for (let i = 0; i < SYNC_PROBES; i++) {
      const startedAt = performance.now();
      await file.write(bytes);
      await file.datasync();
      times.push(performance.now() - startedAt);
    }
    return judgeSync(times.sort((a, b) => a - b)[SYNC_PROBES / 2]!);
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

/** Every message and every commit is synced: at 2.5 blocks a second, four streams and a lane, 20 ms each is comfortable. */
export function judgeSync(medianMs: number): Finding {
  const evidence = `${medianMs.toFixed(1)} ms to sync ${bytesText(SYNC_BYTES)} (median of ${SYNC_PROBES})`;
  const fix = "Put data.dir on a local SSD. Network disks and SD cards make catching up slow.";
  if (medianMs > 100) return fail(evidence, fix);
  return medianMs > 20 ? warn(evidence, fix) : ok(evidence);
}

/** The lanes that lie here are as many as the settings say. */
function lanes(config: Config): Finding {
  const all = runConfigs(config, keptGenerations(config));
  for (const own of all) checkLaneFiles(folders(own).hot, own.lanes);
  return ok(`${config.lanes}, and the hot stores of this host agree`);
}

/** Magic numbers of file systems without shared memory or locks that can be trusted (statfs(2)). */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9p"],
]);

async function hotFolder(folder: string): Promise<Finding> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `.doctor-${process.pid}.tmp`);
  await (await open(path, "wx", 0o600)).close();
  await rm(path);
  return judgeFileSystem(statfsSync(folder).type, folder);
}

export function judgeFileSystem(type: number, folder: string): Finding {
  const network = NETWORK_FILE_SYSTEMS.get(type);
  if (network === undefined) return ok(`${folder} is writable and local`);
  return fail(
    `${folder} lies on ${network}`,
    "Set hot.dir to a folder on a local disk: SQLite's write-ahead log needs shared memory.",
  );
}

export interface Clock {
  readonly name: string;
  /** Its time minus ours, ms. */
  readonly aheadMs: number;
}

export function judgeClock(clocks: readonly Clock[], now: number): Finding {
  const here = new Date(now).toISOString();
  if (clocks.length === 0) return skip(`${here}; nobody to compare it with`);
  const worst = clocks.reduce((a, b) => (Math.abs(b.aheadMs) > Math.abs(a.aheadMs) ? b : a));
  const seconds = Math.abs(worst.aheadMs) / 1000;
  const evidence = clocks
    .map(
      ({ name, aheadMs }) =>
        `${name} is ${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs < 0 ? "behind" : "ahead"}`,
    )
    .join(", ");
  const fix = "Run a time service on every host: `timedatectl set-ntp true`, or install chrony.";
  // Tokens and S3 signatures are refused at some minutes; lag is told wrongly long before.
  if (seconds > 60) return fail(evidence, fix);
  return seconds > 5 ? warn(evidence, fix) : ok(evidence);
}
