/** Results as text: JSON for programs, CSV for spreadsheets, a table for people. */
import type { QueryResult } from "./analytics.ts";
import type { SqlValue } from "./values.ts";

/** Bytes as hex, wide integers as strings: no digit is lost on the way through a JSON parser. */
function jsonValue(value: SqlValue): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(jsonValue);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, jsonValue(field)]));
  }
  return value;
}

/** Rows that are put into text at a time, where a result leaves in pieces. */
const PIECE_ROWS = 500;

/** An array of objects, one a row, keyed by column; a name that occurs again gets a number behind it: `a`, `a_2`. */
export function formatJson(result: QueryResult): string {
  return [...jsonPieces(result)].join("");
}

/** The same in pieces. */
export function* jsonPieces({ columns, rows }: QueryResult): Generator<string> {
  const names = distinctNames(columns.map((column) => column.name));
  const objectOf = (row: readonly SqlValue[]) =>
    JSON.stringify(Object.fromEntries(row.map((value, i) => [names[i]!, jsonValue(value)])));
  yield "[";
  for (let from = 0; from < rows.length; from += PIECE_ROWS) {
    const objects = rows.slice(from, from + PIECE_ROWS).map(objectOf);
    yield `${from === 0 ? "" : ","}${objects.join(",")}`;
  }
  yield "]";
}

export function distinctNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let distinct = name;
    for (let n = 2; taken.has(distinct); n++) distinct = `${name}_${n}`;
    taken.add(distinct);
    return distinct;
  });
}

/** RFC 4180, with a header line. Null is an empty field, an empty text is `""`. */
export function formatCsv(result: QueryResult): string {
  return [...csvPieces(result)].join("");
}

/** The same in pieces. */
export function* csvPieces({ columns, rows }: QueryResult): Generator<string> {
  const line = (fields: readonly SqlValue[]) => `${fields.map(csvField).join(",")}\r\n`;
  yield line(columns.map((column) => column.name));
  for (let from = 0; from < rows.length; from += PIECE_ROWS) {
    yield rows
      .slice(from, from + PIECE_ROWS)
      .map(line)
      .join("");
  }
}

function csvField(value: SqlValue): string {
  if (value === null) return "";
  const text = asText(value);
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Columns under their names, numbers to the right. Values longer than `cellMax` characters are cut. */
export function formatTable({ columns, rows, truncated }: QueryResult, cellMax = 96): string {
  const cells = rows.map((row) => row.map((value) => shown(value === null ? "" : asText(value), cellMax)));
  const names = columns.map((c) => shown(c.name, cellMax));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]!.length)));
  const right = columns.map((_, i) =>
    rows.every((row) => ["number", "bigint"].includes(typeof row[i]) || row[i] === null),
  );
  const line = (fields: readonly string[]) =>
    fields
      .map((field, i) => (right[i] === true ? field.padStart(widths[i]!) : field.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  const count = `${rows.length} ${rows.length === 1 ? "row" : "rows"}${truncated ? " and more" : ""}`;
  return `${[line(names), rule, ...cells.map(line), `(${count})`].join("\n")}\n`;
}

/** As CSV and tables show it: JSON where it is nested. */
export function asText(value: SqlValue): string {
  if (typeof value === "string") return value;
  const json = jsonValue(value);
  return typeof json === "string" ? json : JSON.stringify(json);
}

/** Token names are written by strangers: nothing in a value may move the cursor, colour the terminal or reverse the line. */
function shown(text: string, max: number): string {
  const safe = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
  return safe.length <= max ? safe : `${safe.slice(0, max - 1)}…`;
}
