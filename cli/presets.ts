/** Programs that Sluice knows by name. */
import type { InstructionSpec, ProgramSpec } from "../stages/decode/program.ts";
import { JUPITER_V6 } from "../stages/decode/programs/jupiter.ts";
import { MOONSHOT } from "../stages/decode/programs/moonshot.ts";
import { PUMPFUN } from "../stages/decode/programs/pumpfun.ts";
import { PUMPFUN_AMM } from "../stages/decode/programs/pumpfun-amm.ts";
import { RAYDIUM_LAUNCHPAD } from "../stages/decode/programs/raydium-launchpad.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import { SPL_TOKEN, SPL_TOKEN_2022 } from "../stages/decode/programs/spl-token.ts";
import type { Effects } from "../stages/sync/event-row.ts";
import { PUMPFUN_EFFECTS } from "../stages/sync/pumpfun.ts";
import { SPINPET_EFFECTS } from "../stages/sync/spinpet.ts";

export interface Preset {
  readonly what: string;
  readonly programs: readonly ProgramSpec[];
  /** What its events do to orders and tokens, beyond trades and candles. */
  readonly effects?: Effects;
  /** Its instructions are what it is about: they have rows without being asked for. */
  readonly instructions?: true;
}

export const PRESETS: Readonly<Record<string, Preset>> = {
  spinpet: { what: "spinpet, a launchpad with margin orders", programs: [SPINPET], effects: SPINPET_EFFECTS },
  pumpfun: {
    what: "pump.fun's bonding curve, its trades at every age",
    programs: [PUMPFUN],
    effects: PUMPFUN_EFFECTS,
  },
  pumpfun_amm: { what: "pump.fun's AMM", programs: [PUMPFUN_AMM] },
  raydium_launchpad: { what: "Raydium's launchpad", programs: [RAYDIUM_LAUNCHPAD] },
  moonshot: { what: "Moonshot, a launchpad", programs: [MOONSHOT] },
  jupiter_v6: { what: "Jupiter v6, swaps by route", programs: [JUPITER_V6] },
  spl_token: {
    what: "transfers, mints and burns of SPL tokens, Token-2022 included",
    programs: [SPL_TOKEN, SPL_TOKEN_2022],
    instructions: true,
  },
};

/** The program with rows for the named instructions only; its other instructions still name their accounts. */
export function withInstructions(program: ProgramSpec, wanted: (instruction: InstructionSpec) => boolean): ProgramSpec {
  const instructions = (program.instructions ?? []).map((instruction): InstructionSpec => {
    if (wanted(instruction)) return instruction;
    const { dataset: _, ...rest } = instruction;
    return rest;
  });
  return { ...program, instructions };
}
