/**
 * Checks a lake against its manifest: that the chain of entries is unbroken, that every file is there with the size and
 * checksum it was written with, and, where asked, that its rows are what the entry says. Never stops at the first fault:
 * the report names each one, with the object it is in.
 */
import { SluiceError } from "../../pipeline/errors.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { COLLECTED_AFTER_MS } from "./collection.ts";
import { cover, overlap, type SlotRange } from "./coverage.ts";
import { decodeEntry, type FileEntry, lineageId, type ManifestEntry, parseFileKey } from "./entry.ts";
import { checkpointKey, decodeCheckpoint, entryKey, MANIFEST_PREFIX, sortKeys } from "./manifest.ts";
import { addsCoverage, type LakeFile, slotsOf, sourceKey } from "./reader.ts";
import { type ObjectStore, sha256Of } from "./store.ts";
import { UnnamedFiles } from "./unnamed.ts";
import {
  type Finding,
  type FindingKind,
  NOTICES,
  type Revision,
  type VerifyOptions,
  type VerifyReport,
} from "./verify-report.ts";
import { checkRows, type OnFinding } from "./verify-rows.ts";

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
  /** Who names it, by the file: what is still part of the lake in the end is told. */
  private readonly shared = new Map<string, string>();
  private readonly named = new Set<string>();
  private readonly damaged = new Set<string>();
  /** Last entry of each lineage; a lineage is forgotten where an entry could not be read, for it may have been its. */
  private readonly lineages = new Map<string, ManifestEntry>();
  private unread = false;
  private readonly revisions: { -readonly [K in keyof Revision]: Revision[K] }[] = [];
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
      filesChecked: this.due().length,
      lineages: [...this.lineages].map(([lineage, entry]) => ({ lineage, slot: entry.to.slot })),
      revisions: this.revisions,
      coverage: Object.fromEntries(byKey),
      findings: this.findings,
    };
  }

  async readManifest(): Promise<void> {
    const { expectedHead } = this.options;
    const listed = sortKeys(await this.store.list(MANIFEST_PREFIX));
    // What is committed while keys are listed may be listed in part.
    const again = sortKeys(await this.store.list(MANIFEST_PREFIX));
    for (const key of again.other) this.find("stranger", key, "neither an entry nor a checkpoint");
    const ends = [...listed.checkpoints, ...(expectedHead === undefined ? [] : [expectedHead.number])];
    const last = Math.max(0, listed.entries.at(-1) ?? 0, ...ends);
    const numbers = again.entries.filter((number) => number <= last);
    const checkpointed = new Set(listed.checkpoints);
    let before: string | null = null;
    let number = 0;
    for (const [done, present] of [...numbers, last + 1].entries()) {
      if (present > number + 1) this.missEntries(number + 1, present - 1);
      if (present > number + 1) before = null;
      if (present > last) break;
      number = present;
      before = await this.readEntry(number, before);
      if (checkpointed.has(number)) await this.readCheckpoint(number, before);
      if (expectedHead?.number === number && before !== null && before !== expectedHead.sha256) {
        this.find("entry-changed", entryKey(number), `its checksum is ${before}, not ${expectedHead.sha256} as before`);
      }
      this.options.onProgress?.({ phase: "entries", done: done + 1, total: numbers.length });
    }
    for (const [key, detail] of this.shared) this.find("file-shared", key, detail);
  }

  private missEntries(first: number, last: number): void {
    const which = first === last ? `entry ${first} is` : `entries ${first} to ${last} are`;
    this.find(
      "entry-missing",
      entryKey(first),
      `${which} missing; later ones rest on ${first === last ? "it" : "them"}`,
    );
    this.forget();
  }

  /** What lineages did in an entry that could not be read is not known. */
  private forget(): void {
    this.unread = true;
    this.lineages.clear();
  }

  /** Returns the entry's checksum; null when it cannot be read. */
  private async readEntry(number: number, before: string | null): Promise<string | null> {
    const key = entryKey(number);
    let bytes: Uint8Array | null = null;
    try {
      bytes = await this.store.get(key);
    } catch (error) {
      if (!isOfDisk(error)) throw error;
      this.find("entry-invalid", key, messageOf(error));
      this.forget();
      return null;
    }
    if (bytes === null) {
      this.missEntries(number, number);
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
      this.find("entry-invalid", key, messageOf(error));
      this.forget();
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
      const own = sourceKey(entry.lineage.source, name);
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
    const gone: FileEntry[] = [];
    for (const replaced of entry.replaces) {
      const file = this.live.get(replaced);
      if (file !== undefined) gone.push(file);
      else if (!this.unread) this.find("entry-invalid", key, `it replaces ${replaced}, which was not in the lake`);
      this.live.delete(replaced);
      this.shared.delete(replaced);
    }
    if (gone.length === entry.replaces.length) this.compareRows(entry, gone, key);
    const schemas = new Map(entry.datasets.map((d) => [d.name, d]));
    for (const file of entry.files) {
      this.named.add(file.key);
      const { lineage, number } = entry;
      const other = this.live.get(file.key);
      if (other !== undefined) {
        const both = `entries ${other.entry} (${other.source}) and ${number} (${lineage.source}) both name it`;
        this.shared.set(file.key, `${both}; \`sluice compact\` gives each a file of its own`);
      }
      this.live.set(file.key, {
        ...{ ...file, schema: schemas.get(file.dataset)! },
        ...{ source: lineage.source, entry: number },
      });
    }
  }

  /** Compaction keeps all rows; what a re-decode or a drop has made of them is told. */
  private compareRows({ lineage, files }: ManifestEntry, gone: readonly FileEntry[], key: string): void {
    if (addsCoverage(lineage)) return;
    for (const dataset of new Set([...gone, ...files].map((file) => file.dataset))) {
      const rowsOf = (all: readonly FileEntry[]) =>
        all.reduce((sum, file) => sum + (file.dataset === dataset ? file.rows : 0), 0);
      const [rowsBefore, rowsAfter] = [rowsOf(gone), rowsOf(files)];
      if (lineage.kind === "compaction") {
        if (rowsBefore === rowsAfter) continue;
        this.find("rows-changed", key, `${rowsAfter} rows of ${dataset} stand for ${rowsBefore}`);
        continue;
      }
      const id = lineageId(lineage);
      const last = this.revisions.find((own) => own.lineage === id && own.dataset === dataset);
      if (last === undefined) this.revisions.push({ lineage: id, dataset, rowsBefore, rowsAfter });
      else {
        last.rowsBefore += rowsBefore;
        last.rowsAfter += rowsAfter;
      }
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
      this.find("checkpoint-invalid", key, messageOf(error));
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
    const unnamed = (await this.store.list("")).filter((k) => !k.startsWith(MANIFEST_PREFIX) && !this.named.has(k));
    const files = unnamed.filter((key) => parseFileKey(key) !== null);
    if (this.head === null && files.length > 0) {
      const detail = `there is none, but data files: ${files.length}. Restore it from a copy of the lake`;
      this.find("manifest-missing", MANIFEST_PREFIX, detail);
      return;
    }
    const covered = new UnnamedFiles(this.store, this.coverageOfSource);
    try {
      for (const key of unnamed) await this.findUnnamed(key, covered);
    } finally {
      covered.close();
    }
  }

  private async findUnnamed(key: string, covered: UnnamedFiles): Promise<void> {
    const { world = systemWorld } = this.options;
    const file = parseFileKey(key);
    const head = await this.store.head(key);
    if (head === null) return;
    if (file === null) this.find("stranger", key, "not an object of a lake");
    else if (world.now() - head.modifiedAt < COLLECTED_AFTER_MS) this.find("uncommitted", key, "no entry names it yet");
    else if (await covered.isCovered(key)) this.find("orphan", key, "no entry names it");
    else this.find("uncovered", key, "no entry names it or covers its slots: left by a crash, or entries are missing");
  }

  /** Files that are to be checked. */
  private due(): (LakeFile & { readonly entry: number })[] {
    const { since = { entry: 1 } } = this.options;
    return [...this.live.values()].filter((file) =>
      "entry" in since ? file.entry >= since.entry : file.blockTime.max >= since.time,
    );
  }

  private async fileFault(file: FileEntry): Promise<[FindingKind, string] | null> {
    try {
      const head = await this.store.head(file.key);
      if (head === null) return ["file-missing", "it is not in the store"];
      if (head.bytes !== file.bytes) return ["file-size", `it has ${head.bytes} bytes instead of ${file.bytes}`];
      const sha256 = await this.store.checksum(file.key);
      if (sha256 === null) return ["file-missing", "it is not in the store"];
      return sha256 === file.sha256 ? null : ["file-checksum", `its checksum is ${sha256} instead of ${file.sha256}`];
    } catch (error) {
      if (!isOfDisk(error)) throw error;
      return ["file-unreadable", messageOf(error)];
    }
  }

  async checkRows(): Promise<void> {
    const files = this.due().filter((file) => !this.damaged.has(file.key));
    const found: OnFinding = (kind, where, detail) => this.find(kind, where, detail);
    await checkRows(this.store, files, this.options, found);
  }

  private find(kind: FindingKind, where: string, detail: string): void {
    this.findings.push({ kind, severity: NOTICES.has(kind) ? "notice" : "error", where, detail });
  }
}

/** A disk that cannot give one file (a bad sector, no right to it) may give all others. */
function isOfDisk(error: unknown): boolean {
  return error instanceof SluiceError && error.code === "LAKE_IO";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
