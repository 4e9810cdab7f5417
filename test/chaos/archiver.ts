/**
 * Kills the archiver between the steps of its commits, over and over, while the rest of the pipeline runs; first with the
 * lake in a folder, whose disk is full for a while, then in a bucket that fails a fifth of all requests. Then lets it finish
 * and holds the lake against the truth. Where it dies is chosen by the seed, within it: see `die.ts`.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lastLines } from "../../cli/child.ts";
import { lakeStore } from "../../cli/lake.ts";
import { LocalRun, throughSlot } from "../../cli/local-run.ts";
import { holdAgainst } from "../../cli/verdict.ts";
import { type Config, loadConfig } from "../../pipeline/config.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { seededRandom, systemWorld } from "../../pipeline/world.ts";
import { writeSimulation } from "../../simulator/index.ts";
import { FAULTS, FaultProxy } from "../../storage/lake/s3/fault-proxy-fixture.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";
import { verifyLake } from "../../storage/lake/verify.ts";

export interface ArchiverChaosOptions {
  readonly seed: number;
  readonly kills: number;
  readonly lake: "folder" | "bucket";
  readonly say: (text: string) => void;
}

export interface ArchiverChaosResult {
  readonly blocks: number;
  readonly kills: number;
  /** How often it died at which step. */
  readonly steps: Readonly<Record<string, number>>;
  /** Requests to the bucket that were made to fail. */
  readonly faults: number;
  /** The disk was full, and the archiver said so. */
  readonly diskFull: boolean;
  /** What hot stores and lake say that the truth does not, and what is wrong with the lake. */
  readonly differences: readonly string[];
  readonly findings: readonly string[];
  readonly entries: number;
  readonly seconds: number;
}

const ROOT = join(import.meta.dir, "..", "..");
/** What a commit does, see `die.ts`; most of its steps are those of files. */
const OF_A_FOLDER = [
  ...["LakeSink.writeFile", "FolderStore.putIfAbsent", "FolderStore.place", "FolderStore.writeAndPlace"],
  ...["Manifest.append", "Manifest.writeCheckpoint", "LakeSink.commit"],
];
const ACTIONS = {
  folder: OF_A_FOLDER,
  bucket: [...OF_A_FOLDER, "Spool.append", "FolderStore.delete", "S3Store.putIfAbsent", "S3Store.put"],
} as const;
/** About the steps of two commits: some lives get somewhere, others do not. */
const STEPS_MAX = 90;
/** Enough that there is something left to commit for the last life. */
const BLOCKS_PER_KILL = 25;
const BLOCKS_MIN = 100;
const FAULT_SHARE = 0.2;
/** Every way to fail, those that cost a time-out less often than the others. */
const WAYS = [...FAULTS, ...Array.from({ length: 4 }, () => FAULTS.filter((way) => !way.startsWith("timeout"))).flat()];
/** A life that reaches no further step within this has nothing to do, or hangs. */
const PATIENCE_MS = 120_000;

export async function runArchiverChaos(options: ArchiverChaosOptions): Promise<ArchiverChaosResult> {
  const { seed, kills, lake, say } = options;
  const data = await mkdtemp(join(tmpdir(), "sluice-archiver-chaos-"));
  const startedAt = systemWorld.monotonic();
  const recording = join(data, "chaos.recording.zst");
  const blocks = BLOCKS_MIN + kills * BLOCKS_PER_KILL;
  const truth = await writeSimulation({ seed, blocks, output: "transactions", out: recording });
  const bucket = lake === "bucket" ? await FailingBucket.start(seed) : null;
  const flags = { "data.dir": data, "archive.rollSeconds": 4, "lease.ttlMs": 2_000, ...bucket?.settings };
  const config = loadConfig({ flags }).values;
  const processes = [["ingest", "decode", "shard", "lane", "janitor"]];
  const settings = throughSlot(truth.chain.lastSlot);
  const run = await LocalRun.start({ config, recording, blocksPerSecond: 0, settings, processes });
  const archiver = new Archiver(config);
  try {
    const diskFull = lake === "folder" && (await fillDisk(archiver));
    await killMany(archiver, options);
    say("no more kills; waiting for the rest");
    archiver.start(0);
    await run.untilEnded(AbortSignal.timeout(10 * PATIENCE_MS));
    bucket?.heal();
    await archiver.stop();
    await run.stopStages();
    const { differences } = await holdAgainst(config, truth);
    const report = await verifyLake(await lakeStore(config), { deep: true });
    const findings = report.findings
      .filter((f) => f.severity === "error")
      .map((f) => `${f.kind} ${f.where}: ${f.detail}`);
    const result = {
      blocks,
      kills,
      steps: await archiver.deaths(),
      faults: bucket?.faults ?? 0,
      diskFull,
      differences,
    };
    const seconds = (systemWorld.monotonic() - startedAt) / 1000;
    await run.stop();
    await rm(data, { recursive: true, force: true });
    return { ...result, findings, entries: report.entries, seconds };
  } catch (error) {
    say(`what there is, and the logs of all processes, stays in ${data}`);
    await archiver.stop();
    await run.stop();
    throw error;
  } finally {
    await bucket?.stop();
  }
}

async function killMany(archiver: Archiver, { seed, kills, lake, say }: ArchiverChaosOptions): Promise<void> {
  const random = seededRandom(seed);
  const named = ACTIONS[lake].flatMap((action) => [`before ${action}`, `after ${action}`]);
  for (let kill = 1; kill <= kills; kill++) {
    // Every other time at a step of our choice, so that each has its turn: at its first time, or some commits later.
    const step = kill % 2 === 0 ? named[(kill / 2 - 1) % named.length]! : "";
    archiver.start(1 + Math.floor(random() * (step === "" ? STEPS_MAX : 3)), step);
    await archiver.died();
    say(`${lake}: kill ${kill}/${kills}: ${(await archiver.lastDeath()) ?? "nowhere"}`);
  }
}

/** The disk is full from the start until the archiver has said so. */
async function fillDisk(archiver: Archiver): Promise<boolean> {
  await writeFile(archiver.fullFile, "");
  archiver.start(0);
  const deadline = systemWorld.monotonic() + PATIENCE_MS;
  const isTold = async () =>
    existsSync(archiver.log) && (await readFile(archiver.log, "utf8")).includes("LAKE_DISK_FULL");
  while (!(await isTold()) && systemWorld.monotonic() < deadline) await systemWorld.sleep(100);
  const told = await isTold();
  await rm(archiver.fullFile);
  await archiver.stop();
  return told;
}

/** A `sluice stages archive` that dies when it is told to. */
class Archiver {
  readonly log: string;
  readonly fullFile: string;
  private readonly stepsFile: string;
  private readonly settings: string;
  private child: Bun.Subprocess | null = null;

  constructor(config: Config) {
    const data = config["data.dir"];
    this.log = join(data, "archiver.log");
    this.fullFile = join(data, "disk-is-full");
    this.stepsFile = join(data, "steps");
    // Written by the run; the archive needs no endpoint.
    this.settings = join(data, "settings.json");
  }

  /** `steps`: how many it lives, of all or of those with a name; 0: until it is stopped. */
  start(steps: number, step = ""): void {
    const env = {
      CHAOS_STEPS: String(steps),
      CHAOS_STEP: step,
      CHAOS_STEPS_FILE: this.stepsFile,
      CHAOS_FULL_FILE: this.fullFile,
    };
    const preload = ["--preload", join(import.meta.dir, "die.ts"), join(ROOT, "main.ts")];
    // Its name stays: it takes its own lease over at once.
    const args = ["--config", this.settings, "stages", "archive", "--node", "archiver"];
    this.child = Bun.spawn([process.execPath, "--smol", ...preload, ...args], {
      ...{ stdin: "ignore", stdout: "ignore", stderr: Bun.file(this.log) },
      env: { ...process.env, ...env },
    });
  }

  /** Waits until it has died of its own hand. */
  async died(): Promise<void> {
    const child = this.child!;
    const timer = setTimeout(() => child.kill("SIGTERM"), PATIENCE_MS);
    await child.exited;
    clearTimeout(timer);
    if (child.signalCode === "SIGKILL") return;
    throw new Fatal("CHAOS_STUCK", `the archiver ended with ${child.exitCode ?? child.signalCode} instead of dying`, {
      where: this.log,
      hint: lastLines(this.log, 5),
    });
  }

  async stop(): Promise<void> {
    this.child?.kill("SIGTERM");
    await this.child?.exited;
  }

  async lastDeath(): Promise<string | undefined> {
    return (await this.deathList()).at(-1);
  }

  async deaths(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const step of await this.deathList()) counts[step] = (counts[step] ?? 0) + 1;
    return counts;
  }

  private async deathList(): Promise<string[]> {
    return existsSync(this.stepsFile) ? (await readFile(this.stepsFile, "utf8")).trim().split("\n") : [];
  }
}

/** An S3 service behind a proxy that breaks a share of all requests, in every way. */
class FailingBucket {
  private readonly server: S3Server;
  private readonly proxy: FaultProxy;

  static async start(seed: number): Promise<FailingBucket> {
    const server = new S3Server();
    const proxy = await FaultProxy.start(server.url);
    const random = seededRandom(seed);
    proxy.rule = () => (random() < FAULT_SHARE ? WAYS[Math.floor(random() * WAYS.length)]! : null);
    return new FailingBucket(server, proxy);
  }

  private constructor(server: S3Server, proxy: FaultProxy) {
    this.server = server;
    this.proxy = proxy;
  }

  get settings(): Record<string, string | number> {
    return {
      "lake.url": "s3://chaos/lake",
      "lake.s3.endpoint": this.proxy.url,
      "lake.s3.createBucket": "true",
      "lake.s3.accessKeyId": "chaos",
      "lake.s3.secretAccessKey": "chaos",
      "lake.s3.timeoutMs": 1_000,
    };
  }

  get faults(): number {
    return [...this.proxy.done.values()].reduce((sum, n) => sum + n, 0);
  }

  heal(): void {
    this.proxy.rule = () => null;
  }

  async stop(): Promise<void> {
    await this.proxy.stop();
    await this.server.stop();
  }
}
