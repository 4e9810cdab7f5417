/** What verification is asked and what it answers. */
import type { World } from "../../pipeline/world.ts";
import type { SlotRange } from "./coverage.ts";

export type FindingKind =
  /** There are data files, but no entry. */
  | "manifest-missing"
  /** A number of the manifest, or several in a row, has no entry, though later ones or a checkpoint say that there was one. */
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
  /** Not readable from the disk, or as Parquet. */
  | "file-unreadable"
  /** Row count, or the least or greatest slot, time or mint, is not what the entry says. */
  | "file-facts"
  | "file-order"
  /** A compaction whose files have more or fewer rows than those that they replace. */
  | "rows-changed"
  /** Two entries name it: each counts its rows, but they are there once. Older versions of Sluice did so for equal files of two sources; a compaction puts it right. */
  | "file-shared"
  /** Rows that are in the lake more than once. */
  | "duplicate-rows"
  /** Rows that several sources have: queries that name no source count them for each. Notice. */
  | "rows-of-sources"
  /** No entry names it, but others cover its slots: left by a crash before its commit. Notice. */
  | "orphan"
  /** No entry names it, and none covers its slots: left by a crash, or the end of the manifest is gone. Notice. */
  | "uncovered"
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
  /** Files that were checked: all of them, or those of `since`. */
  readonly filesChecked: number;
  readonly lineages: readonly { readonly lineage: string; readonly slot: number }[];
  /** What re-decodes and drops have made of rows that were there, by lineage and dataset, in the order of entries. */
  readonly revisions: readonly Revision[];
  /** Slots by dataset. */
  readonly coverage: Readonly<Record<string, readonly SlotRange[]>>;
  readonly findings: readonly Finding[];
}

export interface Revision {
  readonly lineage: string;
  readonly dataset: string;
  /** In the files that it replaced, and in those it put in their place. */
  readonly rowsBefore: number;
  readonly rowsAfter: number;
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

/** Worth knowing, and no fault. */
export const NOTICES: ReadonlySet<FindingKind> = new Set([
  "rows-of-sources",
  "orphan",
  "uncovered",
  "uncommitted",
  "stranger",
]);
