/**
 * Protobuf values as cells and as canonical JSON text. Exact for every scalar: integers of 64 bits stay integers (and are text in
 * JSON), what JSON has no word for is text, bytes are base58 or hex, enums their names and unknown ones their number.
 */
import { type FieldInfo, type MessageType, ScalarType } from "@bufbuild/protobuf";
import type { ColumnType } from "../../../pipeline/datasets/dataset.ts";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { base58Text } from "../base58.ts";
import type { BytesForm } from "./map-spec.ts";
import { type Fields, stepOf } from "./message-path.ts";

const COLUMN: Readonly<Record<ScalarType, ColumnType>> = {
  [ScalarType.DOUBLE]: "f64",
  [ScalarType.FLOAT]: "f32",
  [ScalarType.INT64]: "i64",
  [ScalarType.UINT64]: "u64",
  [ScalarType.INT32]: "i32",
  [ScalarType.FIXED64]: "u64",
  [ScalarType.FIXED32]: "u32",
  [ScalarType.BOOL]: "bool",
  [ScalarType.STRING]: "utf8",
  [ScalarType.BYTES]: "bytes",
  [ScalarType.UINT32]: "u32",
  [ScalarType.SFIXED32]: "i32",
  [ScalarType.SFIXED64]: "i64",
  [ScalarType.SINT32]: "i32",
  [ScalarType.SINT64]: "i64",
};

export interface ValueForm {
  readonly type: ColumnType;
  /** The cell of a value that is set. */
  cell(value: unknown): Cell;
}

/** How values of a field are stored; messages that are not flattened, lists and maps are JSON. */
export function valueForm(field: FieldInfo, bytes: BytesForm): ValueForm {
  if (field.repeated || field.kind === "map" || field.kind === "message") {
    return { type: "json", cell: (value) => fieldText(field, value, bytes) };
  }
  if (field.kind === "enum") {
    const names = new Map(field.T.values.map(({ no, name }) => [no, name]));
    return { type: "utf8", cell: (value) => names.get(value as number) ?? String(value) };
  }
  if (field.T === ScalarType.BYTES && bytes !== "raw") {
    return { type: "utf8", cell: (value) => bytesText(value as Uint8Array, bytes) };
  }
  return { type: COLUMN[field.T], cell: (value) => value as Cell };
}

export function bytesText(value: Uint8Array, form: BytesForm): string {
  return form === "base58" ? base58Text(value) : Buffer.from(value).toString("hex");
}

function fieldText(field: FieldInfo, value: unknown, bytes: BytesForm): string {
  if (field.kind === "map") {
    const entries = Object.entries(value as Fields).map(
      ([key, item]) => `${JSON.stringify(key)}:${valueText(field.V.kind, field.V.T, item, bytes)}`,
    );
    return `{${entries.join(",")}}`;
  }
  const one = (item: unknown) => valueText(field.kind, field.T, item, bytes);
  return field.repeated ? `[${(value as unknown[]).map(one).join(",")}]` : one(value);
}

type Named = { readonly values: readonly { readonly no: number; readonly name: string }[] };

function valueText(kind: string, type: unknown, value: unknown, bytes: BytesForm): string {
  if (kind === "message") return messageText(type as MessageType, value as Fields, bytes);
  if (kind === "enum") {
    const known = (type as Named).values.find(({ no }) => no === value);
    return known === undefined ? String(value) : JSON.stringify(known.name);
  }
  return scalarText(type as ScalarType, value, bytes);
}

/** Fields that are set, by their names in the proto file, in its order. */
function messageText(type: MessageType, message: Fields, bytes: BytesForm): string {
  const parts = type.fields.list().flatMap((field) => {
    const value = stepOf(field).read(message);
    if (value === undefined || (field.repeated && (value as unknown[]).length === 0)) return [];
    if (field.kind === "map" && Object.keys(value as object).length === 0) return [];
    return [`${JSON.stringify(field.name)}:${fieldText(field, value, bytes)}`];
  });
  return `{${parts.join(",")}}`;
}

function scalarText(type: ScalarType, value: unknown, bytes: BytesForm): string {
  if (typeof value === "bigint") return `"${value}"`;
  if (value instanceof Uint8Array) return JSON.stringify(bytesText(value, bytes === "raw" ? "hex" : bytes));
  if (typeof value === "number") {
    if (Object.is(value, -0)) return "-0";
    if (!Number.isFinite(value)) return `"${value}"`;
    return String(type === ScalarType.FLOAT ? Math.fround(value) : value);
  }
  return JSON.stringify(value);
}
