/**
 * Raydium's launchpad. Trade events name the pool; the tokens are accounts of the instruction that emitted them. A creator
 * fee and `exact_in` came later, each of which older events lack.
 */
import type { BorshField, BorshType } from "../borsh.ts";
import type { ProgramSpec } from "../program.ts";
import { anchorInstruction, keys, texts, u64s, variants } from "./fields.ts";

const tradeStart = [
  ...keys("pool_state"),
  ...u64s("total_base_sell virtual_base virtual_quote"),
  ...u64s("real_base_before real_quote_before real_base_after real_quote_after"),
  ...u64s("amount_in amount_out protocol_fee platform_fee"),
];
const tradeEnd = [
  ...u64s("share_fee"),
  variants("trade_direction", "Buy Sell"),
  variants("pool_status", "Fund Migrate Trade"),
];
const exactIn: BorshField = { name: "exact_in", type: "bool" };
const creatorFee = u64s("creator_fee");

const curve = (first: string): BorshType => ({
  struct: [{ name: "data", type: { struct: [...u64s(first), { name: "migrate_type", type: "u8" }] } }],
});
const poolCreateV0: readonly BorshField[] = [
  ...keys("pool_state creator config"),
  { name: "base_mint_param", type: { struct: [{ name: "decimals", type: "u8" }, ...texts("name symbol uri")] } },
  {
    name: "curve_param",
    type: {
      enum: [
        { name: "Constant", body: curve("supply total_base_sell total_quote_fund_raising") },
        { name: "Fixed", body: curve("supply total_quote_fund_raising") },
        { name: "Linear", body: curve("supply total_quote_fund_raising") },
      ],
    },
  },
  { name: "vesting_param", type: { struct: u64s("total_locked_amount cliff_period unlock_period") } },
];

const swapAccounts =
  "payer authority global_config platform_config pool_state user_base_token user_quote_token base_vault quote_vault base_token_mint quote_token_mint base_token_program quote_token_program event_authority program";
const initializeAccounts =
  "payer creator global_config platform_config authority pool_state base_mint quote_mint base_vault quote_vault";

const swap = (name: string, args: string) =>
  anchorInstruction(name, swapAccounts, [u64s(args)], { dataset: `launchpad_ix_${name}`, mint: "base_token_mint" });

export const RAYDIUM_LAUNCHPAD: ProgramSpec = {
  name: "raydium_launchpad",
  programId: "LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj",
  events: [
    {
      name: "TradeEvent",
      dataset: "launchpad_trade",
      doc: "Tokens were bought from or sold to the curve.",
      mintField: "accounts.base_token_mint",
      layouts: [
        [...tradeStart, ...creatorFee, ...tradeEnd, exactIn],
        [...tradeStart, ...creatorFee, ...tradeEnd],
        [...tradeStart, ...tradeEnd, exactIn],
        [...tradeStart, ...tradeEnd],
      ],
      trade: {
        user: "accounts.payer",
        input: { mint: "accounts.quote_token_mint", amount: "amount_in" },
        output: { mint: "accounts.base_token_mint", amount: "amount_out" },
        reversed: { field: "trade_direction", equals: "Sell" },
        decimals: 6,
      },
    },
    {
      name: "PoolCreateEvent",
      dataset: "launchpad_pool_create",
      doc: "A token and its curve were created.",
      mintField: "accounts.base_mint",
      layouts: [[...poolCreateV0, variants("amm_fee_on", "QuoteToken BothToken")], poolCreateV0],
    },
    {
      name: "ClaimVestedEvent",
      dataset: "launchpad_claim_vested",
      layouts: [[...keys("pool_state beneficiary"), ...u64s("claim_amount")]],
      mintField: "accounts.base_token_mint",
    },
    {
      name: "CreateVestingEvent",
      dataset: "launchpad_create_vesting",
      layouts: [[...keys("pool_state beneficiary"), ...u64s("share_amount")]],
    },
  ],
  instructions: [
    swap("buy_exact_in", "amount_in minimum_amount_out share_fee_rate"),
    swap("buy_exact_out", "amount_out maximum_amount_in share_fee_rate"),
    swap("sell_exact_in", "amount_in minimum_amount_out share_fee_rate"),
    swap("sell_exact_out", "amount_out maximum_amount_in share_fee_rate"),
    ...["initialize", "initialize_v2", "initialize_with_token_2022"].map((name) =>
      anchorInstruction(name, initializeAccounts, []),
    ),
    anchorInstruction(
      "claim_vested_token",
      "beneficiary authority pool_state vesting_record base_vault user_base_token base_token_mint",
      [],
    ),
  ],
};
