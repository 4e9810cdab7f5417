/**
 * Removes data files that nobody needs: those that were replaced, and those that no manifest entry names (left by a crash
 * before its commit) while their source covers their slots by other means. Each is left alone for a day: a writer may be about to
 * commit it, a reader about to open it. What holds slots that no entry of its source covers stays: its entry may have been lost.
 */
import type { World } from "../../pipeline/world.ts";
import type { SlotRange } from "./coverage.ts";
import { invalid, parseFileKey } from "./entry.ts";
import { entryKey, MANIFEST_PREFIX, Manifest } from "./manifest.ts";
import { addCoverage } from "./reader.ts";
import type { ObjectStore } from "./store.ts";
import { UnnamedFiles } from "./unnamed.ts";

export interface CollectionOptions {
  readonly store: ObjectStore;
  readonly world: Pick<World, "now">;
  /** Younger ones are left alone, ms. Default a day. */
  readonly olderThanMs?: number;
  /** Says what would be removed, and removes nothing. */
  readonly dryRun?: boolean;
}

export interface Collected {
  readonly key: string;
  readonly bytes: number;
  /** `uncovered` stays where it is: no entry names it, and none covers its slots. */
  readonly why: "replaced" | "orphan" | "probe" | "uncovered";
}

/** What nobody names is left alone for so long: a writer may be about to commit it, ms. */
export const COLLECTED_AFTER_MS = 86_400_000;
/** Left by a check of the store that was cut off. */
const PROBE = /^(probe|doctor)\/[0-9a-f-]{36}$/;

/** Throws `Fatal` (LAKE_ENTRY, LAKE_ENTRY_MISSING, LAKE_CHAIN), with nothing removed, when the manifest is not sound. */
export async function collectLake(options: CollectionOptions): Promise<Collected[]> {
  const { store, world, olderThanMs = COLLECTED_AFTER_MS, dryRun = false } = options;
  const known = await readKnown(store);
  const collected: Collected[] = [];
  try {
    for (const key of await store.list("")) {
      if (key.startsWith(MANIFEST_PREFIX) || known.live.has(key)) continue;
      const replacedBy = known.replaced.get(key);
      if (replacedBy === undefined && parseFileKey(key) === null && !PROBE.test(key)) continue;
      const object = await store.head(key);
      const since = replacedBy === undefined ? object : await store.head(replacedBy);
      if (object === null || since === null || world.now() - since.modifiedAt < olderThanMs) continue;
      const why = await whyGone(known, key);
      if (!dryRun && why !== "uncovered") await store.delete(key);
      collected.push({ key, bytes: object.bytes, why });
    }
    return collected;
  } finally {
    known.unnamed.close();
  }
}

async function whyGone({ replaced, unnamed }: Known, key: string): Promise<Collected["why"]> {
  if (replaced.has(key)) return "replaced";
  if (parseFileKey(key) === null) return "probe";
  return (await unnamed.isCovered(key)) ? "orphan" : "uncovered";
}

interface Known {
  readonly live: ReadonlySet<string>;
  /** The entry that replaced a file, by the file. */
  readonly replaced: ReadonlyMap<string, string>;
  readonly unnamed: UnnamedFiles;
}

/** Reads the whole manifest: of a part of it one would take files for orphans that a later entry names. */
async function readKnown(store: ObjectStore): Promise<Known> {
  const manifest = new Manifest(store);
  const head = await manifest.headOfAll();
  const live = new Set<string>();
  const replaced = new Map<string, string>();
  const coverage = new Map<string, readonly SlotRange[]>();
  let read = 0;
  for await (const { entry } of manifest.after(null)) {
    read = entry.number;
    for (const key of entry.replaces) {
      live.delete(key);
      replaced.set(key, entryKey(entry.number));
    }
    for (const { key } of entry.files) {
      live.add(key);
      replaced.delete(key);
    }
    addCoverage(coverage, entry);
  }
  if (read < (head?.entry.number ?? 0)) throw invalid(entryKey(read + 1), "it could not be read");
  return { live, replaced, unnamed: new UnnamedFiles(store, coverage) };
}
