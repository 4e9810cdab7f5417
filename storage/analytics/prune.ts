/**
 * Which tables a query reads, and which files of the lake it can need: those whose ranges in the manifest its WHERE clauses do not rule out. Read from
 * the parsed query, and only what is certain counts: comparisons of `slot`, `block_time`, `date` or `mint` with constants
 * that a WHERE joins by AND. DuckDB filters the rows itself, so a file too many costs time and never an answer.
 */
import type { LakeFile } from "../lake/reader.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Node = { readonly [key: string]: Json };

/** What a file may hold of a column, or a condition lets through; both ends belong to it. */
interface Span {
  readonly min: number | string;
  readonly max: number | string;
}

/** One condition on a column: it holds at most for values in one of these spans. */
interface Condition {
  readonly column: string;
  readonly spans: readonly Span[];
}

/** What the manifest says of a file's column; null when it holds nothing there that could be compared. */
const COLUMNS: Readonly<Record<string, (file: LakeFile) => Span | null>> = {
  slot: (file) => file.slot,
  block_time: (file) => file.blockTime,
  // Of a dataset with a column of this name, the manifest knows nothing; nor do years of five digits compare as text.
  date: ({ date, schema }) => ("date" in schema.columns || !DAY.test(date) ? ANY_TEXT : { min: date, max: date }),
  mint: ({ mint, schema }) => (schema.columns["mint"]?.startsWith("bytes32") ? mint : ANY_TEXT),
};

const DAY = /^\d{4}-\d\d-\d\d$/;
/** Greater than every text that is compared here: base58 and dates are ASCII. */
const LAST_TEXT = "\u{10ffff}";
const ANY_TEXT: Span = { min: "", max: LAST_TEXT };

/** Names of the tables whose rows the query reads whose `json_serialize_sql` this is, in lower case; DESCRIBE reads none. */
export function tablesRead(ast: unknown): Set<string> {
  return new Set([...nodesOf(ast as Json)].filter(isTable).map(nameOf));
}

const isTable = (node: Node) => node["type"] === "BASE_TABLE";
const nameOf = (node: Node) => String(node["table_name"]).toLowerCase();

/** Says of a dataset's file whether the query whose `json_serialize_sql` this is can need it. */
export function fileFilter(ast: unknown): (dataset: string, file: LakeFile) => boolean {
  const references = new Map<string, (readonly Condition[])[]>();
  for (const [table, conditions] of tableReferences(ast as Json)) {
    const known = references.get(table);
    if (known === undefined) references.set(table, [conditions]);
    else known.push(conditions);
  }
  return (dataset, file) => {
    const uses = references.get(dataset.toLowerCase());
    return uses === undefined || uses.some((conditions) => conditions.every((c) => admits(c, file)));
  };
}

function admits({ column, spans }: Condition, file: LakeFile): boolean {
  const held = COLUMNS[column]!(file);
  return held !== null && spans.some(({ min, max }) => min <= held.max && max >= held.min);
}

/** Every table that is read, by its name in lower case, with the conditions that hold for all rows taken from it. */
function tableReferences(ast: Json): [string, readonly Condition[]][] {
  const nodes = [...nodesOf(ast)];
  const conditions = new Map<Node, readonly Condition[]>();
  for (const node of nodes) {
    const from = node["from_table"] ?? null;
    if (node["type"] !== "SELECT_NODE" || !isNode(from) || isDrawn(node)) continue;
    const tables = joinedTables(from);
    if (tables === null) continue;
    const terms = conjunction(node["where_clause"] ?? null);
    for (const table of tables) conditions.set(table, conditionsOn(table, terms, tables.length === 1));
  }
  return nodes.filter(isTable).map((node) => [nameOf(node), conditions.get(node) ?? []]);
}

/** All nodes but those of what is only described. */
function* nodesOf(value: Json): Generator<Node> {
  if (Array.isArray(value)) for (const item of value) yield* nodesOf(item);
  else if (isNode(value) && value["show_type"] !== "DESCRIBE") {
    yield value;
    for (const child of Object.values(value)) yield* nodesOf(child);
  }
}

/**
 * The tables of a FROM; null where leaving rows out before the join could change which others are joined, as with the
 * nearest row of an ASOF join, or which a sample draws.
 */
function joinedTables(from: Node): Node[] | null {
  if (isDrawn(from)) return null;
  if (from["type"] === "BASE_TABLE") return [from];
  // What stands in a subquery has a WHERE of its own.
  if (from["type"] !== "JOIN") return [];
  if (!["REGULAR", "CROSS"].includes(String(from["ref_type"]))) return null;
  if (!["INNER", "LEFT", "RIGHT", "OUTER"].includes(String(from["join_type"]))) return null;
  const { left = null, right = null } = from;
  const tables = [left, right].map((side) => (isNode(side) ? joinedTables(side) : null));
  return tables.includes(null) ? null : tables.flatMap((side) => side ?? []);
}

/** Samples are drawn before WHERE is looked at. */
function isDrawn({ sample = null }: Node): boolean {
  return sample !== null;
}

function conjunction(where: Json): Node[] {
  if (!isNode(where)) return [];
  if (where["type"] !== "CONJUNCTION_AND") return [where];
  return (where["children"] as readonly Json[]).flatMap(conjunction);
}

function conditionsOn(table: Node, terms: readonly Node[], alone: boolean): Condition[] {
  // Columns that were given other names: `slot` may be any of them.
  if ((table["column_name_alias"] as readonly Json[]).length > 0) return [];
  const name = String(table["alias"] || table["table_name"]).toLowerCase();
  const columnOf = (value: Json): string | null => {
    if (!isNode(value) || value["type"] !== "COLUMN_REF") return null;
    const path = (value["column_names"] as readonly string[]).map((part) => part.toLowerCase());
    const own = path.length === 2 ? path[0] === name : path.length === 1 && alone;
    return own && path.at(-1)! in COLUMNS ? path.at(-1)! : null;
  };
  return terms.map((term) => conditionOf(term, columnOf)).filter((condition) => condition !== null);
}

const SPAN_OF: Readonly<Record<string, (value: number | string) => Span>> = {
  COMPARE_EQUAL: (value) => ({ min: value, max: value }),
  COMPARE_GREATERTHAN: (value) => ({ min: value, max: lastLike(value) }),
  COMPARE_GREATERTHANOREQUALTO: (value) => ({ min: value, max: lastLike(value) }),
  COMPARE_LESSTHAN: (value) => ({ min: firstLike(value), max: value }),
  COMPARE_LESSTHANOREQUALTO: (value) => ({ min: firstLike(value), max: value }),
};
const MIRRORED: Readonly<Record<string, string>> = {
  COMPARE_EQUAL: "COMPARE_EQUAL",
  COMPARE_GREATERTHAN: "COMPARE_LESSTHAN",
  COMPARE_GREATERTHANOREQUALTO: "COMPARE_LESSTHANOREQUALTO",
  COMPARE_LESSTHAN: "COMPARE_GREATERTHAN",
  COMPARE_LESSTHANOREQUALTO: "COMPARE_GREATERTHANOREQUALTO",
};

const lastLike = (value: number | string) => (typeof value === "number" ? Infinity : LAST_TEXT);
const firstLike = (value: number | string) => (typeof value === "number" ? -Infinity : "");

function conditionOf(term: Node, columnOf: (value: Json) => string | null): Condition | null {
  const type = String(term["type"]);
  const spanning = (column: string | null, spans: readonly (Span | null)[]): Condition | null =>
    column === null || spans.includes(null) ? null : { column, spans: spans as readonly Span[] };
  if (type === "COMPARE_BETWEEN") {
    const column = columnOf(term["input"] ?? null);
    const [min, max] = [constantFor(column, term["lower"]), constantFor(column, term["upper"])];
    return spanning(column, [min === null || max === null ? null : { min, max }]);
  }
  if (type === "COMPARE_IN") {
    const [tested, ...values] = term["children"] as readonly Json[];
    const column = columnOf(tested ?? null);
    return spanning(
      column,
      values.map((value) => spanFor("COMPARE_EQUAL", constantFor(column, value))),
    );
  }
  if (!(type in SPAN_OF)) return null;
  const { left = null, right = null } = term;
  const column = columnOf(left);
  if (column !== null) return spanning(column, [spanFor(type, constantFor(column, right))]);
  const other = columnOf(right);
  return spanning(other, [spanFor(MIRRORED[type]!, constantFor(other, left))]);
}

function spanFor(comparison: string, value: number | string | null): Span | null {
  return value === null ? null : SPAN_OF[comparison]!(value);
}

/** A constant that compares with the column as its values do; null for any other, and for what only looks like one. */
function constantFor(column: string | null, node: Json | undefined): number | string | null {
  if (column === null || !isNode(node ?? null)) return null;
  const { type, value, child, cast_type: castType } = node as Node;
  if (
    type === "OPERATOR_CAST" &&
    column === "date" &&
    isNode(castType ?? null) &&
    (castType as Node)["id"] === "DATE"
  ) {
    return constantFor(column, child);
  }
  if (type !== "VALUE_CONSTANT" || !isNode(value ?? null)) return null;
  const { value: constant, type: constantType = null } = value as Node;
  if (column === "slot" || column === "block_time") {
    // A decimal is told by its digits: 5.5 as 55.
    const whole = isNode(constantType) && /^U?(TINY|SMALL|BIG)?INT(EGER)?$/.test(String(constantType["id"]));
    return whole && Number.isSafeInteger(constant) ? (constant as number) : null;
  }
  if (typeof constant !== "string") return null;
  return column === "mint" || DAY.test(constant) ? constant : null;
}

function isNode(value: Json): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
