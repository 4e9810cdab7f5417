/**
 * Checks a lake against its manifest: that the chain of entries is unbroken, that every file is there with the size and
 * checksum it was written with, and, where asked, that its rows are what the entry says. Never stops at the first fault:
 * the report names each one, with the object it is in.
 */
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "../../pipeline/errors.ts";
import { systemWorld, type World } from "../../pipeline/world.ts";
import { COLLECTED_AFTER_MS } from "./collection.ts";
import { cover, overlap, type SlotRange } from "./coverage.ts";
import { Duck } from "./duckdb.ts";
import { decodeEntry, type FileEntry, lineageId, type ManifestEntry, specOf } from "./entry.ts";
import { checkpointKey, decodeCheckpoint, entryKey, MANIFEST_PREFIX, sortKeys } from "./manifest.ts";
import { differs, duplicatesIn, inspectParquet } from "./parquet.ts";
import { addsCoverage, type LakeFile, slotsOf } from "./reader.ts";
import { type ObjectStore, sha256Of } from "./store.ts";
import { makeWorkFolder } from "./work-folder.ts";

export type FindingKind =
  /** A number of the manifest has no entry, though later ones or a checkpoint say that there was one. */
  | "entry-missing"
  /** An entry that is not of the format, or contradicts itself. */
  | "entry-invalid"
  /** An entry whose checksum is not the one that the next entry, a checkpoint or the caller names. */
  | "entry-changed"
  /** An entry that does not go on from its lineage's position: what lies between is not covered. */
  | "coverage-broken"
  /** Slots that two lineages of a source cover: their rows may be in the lake twice. */
  | "coverage-overlap"
  | "checkpoint-invalid"
  | "file-missing"
  | "file-size"
  | "file-checksum"
  /** Not readable as Parquet. */
  | "file-unreadable"
  /** Row count, or the least or greatest slot, time or mint, is not what the entry says. */
  | "file-facts"
  | "file-order"
  /** Rows that are in the lake more than once. */
  | "duplicate-rows"
  /** No entry names it: left by a crash before its commit, or its entry is gone. Notice. */
  | "orphan"
  /** No entry names it, but it is younger than what is collected: most often of a commit that is under way. Notice. */
  | "uncommitted"
  /** Not an object of a lake. Notice. */
  | "stranger";

export interface Finding {
  readonly kind: FindingKind;
  /** Notices do not make a lake unsound. */
  readonly severity: "error" | "notice";
  /** Key of the object it is about. */
  readonly where: string;
  /** What exactly, for a human. */
  readonly detail: string;
}

export interface VerifyReport {
  /** No finding is an error. */
  readonly ok: boolean;
  readonly lake: string;
  /** Rows were read as well. */
  readonly deep: boolean;
  /** The last entry; keep it elsewhere to notice next time if the end of the manifest was cut off or changed. */
  readonly head: { readonly number: number; readonly sha256: string } | null;
  readonly entries: number;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  readonly lineages: readonly { readonly lineage: string; readonly slot: number }[];
  /** Slots by dataset. */
  readonly coverage: Readonly<Record<string, readonly SlotRange[]>>;
  readonly findings: readonly Finding[];
}

/** Files of an entry and later ones, or files with rows of a block time (Unix seconds) or later. */
export type Since = { readonly entry: number } | { readonly time: number };

export interface VerifyOptions {
  /** Also reads the rows of every file. Default false. */
  readonly deep?: boolean;
  /** Checks these files only; the chain always whole. Default: all. */
  readonly since?: Since;
  /** The head of an earlier report: it must still be in the manifest, unchanged. */
  readonly expectedHead?: { readonly number: number; readonly sha256: string };
  readonly onProgress?: (progress: { phase: "entries" | "files" | "rows"; done: number; total: number }) => void;
  /** For deep checks: DuckDB's memory in MB (default 256), and where it may spill (default: the system's). */
  readonly memoryMb?: number;
  readonly workDir?: string;
  /** Tells how old a file is that no entry names. */
  readonly world?: Pick<World, "now">;
}

const NOTICES: ReadonlySet<FindingKind> = new Set(["orphan", "uncommitted", "stranger"]);

/** Resolves with the report, also for a lake in ruins; rejects only when the store cannot be read. */
export async function verifyLake(store: ObjectStore, options: VerifyOptions = {}): Promise<VerifyReport> {
  const verification = new Verification(store, options);
  await verification.readManifest();
  await verification.checkFiles();
  if (options.deep === true) await verification.checkRows();
  return verification.report();
}

class Verification {
  private readonly store: ObjectStore;
  private readonly options: VerifyOptions;
  private readonly findings: Finding[] = [];
  private head: { number: number; sha256: string } | null = null;
  private entries = 0;
  private readonly live = new Map<string, LakeFile & { readonly entry: number }>();
  private readonly named = new Set<string>();
  private readonly damaged = new Set<string>();
  /** Last entry of each lineage; a lineage is forgotten where an entry could not be read, for it may have been its. */
  private readonly lineages = new Map<string, ManifestEntry>();
  private unread = false;
  private readonly coverage = new Map<string, SlotRange[]>();
  private readonly coverageOfSource = new Map<string, SlotRange[]>();

  constructor(store: ObjectStore, options: VerifyOptions) {
    this.store = store;
    this.options = options;
  }

  report(): VerifyReport {
    const files = [...this.live.values()];
    const byKey = [...this.coverage].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      ok: this.findings.every((f) => f.severity === "notice"),
      lake: this.store.name,
      deep: this.options.deep === true,
      head: this.head,
      entries: this.entries,
      files: files.length,
      rows: files.reduce((sum, f) => sum + f.rows, 0),
      bytes: files.reduce((sum, f) => sum + f.bytes, 0),
      lineages: [...this.lineages].map(([lineage, entry]) => ({ lineage, slot: entry.to.slot })),
      coverage: Object.fromEntries(byKey),
      findings: this.findings,
    };
  }

  async readManifest(): Promise<void> {
    const { entries, checkpoints, other } = sortKeys(await this.store.list(MANIFEST_PREFIX));
    for (const key of other) this.find("stranger", key, "neither an entry nor a checkpoint");
    const { expectedHead } = this.options;
    const total = Math.max(0, entries.at(-1) ?? 0, checkpoints.at(-1) ?? 0, expectedHead?.number ?? 0);
    const checkpointed = new Set(checkpoints);
    let before: string | null = null;
    for (let number = 1; number <= total; number++) {
      before = await this.readEntry(number, before);
      if (checkpointed.has(number)) await this.readCheckpoint(number, before);
      if (expectedHead?.number === number && before !== null && before !== expectedHead.sha256) {
        this.find("entry-changed", entryKey(number), `its checksum is ${before}, not ${expectedHead.sha256} as before`);
      }
      this.options.onProgress?.({ phase: "entries", done: number, total });
    }
  }

  /** Returns the entry's checksum; null when it is missing. */
  private async readEntry(number: number, before: string | null): Promise<string | null> {
    const key = entryKey(number);
    const bytes = await this.store.get(key);
    if (bytes === null) {
      this.find("entry-missing", key, `entry ${number} is missing; later ones rest on it`);
      this.unread = true;
      this.lineages.clear();
      return null;
    }
    const sha256 = sha256Of(bytes);
    this.head = { number, sha256 };
    this.entries++;
    let entry: ManifestEntry;
    try {
      entry = decodeEntry(bytes, key);
      if (entry.number !== number) throw new Error(`it says that it is entry ${entry.number}`);
    } catch (error) {
      this.find("entry-invalid", key, describe(error));
      this.unread = true;
      this.lineages.clear();
      return sha256;
    }
    if (number > 1 && before !== null && entry.previous !== before) {
      const changed = `its checksum is not the one that entry ${number} names: one of the two was changed`;
      this.find("entry-changed", entryKey(number - 1), changed);
    }
    this.checkLineage(entry, key);
    this.addFiles(entry, key);
    return sha256;
  }

  private checkLineage(entry: ManifestEntry, key: string): void {
    const id = lineageId(entry.lineage);
    const own = this.lineages.get(id);
    const known = own !== undefined || !this.unread;
    const continues =
      (own?.number ?? null) === entry.lineagePrevious && JSON.stringify(own?.to ?? null) === JSON.stringify(entry.from);
    if (known && !continues) {
      const at = own === undefined ? "the beginning" : `slot ${own.to.slot} (entry ${own.number})`;
      this.find("coverage-broken", key, `${id} stood at ${at}, but the entry goes on from slot ${entry.from?.slot}`);
    }
    this.lineages.set(id, entry);
    if (!addsCoverage(entry.lineage)) return;
    const slots = slotsOf(entry);
    for (const { name } of entry.datasets) {
      // Sources differ in module or network: the same slots of another hold other rows.
      const own = `${entry.lineage.source} ${name}`;
      const covered = this.coverageOfSource.get(own) ?? [];
      const twice = overlap(covered, slots);
      if (twice !== null) {
        this.find("coverage-overlap", key, `${name}: slots ${twice.first} to ${twice.last} were covered before`);
      }
      this.coverageOfSource.set(own, cover(covered, slots));
      this.coverage.set(name, cover(this.coverage.get(name) ?? [], slots));
    }
  }

  private addFiles(entry: ManifestEntry, key: string): void {
    for (const replaced of entry.replaces) {
      if (!this.live.delete(replaced) && !this.unread) {
        this.find("entry-invalid", key, `it replaces ${replaced}, which was not in the lake`);
      }
    }
    const schemas = new Map(entry.datasets.map((d) => [d.name, d]));
    for (const file of entry.files) {
      this.named.add(file.key);
      const { lineage, number } = entry;
      this.live.set(file.key, {
        ...{ ...file, schema: schemas.get(file.dataset)! },
        ...{ source: lineage.source, entry: number },
      });
    }
  }

  private async readCheckpoint(number: number, sha256: string | null): Promise<void> {
    const key = checkpointKey(number);
    const bytes = await this.store.get(key);
    if (bytes === null || sha256 === null) return;
    try {
      const checkpoint = decodeCheckpoint(bytes, key);
      if (checkpoint.number !== number) throw new Error(`it says that it is of entry ${checkpoint.number}`);
      if (checkpoint.sha256 !== sha256) {
        this.find("entry-changed", entryKey(number), `its checksum is ${sha256}, not the one that ${key} names`);
      }
      const lineages = Object.fromEntries([...this.lineages].map(([id, entry]) => [id, entry.number]));
      if (!this.unread && !Bun.deepEquals(checkpoint.lineages, lineages)) {
        throw new Error("its lineages are not those of the entries");
      }
    } catch (error) {
      this.find("checkpoint-invalid", key, describe(error));
    }
  }

  async checkFiles(): Promise<void> {
    const due = this.due();
    for (const [i, file] of due.entries()) {
      const finding = await this.fileFault(file);
      if (finding !== null) {
        this.damaged.add(file.key);
        this.find(finding[0], file.key, finding[1]);
      }
      this.options.onProgress?.({ phase: "files", done: i + 1, total: due.length });
    }
    for (const key of await this.store.list("")) {
      if (key.startsWith(MANIFEST_PREFIX) || this.named.has(key)) continue;
      if (/^dataset=[^/]+\/date=[^/]+\/[^/]+\.parquet$/.test(key)) await this.findUnnamed(key);
      else this.find("stranger", key, "not an object of a lake");
    }
  }

  private async findUnnamed(key: string): Promise<void> {
    const { world = systemWorld } = this.options;
    const head = await this.store.head(key);
    if (head === null) return;
    const isYoung = world.now() - head.modifiedAt < COLLECTED_AFTER_MS;
    if (isYoung) this.find("uncommitted", key, "no entry names it yet");
    else this.find("orphan", key, "no entry names it");
  }

  /** Files that are to be checked. */
  private due(): (LakeFile & { readonly entry: number })[] {
    const { since = { entry: 1 } } = this.options;
    return [...this.live.values()].filter((file) =>
      "entry" in since ? file.entry >= since.entry : file.blockTime.max >= since.time,
    );
  }

  private async fileFault(file: FileEntry): Promise<[FindingKind, string] | null> {
    const head = await this.store.head(file.key);
    if (head === null) return ["file-missing", "it is not in the store"];
    if (head.bytes !== file.bytes) return ["file-size", `it has ${head.bytes} bytes instead of ${file.bytes}`];
    const sha256 = await this.store.checksum(file.key);
    if (sha256 === null) return ["file-missing", "it is not in the store"];
    return sha256 === file.sha256 ? null : ["file-checksum", `its checksum is ${sha256} instead of ${file.sha256}`];
  }

  async checkRows(): Promise<void> {
    const { memoryMb = 256, workDir = join(tmpdir(), "sluice-verify") } = this.options;
    const folder = await makeWorkFolder(workDir);
    const duck = await Duck.open({ memoryMb, spillDir: folder });
    try {
      const groups = groupsBySlots(this.due().filter((file) => !this.damaged.has(file.key)));
      const total = groups.flat().length;
      let done = 0;
      for (const group of groups) {
        await this.checkGroup(duck, group);
        for (const file of group) this.store.release(file.key);
        done += group.length;
        this.options.onProgress?.({ phase: "rows", done, total });
      }
    } finally {
      duck.close();
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Files of one dataset that may hold the same rows. */
  private async checkGroup(duck: Duck, group: readonly LakeFile[]): Promise<void> {
    const readable: string[] = [];
    const spec = specOf(group[0]!.schema);
    for (const file of group) {
      const path = await this.store.localPath(file.key);
      if (path === null) continue;
      try {
        const { facts, misplaced } = await inspectParquet(duck, specOf(file.schema), path);
        const difference = differs(file, facts);
        if (difference !== null) this.find("file-facts", file.key, `it holds ${difference}`);
        if (misplaced > 0) this.find("file-order", file.key, `${misplaced} rows sort before the row above them`);
        readable.push(path);
      } catch (error) {
        this.find("file-unreadable", file.key, describe(error));
      }
    }
    if (readable.length === 0) return;
    const duplicates = await duplicatesIn(duck, spec, readable);
    if (duplicates === 0) return;
    const others = group.slice(1).map((file) => file.key);
    const among = others.length === 0 ? "" : `, among it and ${others.join(", ")}`;
    this.find("duplicate-rows", group[0]!.key, `${duplicates} rows are repeats of others${among}`);
  }

  private find(kind: FindingKind, where: string, detail: string): void {
    this.findings.push({ kind, severity: NOTICES.has(kind) ? "notice" : "error", where, detail });
  }
}

/** Parts files by dataset, and keeps those together whose slots overlap: equal rows are of the same slot. */
function groupsBySlots(files: readonly LakeFile[]): LakeFile[][] {
  const byPlace = (a: LakeFile, b: LakeFile) =>
    a.dataset === b.dataset ? a.slot.min - b.slot.min : a.dataset < b.dataset ? -1 : 1;
  const groups: LakeFile[][] = [];
  let end = { dataset: "", slot: -1 };
  for (const file of [...files].sort(byPlace)) {
    const overlaps = file.dataset === end.dataset && file.slot.min <= end.slot;
    if (overlaps) groups.at(-1)!.push(file);
    else groups.push([file]);
    end = { dataset: file.dataset, slot: overlaps ? Math.max(end.slot, file.slot.max) : file.slot.max };
  }
  return groups;
}
