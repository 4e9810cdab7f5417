/**
 * The lake as a sink. A commit writes its files, and then the entry that makes them part of the lake: the entry is the
 * commit. Whatever a crash leaves before it belongs to nobody, and doing the same again finds the same names.
 *
 * Steps of a commit: write a file beside the lake, make it durable, re-open it and compare; store it under a name made
 * from its content; when all are stored, create the next entry.
 */
import { rm, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal, Fenced } from "../../pipeline/errors.ts";
import { type BlockMeta, type BlockRef, formatBlock, type Position, sameBlock } from "../../pipeline/position.ts";
import type { Roll, Segment } from "../../pipeline/wire/roll.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import type { Head, Sink, Step } from "../sink.ts";
import { Duck } from "./duckdb.ts";
import {
  describeDataset,
  type EntryBlock,
  endOfRange,
  type FileEntry,
  fileKey,
  isComplete,
  type Lineage,
  lineageId,
  RECENT_BLOCKS,
} from "./entry.ts";
import { putFile } from "./files.ts";
import { type Committed, type Journal, ManifestJournal } from "./journal.ts";
import { rowsByDate, writeParquet } from "./parquet.ts";
import type { ObjectStore } from "./store.ts";
import { makeWorkFolder } from "./work-folder.ts";

export interface LakeSinkOptions {
  /** Where files are put. */
  readonly store: ObjectStore;
  /** Where entries are committed. Default: the manifest in `store`. */
  readonly journal?: Journal;
  /** Local folder for files being written and for what DuckDB spills; best on the device of a folder store. */
  readonly workDir: string;
  /** Who writes. A backfill covers its range from `start` on, and up to `stop` once `closeRange` has said so. */
  readonly lineage: Lineage;
  /** All datasets that it covers, whether they have rows or not. */
  readonly datasets: readonly DatasetSpec[];
  /** Substreams package and module, for people. */
  readonly package: string;
  /** Memory and threads of DuckDB. Defaults 128 MB and 1. */
  readonly memoryMb?: number;
  readonly threads?: number;
  /** Waits until nothing else has to be done at once: called before each file, which takes this thread for a while. */
  readonly pause?: () => Promise<void>;
  /** For tests. */
  readonly checkpointEvery?: number;
}

/** What was committed since `open`. */
export interface LakeStats {
  readonly entries: number;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Number of our last entry in the journal: in the manifest, or in the spool; 0 when there is none. */
  readonly journalNumber: number;
  /** Our position; -1 when there is none. */
  readonly slot: number;
}

/** What is known between `open` and `close`. */
interface Opened {
  readonly folder: string;
  readonly duck: Duck;
  /** Files written so far. Each has a name of its own, so that nothing that knows files by path mistakes one for another. */
  files: number;
  /** Our last entry, as far as we know. */
  own: Committed | null;
}

export class LakeSink implements Sink<Roll> {
  readonly name: string;
  private readonly options: LakeSinkOptions;
  private readonly journal: Journal;
  private opened: Opened | null = null;
  private committed = { entries: 0, files: 0, rows: 0, bytes: 0 };

  constructor(options: LakeSinkOptions) {
    this.options = options;
    this.journal = options.journal ?? new ManifestJournal(options.store, options.lineage, options.checkpointEvery);
    this.name = `lake ${lineageId(options.lineage)}`;
  }

  /** A second writer of the same lineage is noticed at its first commit: whoever commits later is fenced. */
  async open(): Promise<Head | null> {
    await this.close();
    const own = await this.journal.open();
    const folder = await makeWorkFolder(this.options.workDir);
    const { memoryMb, threads } = this.options;
    const limits = { ...(memoryMb === undefined ? {} : { memoryMb }), ...(threads === undefined ? {} : { threads }) };
    this.opened = { folder, duck: await Duck.open({ ...limits, spillDir: folder }), files: 0, own };
    return own === null ? null : headOf(own);
  }

  async commit(step: Step, roll: Roll): Promise<Position> {
    const opened = this.mustBeOpen();
    checkPrev(step, opened.own);
    checkRoll(step, roll);
    const last = roll.segments.at(-1)!.last;
    const recent = recentBlocks(step, last);
    const files: FileEntry[] = [];
    for (const segment of roll.segments) files.push(...(await this.writeSegment(opened, segment)));

    const { lineage, datasets } = this.options;
    opened.own = await this.journal.append({
      lineage,
      to: { slot: last.slot, hash: last.hash, cursor: last.cursor, moduleHash: step.next.moduleHash },
      first: entryBlock(roll.segments[0]!.first),
      last: entryBlock(last),
      blocks: roll.segments.reduce((sum, segment) => sum + segment.blocks, 0),
      recent,
      finality: "final-slot",
      package: this.options.package,
      datasets: datasets.map(describeDataset),
      files,
      replaces: [],
    });
    this.committed.entries++;
    this.committed.files += files.length;
    for (const file of files) {
      this.committed.rows += file.rows;
      this.committed.bytes += file.bytes;
    }
    return opened.own.to;
  }

  /** Only final blocks are here, so an undo can only be to where we stand or beyond it. */
  async rollback(step: Step): Promise<void> {
    const { own } = this.mustBeOpen();
    checkPrev(step, own);
    const position = own?.to ?? null;
    if (position === null || position.slot < step.next.slot || sameBlock(position, step.next)) return;
    throw new Fatal(
      "UNDO_BELOW_FINAL",
      `asked to undo to ${formatBlock(step.next)}, but the lake holds final blocks up to ${formatBlock(position)}`,
      { where: this.name, hint: "Finality was broken upstream, or the lake belongs to another network." },
    );
  }

  /** The input is complete: resolves when all of it is in the lake, not only on its way there. */
  async end(): Promise<void> {
    await this.journal.settled();
  }

  /**
   * Notes that nothing came between the last block and the end of the lineage's range, where it does not stand there yet;
   * resolves when that is in the lake. To be called when the source has said that the range is complete.
   */
  async closeRange(moduleHash: string): Promise<void> {
    const opened = this.mustBeOpen();
    const { lineage, datasets } = this.options;
    if (lineage.stop === null) throw new Fatal("LAKE_ORDER", `${this.name} has no range that could end`);
    if (!isComplete(lineage, opened.own?.to.slot ?? -1)) {
      const end = endOfRange(lineage.stop);
      const { slot, hash } = end;
      opened.own = await this.journal.append({
        lineage,
        to: { slot, hash, cursor: "", moduleHash },
        first: end,
        last: end,
        blocks: 0,
        recent: [{ slot, hash }],
        finality: "final-slot",
        package: this.options.package,
        datasets: datasets.map(describeDataset),
        files: [],
        replaces: [],
      });
    }
    await this.journal.settled();
  }

  async close(): Promise<void> {
    const opened = this.opened;
    this.opened = null;
    if (opened === null) return;
    opened.duck.close();
    await rm(opened.folder, { recursive: true, force: true });
  }

  stats(): LakeStats {
    const own = this.opened?.own ?? null;
    return { ...this.committed, journalNumber: own?.number ?? 0, slot: own?.to.slot ?? -1 };
  }

  private mustBeOpen(): Opened {
    if (this.opened === null) throw new Fatal("LAKE_NOT_OPEN", "the lake must be opened before it is written to");
    return this.opened;
  }

  private async writeSegment(opened: Opened, segment: Segment): Promise<FileEntry[]> {
    const files: FileEntry[] = [];
    await this.options.pause?.();
    for (const table of segment.tables) {
      this.checkDataset(table.spec);
      for (const [date, rows] of rowsByDate(table)) files.push(await this.writeFile(opened, table, date, rows));
      await this.options.pause?.();
    }
    return files;
  }

  private checkDataset(spec: DatasetSpec): void {
    const known = this.options.datasets.find((d) => d.name === spec.name);
    if (known?.version === spec.version) return;
    throw new Fatal("LAKE_DATASET", `the lake's writer does not know ${spec.name} in version ${spec.version}`, {
      where: this.name,
      hint: "Rows of a dataset reach the lake that it was not configured with: configure the same programs everywhere.",
    });
  }

  private async writeFile(opened: Opened, table: Table, date: string, rows: Uint32Array): Promise<FileEntry> {
    const dataset = table.spec.name;
    const path = join(opened.folder, `${opened.files++}.parquet`);
    const { source } = this.options.lineage;
    const written = await writeParquet(opened.duck, table, rows, path, { source });
    const { slot, sha256 } = written;
    const key = fileKey(dataset, date, slot, sha256);
    await putFile(this.options.store, key, path, sha256);
    await unlink(path);
    const { rows: count, bytes, blockTime, mint } = written;
    return { key, dataset, date, rows: count, bytes, sha256, slot, blockTime, mint };
  }
}

function entryBlock({ slot, hash, time }: BlockMeta): EntryBlock {
  return { slot, hash, time };
}

/** The last blocks of what is committed; `step` also has those that the roll does not cover yet. */
function recentBlocks(step: Step, last: BlockMeta): BlockRef[] {
  const blocks = step.blocks.filter((b) => b.slot <= last.slot).slice(-RECENT_BLOCKS);
  if (!sameBlock(blocks.at(-1) ?? null, last)) {
    throw new Fatal("LAKE_ORDER", `the roll ends at ${formatBlock(last)}, which is not among the blocks to commit`);
  }
  return blocks.map(({ slot, hash }) => ({ slot, hash }));
}

/**
 * Where a stream has the next message is no fact about the chain, so the lake does not remember it: the same input would
 * give other bytes. Its reader begins at the oldest message, which is near, since streams are trimmed behind us.
 */
function headOf({ to, recent }: Committed): Head {
  return { position: to, finalSlot: to.slot, recent, inputSeq: 0 };
}

function checkPrev(step: Step, own: Committed | null): void {
  const stands = own?.to ?? null;
  if (sameBlock(step.prev, stands)) return;
  throw new Fenced("LAKE_FENCED", `the lake stands at ${formatBlock(stands)}, not at ${formatBlock(step.prev)}`);
}

/** A roll must hold final blocks only, in order, after where the lake stands. */
function checkRoll(step: Step, roll: Roll): void {
  let before = step.prev?.slot ?? -1;
  for (const { first, last } of roll.segments) {
    if (first.slot <= before || last.slot < first.slot) {
      throw new Fatal("LAKE_ORDER", `blocks from ${formatBlock(first)} do not come after slot ${before}`);
    }
    before = last.slot;
  }
  if (roll.segments.length === 0) throw new Fatal("LAKE_ORDER", "a roll without blocks was committed");
  if (before > step.finalSlot) {
    throw new Fatal("LAKE_NOT_FINAL", `slot ${before} is not final: finality has reached slot ${step.finalSlot}`);
  }
}
