/**
 * The truth about a simulated chain: what an indexer must know after reading its recording, computed from the market's
 * own ledger over the canonical chain, without any code of the pipeline.
 *
 * Datasets, with the columns and order of their canonical lines (format of values and digest: `lines.ts`):
 *
 * | dataset | columns | order |
 * |---|---|---|
 * | each of the seven events | slot, block_time, signature, instruction_path, ordinal, program, mint, then the event's fields in IDL order without `mint_account` | chain |
 * | trades | slot, block_time, signature, instruction_path, ordinal, program, mint, kind, user, is_buy, base_amount, quote_amount, price | chain |
 * | quarantine | slot, block_time, signature, instruction_path, ordinal, program, payload | chain |
 * | user_events | slot, block_time, signature, instruction_path, ordinal, event_type, user, mint | chain |
 * | mints | the fields of `MintTruth` in their order | mint |
 * | orders | the fields of `OrderTruth` in their order | order_pda |
 * | candles_s1 .. candles_d1 | time, mint, open, high, low, close, base_volume, quote_volume, trades | time, mint |
 *
 * "chain" is (slot, position of the transaction, execution order of the events in it). Mints and orders are compared as
 * base58 text, byte by byte. TokenCreated rows of the older layout have nothing in the fields it lacks.
 *
 * Semantics: sums saturate at 2^64 - 1; candle volumes are exact. Volume counts BuySell only; LongShort, PartialClose and
 * FullClose move the price; ForceLiquidate and MilestoneDiscount do not. A user event of a close or a liquidation
 * belongs to the owner of the order, whoever paid for it.
 */
import type { Account, Program } from "./accounts.ts";
import { base58 } from "./base58.ts";
import { byText, CandleBook, INTERVALS, type Interval } from "./candles.ts";
import { datasetOf, EVENT_DATASETS, type EventDataset, type EventOf, LAYOUTS, type MarketEvent } from "./events.ts";
import { type DatasetDigest, LineDigest, type Value } from "./lines.ts";
import type { Placement } from "./runtime.ts";
import type { TransactionRecord } from "./transactions.ts";

/** What the indexer knows of a token. Integers beyond 2^53 are decimal text; unknown is null. */
export interface MintTruth {
  readonly mint: string;
  readonly created_by: string;
  readonly create_timestamp: number;
  readonly curve_account: string;
  readonly pool_token_account: string | null;
  readonly pool_sol_account: string | null;
  readonly fee_recipient: string | null;
  readonly base_fee_recipient: string | null;
  readonly params_account: string | null;
  readonly swap_fee: number | null;
  readonly borrow_fee: number | null;
  readonly fee_discount_flag: number | null;
  readonly name: string;
  readonly symbol: string;
  readonly uri: string;
  readonly latest_price: string | null;
  readonly latest_trade_time: number | null;
  readonly total_sol_amount: string;
  readonly total_margin_sol_amount: string;
  readonly total_force_liquidations: string;
  readonly total_close_profit: string;
}

/** An open order after all that happened to it. */
export interface OrderTruth {
  readonly order_pda: string;
  readonly order_type: number;
  readonly mint: string;
  readonly user: string;
  readonly lock_lp_start_price: string;
  readonly lock_lp_end_price: string;
  readonly lock_lp_sol_amount: string;
  readonly lock_lp_token_amount: string;
  readonly start_time: number;
  readonly end_time: number;
  readonly margin_sol_amount: string;
  readonly borrow_amount: string;
  readonly position_asset_amount: string;
  readonly borrow_fee: number;
}

export interface LedgerTruth {
  /** Canonical blocks delivered, those without matches included. */
  readonly blocks: number;
  readonly emptyBlocks: number;
  /** Transactions received in canonical blocks, failed ones and noise included. */
  readonly transactions: number;
  /** Failed ones among the program's own, and payloads that they logged: none of them counts. */
  readonly failedTransactions: number;
  readonly failedPayloads: number;
  readonly truncatedTransactions: number;
  /** Events that happened but are not in the data, because the log was full. */
  readonly lostEvents: number;
  readonly events: Readonly<Record<EventDataset, number>>;
  readonly eventsTotal: number;
  /** Of all events: those carried by `emit_cpi!` self-CPIs. */
  readonly emitCpiEvents: number;
  readonly trades: number;
  readonly quarantined: number;
  /** Payloads of the program with a discriminator that is not in its IDL: ignored, but numbered. */
  readonly unknownDiscriminators: number;
  readonly userEvents: number;
  readonly mints: readonly MintTruth[];
  readonly orders: readonly OrderTruth[];
  readonly datasets: Readonly<Record<string, DatasetDigest>>;
  /** All canonical lines by dataset, when asked for. */
  readonly lines?: Readonly<Record<string, readonly string[]>>;
}

/** A block of the surviving chain. */
export interface CanonicalBlock {
  readonly slot: number;
  readonly time: number;
  readonly transactions: number;
  readonly records: readonly TransactionRecord[];
}

interface Mint {
  readonly created: Creation;
  readonly createdAt: number;
  fees: { readonly swap_fee: number; readonly borrow_fee: number; readonly fee_discount_flag: number } | null;
  price: bigint | null;
  tradedAt: number | null;
  sol: bigint;
  margin: bigint;
  liquidations: bigint;
  profit: bigint;
}

type Creation = EventOf<"token_created"> | EventOf<"token_created_v0">;
type Folded = Exclude<MarketEvent, Creation>;
type OrderEvent = EventOf<"long_short"> | EventOf<"partial_close">;

const U64_MAX = (1n << 64n) - 1n;

export class TruthLedger {
  readonly #program: Program;
  readonly #digests = new Map<string, LineDigest>();
  readonly #books: readonly CandleBook[];
  readonly #mints = new Map<Account, Mint>();
  readonly #orders = new Map<Account, OrderEvent>();
  readonly #keepLines: boolean;
  readonly #counts = {
    blocks: 0,
    emptyBlocks: 0,
    transactions: 0,
    failedTransactions: 0,
    failedPayloads: 0,
    truncatedTransactions: 0,
    lostEvents: 0,
    emitCpiEvents: 0,
    unknownDiscriminators: 0,
  };

  constructor(options: { program: Program; keepLines: boolean }) {
    this.#program = options.program;
    this.#keepLines = options.keepLines;
    for (const name of [...EVENT_DATASETS, "trades", "quarantine", "user_events"]) this.#digest(name);
    this.#books = Object.keys(INTERVALS).map(
      (name) => new CandleBook(name as Interval, this.#digest(`candles_${name}`)),
    );
  }

  #digest(name: string): LineDigest {
    let digest = this.#digests.get(name);
    if (digest === undefined) this.#digests.set(name, (digest = new LineDigest(this.#keepLines)));
    return digest;
  }

  apply(block: CanonicalBlock): void {
    this.#counts.blocks++;
    this.#counts.transactions += block.transactions;
    if (block.records.length === 0) this.#counts.emptyBlocks++;
    for (const record of block.records) {
      if (record.truncated) this.#counts.truncatedTransactions++;
      if (record.failed) {
        this.#counts.failedTransactions++;
        this.#counts.failedPayloads += record.placements.length;
      } else if (record.placements.length > 0) {
        const signature = base58(record.signature);
        for (const placement of record.placements) this.#place(block, signature, placement);
      }
    }
  }

  #place(block: CanonicalBlock, signature: string, placement: Placement): void {
    const { payload } = placement;
    const identity = [block.slot, block.time, signature, placement.path, placement.ordinal] as const;
    if (!placement.carried) this.#counts.lostEvents++;
    else if (payload.kind === "unknown") this.#counts.unknownDiscriminators++;
    else if (payload.kind === "undecodable") this.#digest("quarantine").add(...identity, this.#program, payload.bytes);
    else {
      if (placement.byCpi) this.#counts.emitCpiEvents++;
      this.#record(identity, payload.event);
      this.#fold(block.time, identity, payload.event);
    }
  }

  /** The event's own row, and the trade it stands for. */
  #record(identity: readonly Value[], event: MarketEvent): void {
    const dataset = datasetOf(event.kind);
    const values = event as unknown as Readonly<Record<string, Value>>;
    const fields: Value[] = [];
    for (const [name] of LAYOUTS[dataset]) if (name !== "mint_account") fields.push(values[name]);
    this.#digest(dataset).add(...identity, this.#program, event.mint_account, ...fields);
    if (!("latest_price" in event)) return;
    const swap = event.kind === "buy_sell" ? event : null;
    const amounts = [swap?.is_buy, swap?.token_amount, swap?.sol_amount];
    this.#digest("trades").add(
      ...identity,
      this.#program,
      event.mint_account,
      dataset,
      event.payer,
      ...amounts,
      event.latest_price,
    );
  }

  /** What the event does to its token, its order and its user. */
  #fold(time: number, identity: readonly Value[], event: MarketEvent): void {
    if (event.kind === "token_created" || event.kind === "token_created_v0") this.#create(time, event);
    else this.#foldTrade(time, identity, event, this.#mints.get(event.mint_account)!);
  }

  #foldTrade(time: number, identity: readonly Value[], event: Folded, mint: Mint): void {
    if ("latest_price" in event) this.#trade(time, mint, event);
    if (event.kind === "buy_sell") mint.sol = saturate(mint.sol + event.sol_amount);
    if (event.kind === "long_short") mint.margin = saturate(mint.margin + event.margin_sol_amount);
    if (event.kind === "force_liquidate") mint.liquidations = saturate(mint.liquidations + 1n);
    if ("user_close_profit" in event) mint.profit = saturate(mint.profit + event.user_close_profit);
    if (event.kind === "milestone_discount") {
      mint.fees = event;
      this.#userEvent(identity, event, event.payer);
    }
    if (event.kind === "long_short" || event.kind === "partial_close") {
      this.#orders.set(event.order_pda, event);
      this.#userEvent(identity, event, event.user);
    }
    if (event.kind === "full_close" || event.kind === "force_liquidate") {
      const order = this.#orders.get(event.order_pda)!;
      this.#orders.delete(event.order_pda);
      this.#userEvent(identity, event, order.user);
    }
  }

  #create(time: number, event: Creation): void {
    this.#mints.set(event.mint_account, {
      created: event,
      createdAt: time,
      fees: event.kind === "token_created" ? event : null,
      price: null,
      tradedAt: null,
      sol: 0n,
      margin: 0n,
      liquidations: 0n,
      profit: 0n,
    });
  }

  #trade(time: number, mint: Mint, event: Extract<MarketEvent, { latest_price: bigint }>): void {
    const price = event.latest_price;
    const swap = event.kind === "buy_sell" ? event : null;
    const volume = { base: swap?.token_amount ?? 0n, quote: swap?.sol_amount ?? 0n };
    const trade = { mint: event.mint_account, time, price, before: mint.price ?? price, ...volume };
    for (const book of this.#books) book.add(trade);
    mint.price = price;
    mint.tradedAt = time;
  }

  #userEvent(identity: readonly Value[], event: MarketEvent, user: Account): void {
    this.#digest("user_events").add(...identity, event.kind, user, event.mint_account);
  }

  /** The truth after the last block. */
  finish(): LedgerTruth {
    for (const book of this.#books) book.flush();
    const mints = [...this.#mints].sort(([a], [b]) => byText(a, b)).map(([mint, state]) => mintTruth(mint, state));
    const orders = [...this.#orders].sort(([a], [b]) => byText(a, b)).map(([pda, event]) => orderTruth(pda, event));
    for (const row of mints) this.#digest("mints").add(...Object.values(row));
    for (const row of orders) this.#digest("orders").add(...Object.values(row));
    // Digests of datasets without rows exist too.
    const names = [...this.#digests.keys(), "mints", "orders"];
    const datasets = Object.fromEntries(names.map((name) => [name, this.#digest(name).finish()]));
    const rows = (name: string) => datasets[name]!.rows;
    const events = Object.fromEntries(EVENT_DATASETS.map((name) => [name, rows(name)])) as Record<EventDataset, number>;
    return {
      ...this.#counts,
      events,
      eventsTotal: Object.values(events).reduce((sum, n) => sum + n, 0),
      trades: rows("trades"),
      quarantined: rows("quarantine"),
      userEvents: rows("user_events"),
      mints,
      orders,
      datasets,
      ...(this.#keepLines ? { lines: this.#lines() } : {}),
    };
  }

  #lines(): Record<string, readonly string[]> {
    return Object.fromEntries([...this.#digests].map(([name, digest]) => [name, digest.lines ?? []]));
  }
}

function saturate(sum: bigint): bigint {
  return sum > U64_MAX ? U64_MAX : sum;
}

function mintTruth(mint: Account, state: Mint): MintTruth {
  const { created } = state;
  const full = created.kind === "token_created" ? created : null;
  return {
    mint: mint.text,
    created_by: created.payer.text,
    create_timestamp: state.createdAt,
    curve_account: created.curve_account.text,
    pool_token_account: full?.pool_token_account.text ?? null,
    pool_sol_account: full?.pool_sol_account.text ?? null,
    fee_recipient: full?.fee_recipient.text ?? null,
    base_fee_recipient: full?.base_fee_recipient.text ?? null,
    params_account: full?.params_account.text ?? null,
    swap_fee: state.fees?.swap_fee ?? null,
    borrow_fee: state.fees?.borrow_fee ?? null,
    fee_discount_flag: state.fees?.fee_discount_flag ?? null,
    name: created.name,
    symbol: created.symbol,
    uri: created.uri,
    latest_price: state.price?.toString() ?? null,
    latest_trade_time: state.tradedAt,
    total_sol_amount: state.sol.toString(),
    total_margin_sol_amount: state.margin.toString(),
    total_force_liquidations: state.liquidations.toString(),
    total_close_profit: state.profit.toString(),
  };
}

function orderTruth(pda: Account, event: OrderEvent): OrderTruth {
  return {
    order_pda: pda.text,
    order_type: event.order_type,
    mint: event.mint.text,
    user: event.user.text,
    lock_lp_start_price: event.lock_lp_start_price.toString(),
    lock_lp_end_price: event.lock_lp_end_price.toString(),
    lock_lp_sol_amount: event.lock_lp_sol_amount.toString(),
    lock_lp_token_amount: event.lock_lp_token_amount.toString(),
    start_time: event.start_time,
    end_time: event.end_time,
    margin_sol_amount: event.margin_sol_amount.toString(),
    borrow_amount: event.borrow_amount.toString(),
    position_asset_amount: event.position_asset_amount.toString(),
    borrow_fee: event.borrow_fee,
  };
}
