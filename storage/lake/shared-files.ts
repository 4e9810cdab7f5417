/**
 * Files that two sources name. Older versions put equal rows of two sources under one key: the entries of both count them,
 * but they are there once, for the source that named them last. Here each gets a file of its own, which says whose it is;
 * no row is lost or doubled wherever this is cut off, and doing it again goes on from there.
 */
import type { Duck } from "./duckdb.ts";
import { type EntryDraft, type FileEntry, type Lineage, type ManifestEntry, nextRevision, specOf } from "./entry.ts";
import { soundPath } from "./files.ts";
import { differs } from "./parquet.ts";
import { type LakeFile, liveFilesOf } from "./reader.ts";
import { parquetOf, storeSorted } from "./sorted-file.ts";
import type { ObjectStore } from "./store.ts";

/** A file, and the last entry of each source that names it, in the order of entries: the last one has its rows. */
export interface SharedFile {
  readonly file: LakeFile;
  readonly namedBy: readonly ManifestEntry[];
}

export function sharedFiles(entries: readonly ManifestEntry[]): SharedFile[] {
  const byKey = Map.groupBy(liveFilesOf(entries), ({ key }) => key);
  return [...byKey.values()].flatMap(([file, ...others]) => {
    if (others.length === 0) return [];
    const naming = entries.filter(({ files }) => files.some(({ key }) => key === file!.key));
    const namedBy = [...new Map(naming.map((entry) => [entry.lineage.source, entry])).values()];
    return [{ file: file!, namedBy: namedBy.sort((a, b) => a.number - b.number) }];
  });
}

export interface Splitting {
  readonly store: ObjectStore;
  readonly duck: Duck;
  /** Where files are written before they are stored. */
  readonly path: string;
  /** Of all entries; what is made here joins them. */
  readonly taken: Set<string>;
  readonly append: (draft: EntryDraft) => Promise<unknown>;
}

/** The files that stand for it then, one for each source. The shared one goes last, once every source has its own. */
export async function splitShared({ file, namedBy }: SharedFile, live: ReadonlySet<string>, o: Splitting) {
  const copies: FileEntry[] = [];
  for (const [i, entry] of namedBy.entries()) {
    const copy = await copyFor(file, entry.lineage.source, o);
    copies.push(copy);
    const isLast = i === namedBy.length - 1;
    // Made by a try that was cut off.
    const files = live.has(copy.key) ? [] : [copy];
    if (files.length > 0 || isLast) await o.append(draftOf(entry, file, files, isLast ? [file.key] : [], o.taken));
  }
  return copies;
}

async function copyFor(file: LakeFile, source: string, { store, duck, path }: Splitting): Promise<FileEntry> {
  const rows = `FROM ${parquetOf(await soundPath(store, file))}`;
  const check = (found: Parameters<typeof differs>[1]) => differs(file, found);
  const { date, schema } = file;
  const label = { source, revision: `of ${file.key}` };
  const copy = await storeSorted({ ...{ store, duck, path, date, rows, label, check }, spec: specOf(schema) });
  store.release(file.key);
  return copy;
}

/** Rows of a source that come, or change their file, are what a re-decode makes; nothing is said of coverage. */
function draftOf(
  entry: ManifestEntry,
  file: LakeFile,
  files: FileEntry[],
  replaces: string[],
  taken: Set<string>,
): EntryDraft {
  const { lineage, to, first, last, blocks, finality } = entry;
  const own: Lineage = {
    ...{ kind: "redecode", source: lineage.source, dataset: file.dataset },
    ...{ start: first.slot, stop: last.slot + 1 },
  };
  return {
    lineage: nextRevision(own, taken),
    ...{ to, first, last, blocks, finality },
    recent: [{ slot: last.slot, hash: last.hash }],
    package: entry.package,
    datasets: [file.schema],
    ...{ files, replaces },
  };
}
