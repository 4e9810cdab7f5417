/**
 * What the lake holds up to a manifest entry: its files, how far each lineage has come, and which slots are covered. Read
 * from the manifest alone, entry by entry; asking again reads only what is new.
 */
import type { Position } from "../../pipeline/position.ts";
import { cover, type SlotRange } from "./coverage.ts";
import { type EntryDataset, type FileEntry, invalid, type Lineage, lineageId, type ManifestEntry } from "./entry.ts";
import { entryKey, Manifest, type StoredEntry } from "./manifest.ts";
import type { ObjectStore } from "./store.ts";

/** A file of the lake and the columns it was written with. */
export interface LakeFile extends FileEntry {
  readonly schema: EntryDataset;
}

export interface LineageStand {
  readonly lineage: Lineage;
  /** Its last entry. */
  readonly number: number;
  readonly position: Position;
}

export class LakeReader {
  readonly store: ObjectStore;
  private readonly manifest: Manifest;
  private last: StoredEntry | null = null;
  private readonly known = new Map<string, LakeFile>();
  private readonly stands = new Map<string, LineageStand>();
  private readonly covered = new Map<string, SlotRange[]>();
  private reading: Promise<void> = Promise.resolve();

  constructor(store: ObjectStore) {
    this.store = store;
    this.manifest = new Manifest(store);
  }

  /** Reads on to the last entry. Calls queue up; what the other methods say changes only here. */
  refresh(): Promise<void> {
    const next = this.reading.then(() => this.readOn());
    this.reading = next.catch(() => undefined);
    return next;
  }

  /** The last entry that was read: number and checksum name everything before it. */
  get head(): { readonly number: number; readonly sha256: string } | null {
    return this.last === null ? null : { number: this.last.entry.number, sha256: this.last.sha256 };
  }

  /** All datasets that any entry covers. */
  get datasets(): string[] {
    return [...this.covered.keys()].sort();
  }

  /** Files of a dataset in the order in which they were added. */
  files(dataset: string): LakeFile[] {
    return [...this.known.values()].filter((file) => file.dataset === dataset);
  }

  lineages(): LineageStand[] {
    return [...this.stands.values()];
  }

  /** Slots of a dataset that are covered, with rows or without. */
  coverage(dataset: string): readonly SlotRange[] {
    return this.covered.get(dataset) ?? [];
  }

  private async readOn(): Promise<void> {
    for await (const stored of this.manifest.after(this.last)) {
      this.add(stored.entry);
      this.last = stored;
    }
  }

  private add(entry: ManifestEntry): void {
    for (const key of entry.replaces) {
      if (!this.known.delete(key))
        throw invalid(entryKey(entry.number), `it replaces ${key}, which is not in the lake`);
    }
    const schemas = new Map(entry.datasets.map((d) => [d.name, d]));
    for (const file of entry.files) this.known.set(file.key, { ...file, schema: schemas.get(file.dataset)! });
    this.stands.set(lineageId(entry.lineage), { lineage: entry.lineage, number: entry.number, position: entry.to });
    if (!addsCoverage(entry.lineage)) return;
    for (const { name } of entry.datasets) this.covered.set(name, cover(this.coverage(name), slotsOf(entry)));
  }
}

/** Compaction and re-decoding write anew what is covered already. */
export function addsCoverage({ kind }: Lineage): boolean {
  return kind === "live" || kind === "backfill";
}

/** The slots that an entry covers: from after its lineage's position, or from the first block it has really seen. */
export function slotsOf({ from, first, last }: ManifestEntry): SlotRange {
  return { first: from === null ? first.slot : from.slot + 1, last: last.slot };
}
