/**
 * pump.fun's bonding curve. Its upgrades append fields to events: TradeEvent had 105, 121, 217 and 250 bytes of fields, and
 * its later ages have texts and lists in them; CreateEvent and others grew likewise. What comes later decodes as the longest
 * known, with bytes left over. Tokens have 6 decimals; the quote token is SOL unless the event names another.
 * Layouts: recorded payloads, and the IDL that pump.fun publishes (pump-fun/pump-public-docs, idl/pump.json).
 */
import type { BorshField } from "../borsh.ts";
import type { EventName, ProgramSpec } from "../program.ts";
import { anchorInstruction, bools, grown, keys, texts, u64s } from "./fields.ts";

const timestamp: BorshField = { name: "timestamp", type: "i64", unit: "seconds" };

const trade = grown(
  [
    { name: "mint", type: "pubkey" },
    { name: "sol_amount", type: "u64", unit: "lamports" },
    { name: "token_amount", type: "u64", unit: "base units" },
    ...bools("is_buy"),
    ...keys("user"),
    timestamp,
    ...u64s("virtual_sol_reserves virtual_token_reserves"),
  ],
  u64s("real_sol_reserves real_token_reserves"),
  [
    ...keys("fee_recipient"),
    ...u64s("fee_basis_points fee"),
    ...keys("creator"),
    ...u64s("creator_fee_basis_points creator_fee"),
  ],
  [
    ...bools("track_volume"),
    ...u64s("total_unclaimed_tokens total_claimed_tokens current_sol_volume"),
    { name: "last_update_timestamp", type: "i64", unit: "seconds" },
  ],
  texts("ix_name"),
  bools("mayhem_mode"),
  u64s("cashback_fee_basis_points cashback"),
  u64s("buyback_fee_basis_points buyback_fee"),
  [
    {
      name: "shareholders",
      type: { vec: { struct: [...keys("address"), { name: "share_bps", type: "u16" }] } },
      doc: "Among whom the creator's fee is divided.",
    },
  ],
  [...keys("quote_mint"), ...u64s("quote_amount virtual_quote_reserves real_quote_reserves")],
  u64s("holder_rewards_bps holder_rewards"),
  u64s("creator_fee_unclaimed"),
);

const create = grown(
  [...texts("name symbol uri"), ...keys("mint bonding_curve user")],
  keys("creator"),
  [timestamp, ...u64s("virtual_token_reserves virtual_sol_reserves real_token_reserves token_total_supply")],
  keys("token_program"),
  bools("is_mayhem_mode"),
  bools("is_cashback_enabled"),
  [...keys("quote_mint"), ...u64s("virtual_quote_reserves")],
  u64s("creator_fee_bps"),
  bools("is_holder_reward"),
  [{ name: "depth", type: "u8" }],
);

const unwanted: readonly EventName[] = [
  "SetParamsEvent",
  "CollectCreatorFeeEvent",
  "SetCreatorEvent",
  "SetMetaplexCreatorEvent",
  "UpdateGlobalAuthorityEvent",
  "ExtendAccountEvent",
  "ClaimTokenIncentivesEvent",
  "SyncUserVolumeAccumulatorEvent",
  "InitUserVolumeAccumulatorEvent",
  "CloseUserVolumeAccumulatorEvent",
  "AdminSetCreatorEvent",
  "AdminSetIdlAuthorityEvent",
  "AdminUpdateTokenIncentivesEvent",
  "ClaimCashbackEvent",
  "DistributeCreatorFeesEvent",
  "MigrateBondingCurveCreatorEvent",
  "MinimumDistributableFeeEvent",
  "ReservedFeeRecipientsEvent",
  "UpdateMayhemVirtualParamsEvent",
  "SweepBondingCurveFeeEvent",
  "AddQuoteControlMintEvent",
  "AdminCtoEvent",
  "DistributeFeeToHoldersEvent",
  "RemoveQuoteControlMintEvent",
  "SetQuoteControlAdminEvent",
  "SetQuoteControlMintReservesEvent",
  "SetQuoteControlReservesAdminEvent",
  "UpdateCreatorFeeConfigEvent",
].map((name) => ({ name }));

const swapAccounts =
  "global fee_recipient mint bonding_curve associated_bonding_curve associated_user user system_program";
const swapAccountsV2 =
  "global base_mint quote_mint base_token_program quote_token_program associated_token_program fee_recipient associated_quote_fee_recipient buyback_fee_recipient associated_quote_buyback_fee_recipient bonding_curve associated_base_bonding_curve associated_quote_bonding_curve user associated_base_user associated_quote_user";
const swapAccountsV3 =
  "global base_mint quote_mint base_token_program quote_token_program bonding_curve associated_base_bonding_curve associated_quote_bonding_curve user associated_base_user associated_quote_user";

const swap = (name: string, args: string) => {
  const accounts = name.endsWith("_v2") ? swapAccountsV2 : name.endsWith("_v3") ? swapAccountsV3 : swapAccounts;
  const mint = accounts === swapAccounts ? "mint" : "base_mint";
  const layouts = grown(u64s(args), ...(/^buy(_exact_sol_in)?$/.test(name) ? [bools("track_volume")] : []));
  return anchorInstruction(name, accounts, layouts, { dataset: `pump_ix_${name}`, mint });
};

export const PUMPFUN: ProgramSpec = {
  name: "pumpfun",
  programId: "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
  mintField: "mint",
  events: [
    {
      name: "TradeEvent",
      dataset: "pump_trade",
      doc: "Tokens were bought from or sold to the bonding curve.",
      layouts: trade,
      trade: {
        user: "user",
        isBuy: "is_buy",
        baseAmount: "token_amount",
        quoteAmount: "sol_amount",
        price: { quote: "virtual_sol_reserves", base: "virtual_token_reserves", quoteDecimals: 9, baseDecimals: 6 },
        quoteMint: "quote_mint",
      },
    },
    {
      name: "PostCompleteBuyEvent",
      dataset: "pump_post_complete_buy",
      doc: "The rest of the buy that completed the curve, at the price of the pool that follows.",
      layouts: [
        [
          ...keys("user mint bonding_curve quote_mint"),
          timestamp,
          ...u64s("base_out quote_in fee_basis_points fee creator_fee_basis_points creator_fee buyback_fee"),
          ...u64s("pool_base_reserves_before pool_quote_reserves_before"),
          ...u64s("pool_base_reserves_after pool_quote_reserves_after"),
        ],
      ],
      trade: {
        user: "user",
        isBuy: true,
        baseAmount: "base_out",
        quoteAmount: "quote_in",
        price: {
          quote: "pool_quote_reserves_after",
          base: "pool_base_reserves_after",
          quoteDecimals: 9,
          baseDecimals: 6,
        },
        quoteMint: "quote_mint",
      },
    },
    { name: "CreateEvent", dataset: "pump_create", doc: "A token was created.", layouts: create },
    {
      name: "CompleteEvent",
      dataset: "pump_complete",
      doc: "The bonding curve of a token is complete.",
      layouts: grown([...keys("user mint bonding_curve"), timestamp], keys("quote_mint")),
    },
    {
      name: "CompletePumpAmmMigrationEvent",
      dataset: "pump_migration",
      doc: "A token moved to the AMM.",
      layouts: grown(
        [
          ...keys("user mint"),
          ...u64s("mint_amount sol_amount pool_migration_fee"),
          ...keys("bonding_curve"),
          timestamp,
          ...keys("pool"),
        ],
        keys("quote_mint"),
      ),
    },
  ],
  unwanted,
  instructions: [
    ...["buy", "buy_v2", "buy_v3"].map((name) => swap(name, "amount max_sol_cost")),
    swap("buy_exact_sol_in", "spendable_sol_in min_tokens_out"),
    ...["buy_exact_quote_in_v2", "buy_exact_quote_in_v3"].map((name) =>
      swap(name, "spendable_quote_in min_tokens_out"),
    ),
    ...["sell", "sell_v2", "sell_v3"].map((name) => swap(name, "amount min_sol_output")),
    anchorInstruction(
      "create",
      "mint mint_authority bonding_curve associated_bonding_curve global mpl_token_metadata metadata user",
      [[...texts("name symbol uri"), ...keys("creator")], texts("name symbol uri")],
      { dataset: "pump_ix_create", mint: "mint" },
    ),
    anchorInstruction(
      "create_v2",
      "mint mint_authority bonding_curve associated_bonding_curve global user",
      grown(
        [...texts("name symbol uri"), ...keys("creator"), ...bools("is_mayhem_mode")],
        bools("is_cashback_enabled"),
        u64s("creator_fee_bps"),
        bools("is_holder_reward"),
      ),
      { dataset: "pump_ix_create_v2", mint: "mint" },
    ),
  ],
};
