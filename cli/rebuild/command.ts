/** What `sluice rebuild` does: says what it would do, or makes the files, takes over lane by lane, and puts them in place. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join, relative } from "node:path";
import type { Config } from "../../pipeline/config.ts";
import type { NodeReport, UnitReport } from "../../pipeline/control.ts";
import type { Deployment } from "../../pipeline/deployment.ts";
import { classify, Fatal } from "../../pipeline/errors.ts";
import { Lease } from "../../pipeline/leases.ts";
import { logFor } from "../../pipeline/log.ts";
import { names } from "../../pipeline/names.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { historyOf, LakeReader } from "../../storage/lake/reader.ts";
import { makeWorkFolder } from "../../storage/lake/work-folder.ts";
import { connectBroker, openDeployment } from "../deployment.ts";
import { folders } from "../folders.ts";
import { type CommandIo, table, toJson } from "../output.ts";
import { formatNumber, formatSeconds, ProgressLine } from "../progress-line.ts";
import { stopWhenTold } from "../signals.ts";
import type { LaneFile } from "./lane-file.ts";
import { laneTarget } from "./lane-target.ts";
import { plannedFiles, Restore, type RestoreProgress } from "./restore.ts";

export interface RebuildOptions {
  readonly config: Config;
  readonly lanes: readonly number[];
  readonly snapshot: string | null;
  readonly dryRun: boolean;
  readonly json: boolean;
  /** Also where lake and streams lead less far than the file in use stands: the stages replay the rest. */
  readonly mayFallBehind: boolean;
  /** Folder of the hot stores of all sources: what a backup is laid out by. */
  readonly hotRoot: string;
}

export interface RebuiltLane {
  readonly lane: number;
  readonly file: string;
  readonly snapshotSlot: number | null;
  /** Where the lake stood; null: it held nothing of the source. */
  readonly lakeSlot: number | null;
  readonly slot: number | null;
  readonly rows: number;
  /** Whether the lane goes on from its stream; else the stages replay what lies between. */
  readonly joined: boolean;
}

/** How long whoever runs a lane has to finish its commit and hand over, ms. */
const HAND_OVER_MS = 45_000;

/** Resolves to the lanes that were made anew. */
export async function rebuild(options: RebuildOptions, io: CommandIo): Promise<readonly RebuiltLane[]> {
  const { config } = options;
  const stop = new AbortController();
  stopWhenTold(stop);
  const connection = await connectBroker(config, "sluice-rebuild");
  try {
    const deployment = await openDeployment(config, connection);
    if (!options.dryRun) return await rebuildLanes(deployment, options, stop.signal, io);
    await plan(deployment, options, io);
    return [];
  } finally {
    await connection.close();
  }
}

/** The backup's file of a lane; null without a backup. Throws `Fatal` USAGE when it has none. */
function snapshotOf({ config, snapshot, hotRoot }: RebuildOptions, lane: number): string | null {
  if (snapshot === null) return null;
  const file = join(snapshot, "hot", relative(hotRoot, laneFile(folders(config).hot, lane)));
  if (existsSync(file)) return file;
  throw new Fatal("USAGE", `the backup holds no lane ${lane} of ${config["source.name"]}`, {
    where: file,
    hint: "Name the folder that was given to `sluice backup`, of this deployment; or rebuild without one.",
  });
}

/** Who runs a lane now; null when nobody does. */
async function ownerOf(d: Deployment, lane: number): Promise<NodeReport | null> {
  const unit = names(d.config["nats.prefix"], d.source).unit("lane", lane);
  const isHeld = ({ unit: name, state }: UnitReport) => name === unit && state !== "waiting" && state !== "stopped";
  return (await d.control.nodes()).find((node) => node.units.some(isHeld)) ?? null;
}

const isElsewhere = (owner: NodeReport | null) => owner !== null && owner.host !== hostname();

async function plan(d: Deployment, options: RebuildOptions, { stdout }: CommandIo): Promise<void> {
  const { config, json } = options;
  const history = historyOf(await new LakeReader(await d.lake()).read(), d.source);
  const lanes = [];
  for (const lane of options.lanes) {
    const file = laneFile(folders(config).hot, lane);
    const snapshot = snapshotOf(options, lane);
    const snapshotSlot = snapshot === null ? null : standOf(snapshot);
    const owner = await ownerOf(d, lane);
    lanes.push({
      ...{ lane, file, exists: existsSync(file), snapshotSlot },
      read: history === null ? null : plannedFiles(d, history, snapshotSlot ?? -1),
      upTo: Math.max(-1, ...(await laneTarget(d, lane)).blocks.map((block) => block.slot)),
      runBy: owner === null ? null : { node: owner.node, host: owner.host, isHere: !isElsewhere(owner) },
    });
  }
  const lakeSlot = history?.position.slot ?? null;
  if (json) {
    stdout.write(`${toJson({ dryRun: true, source: d.source, lakeSlot, lanes })}\n`);
    return;
  }
  const rows = lanes.map(({ lane, exists, snapshotSlot, read, upTo, runBy }) => [
    lane,
    exists ? "replaced" : "made",
    snapshotSlot === null ? "nothing" : `slot ${snapshotSlot}`,
    read === null ? "" : `${formatNumber(read.files)} files, ${formatNumber(read.rows)} rows`,
    upTo < 0 ? "" : upTo,
    runBy === null ? "nobody" : `${runBy.node}${runBy.isHere ? " (hands over)" : ` on ${runBy.host} (goes on)`}`,
  ]);
  const columns = ["lane", "file", "begins from", "lake files with its rows", "then to slot", "run by"];
  stdout.write(
    table(
      stdout,
      columns.map((name) => ({ name })),
      rows,
    ),
  );
  stdout.write(lakeSlot === null ? "the lake holds nothing of the source\n" : `the lake stands at slot ${lakeSlot}\n`);
}

function standOf(file: string): number | null {
  const reader = new HotReader(file);
  try {
    return reader.stand()?.position.slot ?? null;
  } finally {
    reader.close();
  }
}

async function rebuildLanes(
  d: Deployment,
  options: RebuildOptions,
  signal: AbortSignal,
  io: CommandIo,
): Promise<RebuiltLane[]> {
  const { config, lanes } = options;
  const { hot } = folders(config);
  await mkdir(hot, { recursive: true });
  const workDir = await makeWorkFolder(hot);
  const progress = showProgress(io);
  const log = logFor("rebuild");
  const lake = await d.lake();
  const restore = new Restore({ deployment: d, lake, workDir, signal, log, onProgress: progress.show });
  const startedAt = systemWorld.monotonic();
  const done: RebuiltLane[] = [];
  try {
    const begun: { made: LaneFile; snapshotSlot: number | null }[] = [];
    for (const lane of lanes) {
      const made = await restore.begin(lane, snapshotOf(options, lane));
      begun.push({ made, snapshotSlot: made.position?.slot ?? null });
    }
    const lakeSlot = (await restore.loadLake())?.position.slot ?? null;
    for (const { made, snapshotSlot } of begun) {
      // Most of the way while the lane goes on; what has come meanwhile when it has been handed over.
      await restore.approach(made);
      const rebuilt = await whileOurs(d, made.lane, signal, () => finish(d, restore, made, options));
      done.push({ ...rebuilt, snapshotSlot, lakeSlot });
      progress.end();
      if (!options.json) io.stdout.write(`${describeLane(done.at(-1)!)}\n`);
    }
  } finally {
    progress.end();
    await restore.close();
    await rm(workDir, { recursive: true, force: true });
  }
  const seconds = (systemWorld.monotonic() - startedAt) / 1000;
  if (options.json) io.stdout.write(`${toJson({ source: d.source, lanes: done, seconds })}\n`);
  else io.stdout.write(`${done.length} ${done.length === 1 ? "lane" : "lanes"} in ${formatSeconds(seconds)}\n`);
  return done;
}

/** With the lane in our hands: brings the file up to the moment, and puts it in place. */
async function finish(d: Deployment, restore: Restore, made: LaneFile, { mayFallBehind }: RebuildOptions) {
  const joined = await restore.approach(made);
  const { lane, rows } = made;
  const file = laneFile(folders(d.config).hot, lane);
  const target = await laneTarget(d, lane);
  const goesOn = joined && target.streamFrom !== null;
  if (!goesOn && !mayFallBehind) mustNotFallBehind(file, made);
  const head = await made.putInPlace(file, target.version);
  if (head !== null) {
    const { position, finalSlot, recent } = head;
    const unit = names(d.config["nats.prefix"], d.source).unit("lane", lane);
    await d.control.setStanding(unit, { position, finalSlot, recent, inputSeq: 0, at: d.world.now() });
  }
  return { lane, file, slot: head?.position.slot ?? null, rows, joined };
}

/** Where its stream does not lead on from it, a file that stands behind the one in use would take away what that has. */
function mustNotFallBehind(file: string, made: LaneFile): void {
  if (!existsSync(file)) return;
  const [reached, stands] = [made.position?.slot ?? -1, readableStand(file)];
  if (reached >= (stands ?? 0)) return;
  const to = reached < 0 ? "nothing" : `slot ${reached}`;
  const now = stands === null ? "cannot be read" : `stands at slot ${stands}`;
  throw new Fatal(
    "REBUILD_BEHIND",
    `lake and streams lead to ${to}, and the lane's file ${now}: it was left as it is`,
    {
      where: file,
      hint: "Check lake.* and nats.*. If the lake has really lost it, move the file away and start the stages, which replay what is missing.",
    },
  );
}

/** Null for a file that cannot be read: most often that is why it is made anew. */
function readableStand(file: string): number | null {
  try {
    return standOf(file);
  } catch (error) {
    if (classify(error).code === "UNEXPECTED") throw error;
    return null;
  }
}

/** Runs `action` while no other process of this host runs the lane. One on another host has a file of its own, and goes on. */
async function whileOurs<T>(d: Deployment, lane: number, signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  if (isElsewhere(await ownerOf(d, lane))) return action();
  const node = `rebuild-${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`.replaceAll(/[^\w-]/g, "-");
  const ttlMs = d.config["lease.ttlMs"];
  const unit = names(d.config["nats.prefix"], d.source).unit("lane", lane);
  const bucket = d.control.leases(ttlMs);
  const lease = new Lease(unit, { bucket, node, ttlMs, world: d.world, isFirstInLine: () => true });
  await lease.claim(HAND_OVER_MS, signal);
  const renewing = setInterval(() => void lease.renew(), ttlMs / 4);
  try {
    return await action();
  } finally {
    clearInterval(renewing);
    await lease.release();
  }
}

function showProgress({ stderr }: CommandIo) {
  const line = new ProgressLine(stderr);
  const startedAt = systemWorld.monotonic();
  return {
    show({ phase, fromSlot, slot, toSlot, rows }: RestoreProgress): void {
      const share = toSlot <= fromSlot ? 1 : Math.min(1, (slot - fromSlot) / (toSlot - fromSlot));
      const seconds = (systemWorld.monotonic() - startedAt) / 1000;
      const eta = phase === "lake" && share > 0 ? ` | eta ${formatSeconds((seconds * (1 - share)) / share)}` : "";
      line.show(() => `${phase}: ${(share * 100).toFixed(1)}% | slot ${slot}${eta} | ${formatNumber(rows)} rows`);
    },
    end: () => line.end(),
  };
}

function describeLane({ lane, slot, rows, snapshotSlot, lakeSlot, joined }: RebuiltLane): string {
  const from = snapshotSlot === null ? "" : `backup to slot ${snapshotSlot}, `;
  const lake = lakeSlot === null ? "nothing in the lake" : `lake to slot ${lakeSlot} (${formatNumber(rows)} rows)`;
  const rest = joined ? "" : "; the streams do not hold what follows: the stages replay it";
  return `lane ${lane}: ${from}${lake}, stands at ${slot === null ? "the beginning" : `slot ${slot}`}${rest}`;
}
