/**
 * What a lane's owner does before it opens its hot store: where this host has none (it was lost, or the host has just
 * joined), or one that is too old for the lane's stream, it is made from the lake rather than from the chain.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Deployment } from "../../pipeline/deployment.ts";
import { classify } from "../../pipeline/errors.ts";
import { requireFirst } from "../../pipeline/known-lake.ts";
import { names } from "../../pipeline/names.ts";
import type { UnitContext } from "../../pipeline/unit.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { historyOf, type LakeHistory, LakeReader } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { makeWorkFolder } from "../../storage/lake/work-folder.ts";
import { folders } from "../folders.ts";
import { laneTarget } from "./lane-target.ts";
import type { RestoreProgress } from "./restore.ts";

/** Between lines of the log while it lasts, ms. */
const TELL_EVERY_MS = 5_000;

export async function restoreIfNeeded(d: Deployment, lane: number, c: UnitContext): Promise<void> {
  const file = laneFile(folders(d.config).hot, lane);
  const stands = standOf(file);
  // What cannot be read is told by who opens it.
  if (stands === "unreadable") return;
  const { streamFrom } = await laneTarget(d, lane);
  if (stands === null ? streamFrom === -1 : stands.slot >= (streamFrom ?? -1)) return;
  const lake = await d.lake();
  const history = await historyIn(lake, d);
  if (history === null) await requireFirst(d, names(d.config["nats.prefix"], d.source).unit("archive"));
  if (history === null || history.position.slot <= (stands?.finalSlot ?? -1)) return;
  const { position, recent } = history;
  c.log("warning", "this host has no hot store of the lane that its stream goes on from: made from the lake", {
    ...{ from: stands?.slot ?? null, lake: position.slot, stream: streamFrom },
  });
  // Producers of empty streams need not begin before the block from which this lane will go on.
  c.standing({ position, finalSlot: position.slot, recent, inputSeq: 0 });
  await restoreLane({ deployment: d, lake, lane, file, base: stands === null ? null : file }, c);
}

/** What the lake has of the source; null: nothing, as where the archive has yet to make the bucket. */
export async function historyIn(
  lake: ObjectStore,
  { source, config }: Pick<Deployment, "source" | "config">,
): Promise<LakeHistory | null> {
  try {
    return historyOf(await new LakeReader(lake).read(), source);
  } catch (error) {
    if (config["lake.s3.createBucket"] && classify(error).code === "LAKE_BUCKET_MISSING") return null;
    throw error;
  }
}

interface LaneToRestore {
  readonly deployment: Deployment;
  readonly lake: ObjectStore;
  readonly lane: number;
  readonly file: string;
  readonly base: string | null;
}

async function restoreLane({ deployment, lake, lane, file, base }: LaneToRestore, c: UnitContext): Promise<void> {
  const { world } = deployment;
  // DuckDB is loaded only where there is something to restore.
  const { Restore } = await import("./restore.ts");
  const workDir = await makeWorkFolder(dirname(file));
  let progress: RestoreProgress | null = null;
  let toldAt = world.monotonic();
  c.setDetails(() => ({ restoring: progress }));
  const restore = new Restore({
    ...{ deployment, lake, workDir, signal: c.signal, log: c.log },
    onProgress(now) {
      progress = now;
      if (world.monotonic() - toldAt < TELL_EVERY_MS) return;
      toldAt = world.monotonic();
      c.log("info", "restoring the hot store", { ...now });
    },
  });
  try {
    const made = await restore.begin(lane, base);
    await restore.loadLake();
    const joined = await restore.approach(made);
    const head = await made.putInPlace(file, (await laneTarget(deployment, lane)).version);
    c.log("info", "the hot store is restored", { slot: head?.position.slot, rows: made.rows, joined });
  } catch (error) {
    const { code, message, hint } = classify(error);
    if (code !== "LAKE_COLUMNS") throw error;
    // The chain still says all of it, at its price.
    c.log("warning", `the lake cannot be read into a hot store, the stages replay instead: ${message}`, { code, hint });
  } finally {
    c.setDetails(() => ({}));
    await restore.close();
    await rm(workDir, { recursive: true, force: true });
  }
}

/** Where a lane's file stands, and up to where what it holds is final; null when there is none, or nothing in it. */
function standOf(file: string): { readonly slot: number; readonly finalSlot: number } | null | "unreadable" {
  try {
    const reader = new HotReader(file);
    try {
      const stand = reader.stand();
      return stand === null ? null : { slot: stand.position.slot, finalSlot: stand.finalSlot };
    } finally {
      reader.close();
    }
  } catch (error) {
    return classify(error).code === "HOT_MISSING" ? null : "unreadable";
  }
}
