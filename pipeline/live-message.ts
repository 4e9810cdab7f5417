/**
 * What a message of the LIVE stream is: one commit of a lane, as the wire format writes it, with the state that it changed.
 *
 * - `data`: `blocks`, the event rows, and `mints_at` and `candles_at`: each row that a block changed, as it was after it.
 *   Blocks that were final when they were committed share the last one's slot.
 * - `undo`: `mints_at` and `candles_at` hold the rows as they are again, `removed_mints` and `removed_candles` the keys of
 *   those that are no more.
 *
 * The header's `input` is the version of the hot store that the commit made: of two statements about one row, the greater
 * version is the later.
 */
import type { EncodeLive } from "../storage/hot/store.ts";
import { BLOCKS } from "./datasets/blocks.ts";
import { CANDLES } from "./datasets/candles.ts";
import { type ColumnSpec, columnIndex, type DatasetSpec } from "./datasets/dataset.ts";
import { keyCells } from "./datasets/key.ts";
import { MINTS } from "./datasets/mints.ts";
import type { DatasetCatalog } from "./wire/batch.ts";
import type { Cell } from "./wire/column.ts";
import {
  type BatchHeader,
  decodeSections,
  encodeMessage,
  encodeSections,
  type Message,
  rowCodec,
} from "./wire/message.ts";
import { type Table, TableBuilder } from "./wire/table.ts";
import type { World } from "./world.ts";

const AT_SLOT: ColumnSpec = { name: "slot", type: "u64", doc: "The block after which the row is so." };

/** Rows of a state dataset, each with the block after which it is so. */
function stateAt(spec: DatasetSpec): DatasetSpec {
  return { ...spec, name: `${spec.name}_at`, columns: [AT_SLOT, ...spec.columns] };
}

/** Keys of rows that are no more. */
function removed(spec: DatasetSpec): DatasetSpec {
  const columns = spec.key.map((name) => spec.columns[columnIndex(spec, name)]!);
  return { ...spec, name: `removed_${spec.name}`, columns, order: spec.key };
}

export const MINTS_AT = stateAt(MINTS);
export const CANDLES_AT = stateAt(CANDLES);
export const REMOVED_MINTS = removed(MINTS);
export const REMOVED_CANDLES = removed(CANDLES);

const STATE = new Map([
  [MINTS.name, { spec: MINTS, at: MINTS_AT, gone: REMOVED_MINTS }],
  [CANDLES.name, { spec: CANDLES, at: CANDLES_AT, gone: REMOVED_CANDLES }],
]);

/** History older than this is not news: while catching up nothing is told, ms. */
const NEWS_AGE_MS = 10 * 60_000;

/** A deployment's datasets and those of LIVE. */
export function liveCatalog(catalog: DatasetCatalog): DatasetCatalog {
  const own = [MINTS_AT, CANDLES_AT, REMOVED_MINTS, REMOVED_CANDLES];
  return new Map([...catalog, ...own.map((spec) => [spec.name, spec] as const)]);
}

/** Rows of state that a busy block changes: what tables have room for at first. */
const ROWS_LIKELY = 2_048;

/** Encodes commits for the outbox: length of the header (u32, little endian), header JSON, body. */
export function liveEncoder(catalog: DatasetCatalog, world: Pick<World, "now">): EncodeLive {
  const codec = rowCodec(liveCatalog(catalog));
  return (signal, changes, version) => {
    const time = signal.kind === "data" ? (signal.body.blocks.at(-1)?.time ?? 0) : null;
    if (time !== null && world.now() - time * 1000 > NEWS_AGE_MS) return null;
    const state = stateTables(changes);
    if (signal.kind === "data") {
      const tables = new Map([...signal.body.tables, ...state]);
      return pack(encodeMessage({ ...signal, body: { blocks: signal.body.blocks, tables } }, codec, version));
    }
    const { header } = encodeMessage(signal, codec, version);
    if (state.size === 0) return pack({ header, body: new Uint8Array(0) });
    const { body, ...about } = encodeSections([...state.values()]);
    return pack({ header: { ...header, ...about }, body });
  };
}

function stateTables(changes: Parameters<EncodeLive>[1]): Map<string, Table> {
  const builders = new Map<DatasetSpec, TableBuilder>();
  for (const { slot, table, key, row } of changes) {
    const state = STATE.get(table);
    if (state === undefined) continue;
    const spec = row === null ? state.gone : state.at;
    let builder = builders.get(spec);
    if (builder === undefined) builders.set(spec, (builder = new TableBuilder(spec, ROWS_LIKELY)));
    if (row === null) builder.appendCells(keyRow(state.spec, key));
    else appendAt(builder, slot, row as Record<string, Cell>);
  }
  return new Map([...builders].map(([spec, builder]) => [spec.name, builder.finish()]));
}

/** A row of `stateAt`: the slot comes first. */
function appendAt({ columns }: TableBuilder, slot: number, row: Readonly<Record<string, Cell>>): void {
  columns[0]!.number(slot);
  for (let c = 1; c < columns.length; c++) columns[c]!.cell(row[columns[c]!.spec.name] ?? null);
}

function keyRow(spec: DatasetSpec, key: string): Record<string, Cell> {
  return Object.fromEntries(keyCells(spec, key).map((cell, i) => [spec.key[i]!, cell]));
}

function pack({ header, body }: Message): Uint8Array {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text, body]);
}

/** The message that `liveEncoder` packed. */
export function unpackLive(blob: Uint8Array): Message {
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(0, true);
  const header = JSON.parse(Buffer.from(blob.subarray(4, 4 + length)).toString()) as BatchHeader;
  return { header, body: blob.subarray(4 + length) };
}

/** The tables of a message by dataset, `blocks` left out. Throws `Poison` when it is damaged. `catalog`: `liveCatalog`. */
export function liveTables(message: Message, catalog: DatasetCatalog): ReadonlyMap<string, Table> {
  if (message.header.sections.length === 0) return new Map();
  const tables = decodeSections(message, catalog);
  tables.delete(BLOCKS.name);
  return tables;
}
