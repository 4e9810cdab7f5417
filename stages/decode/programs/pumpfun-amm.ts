/**
 * pump.fun's AMM. Its swap events name the pool, not the tokens: those are accounts of the instruction that emitted them.
 * Upgrades append fields (creator fees, volume tracking, cashback, buyback, boost, holder rewards); what comes later decodes
 * with bytes left over. Layouts: the IDL that pump.fun publishes (pump-fun/pump-public-docs, idl/pump_amm.json).
 */
import type { BorshField } from "../borsh.ts";
import type { EventName, MintRule, ProgramSpec } from "../program.ts";
import { anchorInstruction, bools, grown, keys, texts, u64s } from "./fields.ts";

const timestamp: BorshField = { name: "timestamp", type: "i64", unit: "seconds" };
// The base, also where a coin is paired with another coin: it is the second that counts where a currency does not decide.
const TOKENS: MintRule = ["accounts.quote_mint", "accounts.base_mint"];
const DECIMALS = 6;

const reserves = u64s(
  "user_base_token_reserves user_quote_token_reserves pool_base_token_reserves pool_quote_token_reserves",
);
const swapEnd = keys(
  "pool user user_base_token_account user_quote_token_account protocol_fee_recipient protocol_fee_recipient_token_account",
);
const fees = u64s("lp_fee_basis_points lp_fee protocol_fee_basis_points protocol_fee");
const creatorFees = [...keys("coin_creator"), ...u64s("coin_creator_fee_basis_points coin_creator_fee")];

/** What both kinds of swaps got after each had its own. */
const later: readonly (readonly BorshField[])[] = [
  u64s("cashback_fee_basis_points cashback"),
  u64s("buyback_fee_basis_points buyback_fee"),
  [{ name: "virtual_quote_reserves", type: "i128" }],
  bools("can_boost"),
  u64s("base_supply"),
  u64s("holder_rewards_bps holder_rewards"),
  u64s("creator_fee_unclaimed"),
];

const buy = grown(
  [
    timestamp,
    ...u64s("base_amount_out max_quote_amount_in"),
    ...reserves,
    ...u64s("quote_amount_in"),
    ...fees,
    ...u64s("quote_amount_in_with_lp_fee user_quote_amount_in"),
    ...swapEnd,
  ],
  creatorFees,
  [
    ...bools("track_volume"),
    ...u64s("total_unclaimed_tokens total_claimed_tokens current_sol_volume"),
    { name: "last_update_timestamp", type: "i64", unit: "seconds" },
  ],
  u64s("min_base_amount_out"),
  texts("ix_name"),
  ...later,
);
const sell = grown(
  [
    timestamp,
    ...u64s("base_amount_in min_quote_amount_out"),
    ...reserves,
    ...u64s("quote_amount_out"),
    ...fees,
    ...u64s("quote_amount_out_without_lp_fee user_quote_amount_out"),
    ...swapEnd,
  ],
  creatorFees,
  ...later,
);

const createPool: readonly BorshField[] = [
  timestamp,
  { name: "index", type: "u16" },
  ...keys("creator base_mint quote_mint"),
  { name: "base_mint_decimals", type: "u8" },
  { name: "quote_mint_decimals", type: "u8" },
  ...u64s("base_amount_in quote_amount_in pool_base_amount pool_quote_amount"),
  ...u64s("minimum_liquidity initial_liquidity lp_token_amount_out"),
  { name: "pool_bump", type: "u8" },
  ...keys("pool lp_mint user_base_token_account user_quote_token_account"),
];

const liquidityEnd = keys("pool user user_base_token_account user_quote_token_account user_pool_token_account");

const swapAccounts =
  "pool user global_config base_mint quote_mint user_base_token_account user_quote_token_account pool_base_token_account pool_quote_token_account protocol_fee_recipient protocol_fee_recipient_token_account base_token_program quote_token_program system_program associated_token_program event_authority program";
const swapAccountsV2 =
  "pool user global_config base_mint quote_mint user_base_token_account user_quote_token_account pool_base_token_account pool_quote_token_account base_token_program quote_token_program system_program user_volume_accumulator fee_config buyback_fee_recipient event_authority program";
const routeAccounts =
  "user user_in_token_account user_out_token_account global_config fee_config user_volume_accumulator buyback_fee_recipient token_program token_2022_program system_program event_authority program pump_program pump_global pump_fee_config pump_event_authority";
const liquidityAccounts =
  "pool global_config user base_mint quote_mint lp_mint user_base_token_account user_quote_token_account user_pool_token_account pool_base_token_account pool_quote_token_account token_program token_2022_program event_authority program";

const unwanted: readonly EventName[] = [
  "CreateConfigEvent",
  "DisableEvent",
  "ExtendAccountEvent",
  "UpdateAdminEvent",
  "UpdateFeeConfigEvent",
  "CollectCoinCreatorFeeEvent",
  "SetBondingCurveCoinCreatorEvent",
  "SetMetaplexCoinCreatorEvent",
  "ClaimTokenIncentivesEvent",
  "SyncUserVolumeAccumulatorEvent",
  "InitUserVolumeAccumulatorEvent",
  "CloseUserVolumeAccumulatorEvent",
  "AdminSetCoinCreatorEvent",
  "AdminUpdateTokenIncentivesEvent",
  "ClaimCashbackEvent",
  "MigratePoolCoinCreatorEvent",
  "ReservedFeeRecipientsEvent",
  "SweepPoolFeeEvent",
  "InitBoostEvent",
  "BoostBuyAndBurnEvent",
  "SetBoostAuthorityEvent",
  "AdminCtoPoolEvent",
  "UpdateCreatorFeeConfigEvent",
  "SetCoinCreatorFeeBpsEvent",
  "AdminSetCoinCreatorFeeEditableEvent",
].map((name) => ({ name }));

const instruction = (name: string, accounts: string, args: string, later: readonly BorshField[] = []) =>
  anchorInstruction(name, accounts, grown(u64s(args), ...(later.length === 0 ? [] : [later])), {
    dataset: `pump_amm_ix_${name}`,
    mint: "base_mint",
  });

export const PUMPFUN_AMM: ProgramSpec = {
  name: "pumpfun_amm",
  programId: "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
  events: [
    {
      name: "BuyEvent",
      dataset: "pump_amm_buy",
      doc: "Base was bought from a pool.",
      mintField: TOKENS,
      layouts: buy,
      trade: {
        user: "user",
        input: { mint: "accounts.quote_mint", amount: "user_quote_amount_in" },
        output: { mint: "accounts.base_mint", amount: "base_amount_out" },
        decimals: DECIMALS,
      },
    },
    {
      name: "SellEvent",
      dataset: "pump_amm_sell",
      doc: "Base was sold to a pool.",
      mintField: TOKENS,
      layouts: sell,
      trade: {
        user: "user",
        input: { mint: "accounts.base_mint", amount: "base_amount_in" },
        output: { mint: "accounts.quote_mint", amount: "user_quote_amount_out" },
        decimals: DECIMALS,
      },
    },
    {
      name: "CreatePoolEvent",
      dataset: "pump_amm_create_pool",
      doc: "A pool was created.",
      mintField: ["quote_mint", "base_mint"],
      layouts: grown(
        createPool,
        keys("coin_creator"),
        bools("is_mayhem_mode"),
        [...u64s("creator_fee_bps"), ...bools("can_edit_creator_fee")],
        bools("is_holder_reward"),
      ),
    },
    {
      name: "DepositEvent",
      dataset: "pump_amm_deposit",
      doc: "Liquidity was added.",
      mintField: TOKENS,
      layouts: [
        [
          timestamp,
          ...u64s("lp_token_amount_out max_base_amount_in max_quote_amount_in"),
          ...reserves,
          ...u64s("base_amount_in quote_amount_in lp_mint_supply"),
          ...liquidityEnd,
        ],
      ],
    },
    {
      name: "WithdrawEvent",
      dataset: "pump_amm_withdraw",
      doc: "Liquidity was taken out.",
      mintField: TOKENS,
      layouts: [
        [
          timestamp,
          ...u64s("lp_token_amount_in min_base_amount_out min_quote_amount_out"),
          ...reserves,
          ...u64s("base_amount_out quote_amount_out lp_mint_supply"),
          ...liquidityEnd,
        ],
      ],
    },
  ],
  unwanted,
  instructions: [
    instruction("buy", swapAccounts, "base_amount_out max_quote_amount_in", bools("track_volume")),
    instruction("buy_exact_quote_in", swapAccounts, "spendable_quote_in min_base_amount_out", bools("track_volume")),
    instruction("sell", swapAccounts, "base_amount_in min_quote_amount_out"),
    instruction("buy_v2", swapAccountsV2, "base_amount_out max_quote_amount_in"),
    instruction("buy_exact_quote_in_v2", swapAccountsV2, "spendable_quote_in min_base_amount_out"),
    instruction("sell_v2", swapAccountsV2, "base_amount_in min_quote_amount_out"),
    // A route through pools and bonding curves: each pool it goes through emits the event of a swap of its own.
    anchorInstruction(
      "multi_hop_swap",
      routeAccounts,
      [],
      {},
      {
        accounts: ["base_mint", "quote_mint", "pool", "pool_base_token_account", "pool_quote_token_account"],
        key: "pool",
      },
    ),
    anchorInstruction("boost_buy_and_burn", "pool authority global_config base_mint quote_mint", []),
    instruction("deposit", liquidityAccounts, "lp_token_amount_out max_base_amount_in max_quote_amount_in"),
    instruction("withdraw", liquidityAccounts, "lp_token_amount_in min_base_amount_out min_quote_amount_out"),
  ],
};
