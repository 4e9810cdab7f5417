/** Programs to decode, from the setting `decode.programs`: presets by name, with another address where given. */
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import { datasetCatalog } from "../stages/decode/catalog.ts";
import type { ProgramSpec } from "../stages/decode/program.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import type { Effects } from "../stages/sync/event-row.ts";
import { SPINPET_EFFECTS } from "../stages/sync/spinpet.ts";

interface Preset {
  readonly spec: ProgramSpec;
  readonly effects: Effects;
}

const PRESETS: Readonly<Record<string, Preset>> = {
  spinpet: { spec: SPINPET, effects: SPINPET_EFFECTS },
};

export function programsFor(config: Config): ProgramSpec[] {
  const wanted = config["decode.programs"];
  return (wanted.length === 0 ? ["spinpet"] : wanted).map((entry) => {
    const [name, address] = entry.split("=", 2) as [string, string | undefined];
    const preset = PRESETS[name];
    if (preset === undefined) {
      throw new Fatal("CONFIG_VALUE", `decode.programs names "${name}", which is no preset`, {
        where: "decode.programs",
        hint: `Presets: ${Object.keys(PRESETS).join(", ")}. Write preset=address for another deployment of one.`,
      });
    }
    return address === undefined ? preset.spec : { ...preset.spec, programId: address };
  });
}

export function catalogFor(programs: readonly ProgramSpec[]): DatasetCatalog {
  return datasetCatalog(programs);
}

export function effectsFor(programs: readonly ProgramSpec[]): Effects {
  const all = programs.flatMap((program) => [...(PRESETS[program.name]?.effects ?? [])]);
  return new Map(all);
}
