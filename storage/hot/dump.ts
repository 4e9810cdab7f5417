/**
 * The content of a lane's file in canonical form: what readers can see of events, ledger, state and position, without
 * what may differ between equal runs (row and token numbers, cursors, final slot, journal, outbox). Two runs over the same
 * chain give the same lines, whatever forks, crashes and batches lay on the way.
 */
import type { Database } from "bun:sqlite";
import type { SqlValue } from "./codec.ts";
import { isState, quoted } from "./layout.ts";

const MINT = "(SELECT hex(mint) FROM _mint_ids WHERE id = t.mint_id)";

export function* canonicalDump(db: Database): Generator<string> {
  yield* section(db, "head", "SELECT slot, hash, module_hash FROM _position");
  yield* section(db, "tokens", "SELECT mint FROM _mint_ids ORDER BY mint");
  for (const [name] of db.prepare("SELECT name FROM _datasets ORDER BY name").values()) {
    const table = String(name);
    const columns = db.prepare(`SELECT name FROM pragma_table_info(?) WHERE name <> '_row'`).values(table);
    const list = columns.map(([column]) => (column === "mint_id" ? `${MINT} AS mint` : `t.${quoted(String(column))}`));
    // State has no order of its own; ordering by every column, the key among them, is one.
    const order = isState(table) ? list.map((_, i) => i + 1).join(", ") : "t._row";
    yield* section(db, table, `SELECT ${list.join(", ")} FROM ${quoted(table)} t ORDER BY ${order}`);
  }
  yield* section(
    db,
    "ledger",
    `SELECT ${MINT}, t.slot, t.tx_index, t.event_index, d.name, t.trade_row IS NOT NULL FROM _events t
       JOIN _datasets d ON d.id = t.dataset ORDER BY 1, 2, 3, 4, 5`,
  );
}

function* section(db: Database, name: string, sql: string): Generator<string> {
  for (const row of db.prepare(sql).iterate() as Iterable<Record<string, SqlValue>>) {
    yield `${name} ${Object.values(row).map(text).join(" ")}`;
  }
}

function text(value: SqlValue): string {
  if (value === null) return "-";
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString("hex")}`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
