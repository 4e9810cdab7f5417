/** The part of verification that reads rows: whether files hold what the manifest says, in order, and nothing twice. */
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "../../pipeline/errors.ts";
import { Duck } from "./duckdb.ts";
import { specOf } from "./entry.ts";
import { differs, duplicatesIn, inspectParquet } from "./parquet.ts";
import type { LakeFile } from "./reader.ts";
import type { ObjectStore } from "./store.ts";
import type { FindingKind, VerifyOptions } from "./verify-report.ts";
import { makeWorkFolder } from "./work-folder.ts";

export type OnFinding = (kind: FindingKind, where: string, detail: string) => void;

/** A file that can be read, and where. */
interface Readable {
  readonly file: LakeFile;
  readonly path: string;
}

/** Reads all rows of `files`. */
export async function checkRows(
  store: ObjectStore,
  files: readonly LakeFile[],
  { memoryMb = 256, workDir = join(tmpdir(), "sluice-verify"), onProgress }: VerifyOptions,
  find: OnFinding,
): Promise<void> {
  const folder = await makeWorkFolder(workDir);
  const duck = await Duck.open({ memoryMb, spillDir: folder });
  try {
    const common: Common = new Map();
    let done = 0;
    for (const group of groupsBySlots(files)) {
      await findRepeats(duck, await readableOf(store, duck, group, find), common, find);
      for (const file of group) store.release(file.key);
      done += group.length;
      onProgress?.({ phase: "rows", done, total: files.length });
    }
    tellCommon(common, find);
  } finally {
    duck.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Those that are Parquet, each compared with what the manifest says of it. */
async function readableOf(store: ObjectStore, duck: Duck, group: readonly LakeFile[], find: OnFinding) {
  const readable: Readable[] = [];
  for (const file of group) {
    const path = await store.localPath(file.key);
    if (path === null) continue;
    try {
      const { facts, misplaced } = await inspectParquet(duck, specOf(file.schema), path);
      const difference = differs(file, facts);
      if (difference !== null) find("file-facts", file.key, `it holds ${difference}`);
      if (misplaced > 0) find("file-order", file.key, `${misplaced} rows sort before the row above them`);
      readable.push({ file, path });
    } catch (error) {
      find("file-unreadable", file.key, describe(error));
    }
  }
  return readable;
}

/**
 * Rows of one dataset's files that are there twice: of one source that is a fault, and told at once; those of several
 * sources are added to `common`.
 */
async function findRepeats(duck: Duck, all: readonly Readable[], common: Common, find: OnFinding): Promise<void> {
  const sources = [...Map.groupBy(all, ({ file }) => file.source)];
  let within = 0;
  for (const [, own] of sources) {
    const repeats = await repeatsIn(duck, own);
    within += repeats;
    if (repeats === 0) continue;
    const others = own.slice(1).map(({ file }) => file.key);
    const among = others.length === 0 ? "" : `, among it and ${others.join(", ")}`;
    find("duplicate-rows", own[0]!.file.key, `${repeats} rows are repeats of others${among}`);
  }
  if (sources.length < 2) return;
  const across = (await repeatsIn(duck, all)) - within;
  if (across === 0) return;
  const { dataset } = all[0]!.file;
  const before = common.get(dataset) ?? { rows: 0, sources: new Set() };
  for (const [source] of sources) before.sources.add(source);
  common.set(dataset, { ...before, rows: before.rows + across });
}

/** Rows by dataset that several sources have, and those sources. */
type Common = Map<string, { readonly rows: number; readonly sources: Set<string> }>;

function tellCommon(common: Common, find: OnFinding): void {
  for (const [dataset, { rows, sources }] of common) {
    const names = [...sources].sort().join(", ");
    find(
      "rows-of-sources",
      `dataset=${dataset}`,
      `${rows} rows are there for several of ${names}: ask for one with --source`,
    );
  }
}

function repeatsIn(duck: Duck, files: readonly Readable[]): Promise<number> {
  const spec = specOf(files[0]!.file.schema);
  return duplicatesIn(
    duck,
    spec,
    files.map(({ path }) => path),
  );
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
