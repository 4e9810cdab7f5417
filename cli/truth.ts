/**
 * Holds what the pipeline stored against the truth that the simulator printed: every dataset, row by row, by the digest of
 * its canonical lines (format: `simulator/lines.ts`). The lake and the hot stores are read apart from each other.
 */
import bs58 from "bs58";
import { CANDLE_SECONDS } from "../pipeline/datasets/candles.ts";
import type { ColumnSpec, DatasetSpec } from "../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../pipeline/datasets/event.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import type { Cell } from "../pipeline/wire/column.ts";
import { LineDigest, type Truth } from "../simulator/index.ts";
import type { HotReader } from "../storage/hot/reader.ts";

export interface Difference {
  readonly store: "hot" | "lake";
  readonly dataset: string;
  readonly expectedRows: number;
  readonly rows: number;
  /** Set when the rows are as many as expected, but say something else. */
  readonly content?: "differs";
}

/** A row as text: where it stands in its dataset's order, and its canonical line. */
interface Line {
  readonly slot: number;
  readonly tx: number;
  readonly event: number;
  readonly text: string;
}

const ORDERING = new Set(["tx_index", "event_index"]);
const STATE_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  mints: [
    ...["mint", "created_by", "create_timestamp", "curve_account", "pool_token_account", "pool_sol_account"],
    ...["fee_recipient", "base_fee_recipient", "params_account", "swap_fee", "borrow_fee", "fee_discount_flag"],
    ...["name", "symbol", "uri", "latest_price", "latest_trade_time", "total_sol_amount", "total_margin_sol_amount"],
    ...["total_force_liquidations", "total_close_profit"],
  ],
  orders: [
    ...["order_pda", "order_type", "mint", "user", "lock_lp_start_price", "lock_lp_end_price", "lock_lp_sol_amount"],
    ...[
      "lock_lp_token_amount",
      "start_time",
      "end_time",
      "margin_sol_amount",
      "borrow_amount",
      "position_asset_amount",
    ],
    "borrow_fee",
  ],
  user_events: ["slot", "block_time", "signature", "instruction_path", "ordinal", "event", "user", "mint"],
};
const CANDLE_COLUMNS = ["time", "mint", "open", "high", "low", "close", "volume_base", "volume_quote", "trades"];

/** Columns of a dataset's canonical line, in order. */
function lineColumns(spec: DatasetSpec): string[] {
  if (spec.name === "quarantine") {
    return [...EVENT_COLUMNS.map((c) => c.name).filter((n) => !ORDERING.has(n) && n !== "mint"), "payload"];
  }
  return spec.columns.map((c) => c.name).filter((name) => !ORDERING.has(name));
}

/** What differs in the hot stores of all lanes; nothing when they hold exactly the truth. */
export function compareHot(truth: Truth, catalog: DatasetCatalog, readers: readonly HotReader[]): Difference[] {
  const out: Difference[] = [];
  const compare = (dataset: string, lines: Line[], order: (a: Line, b: Line) => number) =>
    out.push(...difference("hot", dataset, truth, digestOf(lines.sort(order))));
  for (const spec of catalog.values()) compare(spec.name, hotLines(readers, spec.name, lineColumns(spec)), chainOrder);
  for (const [dataset, columns] of Object.entries(STATE_COLUMNS)) {
    compare(dataset, hotLines(readers, dataset, columns), dataset === "user_events" ? chainOrder : textOrder);
  }
  for (const [name, seconds] of Object.entries(CANDLE_SECONDS)) {
    const only = (row: Record<string, Cell>) => row["interval"] === seconds;
    compare(`candles_${name}`, hotLines(readers, "candles", CANDLE_COLUMNS, only), timeOrder);
  }
  return out;
}

/** What differs in the lake. `query` runs SQL over its views and gives rows in order. */
export async function compareLake(
  truth: Truth,
  catalog: DatasetCatalog,
  query: (sql: string) => Promise<readonly Record<string, unknown>[]>,
): Promise<Difference[]> {
  const out: Difference[] = [];
  for (const spec of catalog.values()) {
    const columns = lineColumns(spec).map((name) => spec.columns.find((c) => c.name === name)!);
    const rows = await query(
      `SELECT ${columns.map(lineExpression).join(" || '|' || ")} AS line FROM ${spec.name} ORDER BY slot, tx_index, event_index`,
    );
    const digest = new LineDigest(false);
    for (const row of rows) digest.add(String(row["line"]));
    out.push(...difference("lake", spec.name, truth, digest.finish()));
  }
  return out;
}

function difference(
  store: "hot" | "lake",
  dataset: string,
  truth: Truth,
  found: { rows: number; sha256: string },
): Difference[] {
  const expected = truth.datasets[dataset] ?? { rows: 0, sha256: new LineDigest(false).finish().sha256 };
  if (found.sha256 === expected.sha256) return [];
  const sameCount = found.rows === expected.rows;
  return [
    {
      store,
      dataset,
      expectedRows: expected.rows,
      rows: found.rows,
      ...(sameCount ? { content: "differs" as const } : {}),
    },
  ];
}

function hotLines(
  readers: readonly HotReader[],
  dataset: string,
  columns: readonly string[],
  only: (row: Record<string, Cell>) => boolean = () => true,
): Line[] {
  const lines: Line[] = [];
  for (const reader of readers) {
    for (const table of reader.tableRows(dataset)) {
      const cells = columns.map((name) => table.column(name));
      const place = ["slot", "tx_index", "event_index"].map((name) => table.columns.find((c) => c.spec.name === name));
      for (let row = 0; row < table.length; row++) {
        if (dataset === "candles" && !only(table.row(row))) continue;
        const [slot, tx, event] = place.map((column) => column?.number(row) ?? 0) as [number, number, number];
        lines.push({
          slot,
          tx,
          event,
          text: cells.map((column) => formatted(column.spec, column.cell(row))).join("|"),
        });
      }
    }
  }
  return lines;
}

function formatted(spec: ColumnSpec, cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "boolean") return cell ? "1" : "0";
  if (cell instanceof Uint8Array) return spec.type === "bytes" ? Buffer.from(cell).toString("hex") : bs58.encode(cell);
  return String(cell);
}

/** The same, as SQL over the lake's columns. */
function lineExpression(spec: ColumnSpec): string {
  const name = `"${spec.name}"`;
  const text = {
    bool: `CASE WHEN ${name} THEN '1' ELSE '0' END`,
    bytes: `lower(hex(${name}))`,
  }[spec.type as string];
  const value = text ?? `${name}::VARCHAR`;
  return spec.nullable === true ? `CASE WHEN ${name} IS NULL THEN '' ELSE ${value} END` : `(${value})`;
}

function digestOf(lines: readonly Line[]): { rows: number; sha256: string } {
  const digest = new LineDigest(false);
  for (const line of lines) digest.add(line.text);
  return digest.finish();
}

function chainOrder(a: Line, b: Line): number {
  return a.slot - b.slot || a.tx - b.tx || a.event - b.event;
}

/** By the first value, compared byte by byte (base58 is ASCII). */
function textOrder(a: Line, b: Line): number {
  return a.text < b.text ? -1 : 1;
}

/** Candles: by time, then mint. */
function timeOrder(a: Line, b: Line): number {
  return Number.parseInt(a.text, 10) - Number.parseInt(b.text, 10) || textOrder(a, b);
}
