/**
 * Jupiter v6, an aggregator: one event for each swap of a route, or, since its second kind of routes, one for all of them,
 * which names the pool's program in its later form only. The pools that it routes through report the same swaps where they
 * are decoded, too; then those count in `trades`.
 */
import type { ProgramSpec } from "../program.ts";
import { grown, keys, u64s } from "./fields.ts";

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
  unwanted: ["CandidateSwapResults", "BestSwapOutAmountViolation"].map((name) => ({ name })),
};
