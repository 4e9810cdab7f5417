/**
 * Tables to and from Arrow IPC streams. Our column buffers already have Arrow's layout, so this names types and moves
 * buffers. Physical types on the wire: bool as uint8 (0/1); u128 and i128 as fixed_size_binary(16), little endian;
 * bytes32 and bytes64 as fixed_size_binary; json as utf8.
 */
import {
  Column as ArrowColumn,
  Table as ArrowTable,
  type Batch,
  batchType,
  binary,
  type DataType,
  Endianness,
  field,
  fixedSizeBinary,
  float32,
  float64,
  int8,
  int16,
  int32,
  int64,
  tableFromIPC,
  tableToIPC,
  uint8,
  uint16,
  uint32,
  uint64,
  utf8,
  Version,
} from "@uwdata/flechette";
import type { ColumnSpec, ColumnType, DatasetSpec } from "../datasets/dataset.ts";
import { WIDTH } from "../datasets/dataset.ts";
import { Poison } from "../errors.ts";
import { Column } from "./column.ts";
import { Table } from "./table.ts";

const ARROW_TYPE: Record<ColumnType, () => DataType> = {
  bool: uint8,
  u8: uint8,
  u16: uint16,
  u32: uint32,
  u64: uint64,
  u128: () => fixedSizeBinary(16),
  i8: int8,
  i16: int16,
  i32: int32,
  i64: int64,
  i128: () => fixedSizeBinary(16),
  f32: float32,
  f64: float64,
  bytes32: () => fixedSizeBinary(32),
  bytes64: () => fixedSizeBinary(64),
  bytes: binary,
  utf8: utf8,
  json: utf8,
};

const NO_VALIDITY = new Uint8Array(0);

/** The schema of a dataset does not change while we run: built once. */
const schemas = new WeakMap<DatasetSpec, { types: DataType[]; schema: ConstructorParameters<typeof ArrowTable>[0] }>();

function arrowSchema(spec: DatasetSpec) {
  let known = schemas.get(spec);
  if (known === undefined) {
    const types = spec.columns.map((c) => ARROW_TYPE[c.type]());
    const fields = spec.columns.map((c, i) => field(c.name, types[i]!, c.nullable === true));
    const schema = { version: Version.V5, endianness: Endianness.Little, fields, metadata: null };
    known = { types, schema };
    schemas.set(spec, known);
  }
  return known;
}

/** The pieces of an Arrow IPC stream, in order; they may be views into the table. */
export interface ArrowStream {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

export function encodeArrow(table: Table): ArrowStream {
  const { types, schema } = arrowSchema(table.spec);
  const columns = table.columns.map((column, i) => new ArrowColumn([arrowBatch(column, types[i]!)], types[i]));
  const sink = new PartsSink();
  tableToIPC(new ArrowTable(schema, columns), { format: "stream", sink });
  return { parts: sink.parts, bytes: sink.parts.reduce((sum, part) => sum + part.byteLength, 0) };
}

/** Keeps the pieces apart, so that whoever sends them copies them once. */
class PartsSink {
  readonly parts: Uint8Array[] = [];

  write(bytes: Uint8Array): void {
    this.parts.push(bytes);
  }

  pad(count: number): void {
    this.parts.push(new Uint8Array(count));
  }

  finish(): null {
    return null;
  }
}

function arrowBatch(column: Column, type: DataType): Batch<unknown> {
  const BatchClass = batchType(type, { useBigInt: true }) as new (options: object) => Batch<unknown>;
  return new BatchClass({
    length: column.length,
    nullCount: column.validity === null ? 0 : countNulls(column.validity, column.length),
    type,
    validity: column.validity ?? NO_VALIDITY,
    values: typedValues(column),
    ...(column.offsets === null ? {} : { offsets: column.offsets }),
  });
}

/** Flechette counts elements of fixed-width numbers, so it wants an array of their type; alignment is the array's need. */
const ELEMENT = { 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const;

function typedValues(column: Column): Uint8Array | Uint16Array | Uint32Array | BigUint64Array {
  const width = WIDTH[column.spec.type];
  if (width !== 2 && width !== 4 && width !== 8) return column.data;
  const data = column.data.byteOffset % width === 0 ? column.data : column.data.slice();
  return new ELEMENT[width](data.buffer as ArrayBuffer, data.byteOffset, column.length);
}

function countNulls(validity: Uint8Array, length: number): number {
  let valid = 0;
  for (let byte of validity) for (; byte !== 0; byte &= byte - 1) valid++;
  return length - valid;
}

/**
 * Reads a section back as `spec`. Columns are matched by name, so a reader whose spec has gained nullable columns at the
 * end still reads older messages. Throws `Poison` when the bytes are not what the spec says.
 */
export function decodeArrow(bytes: Uint8Array, spec: DatasetSpec): Table {
  let arrow: ArrowTable;
  try {
    arrow = tableFromIPC(bytes, { useBigInt: true });
  } catch (cause) {
    throw new Poison("WIRE_ARROW", `section ${spec.name} is not a readable Arrow stream`, { cause });
  }
  const length = arrow.numRows;
  const byName = new Map(arrow.schema.fields.map((f, i) => [f.name, i]));
  const columns = spec.columns.map((column) => {
    const index = byName.get(column.name);
    if (index === undefined) return missingColumn(spec, column, length);
    mustBeOfType(spec, column, arrow.schema.fields[index]!.type);
    const batch = arrow.getChildAt(index).data[0];
    return batch === undefined ? emptyColumn(column) : ownColumn(spec, column, batch as Batch<unknown>, length);
  });
  return new Table(spec, length, columns);
}

/** What tells physical types apart. Of one layout but different types (u128 and i128, text and JSON) none can be told. */
function physical(type: DataType): string {
  const { typeId, bitWidth, signed, stride, precision } = type as DataType & Readonly<Record<string, unknown>>;
  return [typeId, bitWidth, signed, stride, precision].join();
}

/** A field that has changed its type since (a corrected IDL) must not be read as something else of the same name. */
function mustBeOfType(spec: DatasetSpec, column: ColumnSpec, found: DataType): void {
  if (physical(found) === physical(ARROW_TYPE[column.type]())) return;
  throw new Poison("WIRE_ARROW", `column ${spec.name}.${column.name} is not of type ${column.type}`, {
    hint: "It was written with another version of this dataset.",
  });
}

function ownColumn(spec: DatasetSpec, column: ColumnSpec, batch: Batch<unknown>, length: number): Column {
  const width = WIDTH[column.type];
  const values = batch.values as { buffer: ArrayBuffer; byteOffset: number; byteLength: number };
  let data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const offsets = width === null ? (batch.offsets as Int32Array) : null;
  const needed = width === null ? (offsets?.[length] ?? -1) : width * length;
  if (needed < 0 || data.length < needed || (offsets !== null && offsets.length < length + 1)) {
    throw new Poison("WIRE_ARROW", `column ${spec.name}.${column.name} is shorter than its ${length} rows`);
  }
  data = data.subarray(0, needed);
  const validity = batch.nullCount > 0 ? batch.validity : null;
  if (validity !== null && column.nullable !== true) {
    throw new Poison("WIRE_ARROW", `column ${spec.name}.${column.name} has nulls, which it cannot have`, {
      hint: "It was written with another version of this dataset.",
    });
  }
  return new Column(column, length, { data, offsets: offsets?.subarray(0, length + 1) ?? null, validity });
}

function missingColumn(spec: DatasetSpec, column: ColumnSpec, length: number): Column {
  if (column.nullable !== true) {
    throw new Poison("WIRE_ARROW", `section ${spec.name} lacks the column ${column.name}`, {
      hint: "It was written with another version of this dataset.",
    });
  }
  const width = WIDTH[column.type];
  return new Column(column, length, {
    data: new Uint8Array((width ?? 0) * length),
    offsets: width === null ? new Int32Array(length + 1) : null,
    validity: new Uint8Array((length + 7) >> 3),
  });
}

function emptyColumn(column: ColumnSpec): Column {
  const offsets = WIDTH[column.type] === null ? new Int32Array(1) : null;
  return new Column(column, 0, { data: new Uint8Array(0), offsets, validity: null });
}
