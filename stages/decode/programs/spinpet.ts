/**
 * Spinpet: a launchpad whose tokens trade on a bonding curve and can be traded with margin. Its seven events with every
 * layout seen on chain. Prices are SOL per token as an integer multiple of 1e-28; SOL has 9 decimals, tokens have 6.
 */
import type { BorshField } from "../borsh.ts";
import type { EventSpec, ProgramSpec } from "../program.ts";

const PRICE = "1e-28 SOL per token";
const FEE = "1/100000";

const payer: BorshField = { name: "payer", type: "pubkey", doc: "Who signed and paid for the transaction." };
const mint: BorshField = { name: "mint_account", type: "pubkey", doc: "The token." };
const order: BorshField = { name: "order_pda", type: "pubkey", doc: "Account of the margin order." };
const latestPrice: BorshField = { name: "latest_price", type: "u128", unit: PRICE, doc: "Price after the event." };
const userSolAccount: BorshField = { name: "user_sol_account", type: "pubkey", doc: "Account that received the SOL." };

/** How an open margin order stands; a partial close reports it as it is afterwards. */
const orderState: readonly BorshField[] = [
  { name: "order_type", type: "u8", doc: "1 long, 2 short." },
  { name: "mint", type: "pubkey", doc: "Token of the order." },
  { name: "user", type: "pubkey", doc: "Owner of the order." },
  { name: "lock_lp_start_price", type: "u128", unit: PRICE, doc: "Price at which the locked liquidity begins." },
  { name: "lock_lp_end_price", type: "u128", unit: PRICE, doc: "Price at which the locked liquidity ends." },
  { name: "lock_lp_sol_amount", type: "u64", unit: "lamports", doc: "SOL locked in the pool." },
  { name: "lock_lp_token_amount", type: "u64", unit: "base units", doc: "Tokens locked in the pool." },
  { name: "start_time", type: "u32", unit: "seconds", doc: "When the order was opened, Unix seconds." },
  { name: "end_time", type: "u32", unit: "seconds", doc: "When the loan runs out, Unix seconds." },
  { name: "margin_sol_amount", type: "u64", unit: "lamports", doc: "Margin put down." },
  { name: "borrow_amount", type: "u64", doc: "Amount borrowed." },
  {
    name: "position_asset_amount",
    type: "u64",
    doc: "Size of the position.",
  },
  { name: "borrow_fee", type: "u16", unit: FEE, doc: "Fee for borrowing." },
];

const closing: readonly BorshField[] = [
  payer,
  userSolAccount,
  mint,
  { name: "is_close_long", type: "bool", doc: "True when a long was closed." },
  { name: "final_token_amount", type: "u64", unit: "base units", doc: "Tokens that changed hands." },
  { name: "final_sol_amount", type: "u64", unit: "lamports", doc: "SOL that changed hands." },
  { name: "user_close_profit", type: "u64", unit: "lamports", doc: "Paid out to the owner." },
  latestPrice,
  order,
];

const fees: readonly BorshField[] = [
  { name: "swap_fee", type: "u16", unit: FEE, doc: "Fee for swaps." },
  { name: "borrow_fee", type: "u16", unit: FEE, doc: "Fee for borrowing." },
  { name: "fee_discount_flag", type: "u8", doc: "0 full fee, 1 half, 2 a quarter, 3 an eighth." },
];

const naming: readonly BorshField[] = [
  { name: "name", type: "string", doc: "Name of the token." },
  { name: "symbol", type: "string", doc: "Ticker symbol." },
  { name: "uri", type: "string", doc: "Where the token's metadata is." },
];

const curve: BorshField = { name: "curve_account", type: "pubkey", doc: "Bonding curve of the token." };

/** Events that move the price without being volume. */
const priceOnly = { user: "payer", price: "latest_price" } as const;

const events: readonly EventSpec[] = [
  {
    name: "TokenCreatedEvent",
    doc: "A token was created. Early events carry payer, mint, curve and the token's naming only.",
    layouts: [
      [
        payer,
        mint,
        curve,
        { name: "pool_token_account", type: "pubkey", doc: "Tokens of the pool." },
        { name: "pool_sol_account", type: "pubkey", doc: "SOL of the pool." },
        { name: "fee_recipient", type: "pubkey", doc: "Receives fees." },
        { name: "base_fee_recipient", type: "pubkey", doc: "Receives base fees." },
        { name: "params_account", type: "pubkey", doc: "Parameters the token was created with." },
        ...fees,
        ...naming,
      ],
      [payer, mint, curve, ...naming],
    ],
  },
  {
    name: "BuySellEvent",
    doc: "Tokens were bought from or sold to the curve.",
    layouts: [
      [
        payer,
        mint,
        { name: "is_buy", type: "bool", doc: "True when tokens were bought." },
        { name: "token_amount", type: "u64", unit: "base units", doc: "Tokens bought or sold." },
        { name: "sol_amount", type: "u64", unit: "lamports", doc: "SOL paid or received." },
        latestPrice,
      ],
    ],
    trade: { ...priceOnly, isBuy: "is_buy", baseAmount: "token_amount", quoteAmount: "sol_amount" },
  },
  {
    name: "LongShortEvent",
    doc: "A margin order was opened.",
    layouts: [[payer, mint, order, latestPrice, ...orderState]],
    trade: priceOnly,
  },
  {
    name: "ForceLiquidateEvent",
    doc: "A margin order was liquidated.",
    layouts: [[payer, mint, order]],
  },
  {
    name: "FullCloseEvent",
    doc: "A margin order was closed.",
    layouts: [closing],
    trade: priceOnly,
  },
  {
    name: "PartialCloseEvent",
    doc: "A part of a margin order was closed; the order's fields are those after it.",
    layouts: [[...closing, ...orderState]],
    trade: priceOnly,
  },
  {
    name: "MilestoneDiscountEvent",
    doc: "A token reached a milestone and its fees were lowered.",
    layouts: [[payer, mint, curve, ...fees]],
  },
];

export const SPINPET: ProgramSpec = {
  name: "spinpet",
  programId: "JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ",
  mintField: "mint_account",
  events,
};
