/**
 * Takes rows out of a dataset of the lake, for good: the files that hold some are written anew without them, and one manifest
 * entry for each source (and each set of columns) names the new files and those they replace. Readers see the rows or they do not; the old files
 * stay until `collection.ts` takes them. Meant for the quarantine: rows of other datasets are the lake's promise.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Duck } from "./duckdb.ts";
import { type EntryDraft, type FileEntry, lineageId, type ManifestEntry, nextRevision, specOf } from "./entry.ts";
import { soundPath } from "./files.ts";
import { Manifest } from "./manifest.ts";
import type { LakeFile } from "./reader.ts";
import { parquetOf, storeSorted } from "./sorted-file.ts";
import type { ObjectStore } from "./store.ts";
import { makeWorkFolder } from "./work-folder.ts";

export interface DropOptions {
  readonly store: ObjectStore;
  readonly workDir: string;
  readonly dataset: string;
  /** SQL over the columns of the dataset's files, true for the rows that go. Null counts as false. Must be our own text. */
  readonly where: string;
  /** Only of this source; default: of all. */
  readonly source?: string;
  /** Says what would go, and does nothing. */
  readonly dryRun?: boolean;
}

export interface Dropped {
  readonly rows: number;
  /** Files that held some. */
  readonly files: number;
  /** Rows of the dataset that stay. */
  readonly kept: number;
}

/** A file of the lake and the entry that brought it. */
interface Placed {
  readonly file: LakeFile;
  readonly entry: ManifestEntry;
  /** Rows of it that go. */
  readonly going: number;
}

/** Throws `Fenced` when somebody else replaces the same files at the same time; nothing of that source was written then. */
export async function dropRows(options: DropOptions): Promise<Dropped> {
  const { store, dataset, source, dryRun = false } = options;
  const stored = await Array.fromAsync(new Manifest(store).after(null));
  const entries = stored.map(({ entry }) => entry);
  const folder = await makeWorkFolder(options.workDir);
  const duck = await Duck.open({ memoryMb: 256, spillDir: folder });
  try {
    const files = filesOf(entries, dataset).filter(
      ({ entry }) => source === undefined || entry.lineage.source === source,
    );
    const placed = await Promise.all(
      files.map(async (at) => ({ ...at, going: await countGoing(options, duck, at.file) })),
    );
    const affected = placed.filter(({ going }) => going > 0);
    const groups = Map.groupBy(affected, ({ entry, file }) => JSON.stringify([entry.lineage.source, file.schema]));
    if (!dryRun) {
      const manifest = new Manifest(store);
      const taken = new Set(entries.map(({ lineage }) => lineageId(lineage)));
      let head = stored.at(-1) ?? null;
      for (const own of groups.values()) {
        const written: FileEntry[] = [];
        for (const { file, going } of own) {
          if (going < file.rows) written.push(await without(options, duck, join(folder, "kept.parquet"), file, going));
        }
        head = await manifest.append(draftOf(own, written, taken), head, null);
      }
    }
    const rows = affected.reduce((sum, { going }) => sum + going, 0);
    return { rows, files: affected.length, kept: placed.reduce((sum, { file }) => sum + file.rows, 0) - rows };
  } finally {
    duck.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function filesOf(entries: readonly ManifestEntry[], dataset: string): Omit<Placed, "going">[] {
  const replaced = new Set(entries.flatMap((entry) => entry.replaces));
  return entries.flatMap((entry) => {
    const schema = entry.datasets.find(({ name }) => name === dataset);
    if (schema === undefined) return [];
    const own = entry.files.filter((file) => file.dataset === dataset && !replaced.has(file.key));
    return own.map((file) => ({ file: { ...file, schema, source: entry.lineage.source }, entry }));
  });
}

async function countGoing({ store, where }: DropOptions, duck: Duck, file: LakeFile): Promise<number> {
  const path = await soundPath(store, file);
  const [row] = await duck.rows(`SELECT count(*) FILTER (WHERE ${where}) FROM ${parquetOf(path)}`);
  store.release(file.key);
  return Number(row![0]);
}

/** The file without the rows that go; stored, and known to hold as many as it should. */
async function without(
  { store, where }: DropOptions,
  duck: Duck,
  path: string,
  file: LakeFile,
  going: number,
): Promise<FileEntry> {
  const kept = file.rows - going;
  const written = await storeSorted({
    ...{ store, duck, path, date: file.date, spec: specOf(file.schema) },
    rows: `FROM ${parquetOf(await soundPath(store, file))} WHERE (${where}) IS NOT TRUE`,
    // Rows that come back and are dropped again leave what was left before: another file, though.
    label: { source: file.source, revision: `of ${file.key}` },
    check: (found) => (found?.rows === kept ? null : `${found?.rows ?? 0} rows instead of ${kept}`),
  });
  store.release(file.key);
  return written;
}

/** One entry for files of one source with the same columns. Its lineage is its own: dropping has no position to go on from. */
function draftOf(own: readonly Placed[], files: FileEntry[], taken: Set<string>): EntryDraft {
  const [{ file, entry }] = own as [Placed];
  const inOrder = own.map((placed) => placed.entry).sort((a, b) => a.last.slot - b.last.slot);
  const last = inOrder.at(-1)!;
  const first = inOrder.reduce((least, { first: other }) => (other.slot < least.slot ? other : least), entry.first);
  const range = { source: last.lineage.source, dataset: file.dataset, start: first.slot, stop: last.last.slot + 1 };
  return {
    lineage: nextRevision({ kind: "redecode", ...range }, taken),
    to: last.to,
    first,
    last: last.last,
    blocks: Math.max(
      1,
      Math.min(
        last.last.slot - first.slot + 1,
        inOrder.reduce((sum, { blocks }) => sum + blocks, 0),
      ),
    ),
    recent: [{ slot: last.last.slot, hash: last.last.hash }],
    finality: "final-slot",
    package: last.package,
    datasets: [file.schema],
    files,
    replaces: own.map((placed) => placed.file.key),
  };
}
