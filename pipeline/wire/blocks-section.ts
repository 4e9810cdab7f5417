/** The first section of every data batch: its blocks, on BLOCKS streams with the payloads as they came. */
import { BLOCKS } from "../datasets/blocks.ts";
import type { ColumnSpec } from "../datasets/dataset.ts";
import { Poison } from "../errors.ts";
import type { BlockMeta } from "../position.ts";
import { Column } from "./column.ts";
import { Scratch } from "./scratch.ts";
import { Table, TableBuilder } from "./table.ts";

/** Where payloads are joined to a column. */
const scratch = new Scratch();

/** Throws `Poison` where there is none. */
export function blocksSection(sections: Map<string, Table>): Table {
  const table = sections.get(BLOCKS.name);
  if (table === undefined || table.length === 0) throw new Poison("WIRE_BLOCKS", "a data batch without blocks");
  return table;
}

/** With payloads the table is used up before the next call. */
export function blocksTable(blocks: readonly BlockMeta[], payloads: readonly Uint8Array[] | null): Table {
  const builder = new TableBuilder(BLOCKS, blocks.length);
  const [slot, hash, cursor, time, final, payload] = builder.columns;
  for (let i = 0; i < blocks.length; i++) {
    const block = blocks[i]!;
    slot!.number(block.slot);
    hash!.string(block.hash);
    cursor!.string(block.cursor);
    time!.number(block.time);
    final!.number(block.finalSlot);
    payload!.null();
  }
  const table = builder.finish();
  if (payloads === null) return table;
  const { spec } = table.columns.at(-1)!;
  return new Table(BLOCKS, table.length, [...table.columns.slice(0, -1), payloadColumn(spec, payloads)]);
}

function payloadColumn(spec: ColumnSpec, payloads: readonly Uint8Array[]): Column {
  const offsets = new Int32Array(payloads.length + 1);
  for (const [i, payload] of payloads.entries()) offsets[i + 1] = offsets[i]! + payload.length;
  const data = scratch.take(offsets.at(-1)!);
  for (const [i, payload] of payloads.entries()) data.set(payload, offsets[i]!);
  return new Column(spec, payloads.length, { data, offsets, validity: null });
}

export function blockMetas(table: Table): BlockMeta[] {
  const [slot, hash, cursor, time, final] = table.columns;
  const metas: BlockMeta[] = [];
  for (let i = 0; i < table.length; i++) {
    metas.push({
      slot: slot!.number(i),
      hash: hash!.string(i),
      cursor: cursor!.string(i),
      time: time!.number(i),
      finalSlot: final!.number(i),
    });
  }
  return metas;
}
