/**
 * The truth a second time, for the simulator's own tests: from the decoded recording instead of the market's ledger, all
 * in memory, with sorting and grouping where the ledger streams.
 */
import bs58 from "bs58";
import { INTERVALS } from "./candles.ts";
import { EVENT_DATASETS, type EventDataset, GROWN_LAYOUTS, type GrownAt, idlName, LAYOUTS } from "./events.ts";
import { accountsOf, type ReadBlock, type ReadTransaction, readOutput, walk } from "./naive-reader.ts";

type Row = Record<string, string | number | bigint>;

export interface FoundEvent {
  readonly dataset: EventDataset;
  readonly slot: number;
  readonly time: number;
  readonly signature: string;
  readonly path: string;
  readonly ordinal: number;
  readonly row: Row;
}

export interface Found {
  readonly events: readonly FoundEvent[];
  /** Canonical lines of the quarantine. */
  readonly quarantine: readonly string[];
  readonly unknown: number;
}

const EMIT_CPI_TAG = "e445a52e51cb9a1d";
const BY_DISCRIMINATOR = new Map(
  EVENT_DATASETS.map((name) => {
    const digest = new Bun.CryptoHasher("sha256").update(`event:${idlName(name)}`).digest("hex");
    return [digest.slice(0, 16), name] as const;
  }),
);

/** Reads a Borsh body by one layout; null when it does not end where the body ends. */
function decode(fields: readonly (readonly [string, string])[], body: Buffer): Row | null {
  const row: Row = {};
  let at = 0;
  const widths: Record<string, number> = { pubkey: 32, bool: 1, u8: 1, u16: 2, u32: 4, u64: 8, u128: 16 };
  for (const [name, type] of fields) {
    const width = type === "string" ? 4 + (at + 4 <= body.length ? body.readUInt32LE(at) : 0) : widths[type]!;
    if (at + width > body.length) return null;
    if (type === "pubkey") row[name] = bs58.encode(body.subarray(at, at + 32));
    else if (type === "string") row[name] = body.toString("utf8", at + 4, at + width);
    else if (type === "u64") row[name] = body.readBigUInt64LE(at);
    else if (type === "u128") row[name] = body.readBigUInt64LE(at) + (body.readBigUInt64LE(at + 8) << 64n);
    else row[name] = body.readUIntLE(at, width);
    at += width;
  }
  return at === body.length ? row : null;
}

/** Everything the program emitted in the blocks, in execution order; `grown`: where its upgrade put the new fields. */
export function findEvents(blocks: readonly ReadBlock[], program: string, grown: GrownAt = "end"): Found {
  const events: FoundEvent[] = [];
  const quarantine: string[] = [];
  let unknown = 0;
  const take = (block: ReadBlock, tx: ReadTransaction, path: string, ordinal: number, payload: Buffer) => {
    const signature = bs58.encode(Buffer.from(tx.transaction.signatures[0]!, "base64"));
    const dataset = BY_DISCRIMINATOR.get(payload.toString("hex", 0, 8));
    if (dataset === undefined) return void unknown++;
    const body = payload.subarray(8);
    const others = { token_created: LAYOUTS.token_created_v0, buy_sell: GROWN_LAYOUTS[grown] };
    const other = others[dataset as keyof typeof others];
    const row = decode(LAYOUTS[dataset], body) ?? (other === undefined ? null : decode(other, body));
    const identity = { slot: block.slot, time: block.time, signature, path, ordinal };
    if (row !== null) return void events.push({ dataset, ...identity, row });
    quarantine.push([...Object.values(identity), program, payload.toString("hex")].join("|"));
  };
  for (const block of blocks) {
    for (const tx of readOutput(block).transactions) {
      if (tx.meta.err !== undefined || !accountsOf(tx).includes(program)) continue;
      for (const { invocation, payload, ordinal } of walk(tx).order) {
        if (invocation.program !== program) continue;
        if (payload !== null) take(block, tx, invocation.path, ordinal, payload);
        else if (invocation.parent === program && invocation.data.toString("hex", 0, 8) === EMIT_CPI_TAG) {
          take(block, tx, invocation.path, 0, invocation.data.subarray(8));
        }
      }
    }
  }
  return { events, quarantine, unknown };
}

const U64_MAX = 2n ** 64n - 1n;
const capped = (sum: bigint) => (sum < U64_MAX ? sum : U64_MAX);

/** Canonical lines of every dataset. */
export function naiveLines(found: Found, program: string): Record<string, string[]> {
  const lines: Record<string, string[]> = { quarantine: [...found.quarantine], trades: [], user_events: [] };
  for (const name of EVENT_DATASETS) lines[name] = [];
  const owners = new Map<unknown, unknown>();
  for (const { dataset, row, ...e } of found.events) {
    const identity = [e.slot, e.time, e.signature, e.path, e.ordinal];
    const fields = LAYOUTS[dataset].filter(([name]) => name !== "mint_account").map(([name]) => row[name] ?? "");
    lines[dataset]!.push([...identity, program, row["mint_account"], ...fields].join("|"));
    if (row["latest_price"] !== undefined) {
      const amounts = dataset === "buy_sell" ? [row["is_buy"], row["token_amount"], row["sol_amount"]] : ["", "", ""];
      const trade = [program, row["mint_account"], dataset, row["payer"], ...amounts, row["latest_price"]];
      lines["trades"]!.push([...identity, ...trade].join("|"));
    }
    if (dataset === "long_short") owners.set(row["order_pda"], row["user"]);
    if (dataset === "token_created" || dataset === "buy_sell") continue;
    const user = owners.get(row["order_pda"]) ?? row["payer"];
    lines["user_events"]!.push([...identity, dataset, user, row["mint_account"]].join("|"));
  }
  lines["mints"] = naiveMints(found.events);
  lines["orders"] = naiveOrders(found.events);
  for (const [name, seconds] of Object.entries(INTERVALS))
    lines[`candles_${name}`] = naiveCandles(found.events, seconds);
  return lines;
}

function naiveMints(events: readonly FoundEvent[]): string[] {
  const lines: string[] = [];
  const by = Object.groupBy(events, ({ row }) => `${row["mint_account"]}`);
  for (const mint of Object.keys(by).sort()) {
    const own = by[mint]!;
    const [created] = own.filter((e) => e.dataset === "token_created");
    const fees = own.findLast((e) => e.row["swap_fee"] !== undefined)?.row ?? {};
    const traded = own.findLast((e) => e.row["latest_price"] !== undefined);
    const sum = (dataset: EventDataset | null, field: string) =>
      own
        .filter((e) => dataset === null || e.dataset === dataset)
        .reduce((total, e) => capped(total + ((e.row[field] as bigint) ?? 0n)), 0n);
    const c = created!.row;
    const accounts = [
      "pool_token_account",
      "pool_sol_account",
      "fee_recipient",
      "base_fee_recipient",
      "params_account",
    ];
    const values = [mint, c["payer"], created!.time, c["curve_account"], ...accounts.map((name) => c[name])];
    values.push(fees["swap_fee"], fees["borrow_fee"], fees["fee_discount_flag"], c["name"], c["symbol"], c["uri"]);
    values.push(
      traded?.row["latest_price"],
      traded?.time,
      sum("buy_sell", "sol_amount"),
      sum("long_short", "margin_sol_amount"),
    );
    values.push(own.filter((e) => e.dataset === "force_liquidate").length, sum(null, "user_close_profit"));
    lines.push(values.map((value) => value ?? "").join("|"));
  }
  return lines;
}

function naiveOrders(events: readonly FoundEvent[]): string[] {
  const fields = LAYOUTS.long_short.slice(4).map(([name]) => name);
  const by = Object.groupBy(
    events.filter((e) => e.row["order_pda"] !== undefined),
    ({ row }) => `${row["order_pda"]}`,
  );
  const open = Object.keys(by).filter((pda) => !["full_close", "force_liquidate"].includes(by[pda]!.at(-1)!.dataset));
  return open.sort().map((pda) => [pda, ...fields.map((name) => by[pda]!.at(-1)!.row[name])].join("|"));
}

function naiveCandles(events: readonly FoundEvent[], seconds: number): string[] {
  const candles: { time: number; mint: string; line: string }[] = [];
  const trades = events.filter((e) => e.row["latest_price"] !== undefined);
  const byMint = Object.groupBy(trades, ({ row }) => `${row["mint_account"]}`);
  for (const [mint, own] of Object.entries(byMint)) {
    const prices = own!.map((e) => e.row["latest_price"] as bigint);
    const buckets = Object.groupBy(
      own!.map((e, i) => ({ ...e, i })),
      (e) => e.time - (e.time % seconds),
    );
    for (const [time, bucket] of Object.entries(buckets)) {
      const first = bucket![0]!.i;
      const seen = [prices[Math.max(0, first - 1)]!, ...bucket!.map((e) => prices[e.i]!)];
      const sorted = seen.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
      const volume = (field: string) =>
        bucket!.reduce((sum, e) => sum + (e.dataset === "buy_sell" ? (e.row[field] as bigint) : 0n), 0n);
      const values = [
        time,
        mint,
        seen[0],
        sorted.at(-1),
        sorted[0],
        seen.at(-1),
        volume("token_amount"),
        volume("sol_amount"),
        bucket!.length,
      ];
      candles.push({ time: Number(time), mint, line: values.join("|") });
    }
  }
  return candles.sort((a, b) => a.time - b.time || (a.mint < b.mint ? -1 : 1)).map((c) => c.line);
}
