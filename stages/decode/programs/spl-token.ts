/**
 * Movements of tokens, from the instructions of the SPL token program and Token-2022, which emit no events. A plain transfer
 * names token accounts only: its token comes from the transaction's token balances.
 * Layouts: https://docs.rs/spl-token-2022-interface (instruction::TokenInstruction); a first byte, or two for an extension,
 * then the arguments without padding. A batch is several in one, of which the runtime records no inner instructions.
 */
import type { BorshField } from "../borsh.ts";
import type { InstructionForm, InstructionSpec, ProgramSpec } from "../program.ts";
import { u64s } from "./fields.ts";

const amount: BorshField = { name: "amount", type: "u64", unit: "base units", doc: "Tokens moved." };
const decimals: BorshField = { name: "decimals", type: "u8", doc: "Decimals that the sender expected." };

const form = (discriminator: number[], accounts: string, args: readonly BorshField[]): InstructionForm => ({
  discriminator,
  accounts: accounts.split(" "),
  layouts: [args],
});

const checked = [amount, decimals];

const INSTRUCTIONS: readonly InstructionSpec[] = [
  {
    name: "transfer",
    dataset: "token_transfer",
    doc: "Tokens moved from one token account to another.",
    mint: "mint",
    tokenAccounts: ["source", "destination"],
    forms: [
      form([3], "source destination authority", [amount]),
      form([12], "source mint destination authority", checked),
      form([26, 1], "source mint destination authority", [...checked, ...u64s("fee")]),
    ],
  },
  {
    name: "mint_to",
    dataset: "token_mint_to",
    doc: "Tokens were made.",
    mint: "mint",
    forms: [form([7], "mint destination authority", [amount]), form([14], "mint destination authority", checked)],
  },
  {
    name: "burn",
    dataset: "token_burn",
    doc: "Tokens were destroyed.",
    mint: "mint",
    forms: [
      form([8], "source mint authority", [amount]),
      form([15], "source mint authority", checked),
      form([46, 1], "source mint permissioned_burn_authority authority", [amount]),
      form([46, 2], "source mint permissioned_burn_authority authority", checked),
    ],
  },
];

export const SPL_TOKEN: ProgramSpec = {
  name: "spl_token",
  programId: "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
  events: [],
  instructions: INSTRUCTIONS,
  batch: 255,
};

/** The same instructions and more; what it adds goes by without rows. */
export const SPL_TOKEN_2022: ProgramSpec = {
  ...SPL_TOKEN,
  name: "spl_token_2022",
  programId: "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
};
