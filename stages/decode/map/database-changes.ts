/**
 * `sf.substreams.sink.database.v1.DatabaseChanges`, the output of `db_out` modules: rows of tables as lists of named texts. The
 * settings give a table's columns their types; the texts are read as such.
 */
import type { FieldInfo, MessageType } from "@bufbuild/protobuf";
import type { ColumnSpec, ColumnType } from "../../../pipeline/datasets/dataset.ts";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { base58Bytes } from "../base58.ts";
import { columnNameOf } from "../names.ts";
import { broken } from "./map-addresses.ts";
import type { MapColumn } from "./map-columns.ts";
import type { Fields } from "./message-path.ts";

export const DATABASE_CHANGES = "sf.substreams.sink.database.v1.DatabaseChanges";
export const TABLE_CHANGES = "table_changes";

/** Field numbers of TableChange and Field: the names of the last have changed over time. */
const TABLE = 1;
const OPERATION = 5;
const FIELDS = 6;
const NAME = 1;
const VALUE = 2;

/** A text that its column cannot hold. */
export class UnreadableText extends Error {}

export class TableChanges {
  readonly columns: readonly MapColumn[];
  private readonly table: FieldInfo;
  private readonly fields: FieldInfo;
  private readonly name: FieldInfo;
  private readonly text: FieldInfo;
  private readonly wanted: string;
  /** Texts of the change prepared last, by column name. */
  private values = new Map<string, string>();

  constructor(change: MessageType, table: string, columns: Readonly<Record<string, ColumnType>>, where: string) {
    const field = (of: MessageType, no: number) => {
      const found = of.fields.find(no);
      if (found === undefined) throw broken(`${of.typeName} has no field ${no}`, where);
      return found;
    };
    this.wanted = table;
    this.table = field(change, TABLE);
    this.fields = field(change, FIELDS);
    const list = this.fields.kind === "message" ? this.fields.T : null;
    if (list === null) throw broken("the fields of a change are no messages", where);
    this.name = field(list, NAME);
    this.text = field(list, VALUE);
    this.columns = [operationColumn(field(change, OPERATION)), ...this.typed(columns)];
  }

  /** False when the change is one of another table; else its texts are ready for the columns. */
  prepare(change: Fields): boolean {
    if (change[this.table.localName] !== this.wanted) return false;
    const list = change[this.fields.localName] as readonly Fields[];
    this.values = new Map(list.map((f) => [String(f[this.name.localName]), String(f[this.text.localName])]));
    return true;
  }

  /** The address or signature that a column of the change prepared last holds. */
  bytes(column: string, size: 32 | 64): Uint8Array | null {
    return base58Bytes(this.values.get(column) ?? "", size);
  }

  private typed(columns: Readonly<Record<string, ColumnType>>): MapColumn[] {
    return Object.entries(columns).map(([name, type]): MapColumn => {
      const spec: ColumnSpec = {
        name: columnNameOf(name),
        type,
        nullable: true,
        ...(columnNameOf(name) === name ? {} : { field: name }),
        doc: `Column ${name} of the table.`,
      };
      const read = () => {
        const text = this.values.get(name);
        return text === undefined ? null : parseText(text, type);
      };
      return { spec, level: 1, read };
    });
  }
}

function operationColumn(field: FieldInfo): MapColumn {
  const names =
    field.kind === "enum" ? new Map(field.T.values.map(({ no, name }) => [no, name])) : new Map<number, string>();
  return {
    spec: {
      name: "operation",
      type: "utf8",
      doc: "What is done to the table's row: create, update, upsert or delete.",
    },
    level: 1,
    read: (change) => {
      const number = change[field.localName] as number;
      return (names.get(number) ?? String(number)).replace(/^OPERATION_/, "").toLowerCase();
    },
  };
}

const RANGE: Partial<Record<ColumnType, readonly [bigint, bigint]>> = Object.fromEntries(
  [8, 16, 32, 64, 128].flatMap((bits) => [
    [`u${bits}`, [0n, (1n << BigInt(bits)) - 1n]],
    [`i${bits}`, [-(1n << BigInt(bits - 1)), (1n << BigInt(bits - 1)) - 1n]],
  ]),
);

/** Throws `UnreadableText` when the text is no value of that type; an empty text is none at all, but for text. */
export function parseText(text: string, type: ColumnType): Cell {
  if (type === "utf8" || type === "json") return text;
  if (text === "") return null;
  const range = RANGE[type];
  if (range !== undefined) {
    const value = /^-?\d{1,40}$/.test(text) ? BigInt(text) : null;
    if (value === null || value < range[0] || value > range[1])
      throw new UnreadableText(`"${text.slice(0, 60)}" is no ${type}`);
    return type === "u64" || type === "i64" || type === "u128" || type === "i128" ? value : Number(value);
  }
  if (type === "bool" && /^(true|false|t|f|1|0)$/i.test(text)) return /^[t1]/i.test(text);
  if ((type === "f64" || type === "f32") && Number.isFinite(Number(text))) return Number(text);
  if (type === "bytes32" || type === "bytes64") {
    const bytes = base58Bytes(text, type === "bytes32" ? 32 : 64);
    if (bytes !== null) return bytes;
  }
  if (type === "bytes" && /^(0x|\\x)?([0-9a-f]{2})*$/i.test(text))
    return Buffer.from(text.replace(/^(0x|\\x)/i, ""), "hex");
  throw new UnreadableText(`"${text.slice(0, 60)}" is no ${type}`);
}
