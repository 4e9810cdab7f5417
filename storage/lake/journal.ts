/**
 * Where the entries of one lineage are committed, one after the other: in the lake's manifest itself, or, where the lake is
 * in a bucket, first on this host (`spool.ts`) and from there in the manifest.
 */
import type { BlockRef, Position } from "../../pipeline/position.ts";
import { type EntryDraft, type Lineage, lineageId } from "./entry.ts";
import { Manifest, type StoredEntry } from "./manifest.ts";
import type { ObjectStore } from "./store.ts";

/** What a writer needs to know of its last commit. */
export interface Committed {
  /** Number of the entry, in the journal. */
  readonly number: number;
  readonly to: Position;
  /** The last blocks, oldest first; ends with `to`. */
  readonly recent: readonly BlockRef[];
}

export interface Journal {
  /** The last entry; null when there is none. */
  open(): Promise<Committed | null>;
  /** Adds an entry after the last one that this writer knows. Throws `Fenced`, with nothing written, when it is not. */
  append(draft: EntryDraft): Promise<Committed>;
  /** Resolves when everything that was appended is in the lake, for all to see. */
  settled(): Promise<void>;
}

/** Entries go straight to the manifest. */
export class ManifestJournal implements Journal {
  private readonly manifest: Manifest;
  private readonly lineage: string;
  /** The last entry of all, and the last of our lineage, as far as we know. */
  private head: StoredEntry | null = null;
  private own: StoredEntry | null = null;

  constructor(store: ObjectStore, lineage: Lineage, checkpointEvery?: number) {
    this.manifest = new Manifest(store, checkpointEvery);
    this.lineage = lineageId(lineage);
  }

  async open(): Promise<Committed | null> {
    const head = await this.manifest.headOfAll();
    this.own = await this.manifest.lastOf(this.lineage, head);
    this.head = head;
    if (head !== null) await this.manifest.writeCheckpoint(head);
    return this.own === null ? null : committed(this.own);
  }

  async append(draft: EntryDraft): Promise<Committed> {
    const stored = await this.manifest.append(draft, this.head, this.own);
    this.head = stored;
    this.own = stored;
    return committed(stored);
  }

  async settled(): Promise<void> {
    // An entry in the manifest is there for all to see.
  }
}

function committed({ entry: { number, to, recent } }: StoredEntry): Committed {
  return { number, to, recent };
}
