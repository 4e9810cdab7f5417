/**
 * Moonshot: a launchpad of the older Anchor. Its trades name the curve; the token is an account of the instruction. The
 * arguments of swaps got a side that is fixed between them. Layouts: its IDL, and the one in @wen-moon-ser/moonshot-sdk.
 */
import type { ProgramSpec } from "../program.ts";
import { anchorInstruction, fields, keys, texts, u64s, variants } from "./fields.ts";

const swapAccounts =
  "sender sender_token_account curve_account curve_token_account dex_fee helio_fee mint config_account token_program associated_token_program system_program";
const trade = [
  u64s("amount collateral_amount slippage_bps"),
  [...u64s("amount collateral_amount"), ...fields("u8", "fixed_side"), ...u64s("slippage_bps")],
];

export const MOONSHOT: ProgramSpec = {
  name: "moonshot",
  programId: "MoonCVVNZFSYkqNXP6bxHLPL6QQJiMagDL3qcqUQTrG",
  events: [
    {
      name: "TradeEvent",
      dataset: "moonshot_trade",
      doc: "Tokens were bought from or sold to the curve.",
      mintField: "accounts.mint",
      layouts: [
        [
          ...u64s("amount collateral_amount dex_fee helio_fee allocation"),
          ...keys("curve cost_token sender"),
          variants("type", "Buy Sell"),
          ...texts("label"),
        ],
      ],
      trade: {
        user: "sender",
        isBuy: { field: "type", equals: "Buy" },
        baseAmount: "amount",
        quoteAmount: "collateral_amount",
        price: {
          ...{ quote: "collateral_amount", base: "amount", quoteDecimals: 9, baseDecimals: 9 },
          baseMint: "accounts.mint",
        },
        quoteMint: "cost_token",
      },
    },
    {
      name: "MigrationEvent",
      dataset: "moonshot_migration",
      doc: "A token left the curve.",
      mintField: "accounts.mint",
      layouts: [[...u64s("tokens_migrated tokens_burned collateral_migrated fee"), ...texts("label")]],
    },
  ],
  instructions: [
    anchorInstruction("buy", swapAccounts, trade, { dataset: "moonshot_ix_buy", mint: "mint" }),
    anchorInstruction("sell", swapAccounts, trade, { dataset: "moonshot_ix_sell", mint: "mint" }),
    anchorInstruction(
      "migrate_funds",
      "backend_authority migration_authority curve_account curve_token_account migration_authority_token_account mint",
      [],
    ),
  ],
};
