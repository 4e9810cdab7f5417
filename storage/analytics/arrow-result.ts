/**
 * Results as an Arrow IPC stream. The type of a column follows from its SQL type:
 *
 * | SQL | Arrow |
 * |---|---|
 * | BOOLEAN, integers to 64 bits, FLOAT, DOUBLE | the same |
 * | HUGEINT, DECIMAL(p, s) | decimal128(38, 0), decimal128(p, s) |
 * | VARCHAR, BLOB | utf8, binary |
 * | DATE | date32 |
 * | TIMESTAMP, TIMESTAMP WITH TIME ZONE | timestamp(microsecond), with UTC |
 * | UHUGEINT and all others (lists, structs, intervals, ...) | utf8: the text, or JSON, that the other formats give |
 *
 * A column with a value that its type cannot hold (a date of the year 300000, an integer of 39 digits) is utf8 as well.
 */
import {
  Column as ArrowColumn,
  Table as ArrowTable,
  type Batch,
  batchType,
  binary,
  bool,
  columnFromArray,
  type DataType,
  dateDay,
  decimal128,
  Endianness,
  field,
  float32,
  float64,
  int8,
  int16,
  int32,
  int64,
  TimeUnit,
  tableToIPC,
  timestamp,
  uint8,
  uint16,
  uint32,
  uint64,
  utf8,
  Version,
} from "@uwdata/flechette";
import type { QueryResult } from "./analytics.ts";
import { asText, distinctNames } from "./format.ts";
import type { SqlValue } from "./values.ts";

const BATCH_ROWS = 4_096;
const PIECE_BYTES = 64 * 1024;
const DAY_MS = 86_400_000;

/** Undefined: the type cannot hold the value. */
type Cell = null | boolean | number | bigint | string | Uint8Array | undefined;

interface Mapping {
  readonly type: () => DataType;
  readonly cell: (value: SqlValue) => Cell;
}

const asIs = (value: SqlValue): Cell => value as Cell;
const text: Mapping = { type: utf8, cell: (value) => (value === null ? null : asText(value)) };
const number = (type: () => DataType): Mapping => ({ type, cell: asIs });

const BY_NAME: Readonly<Record<string, Mapping>> = {
  BOOLEAN: number(bool),
  TINYINT: number(int8),
  SMALLINT: number(int16),
  INTEGER: number(int32),
  BIGINT: number(int64),
  UTINYINT: number(uint8),
  USMALLINT: number(uint16),
  UINTEGER: number(uint32),
  UBIGINT: number(uint64),
  FLOAT: number(float32),
  DOUBLE: number(float64),
  HUGEINT: { type: () => decimal128(38, 0), cell: (value) => (isWithin38Digits(value) ? (value as Cell) : undefined) },
  BLOB: { type: binary, cell: asIs },
  DATE: { type: dateDay, cell: dateOf },
  TIMESTAMP: { type: () => timestamp(TimeUnit.MICROSECOND, null), cell: microsOf },
  "TIMESTAMP WITH TIME ZONE": { type: () => timestamp(TimeUnit.MICROSECOND, "UTC"), cell: microsOf },
};

/** The whole result; its memory is bounded by the limits on results. */
export function formatArrow({ columns, rows }: QueryResult): Uint8Array {
  const names = distinctNames(columns.map(({ name }) => name));
  const built = columns.map(({ type }, i) => columnOf(type, rows, i));
  const fields = built.map(({ type }, i) => field(names[i]!, type, true));
  const schema = { version: Version.V5, endianness: Endianness.Little, fields, metadata: null };
  return tableToIPC(new ArrowTable(schema, built), { format: "stream" })!;
}

/** The same in pieces. */
export function* arrowPieces(result: QueryResult): Generator<Uint8Array> {
  const bytes = formatArrow(result);
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) yield bytes.subarray(from, from + PIECE_BYTES);
}

function columnOf(sqlType: string, rows: QueryResult["rows"], index: number): ArrowColumn<unknown> {
  const mapping = mappingOf(sqlType);
  let cells = rows.map((row) => mapping.cell(row[index]!));
  const fits = !cells.includes(undefined);
  if (!fits) cells = rows.map((row) => text.cell(row[index]!));
  const type = fits ? mapping.type() : utf8();
  if (type.typeId !== TIMESTAMP) return columnFromArray(cells, type, { maxBatchRows: BATCH_ROWS });
  // Flechette takes times as milliseconds, in which microseconds have no exact place.
  const micros = columnFromArray(cells, int64(), { maxBatchRows: BATCH_ROWS, useBigInt: true });
  return new ArrowColumn(
    micros.data.map(({ length, nullCount, validity, values }) => {
      const BatchClass = batchType(type, { useBigInt: true }) as new (options: object) => Batch<unknown>;
      return new BatchClass({ length, nullCount, validity, values, type });
    }),
    type,
  );
}

const TIMESTAMP = timestamp().typeId;

function mappingOf(sqlType: string): Mapping {
  const known = BY_NAME[sqlType];
  if (known !== undefined) return known;
  const decimal = /^DECIMAL\((\d+),\s*(\d+)\)$/.exec(sqlType);
  if (decimal === null) return text;
  const [precision, scale] = [Number(decimal[1]), Number(decimal[2])];
  return { type: () => decimal128(precision, scale), cell: (value) => unscaled(value, scale) };
}

function isWithin38Digits(value: SqlValue): boolean {
  return value === null || (typeof value === "bigint" && value < 10n ** 38n && value > -(10n ** 38n));
}

/** "-1.50" of scale 2 is -150. */
function unscaled(value: SqlValue, scale: number): Cell {
  if (value === null) return null;
  const match = /^(-?\d*)(?:\.(\d*))?$/.exec(String(value));
  if (match === null) return undefined;
  const [, whole = "", fraction = ""] = match;
  return BigInt(`${whole}${fraction.padEnd(scale, "0")}`);
}

/** ms since the epoch, as the builder of dates takes them. */
function dateOf(value: SqlValue): Cell {
  if (value === null) return null;
  const ms = /^\d{4}-\d\d-\d\d$/.test(String(value)) ? Date.parse(`${value}T00:00:00Z`) : Number.NaN;
  return Number.isNaN(ms) || ms % DAY_MS !== 0 ? undefined : ms;
}

const TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:([+-]\d\d)(?::?(\d\d))?)?$/;

function microsOf(value: SqlValue): Cell {
  if (value === null) return null;
  const match = TIME.exec(String(value));
  if (match === null) return undefined;
  const [, day, time, fraction = "", hours = "+00", minutes = "00"] = match;
  const ms = Date.parse(`${day}T${time}${hours}:${minutes}`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000n + BigInt(fraction.padEnd(6, "0"));
}
