/**
 * What the feed tells of a step, as clients read it. Texts are made when somebody wants them, once for all of them.
 *
 * Of a block: events and trades in chain order, lane by lane; then the candles that it changed; then tokens seen for the
 * first time. They are numbered from 1, whoever wants them: the same block has the same ordinals for everybody.
 */
import type { CandleRow } from "../../pipeline/datasets/candles.ts";
import { QUARANTINE } from "../../pipeline/datasets/quarantine.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { LiveCommit } from "../../pipeline/live-lane.ts";
import type { FeedStep } from "../../pipeline/live-merge.ts";
import { CANDLES_AT, MINTS_AT, REMOVED_CANDLES, REMOVED_MINTS } from "../../pipeline/live-message.ts";
import type { BlockRef } from "../../pipeline/position.ts";
import { addressKeys } from "../../pipeline/wire/address-keys.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { base58 } from "../../storage/lake/base58.ts";
import { candleText } from "../routes/v1/candles.ts";
import { addressText, eventBody, mintBody, tradeBody } from "../routes/v1/shapes.ts";
import { intervalName, kindOf, topicsOf } from "./topics.ts";

export type BlockStep = FeedStep & { readonly kind: "block" };
export type UndoStep = FeedStep & { readonly kind: "undo" };

/** A message as it goes to clients. */
export interface Frame {
  /** Place behind it, as text. */
  readonly id: string;
  /** JSON. */
  readonly text: string;
}

export class Item {
  readonly topics: readonly string[];
  readonly ordinal: number;
  private readonly block: BlockRef;
  private readonly make: () => string;
  private made: Frame | null = null;

  /** `make` gives the rest of the message behind `at`, without the closing brace. */
  constructor(block: BlockRef, ordinal: number, topics: readonly string[], make: () => string) {
    this.block = block;
    this.ordinal = ordinal;
    this.topics = topics;
    this.make = make;
  }

  get frame(): Frame {
    if (this.made === null) {
      const { block, ordinal } = this;
      const type = kindOf(this.topics[0]!).slice(0, -1);
      const at = `{"slot":${block.slot},"hash":${JSON.stringify(block.hash)},"ordinal":${ordinal}}`;
      const text = `{"type":"${type}","at":${at},${this.make()}}`;
      this.made = { id: `${block.slot}:${block.hash}:${ordinal}`, text };
    }
    return this.made;
  }
}

/** What a block tells of one sort, numbered behind what comes before; made when somebody wants it. */
export class ItemGroup {
  /** First parts of its topics. */
  readonly kinds: readonly string[];
  private readonly make: () => Item[];
  private made: readonly Item[] | null = null;

  constructor(kinds: readonly string[], make: () => Item[]) {
    this.kinds = kinds;
    this.make = make;
  }

  get items(): readonly Item[] {
    this.made ??= this.make();
    return this.made;
  }
}

/** In the order in which a block tells them. Throws `Poison` when a message of the stream is damaged. */
export function itemGroups({ block, commits }: BlockStep): ItemGroup[] {
  const { slot } = block;
  const tables = commits.map((commit) => commit.tables);
  const itemsFrom = (before: number, entries: Iterable<Entry>) =>
    Array.from(entries, ([topics, make], i) => new Item(block, before + i + 1, topics, make));
  const events = sum(tables, (of) => sum(eventTables(of), ([, table]) => rowsAt(table, slot).count));
  const candles = sum(tables, (of) => rowsAt(of.get(CANDLES_AT.name), slot).count);
  return [
    new ItemGroup(["events", "trades"], () => itemsFrom(0, tables.flatMap((of) => eventsAt(of, slot)).map(eventEntry))),
    new ItemGroup(["candles"], () =>
      itemsFrom(
        events,
        commits.flatMap((commit) => [...candlesOf(commit, slot)]),
      ),
    ),
    new ItemGroup(["mints"], () =>
      itemsFrom(
        events + candles,
        commits.flatMap((commit) => [...newMintsOf(commit, slot)]),
      ),
    ),
  ];
}

function sum<T>(of: Iterable<T>, count: (one: T) => number): number {
  let total = 0;
  for (const one of of) total += count(one);
  return total;
}

type Entry = readonly [topics: readonly string[], make: () => string];

/** An event of a block, or the trade that was made of one. */
export interface EventAt {
  readonly dataset: string;
  readonly table: Table;
  readonly row: number;
  readonly mint: string | null;
}

/** Events and trades of a block in chain order; a trade comes behind the event that it was made of. */
export function eventsAt(tables: ReadonlyMap<string, Table>, slot: number): EventAt[] {
  const placed: { readonly tx: number; readonly event: number; readonly isTrade: boolean; readonly at: EventAt }[] = [];
  for (const [dataset, table] of eventTables(tables)) {
    const [mints, txs, events] = [table.column("mint"), table.column("tx_index"), table.column("event_index")];
    const text = addressTexts(mints);
    for (const row of rowsAt(table, slot)) {
      const mint = mints.isNull(row) ? null : text(row);
      const at = { dataset, table, row, mint };
      placed.push({ tx: txs.number(row), event: events.number(row), isTrade: dataset === TRADES.name, at });
    }
  }
  placed.sort((a, b) => a.tx - b.tx || a.event - b.event || Number(a.isTrade) - Number(b.isTrade));
  return placed.map(({ at }) => at);
}

function eventEntry({ dataset, table, row, mint }: EventAt): Entry {
  if (dataset === TRADES.name)
    return [topicsOf.trade(mint), () => `"trade":${JSON.stringify(tradeBody(table.row(row)))}`];
  const make = () => `"event":${JSON.stringify(eventBody({ dataset, spec: table.spec, row: table.row(row) }))}`;
  return [topicsOf.event(mint, dataset), make];
}

const NOT_EVENTS = new Set([QUARANTINE, CANDLES_AT, MINTS_AT, REMOVED_CANDLES, REMOVED_MINTS].map(({ name }) => name));

function eventTables(tables: ReadonlyMap<string, Table>): [dataset: string, table: Table][] {
  return [...tables].filter(([dataset]) => !NOT_EVENTS.has(dataset));
}

function* candlesOf({ tables, version }: LiveCommit, slot: number): Generator<Entry> {
  const table = tables.get(CANDLES_AT.name);
  if (table === undefined) return;
  const text = addressTexts(table.column("mint"));
  const intervals = table.column("interval");
  for (const row of rowsAt(table, slot)) {
    const mint = text(row);
    const seconds = intervals.number(row);
    yield [topicsOf.candle(mint, seconds), () => candleMembers(table, row, mint, version)];
  }
}

function candleMembers(table: Table, row: number, mint: string, version: number): string {
  const candle = table.row(row) as unknown as CandleRow;
  const interval = intervalName(candle.interval);
  return `"mint":"${mint}","interval":"${interval}","revision":${version},"row":${candleText(candle)}`;
}

/** A column's addresses as text. Many rows have the same: each is made once. */
export function addressTexts(column: Column): (row: number) => string {
  const keyOf = addressKeys(column);
  const texts = new Map<string, string>();
  return (row) => {
    const key = keyOf(row);
    let text = texts.get(key);
    if (text === undefined) texts.set(key, (text = base58(column.data, row * 32, 32)));
    return text;
  };
}

/** Tokens whose first event is of this block, or of one that was committed together with it. */
function* newMintsOf({ tables, firstSlot }: LiveCommit, slot: number): Generator<Entry> {
  const table = tables.get(MINTS_AT.name);
  if (table === undefined) return;
  const [mints, firsts] = [table.column("mint"), table.column("first_slot")];
  const here = rowsAt(table, slot);
  for (const row of here) {
    if (firsts.number(row) < firstSlot) continue;
    const mint = mints.bytes(row);
    // Told already with an earlier block of the same commit.
    let before = here.start - 1;
    while (before >= 0 && Buffer.compare(mints.bytes(before), mint) !== 0) before--;
    if (before < 0) yield [topicsOf.mint(), () => `"mint":${JSON.stringify(mintBody(table.row(row), () => null))}`];
  }
}

/** What an undo puts right, each with the topics of those who must know. */
export interface Correction {
  readonly topics: readonly string[];
  readonly kind: "candle" | "mint";
  readonly text: string;
}

export function correctionsOf({ commits }: UndoStep): Correction[] {
  const latest = new Map<string, Correction>();
  for (const { tables, version } of commits) {
    const gone = tables.get(REMOVED_CANDLES.name);
    for (let row = 0; row < (gone?.length ?? 0); row++) {
      const { mint, interval, time } = gone!.row(row) as unknown as CandleRow;
      const members = `"time":${time},"removed":true`;
      correctCandle(latest, addressText(mint)!, interval, time, `"revision":${version},${members}`);
    }
    const again = tables.get(CANDLES_AT.name);
    for (let row = 0; row < (again?.length ?? 0); row++) {
      const candle = again!.row(row) as unknown as CandleRow;
      const members = `"revision":${version},"row":${candleText(candle)}`;
      correctCandle(latest, addressText(candle.mint)!, candle.interval, candle.time, members);
    }
    const mints = tables.get(REMOVED_MINTS.name);
    for (let row = 0; row < (mints?.length ?? 0); row++) {
      const text = JSON.stringify(addressText(mints!.column("mint").bytes(row)));
      latest.set(text, { topics: topicsOf.mint(), kind: "mint", text });
    }
  }
  return [...latest.values()];
}

/** Of several statements about a candle the last counts. */
function correctCandle(
  latest: Map<string, Correction>,
  mint: string,
  seconds: number,
  time: bigint,
  members: string,
): void {
  const interval = intervalName(seconds);
  const text = `{"mint":"${mint}","interval":"${interval}",${members}}`;
  latest.set(`${mint}:${interval}:${time}`, { topics: topicsOf.candle(mint, seconds), kind: "candle", text });
}

export interface Rows extends Iterable<number> {
  readonly start: number;
  readonly count: number;
}

const NO_ROWS: Rows = { start: 0, count: 0, [Symbol.iterator]: () => [][Symbol.iterator]() };

/** The rows of a slot: tables lie in chain order. */
export function rowsAt(table: Table | undefined, slot: number): Rows {
  if (table === undefined) return NO_ROWS;
  const slots = table.column("slot");
  const firstFrom = (wanted: number) => {
    let [low, high] = [0, table.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (slots.number(middle) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const [start, end] = [firstFrom(slot), firstFrom(slot + 1)];
  return {
    start,
    count: end - start,
    *[Symbol.iterator]() {
      for (let row = start; row < end; row++) yield row;
    },
  };
}
