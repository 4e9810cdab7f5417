/**
 * Candles in a lane's file. Each trade changes a candle of every interval, and a block has trades of many tokens: a row for
 * each would be most of what a commit writes. So the newest candle of each interval, which is the one that still changes,
 * lies with the others of its token in one row of `_candles_open`; when the next one begins, it moves to `_candles_closed`.
 * The view `candles` is both. A candle is in one of the two, never in both.
 */
import type { Database } from "bun:sqlite";
import { CANDLE_SECONDS, CANDLES } from "../../pipeline/datasets/candles.ts";
import { type ColumnSpec, columnIndex, type DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { keyPart } from "../../pipeline/datasets/key.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { Cache } from "./cache.ts";
import { decodeRow, sqlColumns, stateTableSql } from "./layout.ts";
import type { MintIds } from "./mint-ids.ts";
import type { Writes } from "./state.ts";
import { type StateKeeper, StateTable } from "./state-table.ts";
import { BeforeImages } from "./undo.ts";

/** Names of the tables in the file, as SQL has them. */
export const CLOSED_CANDLES = `"_candles_closed"`;
const OPEN_CANDLES = `"_candles_open"`;

const INTERVALS = Object.entries(CANDLE_SECONDS);
const PART_OF = INTERVALS.map(([, seconds]) => keyPart("u32", seconds));
const NUMBER_OF = new Map<number, number>(INTERVALS.map(([, seconds], i) => [seconds, i]));
const MINT_CHARACTERS = 32;
const INTERVAL_CHARACTERS = 4;

/** The columns of a candle that an open row has for each interval; `time` is null where there is no open candle. */
const PARTS = CANDLES.columns.filter(({ name }) => name !== "mint" && name !== "interval");
const TIME_AT = PARTS.findIndex(({ name }) => name === "time");

/** The open candles of a token: as `PARTS`, for each interval. */
const OPEN: DatasetSpec = {
  name: "candles_open",
  version: 1,
  doc: "The open candles of a token.",
  columns: [
    CANDLES.columns[columnIndex(CANDLES, "mint")]!,
    ...INTERVALS.flatMap(([interval]) =>
      PARTS.map((part): ColumnSpec => ({ ...part, name: `${interval}_${part.name}`, nullable: true })),
    ),
  ],
  key: ["mint"],
  order: ["mint"],
};

export function candleTablesSql(): string[] {
  const closed = `SELECT ${sqlColumns(CANDLES).join(", ")} FROM ${CLOSED_CANDLES}`;
  return [
    ...stateTableSql({ spec: CANDLES, indexes: [] }, CLOSED_CANDLES),
    ...stateTableSql({ spec: OPEN, indexes: [] }, OPEN_CANDLES),
    `CREATE VIEW candles AS ${[closed, ...INTERVALS.map(([, seconds]) => openCandlesSql(seconds))].join(" UNION ALL ")}`,
  ];
}

/** All open candles of an interval, with the columns of `CANDLES` in the file. */
function openCandlesSql(seconds: number): string {
  const interval = INTERVALS.find(([, length]) => length === seconds)?.[0];
  if (interval === undefined) throw new RangeError(`there are no candles of ${seconds} seconds`);
  const cells = PARTS.map(({ name }) => `${interval}_${name} AS "${name}"`);
  return `SELECT mint_id, ${seconds} AS interval, ${cells.join(", ")} FROM ${OPEN_CANDLES} WHERE ${interval}_time IS NOT NULL`;
}

/**
 * The candles of one token and interval, as a subquery that reads no others (through the view, SQLite would read all).
 * `mintId`: SQL for the token's number. `closed` and `both`: SQL behind the conditions, for the closed ones and for each.
 */
export function tokenCandlesSql(seconds: number, mintId: string, both = "", closed = ""): string {
  const ofClosed = `SELECT * FROM ${CLOSED_CANDLES} WHERE mint_id = ${mintId} AND interval = ${seconds} ${both} ${closed}`;
  const ofOpen = `SELECT * FROM (${openCandlesSql(seconds)}) WHERE mint_id = ${mintId} ${both}`;
  return `(SELECT * FROM (${ofClosed}) UNION ALL ${ofOpen})`;
}

/** The open candles of a token. */
interface OpenRow {
  /** By column of `OPEN`. */
  readonly cells: Cell[];
  /** Key of the candle of each interval, null without one. */
  readonly keys: (string | null)[];
}

/** Open rows held in memory; twice this many at most, some 3 KB each. */
const CACHED_MAX = 1_024;

export class CandleTable implements StateKeeper {
  readonly spec = CANDLES;
  readonly isCached = true;
  private readonly images: BeforeImages;
  private readonly open: StateTable;
  private readonly closed: StateTable;
  private readonly cache = new Cache<OpenRow>(CACHED_MAX);

  constructor(db: Database, mintIds: MintIds) {
    this.images = new BeforeImages(db, OPEN, OPEN_CANDLES);
    this.open = new StateTable(db, OPEN, mintIds, OPEN_CANDLES, this.images);
    this.closed = new StateTable(db, CANDLES, mintIds, CLOSED_CANDLES, new BeforeImages(db, CANDLES, CLOSED_CANDLES));
  }

  get(key: string): Record<string, Cell> | undefined {
    const open = this.openOf(key.slice(0, MINT_CHARACTERS));
    const i = intervalOf(key);
    return open?.keys[i] === key ? candleAt(open, i) : this.closed.get(key);
  }

  writeAll(writes: Writes, undoSlot: number | null): void {
    // Keys sort as rows do: by token, interval and time, so that what is closed here was not written before.
    const ordered = [...writes].sort(([a], [b]) => (a < b ? -1 : 1));
    for (let from = 0; from < ordered.length; ) {
      const mint = ordered[from]![0].slice(0, MINT_CHARACTERS);
      let to = from + 1;
      while (to < ordered.length && ordered[to]![0].startsWith(mint)) to++;
      this.writeToken(mint, ordered.slice(from, to), undoSlot);
      from = to;
    }
  }

  keysAbove(slot: number): string[] {
    const keys = new Set<string | null>(this.closed.keysAbove(slot));
    for (const mint of this.open.keysAbove(slot)) {
      for (const key of this.openOf(mint)?.keys ?? []) keys.add(key);
      for (const image of this.images.imagesAbove(slot, this.open.keyParams(mint)!))
        for (const key of openRow(mint, decodeRow(OPEN, image)).keys) keys.add(key);
    }
    keys.delete(null);
    return [...(keys as Set<string>)];
  }

  restore(slot: number): void {
    this.cache.clear();
    this.open.restore(slot);
    this.closed.restore(slot);
  }

  pruneAt(finalSlot: number): void {
    this.open.pruneAt(finalSlot);
    this.closed.pruneAt(finalSlot);
  }

  /** `writes`: candles of one token, in order. */
  private writeToken(
    mint: string,
    writes: readonly (readonly [string, object | null])[],
    undoSlot: number | null,
  ): void {
    const held = this.openOf(mint);
    const open = held === undefined ? emptyRow() : { cells: [...held.cells], keys: [...held.keys] };
    let isChanged = false;
    for (const [key, row] of writes) {
      const i = intervalOf(key);
      const openKey = open.keys[i]!;
      const isFirst = openKey === null && (held === undefined || this.closed.get(key) === undefined);
      if (row !== null && (isFirst || (openKey !== null && key >= openKey))) {
        if (openKey !== null && key > openKey) this.closed.write(openKey, candleAt(open, i), undoSlot);
        setCandle(open, i, key, row as Record<string, Cell>);
        isChanged = true;
      } else if (key === openKey) {
        setCandle(open, i, null, null);
        isChanged = true;
      } else this.closed.write(key, row, undoSlot);
    }
    if (!isChanged) return;
    this.open.writeCells(mint, (column) => open.cells[column], undoSlot);
    this.cache.set(mint, open);
  }

  /** Not to be changed. */
  private openOf(mint: string): OpenRow | undefined {
    const cached = this.cache.get(mint);
    if (cached !== undefined) return cached;
    const row = this.open.get(mint);
    if (row === undefined) return undefined;
    const open = openRow(mint, row);
    this.cache.set(mint, open);
    return open;
  }
}

/** Which interval a key is of. Its seconds stand behind the mint, four characters, the most significant first. */
function intervalOf(key: string): number {
  let seconds = 0;
  for (let at = MINT_CHARACTERS; at < MINT_CHARACTERS + INTERVAL_CHARACTERS; at++)
    seconds = seconds * 256 + key.charCodeAt(at);
  const i = NUMBER_OF.get(seconds);
  if (i === undefined) throw new TypeError("a candle has an interval that there is not");
  return i;
}

function emptyRow(): OpenRow {
  return { cells: OPEN.columns.map(() => null), keys: INTERVALS.map(() => null) };
}

/** `row`: by column name. */
function openRow(mint: string, row: Readonly<Record<string, Cell>>): OpenRow {
  const cells = OPEN.columns.map(({ name }) => row[name]!);
  const keys = PART_OF.map((part, i) => {
    const time = cells[cellsAt(i) + TIME_AT]!;
    return time === null ? null : mint + part + keyPart("i64", time as bigint);
  });
  return { cells, keys };
}

/** Where the cells of an interval's candle begin. */
function cellsAt(i: number): number {
  return 1 + i * PARTS.length;
}

function candleAt({ cells }: OpenRow, i: number): Record<string, Cell> {
  const row: Record<string, Cell> = { mint: cells[0]!, interval: INTERVALS[i]![1] };
  for (let p = 0; p < PARTS.length; p++) row[PARTS[p]!.name] = cells[cellsAt(i) + p]!;
  return row;
}

function setCandle({ cells, keys }: OpenRow, i: number, key: string | null, row: Record<string, Cell> | null): void {
  if (row !== null) cells[0] = row["mint"]!;
  keys[i] = key;
  for (let p = 0; p < PARTS.length; p++) cells[cellsAt(i) + p] = row === null ? null : row[PARTS[p]!.name]!;
}
