/** For tests of a lane: state in a Map, and batches of spinpet events made from the few fields a test cares about. */
import { columnIndex, WIDTH } from "../../pipeline/datasets/dataset.ts";
import { keyPart } from "../../pipeline/datasets/key.ts";
import { MINTS, type MintRow } from "../../pipeline/datasets/mints.ts";
import type { BlockMeta } from "../../pipeline/position.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import { datasetCatalog } from "../decode/catalog.ts";
import { SPINPET } from "../decode/programs/spinpet.ts";
import type { State } from "../stage.ts";
import { LaneStage } from "./lane-stage.ts";
import { SPINPET_EFFECTS } from "./spinpet.ts";

export const CATALOG = datasetCatalog([SPINPET]);

/** An event by dataset and the fields that matter; all others are zero or empty. Price events make a trade as decode does. */
export interface LaneEvent {
  readonly dataset: string;
  readonly fields: Readonly<Record<string, Cell>>;
}

export interface LaneBlock {
  readonly slot: number;
  readonly time?: number;
  readonly hash?: string;
  /** Events of each transaction. */
  readonly transactions: readonly (readonly LaneEvent[])[];
}

/** A made-up address: 32 bytes, all of them `n`. */
export function address(n: number): Uint8Array {
  return new Uint8Array(32).fill(n);
}

export function metaOf(block: LaneBlock, finalSlot: number): BlockMeta {
  const { slot, hash = `h${slot}` } = block;
  return { slot, hash, cursor: `c-${hash}`, time: block.time ?? 1_700_000_000 + slot, finalSlot };
}

export function laneBatch(blocks: readonly LaneBlock[], finalSlot = Number.MAX_SAFE_INTEGER): RowBatch {
  const builders = new Map<string, TableBuilder>();
  const builder = (name: string) => {
    const spec = CATALOG.get(name);
    if (spec === undefined) throw new Error(`no dataset ${name}`);
    if (!builders.has(name)) builders.set(name, new TableBuilder(spec));
    return builders.get(name)!;
  };
  for (const block of blocks) {
    block.transactions.forEach((events, txIndex) => {
      events.forEach((event, eventIndex) => {
        const common = commonCells(block, txIndex, eventIndex, event.fields.mint ?? address(1));
        appendEvent(builder(event.dataset), { ...common, ...event.fields });
        const trade = tradeOf(event);
        if (trade !== null) appendEvent(builder("trades"), { ...common, ...trade });
      });
    });
  }
  const tables = new Map<string, Table>([...builders].map(([name, b]) => [name, b.finish()]));
  return { blocks: blocks.map((block) => metaOf(block, finalSlot)), tables };
}

function commonCells(block: LaneBlock, txIndex: number, eventIndex: number, mint: Cell): Record<string, Cell> {
  const signature = new Uint8Array(64).fill(txIndex + 1);
  new DataView(signature.buffer).setUint32(0, block.slot);
  return {
    slot: BigInt(block.slot),
    block_time: BigInt(metaOf(block, 0).time),
    tx_index: txIndex,
    event_index: eventIndex,
    signature,
    instruction_path: `${eventIndex}`,
    ordinal: 0,
    program: address(99),
    mint,
  };
}

function tradeOf({ dataset, fields }: LaneEvent): Record<string, Cell> | null {
  if (fields.latest_price === undefined) return null;
  const swap = dataset === "buy_sell";
  return {
    kind: dataset,
    user: fields.payer ?? address(0),
    is_buy: swap ? (fields.is_buy ?? true) : null,
    base_amount: swap ? (fields.token_amount ?? 0n) : null,
    quote_amount: swap ? (fields.sol_amount ?? 0n) : null,
    price: fields.latest_price,
  };
}

function appendEvent(builder: TableBuilder, cells: Readonly<Record<string, Cell>>): void {
  for (const name of Object.keys(cells)) columnIndex(builder.spec, name);
  for (const column of builder.columns) {
    const cell = cells[column.spec.name];
    if (cell !== undefined) column.cell(cell);
    else if (column.spec.nullable === true) column.null();
    else if (WIDTH[column.spec.type] === null) column.string("");
    else column.bytes(new Uint8Array(WIDTH[column.spec.type]!));
  }
}

/** `State` in a Map; remembers how often each row was put. */
export class MapState implements State {
  readonly tables = new Map<string, Map<string, object>>();
  readonly puts: string[] = [];
  readonly blocks: { slot: number; finalSlot: number }[] = [];
  discarded = 0;

  get<Row extends object>(table: string, key: string): Row | undefined {
    return this.tables.get(table)?.get(key) as Row | undefined;
  }

  put<Row extends object>(table: string, key: string, row: Row): void {
    if (this.blocks.length === 0) throw new Error("put outside of a block");
    this.puts.push(table);
    if (!this.tables.has(table)) this.tables.set(table, new Map());
    // Frozen, so that a stage that changes a row it has put is found out.
    this.tables.get(table)!.set(key, Object.freeze(row));
  }

  delete(table: string, key: string): void {
    this.tables.get(table)?.delete(key);
  }

  atBlock(block: BlockMeta, finalSlot: number): void {
    this.blocks.push({ slot: block.slot, finalSlot });
  }

  discard(): void {
    this.discarded++;
  }

  rows<Row extends object>(table: string): Row[] {
    const rows = [...(this.tables.get(table) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
    return rows.map(([, row]) => row as Row);
  }

  mint(n = 1): MintRow {
    return this.get<MintRow>(MINTS.name, keyPart("bytes32", address(n)))!;
  }
}

/** The state after these blocks, each in a batch of its own. */
export function stateAfter(...blocks: LaneBlock[]): MapState {
  const state = new MapState();
  const stage = new LaneStage(state, SPINPET_EFFECTS);
  for (const block of blocks) stage.apply(laneBatch([block]));
  return state;
}

/** One block that holds each event in a transaction of its own. */
export function blockOf(slot: number, ...events: LaneEvent[]): LaneBlock {
  return { slot, transactions: events.map((event) => [event]) };
}

export function event(dataset: string, fields: Readonly<Record<string, Cell>> = {}): LaneEvent {
  return { dataset, fields };
}
