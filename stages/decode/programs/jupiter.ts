/**
 * Jupiter v6, an aggregator: one event for each swap of a route, or, since its second kind of routes, one for all of them,
 * which names the pool's program in its later form only. The pools that it routes through report the same swaps where they
 * are decoded, too; then those count in `trades`. Whose tokens are swapped the instruction says: another may pay its fees.
 */
import type { ProgramSpec } from "../program.ts";
import { anchorInstruction, grown, keys, u64s } from "./fields.ts";

const swap = [...keys("input_mint"), ...u64s("input_amount"), ...keys("output_mint"), ...u64s("output_amount")];

export const JUPITER_V6: ProgramSpec = {
  name: "jupiter_v6",
  programId: "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4",
  events: [
    {
      name: "SwapEvent",
      dataset: "jupiter_swap",
      doc: "A swap of a route.",
      mintField: ["input_mint", "output_mint"],
      layouts: [[...keys("amm"), ...swap]],
      also: [{ name: "SwapsEvent", list: true, layouts: grown(swap, keys("amm")) }],
      trade: {
        user: ["accounts.user_transfer_authority", "signer"],
        input: { mint: "input_mint", amount: "input_amount" },
        output: { mint: "output_mint", amount: "output_amount" },
        venue: "amm",
      },
    },
    {
      name: "FeeEvent",
      dataset: "jupiter_fee",
      doc: "A fee that a platform took.",
      mintField: "mint",
      layouts: [[...keys("account mint"), ...u64s("amount")]],
    },
  ],
  instructions: [
    ...["route", "route_with_token_ledger", "exact_out_route"].map((name) =>
      anchorInstruction(name, "token_program user_transfer_authority", []),
    ),
    ...["shared_accounts_route", "shared_accounts_route_with_token_ledger", "shared_accounts_exact_out_route"].map(
      (name) => anchorInstruction(name, "token_program program_authority user_transfer_authority", []),
    ),
    ...["route_v2", "exact_out_route_v2"].map((name) => anchorInstruction(name, "user_transfer_authority", [])),
    ...["shared_accounts_route_v2", "shared_accounts_exact_out_route_v2"].map((name) =>
      anchorInstruction(name, "program_authority user_transfer_authority", []),
    ),
  ],
  unwanted: ["CandidateSwapResults", "BestSwapOutAmountViolation"].map((name) => ({ name })),
};
