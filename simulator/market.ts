/**
 * The market's ledger: tokens on their curves, margin orders, fees and milestones. `apply` turns an action into the events
 * that the program would emit. A token's state is an immutable value, so a block is taken back by putting the former
 * values in again.
 */
import type { Account } from "./accounts.ts";
import {
  INITIAL_TOKENS,
  lamportsAt,
  longLiquidation,
  MAX_TOKENS,
  MIN_TOKENS,
  priceAt,
  shortLiquidation,
} from "./curve.ts";
import type { EventOf, MarketEvent } from "./events.ts";

/** Fee unit of the program: hundred-thousandths. */
const FEE_DENOMINATOR = 100_000n;
export const BASE_SWAP_FEE = 1_000;
export const BASE_BORROW_FEE = 2_000;
/** Traded volume, lamports, after which fees are cut to 1/2, 1/4 and 1/8. */
const MILESTONES: readonly bigint[] = [20_000_000_000n, 80_000_000_000n, 320_000_000_000n];
const LIQUIDATIONS_PER_TRADE = 3;
export const ORDERS_PER_TOKEN_MAX = 16;

export const LONG = 1;
export const SHORT = 2;

export interface TokenDefinition {
  readonly mint: Account;
  readonly curve: Account;
  readonly poolToken: Account;
  readonly poolSol: Account;
  readonly params: Account;
  readonly feeRecipient: Account;
  readonly baseFeeRecipient: Account;
  readonly creator: Account;
  readonly name: string;
  readonly symbol: string;
  readonly uri: string;
  /** Announced with the older, shorter TokenCreated body. */
  readonly legacy: boolean;
}

/** A margin order. A long holds `tokens` and owes `lamports`; a short owes `tokens` and holds `lamports`. */
export interface Order {
  readonly pda: Account;
  readonly type: typeof LONG | typeof SHORT;
  readonly user: Account;
  readonly tokens: bigint;
  readonly lamports: bigint;
  readonly margin: bigint;
  readonly startTime: number;
  readonly endTime: number;
  readonly borrowFee: number;
  /** Token reserve at which the order is under water. */
  readonly liquidation: bigint;
}

export interface TokenState {
  /** Tokens on the curve. */
  readonly reserve: bigint;
  /** Tokens bought and not sold again. */
  readonly held: bigint;
  readonly orders: readonly Order[];
  readonly volume: bigint;
  readonly discount: number;
}

const INITIAL_STATE: TokenState = { reserve: INITIAL_TOKENS, held: 0n, orders: [], volume: 0n, discount: 0 };

export class Token {
  readonly definition: TokenDefinition;
  state: TokenState = INITIAL_STATE;

  constructor(definition: TokenDefinition) {
    this.definition = definition;
  }

  get swapFee(): number {
    return BASE_SWAP_FEE >> this.state.discount;
  }

  get borrowFee(): number {
    return BASE_BORROW_FEE >> this.state.discount;
  }
}

export type Action =
  | { readonly kind: "create"; readonly token: Token }
  | { readonly kind: "buy" | "sell"; readonly token: Token; readonly payer: Account; readonly tokens: bigint }
  | {
      readonly kind: "long" | "short";
      readonly token: Token;
      readonly payer: Account;
      readonly tokens: bigint;
      /** Share of the position's value that the trader brings, in thousandths. */
      readonly marginPermille: number;
      readonly pda: Account;
      readonly durationSeconds: number;
    }
  | {
      readonly kind: "close";
      readonly token: Token;
      /** The owner, or whoever closes an expired order for them. */
      readonly payer: Account;
      readonly pda: Account;
      /** Share of the position to close, in thousandths; 1000 closes it all. */
      readonly permille: number;
      /** Report a profit that wrapped below zero: a value near 2^64, as a careless program would. */
      readonly wrappedProfit: boolean;
    };

interface BlockJournal {
  readonly tokens: number;
  readonly states: Map<Token, TokenState>;
}

export class Market {
  readonly tokens: Token[] = [];
  /** Former states by block, oldest first: what an undo puts back. */
  readonly #journals: BlockJournal[] = [];

  beginBlock(): void {
    this.#journals.push({ tokens: this.tokens.length, states: new Map() });
  }

  /** Takes the newest block back. */
  undoBlock(): void {
    const journal = this.#journals.pop()!;
    for (const [token, state] of journal.states) token.state = state;
    this.tokens.length = journal.tokens;
  }

  /** The oldest block is final: it will never be taken back. */
  forgetBlock(): void {
    this.#journals.shift();
  }

  /** Events of the action, in the order the program emits them; null when the program would refuse it. */
  apply(action: Action, now: number): MarketEvent[] | null {
    if (action.kind === "create") {
      action.token.state = INITIAL_STATE;
      this.tokens.push(action.token);
      return [created(action.token.definition)];
    }
    const journal = this.#journals.at(-1);
    if (journal !== undefined && !journal.states.has(action.token)) {
      journal.states.set(action.token, action.token.state);
    }
    switch (action.kind) {
      case "buy":
      case "sell":
        return swap(action);
      case "long":
      case "short":
        return open(action, now);
      case "close":
        return close(action);
    }
  }

  /** What the action would emit, without any effect: events of a transaction that fails later. */
  preview(action: Exclude<Action, { kind: "create" }>, now: number): MarketEvent[] | null {
    const before = action.token.state;
    const events = this.apply(action, now);
    action.token.state = before;
    return events;
  }
}

function update(token: Token, change: Partial<TokenState>): void {
  token.state = { ...token.state, ...change };
}

function tradable(reserve: bigint): boolean {
  return reserve >= MIN_TOKENS && reserve <= MAX_TOKENS;
}

function created(d: TokenDefinition): MarketEvent {
  const common = { payer: d.creator, mint_account: d.mint, curve_account: d.curve };
  const names = { name: d.name, symbol: d.symbol, uri: d.uri };
  if (d.legacy) return { kind: "token_created_v0", ...common, ...names };
  return {
    kind: "token_created",
    ...common,
    pool_token_account: d.poolToken,
    pool_sol_account: d.poolSol,
    fee_recipient: d.feeRecipient,
    base_fee_recipient: d.baseFeeRecipient,
    params_account: d.params,
    swap_fee: BASE_SWAP_FEE,
    borrow_fee: BASE_BORROW_FEE,
    fee_discount_flag: 0,
    ...names,
  };
}

function swap(action: Extract<Action, { kind: "buy" | "sell" }>): MarketEvent[] | null {
  const { token, payer, tokens } = action;
  const { state } = token;
  const isBuy = action.kind === "buy";
  if (tokens <= 0n || (!isBuy && tokens > state.held)) return null;
  const reserve = isBuy ? state.reserve - tokens : state.reserve + tokens;
  if (!tradable(reserve)) return null;
  const moved = isBuy
    ? lamportsAt(reserve) - lamportsAt(state.reserve)
    : lamportsAt(state.reserve) - lamportsAt(reserve);
  const fee = (moved * BigInt(token.swapFee)) / FEE_DENOMINATOR;
  const lamports = isBuy ? moved + fee : moved - fee;
  if (lamports <= 0n) return null;
  update(token, {
    reserve,
    held: isBuy ? state.held + tokens : state.held - tokens,
    volume: state.volume + moved,
  });
  const traded: EventOf<"buy_sell"> = {
    kind: "buy_sell",
    payer,
    mint_account: token.definition.mint,
    is_buy: isBuy,
    token_amount: tokens,
    sol_amount: lamports,
    latest_price: priceAt(reserve),
  };
  return [traded, ...liquidate(token, payer), ...discount(token, payer)];
}

function open(action: Extract<Action, { kind: "long" | "short" }>, now: number): MarketEvent[] | null {
  const { token, payer, tokens } = action;
  const { state } = token;
  const isLong = action.kind === "long";
  const reserve = isLong ? state.reserve - tokens : state.reserve + tokens;
  if (tokens <= 0n || !tradable(reserve) || state.orders.length >= ORDERS_PER_TOKEN_MAX) return null;
  const value = isLong
    ? lamportsAt(reserve) - lamportsAt(state.reserve)
    : lamportsAt(state.reserve) - lamportsAt(reserve);
  const margin = (value * BigInt(action.marginPermille)) / 1000n;
  const lamports = isLong ? value - margin : value;
  if (margin <= 0n || lamports <= 0n) return null;
  const order: Order = {
    pda: action.pda,
    type: isLong ? LONG : SHORT,
    user: payer,
    tokens,
    lamports,
    margin,
    startTime: now,
    endTime: now + action.durationSeconds,
    borrowFee: token.borrowFee,
    liquidation: isLong ? longLiquidation(tokens, lamports) : shortLiquidation(tokens, lamports + margin),
  };
  if (underWater(order, reserve)) return null;
  update(token, { reserve, orders: [...state.orders, order] });
  const opened: EventOf<"long_short"> = {
    kind: "long_short",
    payer,
    mint_account: token.definition.mint,
    order_pda: order.pda,
    latest_price: priceAt(reserve),
    ...orderFields(order, token),
  };
  return [opened, ...liquidate(token, payer)];
}

function close(action: Extract<Action, { kind: "close" }>): MarketEvent[] | null {
  const { token, payer } = action;
  const order = token.state.orders.find((o) => o.pda === action.pda);
  if (order === undefined) return null;
  const tokens = (order.tokens * BigInt(action.permille)) / 1000n;
  const share = (amount: bigint) => (amount * tokens) / order.tokens;
  const reserve = order.type === LONG ? token.state.reserve + tokens : token.state.reserve - tokens;
  if (tokens <= 0n || !tradable(reserve)) return null;
  const lamports =
    order.type === LONG
      ? lamportsAt(token.state.reserve) - lamportsAt(reserve)
      : lamportsAt(reserve) - lamportsAt(token.state.reserve);
  const costs = (lamports * BigInt(token.swapFee) + share(order.lamports) * BigInt(order.borrowFee)) / FEE_DENOMINATOR;
  const gain =
    order.type === LONG
      ? lamports - share(order.lamports) - share(order.margin) - costs
      : share(order.lamports) - lamports - costs;
  const profit = gain >= 0n ? gain : action.wrappedProfit ? 2n ** 64n + gain : 0n;
  const whole = tokens === order.tokens;
  const rest: Order = {
    ...order,
    tokens: order.tokens - tokens,
    lamports: order.lamports - share(order.lamports),
    margin: order.margin - share(order.margin),
  };
  const orders = token.state.orders.flatMap((o) => (o !== order ? [o] : whole ? [] : [rest]));
  update(token, { reserve, orders });
  const closed = {
    payer,
    user_sol_account: order.user,
    mint_account: token.definition.mint,
    is_close_long: order.type === LONG,
    final_token_amount: tokens,
    final_sol_amount: lamports,
    user_close_profit: profit,
    latest_price: priceAt(reserve),
    order_pda: order.pda,
  };
  const event: MarketEvent = whole
    ? { kind: "full_close", ...closed }
    : { kind: "partial_close", ...closed, ...orderFields(rest, token) };
  return [event, ...liquidate(token, payer)];
}

/** A long fails when the reserve has grown (price fallen) to its limit, a short when it has shrunk to it. */
function underWater(order: Order, reserve: bigint): boolean {
  return order.type === LONG ? reserve >= order.liquidation : reserve <= order.liquidation;
}

/** Closes orders that the last move put under water. Each moves the curve further, without telling the price. */
function liquidate(token: Token, payer: Account): MarketEvent[] {
  const events: MarketEvent[] = [];
  while (events.length < LIQUIDATIONS_PER_TRADE) {
    const { reserve, orders } = token.state;
    const order = orders.find((o) => underWater(o, reserve));
    if (order === undefined) break;
    const next = order.type === LONG ? reserve + order.tokens : reserve - order.tokens;
    if (!tradable(next)) break;
    update(token, { reserve: next, orders: orders.filter((o) => o !== order) });
    events.push({ kind: "force_liquidate", payer, mint_account: token.definition.mint, order_pda: order.pda });
  }
  return events;
}

function discount(token: Token, payer: Account): MarketEvent[] {
  const { volume, discount } = token.state;
  const milestone = MILESTONES[discount];
  if (milestone === undefined || volume < milestone) return [];
  update(token, { discount: discount + 1 });
  return [
    {
      kind: "milestone_discount",
      payer,
      mint_account: token.definition.mint,
      curve_account: token.definition.curve,
      swap_fee: token.swapFee,
      borrow_fee: token.borrowFee,
      fee_discount_flag: token.state.discount,
    },
  ];
}

function orderFields(order: Order, token: Token) {
  const isLong = order.type === LONG;
  const end = isLong ? order.liquidation + order.tokens : order.liquidation - order.tokens;
  const [low, high] = isLong ? [order.liquidation, end] : [end, order.liquidation];
  return {
    order_type: order.type,
    mint: token.definition.mint,
    user: order.user,
    lock_lp_start_price: priceAt(order.liquidation),
    lock_lp_end_price: priceAt(end),
    lock_lp_sol_amount: lamportsAt(low) - lamportsAt(high),
    lock_lp_token_amount: order.tokens,
    start_time: order.startTime,
    end_time: order.endTime,
    margin_sol_amount: order.margin,
    borrow_amount: isLong ? order.lamports : order.tokens,
    position_asset_amount: isLong ? order.tokens : order.lamports,
    borrow_fee: order.borrowFee,
  };
}
