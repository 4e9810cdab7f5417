/**
 * Jupiter v6, an aggregator: one event for each swap of a route. The pools that it routes through report the same swaps
 * where they are decoded, too; then those count in `trades`.
 */
import type { ProgramSpec } from "../program.ts";
import { keys, u64s } from "./fields.ts";

export const JUPITER_V6: ProgramSpec = {
  name: "jupiter_v6",
  programId: "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4",
  events: [
    {
      name: "SwapEvent",
      dataset: "jupiter_swap",
      doc: "A swap of a route.",
      mintField: ["input_mint", "output_mint"],
      layouts: [[...keys("amm input_mint"), ...u64s("input_amount"), ...keys("output_mint"), ...u64s("output_amount")]],
      trade: {
        user: "signer",
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
};
