/** Parts of tables to one table: moves buffers, looks at no value. */
import { type ColumnSpec, WIDTH } from "../../pipeline/datasets/dataset.ts";
import { Column, type ColumnBuffers } from "../../pipeline/wire/column.ts";
import { Table } from "../../pipeline/wire/table.ts";

/** Rows `[start, end)` of a table. */
export interface TablePart {
  readonly table: Table;
  readonly start: number;
  readonly end: number;
}

/** The rows of all parts, in order. The parts must be of one dataset, and there must be one. */
export function concat(parts: readonly TablePart[]): Table {
  const spec = parts[0]!.table.spec;
  const length = parts.reduce((sum, part) => sum + part.end - part.start, 0);
  const columns = spec.columns.map((column, index) => {
    const pieces = parts.map(({ table, start, end }) => ({ column: table.columns[index]!, start, end }));
    return new Column(column, length, join(column, pieces, length));
  });
  return new Table(spec, length, columns);
}

interface Piece {
  readonly column: Column;
  readonly start: number;
  readonly end: number;
}

function join(spec: ColumnSpec, pieces: readonly Piece[], length: number): ColumnBuffers {
  const width = WIDTH[spec.type];
  const validity = joinValidity(pieces, length);
  if (width === null) return { ...joinVariable(pieces, length), validity };
  const data = new Uint8Array(length * width);
  let at = 0;
  for (const { column, start, end } of pieces) {
    data.set(column.data.subarray(start * width, end * width), at);
    at += (end - start) * width;
  }
  return { data, offsets: null, validity };
}

function joinVariable(pieces: readonly Piece[], length: number): Pick<ColumnBuffers, "data" | "offsets"> {
  const offsets = new Int32Array(length + 1);
  let row = 0;
  for (const { column, start, end } of pieces) {
    const shift = offsets[row]! - column.offsets![start]!;
    for (let i = start + 1; i <= end; i++) offsets[++row] = column.offsets![i]! + shift;
  }
  const data = new Uint8Array(offsets[length]!);
  let at = 0;
  for (const { column, start, end } of pieces) {
    const bytes = column.data.subarray(column.offsets![start]!, column.offsets![end]!);
    data.set(bytes, at);
    at += bytes.length;
  }
  return { data, offsets };
}

function joinValidity(pieces: readonly Piece[], length: number): Uint8Array | null {
  if (pieces.every(({ column }) => column.validity === null)) return null;
  const validity = new Uint8Array((length + 7) >> 3);
  let row = 0;
  for (const { column, start, end } of pieces) {
    for (let i = start; i < end; i++, row++) {
      if (!column.isNull(i)) validity[row >> 3]! |= 1 << (row & 7);
    }
  }
  return validity;
}
