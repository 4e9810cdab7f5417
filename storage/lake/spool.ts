/**
 * Commits that rest on this host until they are in the bucket: files and entries, durable before anything is said to be
 * committed. The archive goes on while the bucket is away, and `ship` brings what has gathered there, in order.
 *
 * Entries are written as the manifest would hold them if nobody else wrote to it; the number they really get is found when
 * they are shipped. Nothing here says what has been shipped: the bucket does, by where our lineage stands in its manifest.
 * A spool that does not lead on from there belongs to a writer that was replaced, and is given up; its blocks are read
 * again from the stream.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { classify, Fenced, Shutdown, Transient } from "../../pipeline/errors.ts";
import type { Log } from "../../pipeline/log.ts";
import { formatBlock, type Position, sameBlock } from "../../pipeline/position.ts";
import { backoffMs, type World } from "../../pipeline/world.ts";
import {
  decodeEntry,
  type EntryDraft,
  encodeEntry,
  type FileEntry,
  type Lineage,
  lineageId,
  type ManifestEntry,
} from "./entry.ts";
import { putFile } from "./files.ts";
import { FolderStore } from "./folder-store.ts";
import type { Committed, Journal } from "./journal.ts";
import { Manifest, placed, type StoredEntry } from "./manifest.ts";
import { type ObjectStore, sha256Of } from "./store.ts";

export interface SpoolOptions {
  readonly folder: string;
  readonly bucket: ObjectStore;
  readonly lineage: Lineage;
  /** Commits are refused while the files waiting here are larger than this. */
  readonly maxBytes: number;
  readonly world: World;
  readonly log: Log;
  /** Looks whether the bucket is fit to be written to; called before anything is asked of it, until it has resolved. */
  readonly prepare?: () => Promise<void>;
  /** Takes over a file that is in the bucket now, before it is removed here. */
  readonly onShipped?: (key: string, path: string) => Promise<void>;
  /** For tests. */
  readonly checkpointEvery?: number;
}

export interface SpoolStatus {
  /** Commits on this host that are not in the bucket yet, and the bytes of their files. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Why the last attempt to ship failed; null while it works. */
  readonly failure: { readonly code: string; readonly message: string; readonly since: number } | null;
  /** Where the bucket stands, as far as known; -1 for nowhere. */
  readonly bucketSlot: number;
}

/** Shipped entries that are kept: a writer that slept finds its number taken. */
const KEPT_ENTRIES = 100;
const BACKOFF = { baseMs: 500, capMs: 30_000 };
/** How long shipping goes on after it was asked to stop. */
const GRACE_MS = 5_000;
const ENTRIES = "entries/";
const entryKeyOf = (number: number) => `${ENTRIES}${String(number).padStart(10, "0")}.json`;

/** Where the bucket's manifest stands: all of it, and our lineage in it. */
interface Remote {
  readonly head: StoredEntry | null;
  readonly own: StoredEntry | null;
}

export class Spool implements Journal {
  /** Where the files of a commit are put. */
  readonly store: FolderStore;
  private readonly o: SpoolOptions;
  private readonly manifest: Manifest;
  private readonly lineage: string;
  private head: StoredEntry | null = null;
  private own: StoredEntry | null = null;
  private kept: StoredEntry[] = [];
  private waiting: StoredEntry[] = [];
  private remote: Remote | null = null;
  private bucketSlot = -1;
  private failure: SpoolStatus["failure"] = null;
  private readonly alarms = new Set<() => void>();
  private ended = false;

  constructor(options: SpoolOptions) {
    this.o = options;
    this.store = new FolderStore(options.folder);
    this.manifest = new Manifest(options.bucket, options.checkpointEvery);
    this.lineage = lineageId(options.lineage);
  }

  status(): SpoolStatus {
    const { waiting, failure, bucketSlot } = this;
    return { waiting: waiting.length, waitingBytes: bytesOf(waiting), failure, bucketSlot };
  }

  /**
   * Where this host stands; the bucket is asked whether that is still true. While it is away, this host's word counts:
   * should another writer have gone on meanwhile, shipping will find out. Rejects only when neither knows anything.
   */
  async open(): Promise<Committed | null> {
    const local = await this.readLocal();
    const remote = await this.readRemote().catch((error) => {
      if (!(error instanceof Transient) || local.length === 0) throw error;
      this.o.log("warning", "the bucket is away; going on from what this host has", { reason: error.message });
      return null;
    });
    this.remote = remote;
    if (remote === null) {
      this.kept = local;
      this.waiting = await this.withFiles(local);
      this.head = this.own = local.at(-1)!;
    } else {
      const waiting = waitingAfter(local, remote.own?.entry.to ?? null);
      if (waiting === null) await this.giveUp(local);
      this.kept = waiting === null ? [] : local;
      this.waiting = [...(waiting ?? [])];
      this.head = this.waiting.at(-1) ?? remote.head;
      this.own = this.waiting.at(-1) ?? remote.own;
    }
    this.ring();
    return this.own === null ? null : committed(this.own.entry);
  }

  async append(draft: EntryDraft): Promise<Committed> {
    const { maxBytes, folder } = this.o;
    if (this.waiting.length > 0 && bytesOf(this.waiting) > maxBytes) {
      throw new Transient("LAKE_SPOOL_FULL", `more than ${maxBytes} bytes wait for the bucket`, {
        where: folder,
        hint: `The bucket must take them first${this.failure === null ? "" : ` (${this.failure.code})`}. Or raise lake.spoolMaxBytes.`,
      });
    }
    const entry = placed(draft, this.head, this.own);
    const bytes = encodeEntry(entry);
    const stored = { entry, sha256: sha256Of(bytes) };
    if ((await this.store.putIfAbsent(entryKeyOf(entry.number), bytes, stored.sha256)) === "exists-other") {
      throw new Fenced("LAKE_FENCED", "another process of this host has gone on with the archive", { where: folder });
    }
    this.head = this.own = stored;
    this.kept.push(stored);
    this.waiting.push(stored);
    this.ring();
    return committed(entry);
  }

  async settled(): Promise<void> {
    while (this.waiting.length > 0) await this.nextAlarm();
  }

  /**
   * Brings commits to the bucket until `signal` aborts, and then, for a moment, what is left. Failures are waited out, of
   * whatever kind; only what makes this host's commits worthless rejects: `Fenced`, or `Transient` LAKE_SPOOL_DAMAGED.
   */
  async ship(signal: AbortSignal): Promise<void> {
    const grace = new Promise<void>((resolve) => {
      const begin = () => this.o.world.sleep(GRACE_MS).then(resolve, resolve);
      if (signal.aborted) begin();
      else signal.addEventListener("abort", begin, { once: true });
    });
    try {
      await Promise.race([this.shipAll(signal), grace]);
    } finally {
      this.ended = true;
      this.ring();
    }
  }

  /** The lineage is complete and in the bucket: nothing of it need stay here. */
  async remove(): Promise<void> {
    if (this.waiting.length === 0) await rm(this.o.folder, { recursive: true, force: true });
  }

  private async shipAll(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.ring();
    signal.addEventListener("abort", onAbort, { once: true });
    for (let attempt = 0; !this.ended; ) {
      if (this.waiting.length === 0) {
        if (signal.aborted) return;
        await this.nextAlarm();
        continue;
      }
      try {
        await this.shipNext();
        attempt = 0;
        this.recovered();
      } catch (error) {
        this.remote = null;
        this.failed(error);
        if (signal.aborted) return;
        await this.o.world.sleep(backoffMs(this.o.world, attempt++, BACKOFF), signal).catch(() => undefined);
      }
    }
  }

  private async shipNext(): Promise<void> {
    const remote = this.remote ?? (await this.reconcile());
    const next = this.waiting[0];
    if (next === undefined) return;
    for (const file of next.entry.files) {
      await this.requireSound(file);
      await putFile(this.o.bucket, file.key, this.pathOf(file.key), file.sha256);
    }
    const stored = await this.manifest.append(next.entry, remote.head, remote.own);
    this.remote = { head: stored, own: stored };
    await this.isShipped([next]);
  }

  /** Asks the bucket where our lineage stands: an answer may have been lost after it was moved on. */
  private async reconcile(): Promise<Remote> {
    const remote = await this.readRemote();
    const stands = remote.own?.entry.to ?? null;
    const waiting = waitingAfter(this.waiting, stands);
    if (waiting === null) {
      throw new Fenced("LAKE_FENCED", `another writer has moved ${this.lineage} to ${formatBlock(stands)}`, {
        where: this.o.bucket.name,
      });
    }
    this.remote = remote;
    await this.isShipped(this.waiting.slice(0, this.waiting.length - waiting.length));
    return remote;
  }

  private async readRemote(): Promise<Remote> {
    await this.o.prepare?.();
    const head = await this.manifest.headOfAll();
    const own = await this.manifest.lastOf(this.lineage, head);
    if (head !== null) await this.manifest.writeCheckpoint(head);
    this.bucketSlot = own?.entry.to.slot ?? -1;
    return { head, own };
  }

  private async isShipped(entries: readonly StoredEntry[]): Promise<void> {
    this.waiting = this.waiting.slice(entries.length);
    for (const { entry } of entries) {
      this.bucketSlot = entry.to.slot;
      for (const { key } of entry.files) {
        await this.o.onShipped?.(key, this.pathOf(key)).catch(() => undefined);
        await this.store.delete(key);
      }
    }
    const spare = this.kept.length - this.waiting.length - KEPT_ENTRIES;
    for (const { entry } of this.kept.splice(0, Math.max(0, spare))) await this.store.delete(entryKeyOf(entry.number));
    if (this.waiting.length === 0) this.ring();
  }

  /** What is damaged here cannot be shipped, but it can be made again. */
  private async requireSound({ key, sha256 }: FileEntry): Promise<void> {
    const found = await this.store.checksum(key);
    if (found === sha256) return;
    await this.giveUp(this.waiting);
    const what = `${key} ${found === null ? "is gone" : "was damaged"} before it was in the bucket`;
    throw new Transient("LAKE_SPOOL_DAMAGED", what, {
      where: this.o.folder,
      hint: "Its blocks are read again from the stream. Check the disk.",
    });
  }

  private failed(error: unknown): void {
    const failure = classify(error);
    const { code, message, hint } = failure;
    if (failure instanceof Fenced || code === "LAKE_SPOOL_DAMAGED") throw failure;
    const { log, world } = this.o;
    const known = this.failure;
    this.failure = { code, message, since: known?.since ?? world.now() };
    if (known?.code === code) return;
    const level = failure instanceof Transient ? "warning" : "error";
    log(level, `nothing reaches the bucket: ${message}`, { code, hint, waiting: this.waiting.length });
  }

  private recovered(): void {
    if (this.failure === null) return;
    this.failure = null;
    this.o.log("info", "the bucket takes files again", { waiting: this.waiting.length });
  }

  /** Entries that lead on from each other up to the last one; what is damaged, and all before it, is left out. */
  private async readLocal(): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    for (const key of await this.store.list(ENTRIES)) {
      const bytes = (await this.store.get(key))!;
      try {
        const entry = decodeEntry(bytes, key);
        if (!leadsOn(found.at(-1), entry)) found.length = 0;
        found.push({ entry, sha256: sha256Of(bytes) });
      } catch (error) {
        this.o.log("warning", "a commit on this host is damaged", { key, reason: (error as Error).message });
        found.length = 0;
      }
    }
    return found;
  }

  /** The entries at the end whose files are all here: those before were shipped. */
  private async withFiles(entries: readonly StoredEntry[]): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    for (const stored of entries.toReversed()) {
      const heads = await Promise.all(stored.entry.files.map(({ key }) => this.store.head(key)));
      if (heads.includes(null)) break;
      found.unshift(stored);
    }
    return found;
  }

  private async giveUp(entries: readonly StoredEntry[]): Promise<void> {
    if (entries.length === 0) return;
    this.o.log("warning", "commits of this host do not lead on from the bucket: they are made again", {
      commits: entries.length,
    });
    for (const { entry } of entries.toReversed()) {
      await this.store.delete(entryKeyOf(entry.number));
      for (const { key } of entry.files) await this.store.delete(key);
    }
  }

  private pathOf(key: string): string {
    return join(this.o.folder, key);
  }

  private ring(): void {
    for (const wake of this.alarms) wake();
    this.alarms.clear();
  }

  private async nextAlarm(): Promise<void> {
    if (!this.ended) await new Promise<void>((resolve) => this.alarms.add(resolve));
    if (this.ended) throw new Shutdown();
  }
}

/**
 * Which of the entries, each leading on from the one before, are still to be shipped when the lineage stands there; null
 * when they do not lead on from it.
 */
export function waitingAfter(entries: readonly StoredEntry[], stands: Position | null): readonly StoredEntry[] | null {
  const shipped = entries.findLastIndex(({ entry }) => sameBlock(entry.to, stands));
  if (shipped >= 0 || entries.length === 0) return entries.slice(shipped + 1);
  const next = entries.findIndex(({ entry }) => sameBlock(entry.from, stands));
  return next < 0 ? null : entries.slice(next);
}

/** Numbers leave out those that other lineages took in the bucket while this host was not running. */
function leadsOn(before: StoredEntry | undefined, { number, previous, from }: ManifestEntry): boolean {
  if (before === undefined) return true;
  if (number === before.entry.number + 1 && previous !== before.sha256) return false;
  return sameBlock(from, before.entry.to);
}

function bytesOf(entries: readonly StoredEntry[]): number {
  return entries.reduce((sum, { entry }) => sum + entry.files.reduce((bytes, file) => bytes + file.bytes, 0), 0);
}

function committed({ number, to, recent }: ManifestEntry): Committed {
  return { number, to, recent };
}
