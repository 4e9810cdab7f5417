/**
 * Compaction: many small files of a dataset become few large ones, sorted as before. What it writes is one manifest entry
 * that names the new files and the ones they replace, so a reader sees the old ones or the new ones, never both. The old
 * files stay where they are until nobody can be reading them any more (`collection.ts`).
 *
 * A run is a piece of one lineage: consecutive entries, cut at the end of a day or when they hold enough. Its compaction is
 * a lineage of its own for each dataset, which moves forward through the slots: of two compactors at once, one is fenced.
 * What is small even so, since segments of history end where they do, is merged across them (`joins.ts`).
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Fenced } from "../../pipeline/errors.ts";
import { Duck } from "./duckdb.ts";
import {
  type EntryDraft,
  type FileEntry,
  isComplete,
  type Lineage,
  lineageId,
  type ManifestEntry,
  specOf,
} from "./entry.ts";
import { soundPath } from "./files.ts";
import { joinsDue } from "./joins.ts";
import { Manifest, type StoredEntry } from "./manifest.ts";
import { differs, type FileFacts } from "./parquet.ts";
import { type LakeFile, liveFilesOf } from "./reader.ts";
import { sharedFiles, splitShared } from "./shared-files.ts";
import { parquetOf, storeSorted } from "./sorted-file.ts";
import type { ObjectStore } from "./store.ts";
import { makeWorkFolder } from "./work-folder.ts";

export interface CompactionOptions {
  readonly store: ObjectStore;
  readonly workDir: string;
  /** A run is cut when its files of a dataset hold so many bytes. Default 128 MiB. */
  readonly targetBytes?: number;
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** DuckDB's memory, MB; what exceeds it is spilled. Default 512. */
  readonly memoryMb?: number;
  readonly onRun?: (run: CompactedRun) => void;
}

export interface CompactedRun {
  readonly dataset: string;
  readonly source: string;
  readonly slots: { readonly first: number; readonly last: number };
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly bytesBefore: number;
  /** As many as before in a dry run. */
  readonly bytesAfter: number;
}

/** What is to be merged into one file. */
interface Group {
  readonly date: string;
  readonly files: readonly LakeFile[];
}

/** Consecutive entries, with files of one dataset that are still part of the lake; their columns are the same. */
export interface Run {
  readonly dataset: string;
  /** That of the compaction. */
  readonly lineage: Lineage;
  readonly entries: readonly ManifestEntry[];
  readonly files: readonly LakeFile[];
}

const TARGET_BYTES = 128 * 1024 * 1024;

/**
 * Compacts what is due; resolves with what was done. First files that two sources name are split, then small files of each
 * lineage are merged, then what neighbouring segments of history have left over. Throws `Fenced` when another compactor is at work.
 */
export async function compactLake(options: CompactionOptions): Promise<CompactedRun[]> {
  const { store, targetBytes = TARGET_BYTES } = options;
  const manifest = new Manifest(store);
  const folder = await makeWorkFolder(options.workDir);
  const duck = await Duck.open({ memoryMb: options.memoryMb ?? 512, spillDir: folder });
  const done: CompactedRun[] = [];
  const tell = (run: CompactedRun) => {
    options.onRun?.(run);
    done.push(run);
  };
  try {
    const work: Work = { ...{ options, manifest, duck, folder, tell }, head: null, own: new Map() };
    let entries = await readEntries(work);
    if (await splitAll(work, entries)) entries = await readEntries(work);
    let files = liveFilesOf(entries);
    for (const run of runsDue(entries, targetBytes)) files = await compact(work, run, files);
    for (const run of joinsDue(entries, files, targetBytes)) files = await compact(work, run, files);
    return done;
  } finally {
    duck.close();
    await rm(folder, { recursive: true, force: true });
  }
}

interface Work {
  readonly options: CompactionOptions;
  readonly manifest: Manifest;
  readonly duck: Duck;
  readonly folder: string;
  readonly tell: (run: CompactedRun) => void;
  head: StoredEntry | null;
  own: Map<string, StoredEntry>;
}

async function readEntries(work: Work): Promise<ManifestEntry[]> {
  const stored = await Array.fromAsync(work.manifest.after(null));
  work.head = stored.at(-1) ?? null;
  work.own = new Map(lastByLineage(stored));
  return stored.map(({ entry }) => entry);
}

/** Resolves to whether something was written. */
async function splitAll(work: Work, entries: readonly ManifestEntry[]): Promise<boolean> {
  const { options, manifest, duck, folder, tell } = work;
  const shared = sharedFiles(entries);
  const live = new Set(liveFilesOf(entries).map(({ key }) => key));
  const taken = new Set(entries.map(({ lineage }) => lineageId(lineage)));
  const append = async (draft: EntryDraft) => {
    work.head = await manifest.append(draft, work.head, null);
  };
  const splitting = { store: options.store, duck, path: join(folder, "own.parquet"), taken, append };
  for (const one of shared) {
    const { file, namedBy } = one;
    const copies = options.dryRun === true ? null : await splitShared(one, live, splitting);
    tell({
      dataset: file.dataset,
      source: namedBy.map(({ lineage }) => lineage.source).join(", "),
      slots: { first: file.slot.min, last: file.slot.max },
      filesBefore: 1,
      filesAfter: namedBy.length,
      bytesBefore: file.bytes,
      bytesAfter: copies === null ? file.bytes : bytesOf(copies),
    });
  }
  return shared.length > 0 && options.dryRun !== true;
}

/** Compacts one run of `files`, those of the lake; resolves with those that it has then. A dry run writes none of them. */
async function compact(work: Work, run: Run, files: readonly LakeFile[]): Promise<LakeFile[]> {
  const isDry = work.options.dryRun === true;
  const made = isDry ? groupsOf(run).map(planned) : await compactRun(work, run);
  work.tell(describeRun(run, isDry ? null : made));
  const gone = new Set(groupsOf(run).flatMap((group) => group.files.map(({ key }) => key)));
  const [{ schema, source }] = run.files as [LakeFile];
  return [...files.filter(({ key }) => !gone.has(key)), ...made.map((file) => ({ ...file, schema, source }))];
}

/** What a merge will give, as far as that can be said before. */
function planned({ date, files }: Group): FileEntry {
  return { ...union(files), key: "", dataset: files[0]!.dataset, date, bytes: bytesOf(files), sha256: "" };
}

const bytesOf = (all: readonly { bytes: number }[]) => all.reduce((sum, file) => sum + file.bytes, 0);

/** What is to be compacted, by dataset and in the order of slots. */
export function runsDue(entries: readonly ManifestEntry[], targetBytes: number): Run[] {
  const live = liveFilesOf(entries, ({ lineage }) => lineage.kind !== "compaction");
  const datasets = new Set(entries.flatMap((entry) => entry.datasets.map((d) => d.name)));
  const lineages = Map.groupBy(
    entries.filter(({ lineage }) => lineage.kind === "live" || lineage.kind === "backfill"),
    ({ lineage }) => lineageId(lineage),
  );
  const runs: Run[] = [];
  for (const dataset of [...datasets].sort()) {
    const files = Map.groupBy(
      live.filter((file) => file.dataset === dataset),
      ({ source }) => source,
    );
    for (const own of lineages.values()) {
      const lineage = compactionOf(own[0]!.lineage, dataset);
      const id = lineageId(lineage);
      const stands = entries.findLast((entry) => lineageId(entry.lineage) === id)?.to.slot ?? -1;
      const covers = (entry: ManifestEntry) => entry.datasets.some(({ name }) => name === dataset);
      const after = own.filter((entry) => entry.first.slot > stands && covers(entry));
      const ended = isComplete(own[0]!.lineage, own.at(-1)!.to.slot);
      const all = cut(after, files.get(lineage.source) ?? [], targetBytes, ended);
      runs.push(...all.map((cuts) => ({ dataset, lineage, ...cuts })).filter((run) => groupsOf(run).length > 0));
    }
  }
  return runs;
}

/**
 * Ends a run before an entry that begins on another day or has other columns, and after one that makes it large enough. An
 * unfinished run is left for later, unless the lineage has `ended`. Rows that follow midnight within an entry stay with its run: they are one file more.
 */
function cut(
  entries: readonly ManifestEntry[],
  files: readonly LakeFile[],
  targetBytes: number,
  ended: boolean,
): Pick<Run, "entries" | "files">[] {
  const runs: Pick<Run, "entries" | "files">[] = [];
  let current: { entries: ManifestEntry[]; files: LakeFile[] } = { entries: [], files: [] };
  let bytes = 0;
  let at = 0;
  const end = () => {
    runs.push(current);
    current = { entries: [], files: [] };
    bytes = 0;
  };
  for (const entry of entries) {
    while (at < files.length && files[at]!.slot.min < entry.first.slot) at++;
    const all: LakeFile[] = [];
    for (; at < files.length && files[at]!.slot.min <= entry.last.slot; at++) all.push(files[at]!);
    const [before, schema] = [current.files[0]?.schema, all[0]?.schema];
    // A file keeps its columns: one of an entry that has others than the rest is left as it is.
    const own = all.filter((file) => file.slot.max <= entry.last.slot && Bun.deepEquals(file.schema, schema));
    const otherColumns = before !== undefined && schema !== undefined && !Bun.deepEquals(before, schema);
    const [first] = current.entries;
    const otherDay = first !== undefined && dayOf(entry.first.time) > dayOf(first.first.time);
    if (otherColumns || otherDay) end();
    current.entries.push(entry);
    current.files.push(...own);
    bytes += own.reduce((sum, file) => sum + file.bytes, 0);
    if (bytes >= targetBytes) end();
  }
  if (ended && current.entries.length > 0) end();
  return runs;
}

const dayOf = (time: number) => Math.floor(time / 86_400);

/** Groups of a run that are worth merging: those of more than one file. */
function groupsOf({ files }: Run): Group[] {
  const groups = Map.groupBy(files, (file) => file.date);
  return [...groups].filter(([, own]) => own.length > 1).map(([date, own]) => ({ date, files: own }));
}

/** One for each lineage that adds rows: it moves forward as that one does. */
function compactionOf({ source, start, stop }: Lineage, dataset: string): Lineage {
  return { kind: "compaction", source, dataset, start, stop };
}

function lastByLineage(entries: readonly StoredEntry[]): [string, StoredEntry][] {
  return entries.map((stored) => [lineageId(stored.entry.lineage), stored]);
}

async function compactRun(work: Work, run: Run): Promise<FileEntry[]> {
  const { manifest, duck, folder } = work;
  const { store } = work.options;
  const groups = groupsOf(run);
  const files: FileEntry[] = [];
  for (const group of groups) files.push(await merge(store, duck, join(folder, "merged.parquet"), group));
  const replaces = groups.flatMap((group) => group.files.map((file) => file.key));
  const id = lineageId(run.lineage);
  const draft = draftOf(run, files, replaces);
  const stored = await manifest.append(draft, work.head, work.own.get(id) ?? null).catch((error) => {
    if (!(error instanceof Fenced)) throw error;
    throw new Fenced("LAKE_FENCED", `another compaction of ${run.dataset} is at work`, {
      where: store.name,
      cause: error,
    });
  });
  work.head = stored;
  work.own.set(id, stored);
  return files;
}

function draftOf(run: Run, files: readonly FileEntry[], replaces: readonly string[]): EntryDraft {
  const [first, last] = [run.entries[0]!, run.entries.at(-1)!];
  return {
    lineage: run.lineage,
    to: last.to,
    first: first.first,
    last: last.last,
    blocks: run.entries.reduce((sum, entry) => sum + entry.blocks, 0),
    recent: [{ slot: last.last.slot, hash: last.last.hash }],
    finality: "final-slot",
    package: last.package,
    datasets: [run.files[0]!.schema],
    files: [...files],
    replaces: [...replaces],
    inputSeq: 0,
  };
}

/** One sorted file of the rows of all; stored, and known to hold exactly them. */
async function merge(store: ObjectStore, duck: Duck, path: string, { date, files }: Group): Promise<FileEntry> {
  const { schema } = files[0]!;
  const spec = specOf(schema);
  const paths: string[] = [];
  for (const file of files) paths.push(await soundPath(store, file));
  const expected = union(files);
  const rows = `FROM ${parquetOf(...paths)}`;
  const check = (found: FileFacts | null) => differs(expected, found);
  const { source } = files[0]!;
  const merged = await storeSorted({ store, duck, spec, date, rows, path, label: { source }, check });
  for (const file of files) store.release(file.key);
  return merged;
}

/** What a file of all their rows holds. */
function union(files: readonly FileEntry[]): FileFacts {
  const mints = files.flatMap(({ mint }) => (mint === null ? [] : [mint.min, mint.max])).sort();
  return {
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    slot: spanOf(files.map((file) => file.slot)),
    blockTime: spanOf(files.map((file) => file.blockTime)),
    mint: mints.length === 0 ? null : { min: mints[0]!, max: mints.at(-1)! },
  };
}

function spanOf(all: readonly { min: number; max: number }[]): { min: number; max: number } {
  return { min: Math.min(...all.map((r) => r.min)), max: Math.max(...all.map((r) => r.max)) };
}

function describeRun(run: Run, files: readonly FileEntry[] | null): CompactedRun {
  const groups = groupsOf(run);
  const before = groups.flatMap((group) => group.files);
  return {
    dataset: run.dataset,
    source: run.lineage.source,
    slots: { first: run.entries[0]!.first.slot, last: run.entries.at(-1)!.last.slot },
    filesBefore: before.length,
    filesAfter: groups.length,
    bytesBefore: bytesOf(before),
    bytesAfter: bytesOf(files ?? before),
  };
}
