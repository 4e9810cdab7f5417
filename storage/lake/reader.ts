/**
 * What the lake holds up to a manifest entry: its files, how far each lineage has come, and which slots are covered. Read
 * from the manifest alone, entry by entry; asking again reads only what is new.
 */
import type { BlockRef, Position } from "../../pipeline/position.ts";
import { cover, type SlotRange } from "./coverage.ts";
import { type EntryDataset, type FileEntry, invalid, type Lineage, lineageId, type ManifestEntry } from "./entry.ts";
import { entryKey, Manifest, type StoredEntry } from "./manifest.ts";
import type { ObjectStore } from "./store.ts";

/** A file of the lake and the columns it was written with. */
export interface LakeFile extends FileEntry {
  readonly schema: EntryDataset;
  /** The source whose rows it holds. */
  readonly source: string;
}

export interface LineageStand {
  readonly lineage: Lineage;
  /** Its last entry. */
  readonly number: number;
  readonly position: Position;
  /** The last blocks up to the position, oldest first, without a hole. */
  readonly recent: readonly BlockRef[];
  /** Block time of the last block, Unix seconds. */
  readonly time: number;
  /** First slot of its first entry. */
  readonly firstSlot: number;
}

/** The lake as of one entry; does not change any more. */
export interface LakeSnapshot {
  /** The last entry that was read: number and checksum name everything before it. Null for an empty lake. */
  readonly head: { readonly number: number; readonly sha256: string } | null;
  /** Files of a dataset in the order in which they were added. */
  readonly files: ReadonlyMap<string, readonly LakeFile[]>;
  readonly lineages: readonly LineageStand[];
  /** Slots by dataset that are covered, with rows or without. */
  readonly coverage: ReadonlyMap<string, readonly SlotRange[]>;
  /** The same by source and dataset, see `coverageOf`. */
  readonly coverageOfSources: ReadonlyMap<string, readonly SlotRange[]>;
}

/** Slots of a dataset that are covered for one source: the same slots of another hold other rows. */
export function coverageOf({ coverageOfSources }: LakeSnapshot, source: string, dataset: string): readonly SlotRange[] {
  return coverageOfSources.get(sourceKey(source, dataset)) ?? [];
}

/** What the lake holds of one source: its files, lineages and slots. The head is that of the whole manifest. */
export function ofSource(lake: LakeSnapshot, source: string): LakeSnapshot {
  const files = [...lake.files].map(([dataset, all]) => [dataset, all.filter((f) => f.source === source)] as const);
  const own = [...lake.coverageOfSources].filter(([key]) => key.startsWith(sourceKey(source, "")));
  return {
    head: lake.head,
    files: new Map(files.filter(([, found]) => found.length > 0)),
    lineages: lake.lineages.filter(({ lineage }) => lineage.source === source),
    coverage: new Map(own.map(([key, ranges]) => [key.slice(sourceKey(source, "").length), ranges])),
    coverageOfSources: new Map(own),
  };
}

/** Names of sources hold no blanks. */
export const sourceKey = (source: string, dataset: string) => `${source} ${dataset}`;

/** Slots that are covered of a dataset, by source. */
export function sourcesOf(
  coverageOfSources: LakeSnapshot["coverageOfSources"],
  dataset: string,
): ReadonlyMap<string, readonly SlotRange[]> {
  const of = new Map<string, readonly SlotRange[]>();
  for (const [key, ranges] of coverageOfSources) {
    const [source, name] = key.split(" ") as [string, string];
    if (name === dataset) of.set(source, ranges);
  }
  return of;
}

/** Adds what an entry covers to what is known by source and dataset. */
export function addCoverage(coverageOfSources: Map<string, readonly SlotRange[]>, entry: ManifestEntry): void {
  if (!addsCoverage(entry.lineage)) return;
  for (const { name } of entry.datasets) {
    const own = sourceKey(entry.lineage.source, name);
    coverageOfSources.set(own, cover(coverageOfSources.get(own) ?? [], slotsOf(entry)));
  }
}

export class LakeReader {
  private readonly manifest: Manifest;
  private last: StoredEntry | null = null;
  private readonly files = new Map<string, LakeFile>();
  private readonly lineages = new Map<string, LineageStand>();
  private readonly coverage = new Map<string, readonly SlotRange[]>();
  /** By source and dataset. */
  private readonly ofSources = new Map<string, readonly SlotRange[]>();
  /** No entry is missing between those that there were when it was looked for. */
  private isWhole = false;
  private latest: LakeSnapshot = {
    ...{ head: null, files: new Map(), lineages: [], coverage: new Map(), coverageOfSources: new Map() },
  };
  private reading: Promise<unknown> = Promise.resolve();

  constructor(store: ObjectStore) {
    this.manifest = new Manifest(store);
  }

  /** The lake as it is now. Calls queue up. Throws `Fatal` LAKE_ENTRY_MISSING, LAKE_ENTRY, LAKE_CHAIN: a part is no answer. */
  read(): Promise<LakeSnapshot> {
    const next = this.reading.then(() => this.readOn());
    this.reading = next.catch(() => undefined);
    return next;
  }

  /** Looks at the manifest as it is now, also at what was read already. Throws what `read` throws. */
  async requireWhole(): Promise<void> {
    await this.manifest.requireWhole();
    await this.read();
  }

  private async readOn(): Promise<LakeSnapshot> {
    for await (const stored of this.manifest.after(this.last)) {
      this.add(stored.entry);
      this.last = stored;
    }
    // Once: listing costs more the longer the manifest is, and what is read already cannot be passed over any more.
    if (!this.isWhole) await this.manifest.requireWhole();
    this.isWhole = true;
    // An earlier look may have ended in the middle.
    if (this.last !== null && this.last.entry.number !== this.latest.head?.number) {
      this.latest = this.snapshot(this.last);
    }
    return this.latest;
  }

  private add(entry: ManifestEntry): void {
    for (const key of entry.replaces) {
      if (!this.files.delete(key))
        throw invalid(entryKey(entry.number), `it replaces ${key}, which is not in the lake`);
    }
    const schemas = new Map(entry.datasets.map((d) => [d.name, d]));
    const { lineage, number, to: position, recent, last } = entry;
    for (const file of entry.files) {
      this.files.set(file.key, { ...file, schema: schemas.get(file.dataset)!, source: lineage.source });
    }
    const id = lineageId(lineage);
    const firstSlot = this.lineages.get(id)?.firstSlot ?? entry.first.slot;
    this.lineages.set(id, { lineage, number, position, recent, time: last.time, firstSlot });
    addCoverage(this.ofSources, entry);
    if (!addsCoverage(entry.lineage)) return;
    for (const { name } of entry.datasets) {
      this.coverage.set(name, cover(this.coverage.get(name) ?? [], slotsOf(entry)));
    }
  }

  private snapshot({ entry, sha256 }: StoredEntry): LakeSnapshot {
    return {
      head: { number: entry.number, sha256 },
      files: Map.groupBy(this.files.values(), (file) => file.dataset),
      lineages: [...this.lineages.values()],
      coverage: new Map(this.coverage),
      coverageOfSources: new Map(this.ofSources),
    };
  }
}

/** Files that all of a lake's `entries` leave in it, in the order of slots; of `wanted` entries only. */
export function liveFilesOf(
  entries: readonly ManifestEntry[],
  wanted: (entry: ManifestEntry) => boolean = () => true,
): LakeFile[] {
  const replaced = new Set(entries.flatMap((entry) => entry.replaces));
  const files = entries.filter(wanted).flatMap(({ lineage: { source }, datasets, files: own }) => {
    const schemas = new Map(datasets.map((d) => [d.name, d]));
    const live = own.filter(({ key }) => !replaced.has(key));
    return live.map((file): LakeFile => ({ ...file, schema: schemas.get(file.dataset)!, source }));
  });
  return files.sort((a, b) => a.slot.min - b.slot.min);
}

/** Compaction and re-decoding write anew what is covered already. */
export function addsCoverage({ kind }: Lineage): boolean {
  return kind === "live" || kind === "backfill";
}

/**
 * The slots that an entry covers: from after its lineage's position. At the beginning of a lineage that is from the slot it
 * was asked to begin at where it is a backfill, whose range is known, or else from the first block it has really seen.
 */
export function slotsOf({ lineage, from, first, last }: ManifestEntry): SlotRange {
  const begin = lineage.kind === "backfill" ? (lineage.start ?? first.slot) : first.slot;
  return { first: from === null ? begin : from.slot + 1, last: last.slot };
}

/** What the lake knows of a source that a lane could go on from. */
export interface LakeHistory {
  /** Where the source's live lineage stands; every block up to it is final. */
  readonly position: Position;
  /** The last blocks up to it, oldest first, without a hole; ends with `position`. */
  readonly recent: readonly BlockRef[];
  /** Block time of the last block, Unix seconds. */
  readonly time: number;
  /** First slot of the live lineage: what lies before was brought by others, and no lane has seen it. */
  readonly firstSlot: number;
  /** By dataset: files that may hold rows of these slots. */
  readonly files: ReadonlyMap<string, readonly LakeFile[]>;
}

/** Null when the lake holds nothing of the source's live lineage. */
export function historyOf(lake: LakeSnapshot, source: string): LakeHistory | null {
  const live = lake.lineages.find(({ lineage: l }) => l.kind === "live" && l.source === source && l.dataset === "all");
  if (live === undefined) return null;
  const { position, recent, time, firstSlot } = live;
  const isOwn = (file: LakeFile) =>
    file.source === source && file.slot.max >= firstSlot && file.slot.min <= position.slot;
  const files = [...lake.files].map(([dataset, all]) => [dataset, all.filter(isOwn)] as const);
  return { position, recent, time, firstSlot, files: new Map(files.filter(([, own]) => own.length > 0)) };
}
