/**
 * Rows of a program put right in the lake: files that hold other rows of it than they should are written anew and replaced
 * by one manifest entry a stretch, so that readers see the old rows or the new ones, never both. What is right already is
 * left alone, so doing it again changes nothing. The rows of other programs in the same files are carried over as they are.
 */
import { join } from "node:path";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { mustFit } from "./chain-rows.ts";
import { lakeNames, lakeTypes, quoteName, quoteText } from "./columns.ts";
import type { SlotRange } from "./coverage.ts";
import type { Duck } from "./duckdb.ts";
import {
  describeDataset,
  type EntryDraft,
  type FileEntry,
  type Lineage,
  lineageId,
  type ManifestEntry,
  nextRevision,
} from "./entry.ts";
import { soundPath } from "./files.ts";
import { Manifest, type StoredEntry } from "./manifest.ts";
import type { FileFacts } from "./parquet.ts";
import { addsCoverage, type LakeFile, liveFilesOf } from "./reader.ts";
import { storeSorted } from "./sorted-file.ts";
import type { ObjectStore } from "./store.ts";

/** What is known better than before. */
export interface Correction {
  /** Address of the program, base58. */
  readonly program: string;
  /** Slots whose blocks were read again: all of the program's rows there are among the new ones. Sorted, apart. */
  readonly whole: readonly SlotRange[];
  /** Parquet files whose rows name, by their key, events of which all rows are among the new ones. */
  readonly reread: readonly string[];
  /** Parquet files with the new rows, by dataset. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
}

export interface CorrectionOptions {
  readonly store: ObjectStore;
  readonly source: string;
  /** Slots that were asked for: names the lineage. */
  readonly range: SlotRange;
  /** The datasets as they are to be. */
  readonly datasets: readonly DatasetSpec[];
  readonly correction: Correction;
  readonly duck: Duck;
  /** Where files are written before they are stored. */
  readonly folder: string;
  readonly dryRun: boolean;
  readonly onStretch: (done: number, total: number) => void;
}

/** What was, or would be, changed. */
export interface Corrected {
  readonly dataset: string;
  readonly slots: SlotRange;
  readonly rowsGone: number;
  readonly rowsCome: number;
  /** Rows that go, and of whose instruction no row comes in any dataset. */
  readonly rowsRemoved: number;
  /** Rows of what is known better, on days that change. */
  readonly rowsCompared: number;
  readonly filesBefore: number;
  readonly filesAfter: number;
}

/** Consecutive entries that no file reaches beyond. */
interface Stretch {
  readonly entries: readonly ManifestEntry[];
  readonly files: readonly LakeFile[];
}

/**
 * Resolves with what was changed, by dataset and stretch. Throws `Fenced` when files were replaced by somebody else
 * meanwhile: what is done so far stays, and doing it again goes on from there.
 */
export async function correctLake(options: CorrectionOptions): Promise<Corrected[]> {
  const { store, source, range, duck, correction } = options;
  const manifest = new Manifest(store);
  const entries = await Array.fromAsync(manifest.after(null));
  const due = stretchesOf(entries, source).filter(({ entries: own }) => {
    return own[0]!.first.slot <= range.last && own.at(-1)!.last.slot >= range.first;
  });
  const taken = new Set(entries.map(({ entry }) => lineageId(entry.lineage)));
  const stop = range.last + 1;
  const lineage = nextRevision({ kind: "redecode", source, dataset: "all", start: range.first, stop }, taken);
  await duck.run(voidKeys(correction));
  const done: Corrected[] = [];
  let head: StoredEntry | null = entries.at(-1) ?? null;
  let own: StoredEntry | null = null;
  for (const [i, stretch] of due.entries()) {
    const { draft, corrected } = await correctStretch(options, stretch, lineage);
    done.push(...corrected);
    if (draft !== null) head = own = await manifest.append(draft, head, own);
    options.onStretch(i + 1, due.length);
  }
  return done;
}

function stretchesOf(stored: readonly StoredEntry[], source: string): Stretch[] {
  const entries = stored.map(({ entry }) => entry).filter(({ lineage }) => lineage.source === source);
  const files = liveFilesOf(entries);
  const adding = entries.filter(({ lineage, blocks }) => {
    return addsCoverage(lineage) && lineage.dataset === "all" && blocks > 0;
  });
  const stretches: { entries: ManifestEntry[]; files: LakeFile[] }[] = [];
  for (const entry of adding.sort((a, b) => a.first.slot - b.first.slot)) {
    const isCrossed = files.some(({ slot }) => slot.min < entry.first.slot && slot.max >= entry.first.slot);
    if (isCrossed && stretches.length > 0) stretches.at(-1)!.entries.push(entry);
    else stretches.push({ entries: [entry], files: [] });
  }
  for (const stretch of stretches) {
    const [first, last] = [stretch.entries[0]!.first.slot, stretch.entries.at(-1)!.last.slot];
    stretch.files.push(...files.filter(({ slot }) => slot.min >= first && slot.max <= last));
  }
  return stretches;
}

async function correctStretch(
  options: CorrectionOptions,
  stretch: Stretch,
  lineage: Lineage,
): Promise<{ draft: EntryDraft | null; corrected: Corrected[] }> {
  const [first, last] = [stretch.entries[0]!, stretch.entries.at(-1)!];
  const slots = { first: first.first.slot, last: last.last.slot };
  for (const sql of knownOf(options.correction, slots)) await options.duck.run(sql);
  const corrected: Corrected[] = [];
  const files: FileEntry[] = [];
  const replaces: string[] = [];
  const datasets: DatasetSpec[] = [];
  for (const spec of options.datasets) {
    const own = stretch.files.filter((file) => file.dataset === spec.name);
    const change = await correctDataset(options, spec, own, slots, lineageId(lineage));
    if (change === null) continue;
    corrected.push(change.corrected);
    files.push(...change.files);
    replaces.push(...change.replaces);
    datasets.push(spec);
  }
  if (corrected.length === 0 || options.dryRun) return { draft: null, corrected };
  const draft: EntryDraft = {
    ...{ lineage, to: last.to, first: first.first, last: last.last, finality: "final-slot", package: last.package },
    blocks: stretch.entries.reduce((sum, entry) => sum + entry.blocks, 0),
    recent: [{ slot: last.last.slot, hash: last.last.hash }],
    datasets: datasets.map(describeDataset),
    ...{ files, replaces },
  };
  return { draft, corrected };
}

/** Null when nothing of the dataset changes. */
async function correctDataset(
  options: CorrectionOptions,
  spec: DatasetSpec,
  own: readonly LakeFile[],
  slots: SlotRange,
  revision: string,
): Promise<{ corrected: Corrected; files: FileEntry[]; replaces: string[] } | null> {
  const { store, duck, correction, folder, dryRun } = options;
  const parts = correction.parts.get(spec.name) ?? [];
  if (own.length === 0 && parts.length === 0) return null;
  for (const file of own) mustFit(spec, file);
  mustKeepColumns(spec, own);
  const paths = new Map<string, string>();
  for (const file of own) paths.set(file.key, await soundPath(store, file));
  const all = new Rows(spec, [...paths.values()], parts, correction, slots);
  const changes = await duck.rows(all.changes());
  const files: FileEntry[] = [];
  const replaces: string[] = [];
  for (const [day] of dryRun ? [] : changes) {
    const date = new Date(Number(day) * 86_400_000).toISOString().slice(0, 10);
    const before = own.filter((file) => file.date === date);
    const rows = new Rows(
      spec,
      before.map(({ key }) => paths.get(key)!),
      parts,
      correction,
      slots,
      Number(day),
    );
    const [[count]] = (await duck.rows(`SELECT count(*) FROM (${rows.right()})`)) as [[bigint]];
    replaces.push(...before.map(({ key }) => key));
    if (Number(count) === 0) continue;
    const check = (found: FileFacts | null) =>
      found?.rows === Number(count) ? null : `${found?.rows} rows instead of ${count}`;
    files.push(
      await storeSorted({
        store,
        duck,
        spec,
        date,
        rows: rows.right(),
        label: { source: options.source, revision },
        path: join(folder, "corrected.parquet"),
        check,
      }),
    );
  }
  for (const { key } of own) store.release(key);
  if (changes.length === 0) return null;
  const sum = (column: 1 | 2 | 3 | 4) => changes.reduce((total, row) => total + Number(row[column]), 0);
  const counts = {
    ...{ rowsGone: sum(1), rowsCome: sum(2), rowsRemoved: sum(3), rowsCompared: sum(4) },
    ...{ filesBefore: replaces.length, filesAfter: files.length },
  };
  return { corrected: { dataset: spec.name, slots, ...counts }, files, replaces };
}

/** SQL over the rows of a dataset in a stretch, or in one day of it: those that are void, those that stay, those that come. */
class Rows {
  private readonly columns: string;
  private readonly old: string;
  private readonly fresh: string;
  private readonly isVoid: string;

  constructor(
    spec: DatasetSpec,
    files: readonly string[],
    parts: readonly string[],
    { program }: Correction,
    slots: SlotRange,
    day: number | null = null,
  ) {
    this.columns = spec.columns.flatMap(lakeNames).map(quoteName).join(", ");
    const sameKey = KEY.map((column) => `v.${column} = r.${column}`).join(" AND ");
    const isKnown = `r.slot IN (SELECT slot FROM read_slots) OR EXISTS (SELECT 1 FROM void_keys v WHERE ${sameKey})`;
    this.old = select(spec, files);
    const ofDay = day === null ? "" : ` AND block_time // 86400 = ${day}`;
    this.fresh = `SELECT DISTINCT ${this.columns} FROM (${select(spec, parts)}) r
      WHERE slot BETWEEN ${slots.first} AND ${slots.last}${ofDay} AND (${isKnown})`;
    this.isVoid = `r.program = ${quoteText(program)} AND (${isKnown})`;
  }

  /**
   * Days on which rows are void that do not come again, or come that were not there: day, how many go, how many come, how many
   * of those that go leave nothing of their instruction, and how many are void in all.
   */
  changes(): string {
    const voided = `SELECT ${this.columns} FROM (${this.old}) r WHERE ${this.isVoid}`;
    const isSame = INSTRUCTION.map((column) => `f.${column} IS NOT DISTINCT FROM r.${column}`).join(" AND ");
    return `SELECT day, sum(gone)::BIGINT, sum(come)::BIGINT, sum(removed)::BIGINT, sum(void)::BIGINT FROM (
        SELECT block_time // 86400 AS day, 1 AS gone, 0 AS come, 0 AS removed, 0 AS void
          FROM (${voided} EXCEPT ALL ${this.fresh})
        UNION ALL SELECT block_time // 86400, 0, 1, 0, 0 FROM (${this.fresh} EXCEPT ALL ${voided})
        UNION ALL SELECT block_time // 86400, 0, 0, 0, 1 FROM (${voided})
        UNION ALL SELECT block_time // 86400, 0, 0, 1, 0 FROM (${voided}) r
          WHERE NOT EXISTS (SELECT 1 FROM fresh_instructions f WHERE ${isSame}))
      GROUP BY day HAVING sum(gone) + sum(come) > 0 ORDER BY day`;
  }

  /** The rows as they should be. */
  right(): string {
    return `SELECT ${this.columns} FROM (${this.old}) r WHERE NOT (${this.isVoid}) UNION ALL ${this.fresh}`;
  }
}

/** The columns that tell an event from all others. */
const KEY = ["slot", "signature", "instruction_path", "ordinal"];

/** The columns that tell an instruction from all others. */
const INSTRUCTION = ["slot", "signature", "instruction_path"];

/** Tables of a stretch: slots whose blocks were read again, and instructions of which there are new rows. */
function knownOf({ whole, parts }: Correction, slots: SlotRange): string[] {
  const within = whole.filter(({ first, last }) => first <= slots.last && last >= slots.first);
  const ranges = within.map(({ first, last }) => `(${first}, ${last})`).join(", ");
  const read =
    within.length === 0
      ? "SELECT 0::UBIGINT AS slot WHERE false"
      : `SELECT unnest(generate_series(a, b))::UBIGINT AS slot FROM (VALUES ${ranges}) AS t(a, b)`;
  const files = [...parts.values()].flat();
  const fresh =
    files.length === 0
      ? "SELECT 0::UBIGINT AS slot, '' AS signature, '' AS instruction_path WHERE false"
      : `SELECT DISTINCT ${INSTRUCTION.join(", ")} FROM read_parquet([${files.map(quoteText).join(", ")}], union_by_name = true)
          WHERE slot BETWEEN ${slots.first} AND ${slots.last}`;
  return [
    `CREATE OR REPLACE TEMP TABLE read_slots AS ${read}`,
    `CREATE OR REPLACE TEMP TABLE fresh_instructions AS ${fresh}`,
  ];
}

function voidKeys({ reread }: Correction): string {
  const rows =
    reread.length === 0
      ? "SELECT 0::UBIGINT AS slot, '' AS signature, '' AS instruction_path, 0::UINTEGER AS ordinal WHERE false"
      : `SELECT DISTINCT ${KEY.join(", ")} FROM read_parquet([${reread.map(quoteText).join(", ")}])`;
  return `CREATE OR REPLACE TEMP TABLE void_keys AS ${rows}`;
}

/** The rows of files in the dataset's columns; columns that came later are null in older files. */
function select(spec: DatasetSpec, paths: readonly string[]): string {
  const columns = spec.columns.flatMap((column) => {
    return lakeNames(column).map((name, i) => ({ name: quoteName(name), type: lakeTypes(column)[i]! }));
  });
  const empty = `SELECT ${columns.map(({ name, type }) => `NULL::${type} AS ${name}`).join(", ")} WHERE false`;
  if (paths.length === 0) return empty;
  const files = `read_parquet([${paths.map(quoteText).join(", ")}], hive_partitioning = false, union_by_name = true)`;
  // Names that no file has are taken from the empty table.
  return `SELECT ${columns.map(({ name }) => name).join(", ")} FROM (${empty} UNION ALL BY NAME FROM ${files})`;
}

/** Columns that are not configured any more would be lost. */
function mustKeepColumns(spec: DatasetSpec, files: readonly LakeFile[]): void {
  const known = new Set(spec.columns.map(({ name }) => name));
  for (const { schema, key } of files) {
    const lost = Object.keys(schema.columns).find((name) => !known.has(name));
    if (lost === undefined) continue;
    throw new Fatal("LAKE_COLUMNS", `${spec.name} was archived with the column ${lost}, which is not configured now`, {
      where: key,
      hint: "Keep the layouts that the program had, and add to them.",
    });
  }
}
