/**
 * A lane's hot store: one SQLite file that holds the lane's events, state, undo journal and position, moved together in
 * one transaction a commit. A view that can be rebuilt: the truth is the chain.
 *
 * The position row carries a version, raised by every commit, and an epoch, raised by every open. A commit names both,
 * with the block and cursor where it believes to stand, so a writer that was replaced loses before it has written
 * anything. After any failed commit what is in memory is dropped, and the store must be opened again.
 */
import type { Database } from "bun:sqlite";
import { isDeepStrictEqual } from "node:util";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { type Position, sameBlock } from "../../pipeline/position.ts";
import type { DatasetCatalog, RowBatch, Signal } from "../../pipeline/wire/batch.ts";
import type { Head, Sink, Step } from "../sink.ts";
import { CandleTable, CLOSED_CANDLES } from "./candle-table.ts";
import { type Aged, EventTables } from "./event-tables.ts";
import { eventDatasets, inTransaction, openForWriting } from "./file.ts";
import { type LaneNumber, ONLY_LANE } from "./lanes.ts";
import { quoted, STATE_TABLES, type StateTableSpec } from "./layout.ts";
import { MintIds } from "./mint-ids.ts";
import { type LiveMark, type LiveMessage, Outbox } from "./outbox.ts";
import {
  addBlock,
  advance,
  checkOwner,
  finalSlotOf,
  headTimeOf,
  keepBlock,
  pruneBlocks,
  readHead,
  removeBlocksAbove,
  skipVersions,
  type Ticket,
  takeOwnership,
  undoFloor,
} from "./position.ts";
import { sortSqliteError } from "./sqlite-error.ts";
import { HotState, type RowChange } from "./state.ts";
import { type StateKeeper, StateTable } from "./state-table.ts";
import { AddedRows, BeforeImages } from "./undo.ts";

/** What a lane's stage hands over: the rows to append. What it put into `State` is committed with them. */
export type LaneOut = RowBatch;

/**
 * Encodes a commit for the live feed: its signal, the state rows it changed (for an undo: as they are again), and the
 * version of the store that it makes. Null when nobody needs to be told, as while the lane is far behind the chain.
 */
export type EncodeLive = (signal: Signal<LaneOut>, changes: Iterable<RowChange>, version: number) => Uint8Array | null;

export interface HotLimits {
  /** How long a write waits for another process's lock. */
  readonly busyTimeoutMs: number;
  /** SQLite's page cache. */
  readonly pageCacheBytes: number;
  /** Largest size of the file; null = as far as the disk goes. */
  readonly fileBytesMax: number | null;
  /** State rows of one table held in memory; at most twice this many. */
  readonly cacheRows: number;
  /** Live messages kept for a feed that is not drained. */
  readonly outboxRowsMax: number;
}

export const HOT_LIMITS: HotLimits = {
  busyTimeoutMs: 2_000,
  pageCacheBytes: 32 * 1024 * 1024,
  fileBytesMax: null,
  cacheRows: 8_192,
  outboxRowsMax: 2_048,
};

export interface HotStoreOptions {
  readonly file: string;
  /** Which lane it is; absent: the only one. */
  readonly lane?: LaneNumber;
  /** All datasets that a batch may carry rows of. */
  readonly catalog: DatasetCatalog;
  readonly encodeLive?: EncodeLive;
  readonly limits?: Partial<HotLimits>;
}

/** Everything that belongs to one open. */
interface Session {
  readonly db: Database;
  ticket: Ticket;
  readonly mintIds: MintIds;
  readonly events: EventTables;
  readonly tables: readonly StateKeeper[];
  readonly outbox: Outbox;
}

export class HotStore implements Sink<LaneOut> {
  readonly name: string;
  /** What the lane's stage works on. The same object for the life of the store. */
  readonly state: HotState;
  private readonly options: HotStoreOptions;
  private readonly limits: HotLimits;
  private session: Session | null = null;

  constructor(options: HotStoreOptions) {
    this.options = options;
    this.limits = { ...HOT_LIMITS, ...options.limits };
    this.name = options.file;
    this.state = new HotState(this.limits.cacheRows);
  }

  async open(): Promise<Head | null> {
    this.abandon();
    try {
      const db = openForWriting(this.name, this.options.lane ?? ONLY_LANE, this.options.catalog, this.limits);
      this.session = this.begin(db);
      this.state.attach(this.session.tables);
      return readHead(db);
    } catch (error) {
      this.abandon();
      throw sortSqliteError(error, this.name);
    }
  }

  async commit(step: Step, out: LaneOut): Promise<Position> {
    this.transact((session) => {
      const { db, tables, events, mintIds } = session;
      const finalSlot = Math.max(finalSlotOf(db), step.finalSlot, this.state.finalSlot);
      session.ticket = advance(db, session.ticket, step, finalSlot);
      this.writeBlocks(session, step, out, finalSlot);
      for (const part of [...tables, events, mintIds]) part.pruneAt(finalSlot);
      pruneBlocks(db, finalSlot);
      this.tell(session, { kind: "data", ...linkOf(step), body: out }, this.state.changes());
    });
    this.state.committed();
    return step.next;
  }

  async rollback(step: Step): Promise<void> {
    const session = this.transact((session) => {
      const { db, tables, events, mintIds } = session;
      const floor = undoFloor(db, step.next);
      // Finality counts up to where the store stands: read again, the past may bring a fork there that is undone in turn.
      const finalSlot = Math.min(Math.max(finalSlotOf(db), step.finalSlot), step.next.slot);
      session.ticket = advance(db, session.ticket, step, finalSlot);
      const told = this.options.encodeLive === undefined ? [] : tables;
      const undone = told.map((table) => ({
        table,
        rows: table.keysAbove(floor).map((k) => [k, table.get(k)] as const),
      }));
      for (const part of [...tables, events, mintIds]) part.restore(floor);
      removeBlocksAbove(db, floor);
      keepBlock(db, step.next);
      const restored = undone.flatMap(({ table, rows }) =>
        rows.flatMap(([key, before]): RowChange[] => {
          const row = table.get(key);
          if (isDeepStrictEqual(row, before)) return [];
          return [{ slot: step.next.slot, table: table.spec.name, key, row: row ?? null }];
        }),
      );
      if (!sameBlock(step.prev, step.next)) this.tell(session, { kind: "undo", ...linkOf(step) }, restored);
      return session;
    });
    this.state.attach(session.tables);
  }

  /**
   * Ends a load of rows of which no block was known but its slot: moves to `step.next`, and remembers `step.blocks` of the
   * chain in place of what was remembered; all of it is final. `time`: block time of the last, Unix seconds.
   */
  async settle(step: Step, time: number): Promise<void> {
    this.transact((session) => {
      const { db } = session;
      session.ticket = advance(db, session.ticket, step, step.next.slot);
      removeBlocksAbove(db, -1);
      for (const block of step.blocks) addBlock(db, block, sameBlock(block, step.next) ? time : null);
    });
  }

  /** Versions go on behind this one, if they are not beyond it: the live feed has heard of it from another file of the lane. */
  async skipVersions(version: number): Promise<void> {
    this.transact((session) => {
      checkOwner(session.db, session.ticket);
      session.ticket = skipVersions(session.db, session.ticket, version);
    });
  }

  async close(): Promise<void> {
    this.abandon();
  }

  /**
   * Moves what lies in the write-ahead log into the file, as far as readers allow, so that no commit has to: for moments
   * with nothing to do. Does nothing while the store is not open.
   */
  checkpoint(): void {
    try {
      this.session?.db.run("PRAGMA wal_checkpoint(PASSIVE)");
    } catch (error) {
      throw sortSqliteError(error, this.name);
    }
  }

  /** Live messages that were not marked as sent, oldest first. */
  pendingLive(limit: number): LiveMessage[] {
    return this.opened().outbox.pending(limit);
  }

  /** The live feed has all messages up to this id. After a crash it may be offered some of them again. */
  liveSent(upToId: number): void {
    this.opened().outbox.markSent(upToId);
  }

  /** As `liveSent`, if this is one of ours: after a rebuild the feed may end with a message of another file. */
  liveEndsWith(message: LiveMark): void {
    const { outbox } = this.opened();
    if (outbox.has(message)) outbox.markSent(message.id);
  }

  /** Block time of the newest block, Unix seconds; null: nothing is stored. */
  headTime(): number | null {
    return headTimeOf(this.opened().db);
  }

  /** Events that are older than so many seconds of block time, counted from the newest block. */
  aged(seconds: number): Aged {
    const { db, events } = this.opened();
    const headTime = headTimeOf(db);
    return headTime === null ? { from: new Map(), before: 0, rows: 0 } : events.aged(headTime - seconds);
  }

  /**
   * Deletes events and user events below `beforeSlot`, oldest first, at most `rowsMax` of each kind, and returns how many
   * were deleted: call again until 0. To be called only for what the lake holds. Blocks that can be undone stay.
   */
  expire(beforeSlot: number, rowsMax: number): number {
    return this.transact(({ db, ticket, events }) => {
      checkOwner(db, ticket);
      const slot = Math.min(beforeSlot, finalSlotOf(db) + 1);
      const ofUsers = db
        .query(
          `DELETE FROM user_events WHERE (user, slot, tx_index, event_index) IN
             (SELECT user, slot, tx_index, event_index FROM user_events WHERE slot < ? ORDER BY slot LIMIT ?)`,
        )
        .run(slot, rowsMax);
      return events.expire(slot, rowsMax) + ofUsers.changes;
    });
  }

  /**
   * Deletes candles of one interval (seconds) that begin before `time` (Unix seconds), at most `rowsMax`; returns how many.
   * A token's newest candle stays.
   */
  expireCandles(interval: number, time: number, rowsMax: number): number {
    return this.transact(({ db, ticket }) => {
      checkOwner(db, ticket);
      const deleted = db
        .query(
          `DELETE FROM ${CLOSED_CANDLES} WHERE (mint_id, interval, time) IN
             (SELECT c.mint_id, c.interval, c.time FROM _mint_ids m CROSS JOIN ${CLOSED_CANDLES} c
              ON c.mint_id = m.id AND c.interval = ? AND c.time < ? LIMIT ?)`,
        )
        .run(interval, time, rowsMax);
      return deleted.changes;
    });
  }

  /** How many candles `expireCandles` would delete. */
  countCandles(interval: number, time: number): number {
    const row = this.opened()
      .db.query(
        `SELECT count(*) AS rows FROM _mint_ids m CROSS JOIN ${CLOSED_CANDLES} c
         ON c.mint_id = m.id AND c.interval = ? AND c.time < ?`,
      )
      .get(interval, time) as { rows: bigint | number };
    return Number(row.rows);
  }

  private begin(db: Database): Session {
    const ticket = inTransaction(db, () => takeOwnership(db));
    const mintIds = new MintIds(db);
    return {
      db,
      ticket,
      mintIds,
      events: new EventTables(db, eventDatasets(this.options.catalog), mintIds),
      tables: STATE_TABLES.map((state) => stateKeeper(db, state, mintIds)),
      outbox: new Outbox(db, this.limits.outboxRowsMax),
    };
  }

  /** One transaction; any error drops what is in memory, because it may no longer agree with the file. */
  private transact<T>(action: (session: Session) => T): T {
    const session = this.opened();
    try {
      return inTransaction(session.db, () => action(session));
    } catch (error) {
      this.abandon();
      throw sortSqliteError(error, this.name);
    }
  }

  /** Blocks in order; each with its rows, then with the state that was put while the stage stood at it. */
  private writeBlocks(session: Session, step: Step, out: LaneOut, finalSlot: number): void {
    const append = session.events.begin(out);
    const segments = this.state.segments;
    let written = 0;
    for (const block of out.blocks) {
      const undoSlot = block.slot > finalSlot ? block.slot : null;
      addBlock(session.db, block, block.time);
      append.block(block.slot, undoSlot);
      for (; written < segments.length && segments[written]!.slot <= block.slot; written++) {
        for (const table of session.tables) {
          const writes = segments[written]!.tables.get(table.spec.name);
          if (writes !== undefined) table.writeAll(writes, undoSlot);
        }
      }
    }
    append.end();
    const agreed =
      out.blocks.length === step.blocks.length && out.blocks.every((b, i) => sameBlock(b, step.blocks[i]!));
    if (agreed && written === segments.length) return;
    throw new Fatal(
      "HOT_STEP",
      `step, rows and state up to slot ${step.next.slot} disagree on the blocks they are of`,
      {
        where: this.name,
        hint: "This is a defect of the program. Nothing of the batch was written.",
      },
    );
  }

  /** Leaves word for the live feed, under the version that the commit makes. */
  private tell(
    session: Session,
    signal: Signal<LaneOut> & { kind: "data" | "undo" },
    changes: Iterable<RowChange>,
  ): void {
    const id = session.ticket.version;
    const body = this.options.encodeLive?.(signal, changes, id) ?? null;
    session.outbox.add(body === null ? null : { id, kind: signal.kind, block: signal.next, body }, id);
  }

  private opened(): Session {
    if (this.session !== null) return this.session;
    throw new Fatal("HOT_NOT_OPEN", "the hot store is not open", {
      where: this.name,
      hint: "Open it first; after an error it must be opened again, to read where it stands.",
    });
  }

  private abandon(): void {
    const session = this.session;
    this.session = null;
    this.state.attach([]);
    session?.db.close(true);
  }
}

function stateKeeper(db: Database, { spec, isAddedTo }: StateTableSpec, mintIds: MintIds): StateKeeper {
  if (spec === CANDLES) return new CandleTable(db, mintIds);
  const table = quoted(spec.name);
  const undo = isAddedTo === true ? new AddedRows(db, spec, table) : new BeforeImages(db, spec, table);
  return new StateTable(db, spec, mintIds, table, undo);
}

function linkOf(step: Step): { prev: Position | null; next: Position; finalSlot: number } {
  return { prev: step.prev, next: step.next, finalSlot: step.finalSlot };
}
