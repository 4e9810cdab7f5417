/**
 * The state that a lane's stage works on: what it has put since the last commit, over a bounded cache, over SQLite.
 * Writes gather here, block by block for blocks that can still be undone, and reach SQLite only in `HotStore.commit`.
 */
import { Fatal } from "../../pipeline/errors.ts";
import type { BlockMeta } from "../../pipeline/position.ts";
import type { State } from "../../stages/stage.ts";
import { Cache } from "./cache.ts";
import type { StateKeeper } from "./state-table.ts";

/** Rows by key; null = deleted. */
export type Writes = Map<string, object | null>;

/** What was put while the stage stood at these blocks: one that can be undone, or any number of final ones. */
export interface Segment {
  /** The last of them. */
  slot: number;
  readonly tables: Map<string, Writes>;
}

/** A row as a block or an undo left it; null = there is none now. */
export interface RowChange {
  /** The block after which it is so; of final blocks the last of those committed together. */
  readonly slot: number;
  readonly table: string;
  readonly key: string;
  readonly row: object | null;
}

interface Source {
  readonly table: StateKeeper;
  /** Null where the table has one of its own. */
  readonly cache: Cache<object> | null;
  /** Everything put since the last commit. */
  readonly pending: Writes;
}

export class HotState implements State {
  private readonly cacheRows: number;
  private sources = new Map<string, Source>();
  private segmentsOpen: Segment[] = [];
  private final = -1;

  /** `cacheRows`: rows of one table held in memory, at most twice this many. */
  constructor(cacheRows: number) {
    this.cacheRows = cacheRows;
  }

  /** Starts anew on these tables: nothing put, nothing cached. An empty list means that the store is closed. */
  attach(tables: readonly StateKeeper[]): void {
    this.sources = new Map(
      tables.map((table) => {
        const cache = table.isCached ? null : new Cache<object>(this.cacheRows);
        return [table.spec.name, { table, cache, pending: new Map() }];
      }),
    );
    this.segmentsOpen = [];
    this.final = -1;
  }

  get<Row extends object>(table: string, key: string): Row | undefined {
    const source = this.source(table);
    const pending = source.pending.get(key);
    if (pending !== undefined) return (pending ?? undefined) as Row | undefined;
    const cached = source.cache?.get(key);
    if (cached !== undefined) return cached as Row;
    const read = source.table.get(key);
    if (read !== undefined) source.cache?.set(key, read);
    return read as Row | undefined;
  }

  put<Row extends object>(table: string, key: string, row: Row): void {
    this.write(table, key, row);
  }

  delete(table: string, key: string): void {
    this.write(table, key, null);
  }

  atBlock(block: BlockMeta, finalSlot: number): void {
    this.final = Math.max(this.final, finalSlot);
    const last = this.segmentsOpen.at(-1);
    if (last !== undefined && block.slot <= last.slot) {
      throw new Fatal("HOT_BLOCK_ORDER", `state was put at block ${block.slot} after block ${last.slot}`, {
        hint: "A batch was applied before the one before it was committed.",
      });
    }
    if (last !== undefined && block.slot <= finalSlot) last.slot = block.slot;
    else this.segmentsOpen.push({ slot: block.slot, tables: new Map() });
  }

  discard(): void {
    for (const { pending } of this.sources.values()) pending.clear();
    this.segmentsOpen = [];
  }

  /** What was put since the last commit, in chain order. */
  get segments(): readonly Segment[] {
    return this.segmentsOpen;
  }

  /** Highest slot that the stage was told is final. */
  get finalSlot(): number {
    return this.final;
  }

  /** What was put since the last commit, block by block, with the last value in each. */
  *changes(): Generator<RowChange> {
    for (const { slot, tables } of this.segmentsOpen) {
      for (const [table, writes] of tables) for (const [key, row] of writes) yield { slot, table, key, row };
    }
  }

  /** What was put is in SQLite now. */
  committed(): void {
    for (const { pending, cache } of this.sources.values()) {
      if (cache === null) continue;
      for (const [key, row] of pending) {
        if (row === null) cache.delete(key);
        else cache.set(key, row);
      }
    }
    this.discard();
  }

  private write(table: string, key: string, row: object | null): void {
    const segment = this.segmentsOpen.at(-1);
    if (segment === undefined) throw new TypeError("state was put outside of a block");
    this.source(table).pending.set(key, row);
    let writes = segment.tables.get(table);
    if (writes === undefined) segment.tables.set(table, (writes = new Map()));
    writes.set(key, row);
  }

  private source(table: string): Source {
    const source = this.sources.get(table);
    if (source !== undefined) return source;
    if (this.sources.size === 0) {
      throw new Fatal("HOT_NOT_OPEN", "the hot store is not open", { hint: "Open it, or re-open it after an error." });
    }
    throw new TypeError(`there is no state table "${table}"`);
  }
}
