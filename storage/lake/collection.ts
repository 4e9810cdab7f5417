/**
 * Removes data files that nobody needs: those that no manifest entry names (left by a crash before its commit), and those
 * that were replaced. Each is left alone for a day: a writer may be about to commit it, a reader about to open it.
 */
import type { World } from "../../pipeline/world.ts";
import { invalid } from "./entry.ts";
import { entryKey, MANIFEST_PREFIX, Manifest } from "./manifest.ts";
import type { ObjectStore } from "./store.ts";

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
  readonly why: "replaced" | "orphan" | "probe";
}

/** What nobody names is left alone for so long: a writer may be about to commit it, ms. */
export const COLLECTED_AFTER_MS = 86_400_000;
const DATA_FILE = /^dataset=[^/]+\/date=[^/]+\/[^/]+\.parquet$/;
/** Left by a check of the store that was cut off. */
const PROBE = /^(probe|doctor)\/[0-9a-f-]{36}$/;

/** Throws `Fatal` (LAKE_ENTRY, LAKE_ENTRY_MISSING, LAKE_CHAIN), with nothing removed, when the manifest is not sound. */
export async function collectLake(options: CollectionOptions): Promise<Collected[]> {
  const { store, world, olderThanMs = COLLECTED_AFTER_MS, dryRun = false } = options;
  const known = await readKnown(store);
  const collected: Collected[] = [];
  for (const key of await store.list("")) {
    if (key.startsWith(MANIFEST_PREFIX) || known.live.has(key)) continue;
    const replacedBy = known.replaced.get(key);
    const why =
      replacedBy !== undefined ? "replaced" : DATA_FILE.test(key) ? "orphan" : PROBE.test(key) ? "probe" : null;
    if (why === null) continue;
    const object = await store.head(key);
    const since = replacedBy === undefined ? object : await store.head(replacedBy);
    if (object === null || since === null || world.now() - since.modifiedAt < olderThanMs) continue;
    if (!dryRun) await store.delete(key);
    collected.push({ key, bytes: object.bytes, why });
  }
  return collected;
}

interface Known {
  readonly live: ReadonlySet<string>;
  /** The entry that replaced a file, by the file. */
  readonly replaced: ReadonlyMap<string, string>;
}

/** Reads the whole manifest: of a part of it one would take files for orphans that a later entry names. */
async function readKnown(store: ObjectStore): Promise<Known> {
  const manifest = new Manifest(store);
  const head = await manifest.headOfAll();
  const live = new Set<string>();
  const replaced = new Map<string, string>();
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
  }
  if (read < (head?.entry.number ?? 0)) throw invalid(entryKey(read + 1), "it could not be read");
  return { live, replaced };
}
