/** For tests of the hot store: small datasets, batches of them, and stores in a folder of their own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CANDLES, type CandleRow } from "../../pipeline/datasets/candles.ts";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { eventDataset } from "../../pipeline/datasets/event.ts";
import { rowKey } from "../../pipeline/datasets/key.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { BlockMeta, Position } from "../../pipeline/position.ts";
import type { DatasetCatalog, RowBatch } from "../../pipeline/wire/batch.ts";
import type { Cell } from "../../pipeline/wire/column.ts";
import { type Table, TableBuilder } from "../../pipeline/wire/table.ts";
import type { Step } from "../sink.ts";
import { laneFile } from "./file.ts";
import { HotReader } from "./reader.ts";
import { HotStore, type HotStoreOptions } from "./store.ts";

/** A dataset with a column of every type that an event can have. */
export const NOTES: DatasetSpec = eventDataset({
  name: "notes",
  version: 1,
  doc: "Every column type.",
  fields: [
    { name: "flag", type: "bool", doc: "" },
    { name: "tiny", type: "i8", doc: "" },
    { name: "wide", type: "u64", doc: "" },
    { name: "signed", type: "i64", doc: "" },
    { name: "widest", type: "u128", doc: "" },
    { name: "signed_widest", type: "i128", doc: "" },
    { name: "ratio", type: "f64", doc: "" },
    { name: "blob", type: "bytes", nullable: true, doc: "" },
    { name: "text", type: "utf8", doc: "" },
    { name: "maybe", type: "u64", nullable: true, doc: "" },
  ],
});

export const CATALOG: DatasetCatalog = new Map([NOTES, TRADES].map((spec) => [spec.name, spec]));

export interface Note {
  readonly dataset?: "notes" | "trades";
  readonly mint?: number | null;
  readonly cells?: Readonly<Record<string, Cell>>;
}

export interface NoteBlock {
  readonly slot: number;
  readonly fork?: string;
  readonly notes?: readonly Note[];
}

/** A made-up address: 32 bytes, all of them `n`. */
export function address(n: number): Uint8Array {
  return new Uint8Array(32).fill(n);
}

export function meta({ slot, fork = "" }: NoteBlock): BlockMeta {
  return { slot, hash: `${slot}${fork}`, cursor: `c${slot}${fork}`, time: 1_700_000_000 + slot, finalSlot: 0 };
}

export function positionOf({ slot, hash, cursor }: BlockMeta): Position {
  return { slot, hash, cursor, moduleHash: "m" };
}

/** Each note is a transaction of its own; a trade shares the place of the note before it. */
export function batch(blocks: readonly NoteBlock[]): RowBatch {
  const builders = { notes: new TableBuilder(NOTES), trades: new TableBuilder(TRADES) };
  for (const block of blocks) {
    let place = -1;
    for (const { dataset = "notes", mint = 1, cells = {} } of block.notes ?? []) {
      if (dataset === "notes") place++;
      builders[dataset].appendCells({
        ...cellsOf(dataset, block, Math.max(0, place)),
        mint: mint === null ? null : address(mint),
        ...cells,
      });
    }
  }
  const tables = new Map<string, Table>();
  for (const [name, builder] of Object.entries(builders)) if (builder.length > 0) tables.set(name, builder.finish());
  return { blocks: blocks.map(meta), tables };
}

function cellsOf(dataset: "notes" | "trades", block: NoteBlock, place: number): Record<string, Cell> {
  const common = {
    slot: BigInt(block.slot),
    block_time: BigInt(1_700_000_000 + block.slot),
    tx_index: place,
    event_index: 0,
    signature: new Uint8Array(64).fill(place + 1),
    instruction_path: "0",
    ordinal: 0,
    program: address(99),
  };
  if (dataset === "trades") return { ...common, kind: "notes", user: address(50), is_buy: null, price: 1n };
  const numbers = { flag: true, tiny: -1, wide: 1n, signed: -1n, widest: 1n, signed_widest: -1n, ratio: 0.5 };
  return { ...common, ...numbers, text: `${block.slot}${block.fork ?? ""}` };
}

export function stepOf(prev: Position | null, blocks: readonly NoteBlock[], finalSlot: number): Step {
  const metas = blocks.map(meta);
  return { prev, next: positionOf(metas.at(-1)!), finalSlot, blocks: metas, inputSeq: 1 };
}

/** A folder with one lane; `dispose` removes it. */
export class Lane {
  private readonly folder = mkdtempSync(join(tmpdir(), "sluice-hot-"));
  readonly file = laneFile(this.folder, 0);
  prev: Position | null = null;

  store(options: Partial<HotStoreOptions> = {}): HotStore {
    return new HotStore({ file: this.file, catalog: CATALOG, ...options });
  }

  async opened(options: Partial<HotStoreOptions> = {}): Promise<HotStore> {
    const store = this.store(options);
    this.prev = (await store.open())?.position ?? null;
    return store;
  }

  /** Commits blocks after where the lane stands. */
  async commit(store: HotStore, blocks: readonly NoteBlock[], finalSlot = 0): Promise<void> {
    this.prev = await store.commit(stepOf(this.prev, blocks, finalSlot), batch(blocks));
  }

  async rollback(store: HotStore, to: NoteBlock): Promise<void> {
    const next = positionOf(meta(to));
    await store.rollback({ prev: this.prev, next, finalSlot: 0, blocks: [], inputSeq: 1 });
    this.prev = next;
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function candle(mint: number, time: number, close: bigint): CandleRow {
  const prices = { open: close, high: close, low: close, close };
  const volumes = { volume_quote: 0n, volume_base: 0n, trades: 1 };
  return { mint: address(mint), interval: 60, time: BigInt(time), ...prices, ...volumes };
}

export function candleKey(mint: number, time: number): string {
  return rowKey(CANDLES, candle(mint, time, 0n));
}

/** The content of a store's file in canonical form. */
export function lines({ name }: { readonly name: string }): string[] {
  const reader = new HotReader(name);
  const dump = [...reader.dump()];
  reader.close();
  return dump;
}
