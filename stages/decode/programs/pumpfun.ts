/**
 * pump.fun's bonding curve. TradeEvent has had four lengths on chain (105, 121, 217 and 250 bytes of fields) and CreateEvent
 * two; programs append fields, so later ones decode as the longest known with bytes left over. Tokens have 6 decimals.
 * Layouts: the recorded payloads of each length.
 */
import type { BorshField } from "../borsh.ts";
import type { EventName, ProgramSpec } from "../program.ts";
import { anchorInstruction, keys, texts, u64s } from "./fields.ts";

const timestamp: BorshField = { name: "timestamp", type: "i64", unit: "seconds" };

const tradeV0: readonly BorshField[] = [
  { name: "mint", type: "pubkey" },
  { name: "sol_amount", type: "u64", unit: "lamports" },
  { name: "token_amount", type: "u64", unit: "base units" },
  { name: "is_buy", type: "bool" },
  ...keys("user"),
  timestamp,
  ...u64s("virtual_sol_reserves virtual_token_reserves"),
];
const tradeV1 = [...tradeV0, ...u64s("real_sol_reserves real_token_reserves")];
const tradeV2 = [
  ...tradeV1,
  ...keys("fee_recipient"),
  ...u64s("fee_basis_points fee"),
  ...keys("creator"),
  ...u64s("creator_fee_basis_points creator_fee"),
];
const tradeV3: readonly BorshField[] = [
  ...tradeV2,
  { name: "track_volume", type: "bool" },
  ...u64s("total_unclaimed_tokens total_claimed_tokens current_sol_volume"),
  { name: "last_update_timestamp", type: "i64", unit: "seconds" },
];

const createV0 = [...texts("name symbol uri"), ...keys("mint bonding_curve user")];
const createV1 = [
  ...createV0,
  ...keys("creator"),
  timestamp,
  ...u64s("virtual_token_reserves virtual_sol_reserves real_token_reserves token_total_supply"),
];

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
].map((name) => ({ name }));

const swapAccounts =
  "global fee_recipient mint bonding_curve associated_bonding_curve associated_user user system_program";

export const PUMPFUN: ProgramSpec = {
  name: "pumpfun",
  programId: "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
  mintField: "mint",
  events: [
    {
      name: "TradeEvent",
      dataset: "pump_trade",
      doc: "Tokens were bought from or sold to the bonding curve.",
      layouts: [tradeV3, tradeV2, tradeV1, tradeV0],
      trade: {
        user: "user",
        isBuy: "is_buy",
        baseAmount: "token_amount",
        quoteAmount: "sol_amount",
        price: { quote: "virtual_sol_reserves", base: "virtual_token_reserves", quoteDecimals: 9, baseDecimals: 6 },
      },
    },
    { name: "CreateEvent", dataset: "pump_create", doc: "A token was created.", layouts: [createV1, createV0] },
    {
      name: "CompleteEvent",
      dataset: "pump_complete",
      doc: "The bonding curve of a token is complete.",
      layouts: [[...keys("user mint bonding_curve"), timestamp]],
    },
    {
      name: "CompletePumpAmmMigrationEvent",
      dataset: "pump_migration",
      doc: "A token moved to the AMM.",
      layouts: [
        [
          ...keys("user mint"),
          ...u64s("mint_amount sol_amount pool_migration_fee"),
          ...keys("bonding_curve"),
          timestamp,
          ...keys("pool"),
        ],
      ],
    },
  ],
  unwanted,
  instructions: [
    anchorInstruction("buy", swapAccounts, [u64s("amount max_sol_cost")], { dataset: "pump_ix_buy", mint: "mint" }),
    anchorInstruction("sell", swapAccounts, [u64s("amount min_sol_output")], { dataset: "pump_ix_sell", mint: "mint" }),
    anchorInstruction(
      "create",
      "mint mint_authority bonding_curve associated_bonding_curve global mpl_token_metadata metadata user",
      [[...texts("name symbol uri"), ...keys("creator")], texts("name symbol uri")],
      { dataset: "pump_ix_create", mint: "mint" },
    ),
  ],
};
