/**
 * The manifest: numbered entries, each created once and naming the checksum of the one before, so the lake has one history
 * and a change to any part of it shows. `manifest/0000000001.json` is the first.
 *
 * Any number of writers append, each in its own lineage: whoever creates the next number has it, the others renumber. A
 * writer whose own lineage was moved by somebody else has been fenced.
 *
 * Every 100th entry is followed by `manifest/checkpoint-0000000100.json`: its checksum, and the last entry of each lineage
 * up to it. Checkpoints are derived: the head is found without listing, and a lineage without reading everything, but
 * where one is missing only more is read.
 */
import { type Static, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { Fatal, Fenced, Transient } from "../../pipeline/errors.ts";
import { formatBlock } from "../../pipeline/position.ts";
import {
  decodeEntry,
  decodeJson,
  type EntryDraft,
  encodeEntry,
  invalid,
  lineageId,
  type ManifestEntry,
} from "./entry.ts";
import { type ObjectStore, sha256Of } from "./store.ts";

/** An entry as it rests in the store. */
export interface StoredEntry {
  readonly entry: ManifestEntry;
  /** Of its bytes, hex: what the next entry names. */
  readonly sha256: string;
}

export const MANIFEST_PREFIX = "manifest/";
export const CHECKPOINT_EVERY = 100;
/** Entries read at once when many are read. */
const READ_AHEAD = 16;

const CheckpointSchema = Type.Object(
  {
    format: Type.Literal("sluice-lake-checkpoint"),
    version: Type.Literal(1),
    number: Type.Integer({ minimum: 1 }),
    sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
    /** Number of each lineage's last entry, by its id. */
    lineages: Type.Record(Type.String(), Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type Checkpoint = Static<typeof CheckpointSchema>;

const digits = (number: number) => String(number).padStart(10, "0");
export const entryKey = (number: number) => `${MANIFEST_PREFIX}${digits(number)}.json`;
export const checkpointKey = (number: number) => `${MANIFEST_PREFIX}checkpoint-${digits(number)}.json`;

/** What the keys below `manifest/` are, in ascending order of their numbers; `other` holds those that are neither. */
export function sortKeys(keys: readonly string[]): { entries: number[]; checkpoints: number[]; other: string[] } {
  const entries: number[] = [];
  const checkpoints: number[] = [];
  const other: string[] = [];
  for (const key of keys) {
    const match = /^manifest\/(checkpoint-)?(\d{10,})\.json$/.exec(key);
    const number = Number(match?.[2]);
    if (match === null) other.push(key);
    else if (match[1] === undefined) entries.push(number);
    else checkpoints.push(number);
  }
  const ascending = (a: number, b: number) => a - b;
  return { entries: entries.sort(ascending), checkpoints: checkpoints.sort(ascending), other };
}

export class Manifest {
  readonly store: ObjectStore;
  private readonly every: number;

  constructor(store: ObjectStore, checkpointEvery = CHECKPOINT_EVERY) {
    this.store = store;
    this.every = checkpointEvery;
  }

  /** Null when there is none. Throws `Fatal` (LAKE_ENTRY) when it is not a valid entry of that number. */
  async read(number: number): Promise<StoredEntry | null> {
    const key = entryKey(number);
    const bytes = await this.store.get(key);
    if (bytes === null) return null;
    const entry = decodeEntry(bytes, key);
    if (entry.number !== number) throw invalid(key, `it says that it is number ${entry.number}`);
    return { entry, sha256: sha256Of(bytes) };
  }

  /** The last entry; null in an empty lake. Takes a few look-ups, however long the manifest is. */
  async head(): Promise<StoredEntry | null> {
    const every = this.every;
    const checkpoint = await lastThat((n) => this.exists(checkpointKey(n * every)));
    const base = checkpoint * every;
    if (base > 0 && !(await this.exists(entryKey(base)))) throw missing(base);
    const number = base + (await lastThat((n) => this.exists(entryKey(base + n))));
    return number === 0 ? null : this.readExisting(number);
  }

  /** The last entry, for writers: also looks for holes, which an entry of ours must never fill. */
  async headOfAll(): Promise<StoredEntry | null> {
    let number = await this.requireWhole();
    // A listing may be older than the store; the last entry is not.
    while (await this.exists(entryKey(number + 1))) number++;
    return number === 0 ? null : this.readExisting(number);
  }

  /**
   * Looks at the keys of all of it; returns the number of the last entry, 0 for none. Throws `Fatal` LAKE_ENTRY_MISSING where
   * there is none though a later one, or a checkpoint, says that there was: entries are created in order, so nobody is only
   * just writing it.
   */
  async requireWhole(): Promise<number> {
    const { entries, checkpoints } = sortKeys(await this.store.list(MANIFEST_PREFIX));
    const listed = new Set(entries);
    const last = Math.max(entries.at(-1) ?? 0, checkpoints.at(-1) ?? 0);
    for (let number = 1; number <= last; number++) {
      if (listed.has(number)) continue;
      // What is committed while keys are listed may be listed in part.
      if (!(await this.exists(entryKey(number)))) throw missing(number);
    }
    return last;
  }

  /**
   * The entries after `known` (null: all), in order, each checked against the one before it. Throws `Fatal` LAKE_ENTRY_MISSING
   * when one is missing and one of the few after it is there; what lies beyond those, `requireWhole` finds.
   */
  async *after(known: StoredEntry | null): AsyncGenerator<StoredEntry> {
    let last = known;
    for (let number = (known?.entry.number ?? 0) + 1; ; number += READ_AHEAD) {
      const ahead = Array.from({ length: READ_AHEAD }, (_, i) => this.read(number + i));
      // All are awaited, so that an error in one leaves no promise behind.
      const results = await Promise.allSettled(ahead);
      for (const [i, result] of results.entries()) {
        if (result.status === "rejected") throw result.reason;
        if (result.value === null) {
          const goesOn = results.slice(i + 1).some((later) => later.status === "fulfilled" && later.value !== null);
          // Both may have come between our looks.
          if (goesOn && !(await this.exists(entryKey(number + i)))) throw missing(number + i);
          return;
        }
        checkLink(last, result.value);
        last = result.value;
        yield last;
      }
    }
  }

  /** The last entry of a lineage at or before `head`. */
  async lastOf(id: string, head: StoredEntry | null): Promise<StoredEntry | null> {
    for (let at = head; at !== null; ) {
      if (lineageId(at.entry.lineage) === id) return at;
      const checkpoint = await this.checkpoint(at);
      if (checkpoint !== null) {
        const number = checkpoint.lineages[id];
        return number === undefined ? null : this.readExisting(number);
      }
      if (at.entry.number === 1) return null;
      const before: StoredEntry = await this.readExisting(at.entry.number - 1);
      checkLink(before, at);
      at = before;
    }
    return null;
  }

  /**
   * Appends an entry after `head`, in the lineage whose last entry is `own`; both as the writer knows them. Renumbers when
   * other lineages have moved the head. Throws `Fenced`, with nothing written, when its own was moved, or when another has
   * replaced files that this entry is to replace.
   */
  async append(draft: EntryDraft, head: StoredEntry | null, own: StoredEntry | null): Promise<StoredEntry> {
    const id = lineageId(draft.lineage);
    for (let last = head; ; ) {
      const entry = placed(draft, last, own);
      const bytes = encodeEntry(entry);
      const sha256 = sha256Of(bytes);
      const outcome = await this.store.putIfAbsent(entryKey(entry.number), bytes, sha256);
      if (outcome !== "exists-other") {
        const stored = { entry, sha256 };
        await this.writeCheckpoint(stored);
        return stored;
      }
      for await (const other of this.after(last)) {
        const replaced = draft.replaces.some((key) => other.entry.replaces.includes(key));
        if (lineageId(other.entry.lineage) === id || replaced) throw fenced(other);
        last = other;
      }
      if ((last?.entry.number ?? 0) < entry.number) {
        throw new Transient("LAKE_STALE", "the store says that an entry exists, but does not show it yet", {
          where: entryKey(entry.number),
        });
      }
    }
  }

  /** Writes the checkpoint that belongs to this entry, if any, or one that a crash left out before it. */
  async writeCheckpoint(at: StoredEntry): Promise<void> {
    const { number } = at.entry;
    const due = number - (number % this.every);
    if (due === 0 || (await this.exists(checkpointKey(due)))) return;
    const checkpoint: Checkpoint = {
      format: "sluice-lake-checkpoint",
      version: 1,
      number: due,
      sha256: due === number ? at.sha256 : (await this.readExisting(due)).sha256,
      lineages: await this.lineagesAt(due),
    };
    const bytes = new TextEncoder().encode(`${JSON.stringify(checkpoint)}\n`);
    const outcome = await this.store.putIfAbsent(checkpointKey(due), bytes, sha256Of(bytes));
    if (outcome === "exists-other") throw invalid(checkpointKey(due), "it differs from what its entries say");
  }

  /** The checkpoint written at this entry; null when there is none. */
  async checkpoint(at: StoredEntry): Promise<Checkpoint | null> {
    if (at.entry.number % this.every !== 0) return null;
    const key = checkpointKey(at.entry.number);
    const bytes = await this.store.get(key);
    if (bytes === null) return null;
    const checkpoint = decodeCheckpoint(bytes, key);
    if (checkpoint.sha256 !== at.sha256) throw invalid(key, "it names another checksum than its entry has");
    return checkpoint;
  }

  /** The last entry of each lineage up to a number, by reading back to the checkpoint before. Ids are sorted. */
  private async lineagesAt(number: number): Promise<Record<string, number>> {
    const found = new Map<string, number>();
    for (let n = number; n >= 1; n--) {
      const stored = await this.readExisting(n);
      const checkpoint = n === number ? null : await this.checkpoint(stored);
      const lineages = checkpoint?.lineages ?? { [lineageId(stored.entry.lineage)]: n };
      for (const [id, last] of Object.entries(lineages)) if (!found.has(id)) found.set(id, last);
      if (checkpoint !== null) break;
    }
    return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  private async readExisting(number: number): Promise<StoredEntry> {
    const stored = await this.read(number);
    if (stored === null) throw missing(number);
    return stored;
  }

  private async exists(key: string): Promise<boolean> {
    return (await this.store.head(key)) !== null;
  }
}

/** Reads a checkpoint strictly. */
export function decodeCheckpoint(bytes: Uint8Array, where: string): Checkpoint {
  const checkpoint = decodeJson(bytes, where);
  if (Value.Check(CheckpointSchema, checkpoint)) return checkpoint;
  const error = Value.Errors(CheckpointSchema, checkpoint).First();
  throw invalid(where, `${error?.path || "it"}: ${error?.message ?? "not a checkpoint"}`);
}

/** The draft with its place in the chain. Keys in the order of the format, whatever order the draft has. */
export function placed(draft: EntryDraft, last: StoredEntry | null, own: StoredEntry | null): ManifestEntry {
  const { lineage, to, first, last: lastBlock, blocks, recent, finality, datasets, files, replaces } = draft;
  return {
    format: "sluice-lake",
    version: 1,
    number: (last?.entry.number ?? 0) + 1,
    previous: last?.sha256 ?? null,
    lineage,
    lineagePrevious: own?.entry.number ?? null,
    from: own?.entry.to ?? null,
    to,
    first,
    last: lastBlock,
    blocks,
    recent,
    finality,
    package: draft.package,
    datasets,
    files,
    replaces,
  };
}

function checkLink(before: StoredEntry | null, entry: StoredEntry): void {
  if (entry.entry.previous === (before?.sha256 ?? null)) return;
  throw new Fatal("LAKE_CHAIN", `entry ${entry.entry.number} does not follow entry ${entry.entry.number - 1}`, {
    where: entryKey(entry.entry.number),
    hint: "One of the two was changed after it was written. `sluice verify` tells what else is wrong.",
  });
}

function missing(number: number): Fatal {
  return new Fatal("LAKE_ENTRY_MISSING", `entry ${number} is missing from the manifest`, {
    where: entryKey(number),
    hint: "Later entries rest on it. Restore it from a copy of the lake; `sluice verify` tells what else is missing.",
  });
}

function fenced(by: StoredEntry): Fenced {
  const { lineage, number, to } = by.entry;
  return new Fenced("LAKE_FENCED", `another writer has moved ${lineageId(lineage)} to ${formatBlock(to)}`, {
    where: entryKey(number),
  });
}

/** The largest n >= 1 for which `holds`, 0 when there is none; `holds` is true up to it and false after. */
async function lastThat(holds: (n: number) => Promise<boolean>): Promise<number> {
  let low = 0;
  let high = 1;
  while (await holds(high)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}
