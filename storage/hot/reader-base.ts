/** What every reader of a lane's file needs: one snapshot for what belongs together, where the lane stands, and how much it holds. */
import type { Database, Statement } from "bun:sqlite";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { Position } from "../../pipeline/position.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { SqlValue } from "./codec.ts";
import { CommitWatch } from "./commit-watch.ts";
import { firstRowFrom } from "./event-tables.ts";
import { openForReading, storedDatasets } from "./file.ts";
import { type LaneNumber, readLane } from "./lanes.ts";
import { decodeRow, isState, quoted, selectList } from "./layout.ts";
import { finalTimeOf, headTimeOf, readPosition } from "./position.ts";
import { sortSqliteError } from "./sqlite-error.ts";

export type Row = Record<string, Cell>;

/** Where a lane stands, for readers. */
export interface HotStand {
  readonly position: Position;
  readonly finalSlot: number;
  /** Greatest block time of final blocks, Unix seconds: a candle that ended by then will not change any more. */
  readonly finalTime: number | null;
  /** Greatest block time held, Unix seconds; null before the first block. */
  readonly headTime: number | null;
  /** Tells this state of the file from every other: changes with each commit and undo. */
  readonly version: string;
}

/** How far back the rows of a dataset reach. */
export interface Reach {
  /** Slot and block time of the oldest row. */
  readonly slot: number;
  readonly time: number;
  /** Rows before it have aged out. */
  readonly expired: boolean;
}

export class LaneFileReader {
  protected readonly db: Database;
  protected readonly file: string;
  private readonly versionRow: Statement;
  /** Made when it is first asked for: most readers look once. */
  private commits: CommitWatch | null = null;
  /** As of the last look. */
  private known: string | null = null;
  private depth = 0;

  /** Throws `Transient` (HOT_MISSING) while the lane has no file. */
  constructor(file: string, options: { readonly busyTimeoutMs: number } = { busyTimeoutMs: 2_000 }) {
    this.file = file;
    this.db = this.guard(() => openForReading(file, options.busyTimeoutMs));
    this.versionRow = this.db.prepare("SELECT version, hash FROM _position");
  }

  close(): void {
    this.versionRow.finalize();
    this.db.close(true);
  }

  /** Runs `action` on one snapshot. It must not wait for anything. */
  read<T>(action: () => T): T {
    return this.guard(() => {
      this.enter();
      try {
        return action();
      } finally {
        this.leave();
      }
    });
  }

  /** Which lane of how many it is. */
  lane(): LaneNumber {
    return this.guard(() => readLane(this.db));
  }

  /** Null while the lane is empty. */
  stand(): HotStand | null {
    return this.read(() => {
      const stands = readPosition(this.db);
      if (stands === null) return null;
      const { position, finalSlot } = stands;
      const finalTime = finalTimeOf(this.db);
      return { position, finalSlot, finalTime, headTime: headTimeOf(this.db), version: this.version() };
    });
  }

  /** Tells this state of the file from every other; a microsecond, so that it can be asked for each request. */
  version(): string {
    // A snapshot has its own, which others may have gone beyond.
    if (this.depth > 0) return this.storedVersion();
    // Looked at before SQLite is asked: a commit in between is a change at the next look.
    if (this.commits === null) this.commits = this.watch();
    if (this.commits.hasChanged || this.known === null) this.known = this.storedVersion();
    return this.known;
  }

  private watch(): CommitWatch {
    // The first query of a connection makes the index, where this is the first.
    this.storedVersion();
    return new CommitWatch(this.file);
  }

  private storedVersion(): string {
    try {
      const [version, hash] = this.versionRow.values()[0]!;
      return `${version}-${String(hash ?? "").slice(0, 8)}`;
    } catch (error) {
      throw sortSqliteError(error, this.file);
    }
  }

  /** Null while no row of the dataset is held. */
  reach(dataset: string): Reach | null {
    return this.read(() => {
      this.stored(dataset);
      const sql = `SELECT _row, slot, block_time FROM ${quoted(dataset)} ORDER BY _row LIMIT 1`;
      const first = this.db.query(sql).values()[0];
      if (first === undefined) return null;
      return { slot: Number(first[1]), time: Number(first[2]), expired: first[0] !== 1n };
    });
  }

  /** Rows appended to each dataset of events since the file was made, those that have aged out included. */
  appended(): Map<string, number> {
    return this.read(() => {
      const events = [...storedDatasets(this.db).values()].filter(({ name }) => !isState(name));
      return new Map(
        events.map(({ name }) => [
          name,
          Number(this.db.query(`SELECT coalesce(max(_row), 0) FROM ${quoted(name)}`).values()[0]![0]),
        ]),
      );
    });
  }

  /** Block time (Unix seconds) and program of the newest event held; null when none is. */
  lastEvent(): { readonly time: number; readonly program: Uint8Array } | null {
    return this.read(() => {
      const events = [...storedDatasets(this.db).values()].filter(({ name }) => !isState(name));
      const newest = events.flatMap(({ name }) => {
        const sql = `SELECT block_time, program FROM ${quoted(name)} ORDER BY _row DESC LIMIT 1`;
        return this.db.query(sql).values();
      });
      const [time, program] = newest.sort(([a], [b]) => Number(b) - Number(a))[0] ?? [];
      return time === undefined ? null : { time: Number(time), program: program as Uint8Array };
    });
  }

  /** Rows of a dataset of events whose block time is `time` or later. */
  countSince(dataset: string, time: number): number {
    return this.read(() => {
      const last = this.db.query(`SELECT coalesce(max(_row), 0) FROM ${quoted(dataset)}`).values()[0]![0];
      return Number(last) + 1 - firstRowFrom(this.db, dataset, time, "block_time");
    });
  }

  /** Tokens held, and bytes of the file. */
  size(): { readonly mints: number; readonly bytes: number } {
    return this.read(() => {
      const of = (sql: string) => Number(this.db.query(sql).values()[0]![0]);
      const bytes = of("PRAGMA page_count") * of("PRAGMA page_size");
      return { mints: of("SELECT count(*) FROM mints"), bytes };
    });
  }

  /** What is wrong with the file, as SQLite's own check finds it; empty when sound. Reads the whole file. */
  problems(): string[] {
    const found = this.guard(() => this.db.query("PRAGMA integrity_check").values());
    return found.map(([problem]) => String(problem)).filter((problem) => problem !== "ok");
  }

  protected count(what: string, params: readonly SqlValue[]): number {
    return this.guard(() => Number(this.db.query(`SELECT count(*) FROM ${what}`).values(...params)[0]![0]));
  }

  /** `from`: where the rows lie, as SQL has it, if that is not the dataset's own table. */
  protected rows(spec: DatasetSpec, rest: string, params: readonly SqlValue[], from = quoted(spec.name)): Row[] {
    return this.guard(() => {
      const sql = `SELECT ${selectList(spec)} FROM ${from} t ${rest}`;
      return this.db
        .query(sql)
        .values(...params)
        .map((values) => decodeRow(spec, values));
    });
  }

  protected stored(dataset: string): [id: number, spec: DatasetSpec] {
    for (const [id, spec] of storedDatasets(this.db)) if (spec.name === dataset) return [id, spec];
    throw new Fatal("HOT_DATASET", `the hot store has no dataset "${dataset}"`, {
      where: this.file,
      hint: "Check the name, and that its program is configured.",
    });
  }

  protected enter(): void {
    if (this.depth === 0) this.db.run("BEGIN");
    this.depth++;
  }

  protected leave(): void {
    if (--this.depth === 0) this.db.run("COMMIT");
  }

  protected guard<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw sortSqliteError(error, this.file);
    }
  }
}
