/** What to decode, from the settings `programs` and `decode.programs`: presets by name, and programs by their IDL. */
import { join } from "node:path";
import { closest } from "../pipeline/closest.ts";
import type { Config } from "../pipeline/config.ts";
import type { ProgramSetting } from "../pipeline/config-programs.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { DatasetCatalog } from "../pipeline/wire/batch.ts";
import { datasetCatalog } from "../stages/decode/catalog.ts";
import { type IdlOptions, programFromIdl } from "../stages/decode/idl.ts";
import type { InstructionChoice } from "../stages/decode/idl-instructions.ts";
import type { MapSpec } from "../stages/decode/map/map-spec.ts";
import { snakeCase } from "../stages/decode/names.ts";
import type { EventSpec, ProgramSpec, TradeMapping } from "../stages/decode/program.ts";
import type { Effects } from "../stages/sync/event-row.ts";
import { loadIdl } from "./idl-source.ts";
import { PRESETS, type Preset, withInstructions } from "./presets.ts";

/** Everything that follows from what is to be decoded. */
export interface Decoders {
  readonly programs: readonly ProgramSpec[];
  readonly maps: readonly MapSpec[];
  readonly catalog: DatasetCatalog;
  readonly effects: Effects;
}

/** Reads the IDLs that the settings name. Throws `Fatal` CONFIG_VALUE, IDL_*, PROGRAM_* or DATASET_NAME with the path of the setting. */
export async function decodersFor(config: Config): Promise<Decoders> {
  const kept = join(config["data.dir"], "kept");
  const short = config["decode.programs"];
  const asked = [short, config.programs, config.maps].some((list) => list.length > 0);
  const listed = asked ? short : ["spinpet"];
  const chosen = listed.map(presetInShort);
  for (const [i, setting] of config.programs.entries()) chosen.push(await chosenBy(setting, `programs[${i}]`, kept));
  const programs = chosen.flatMap((choice) => choice.programs);
  const effects = new Map(chosen.flatMap((choice) => [...(choice.effects ?? [])]));
  const maps = config.maps.length === 0 ? [] : await (await import("./maps.ts")).mapsFor(config, kept);
  return { programs, maps, effects, catalog: datasetCatalog(programs, maps) };
}

type Chosen = Pick<Preset, "programs" | "effects">;

/** "preset" or "preset=program id". */
function presetInShort(entry: string): Chosen {
  const [name, id] = entry.split("=", 2) as [string, string | undefined];
  return chosenPreset({ preset: name, ...(id === undefined ? {} : { id }) }, "decode.programs");
}

async function chosenBy(setting: ProgramSetting, where: string, kept: string): Promise<Chosen> {
  if (setting.preset !== undefined) {
    const chosen = chosenPreset({ ...setting, preset: setting.preset }, where);
    const later = await Promise.all((setting.later ?? []).map((location) => loadIdl(location, kept)));
    return later.length === 0
      ? chosen
      : { ...chosen, programs: chosen.programs.map((p) => withLater(p, later, where)) };
  }
  if (setting.later !== undefined) {
    throw new Fatal("CONFIG_VALUE", `${where}.later goes with a preset`, {
      where: `${where}.later`,
      hint: "Name the newest IDL as `idl`, and those before it as `earlier`.",
    });
  }
  if (setting.idl === undefined) {
    throw new Fatal("CONFIG_VALUE", `${where} names neither a preset nor an IDL`, {
      where,
      hint: `Give \`idl\`, or \`preset\`: ${Object.keys(PRESETS).join(", ")}.`,
    });
  }
  const idl = await loadIdl(setting.idl, kept);
  const earlier = await Promise.all((setting.earlier ?? []).map((location) => loadIdl(location, kept)));
  return { programs: [within(where, () => programFromIdl(idl, { ...idlOptions(setting), earlier }))] };
}

function chosenPreset(setting: ProgramSetting & { readonly preset: string }, where: string): Chosen {
  const name = setting.preset.replaceAll("-", "_");
  const preset = PRESETS[name];
  if (preset === undefined || !Object.hasOwn(PRESETS, name)) {
    const near = closest(name, Object.keys(PRESETS));
    throw new Fatal("CONFIG_VALUE", `${where} names "${setting.preset}", which is no preset`, {
      where,
      hint: `${near === null ? "" : `Did you mean "${near}"? `}Presets: ${Object.keys(PRESETS).join(", ")}. Write preset=address for another deployment of one.`,
    });
  }
  mustFitPreset(setting, preset, where);
  const wanted = wantedInstructions(setting, preset, where);
  const programs = preset.programs.map((program) => ({
    ...withInstructions(program, ({ name: instruction }) => preset.instructions === true || wanted(instruction)),
    name: setting.name ?? program.name,
    programId: setting.id ?? program.programId,
    ...(setting.name === undefined || preset.programs.length === 1 ? {} : { name: `${setting.name}_${program.name}` }),
  }));
  return { programs, ...(preset.effects === undefined ? {} : { effects: preset.effects }) };
}

/** The program with the layouts that its events have in later IDLs, after those it knows: its datasets keep their columns. */
function withLater(program: ProgramSpec, later: readonly unknown[], where: string): ProgramSpec {
  const newer = later.flatMap(
    (idl) => within(where, () => programFromIdl(idl, { programId: program.programId })).events,
  );
  const events = program.events.map((event) => {
    const layouts = newer.filter(({ name }) => name === event.name).flatMap((same) => same.layouts);
    const names = (layout: EventSpec["layouts"][number]) =>
      JSON.stringify(layout.map(({ name, type }) => [name, type]));
    const known = new Set(event.layouts.map(names));
    return { ...event, layouts: [...event.layouts, ...layouts.filter((layout) => !known.has(names(layout)))] };
  });
  return { ...program, events };
}

/** A preset says by itself what its events mean. */
function mustFitPreset(setting: ProgramSetting, preset: Preset, where: string): void {
  const several = preset.programs.length > 1 ? (["id"] as const) : [];
  for (const key of ["idl", "earlier", "prefix", "mint", "only", "events", ...several] as const) {
    if (setting[key] === undefined) continue;
    throw new Fatal("CONFIG_VALUE", `${where}.${key} does not go with a preset`, {
      where: `${where}.${key}`,
      hint: "Leave it out, or describe the program by its IDL instead of the preset.",
    });
  }
}

function wantedInstructions(setting: ProgramSetting, preset: Preset, where: string): (name: string) => boolean {
  const { instructions } = setting;
  if (instructions === undefined) return () => false;
  if (instructions === "all") return () => true;
  const names = Array.isArray(instructions) ? instructions : Object.keys(instructions);
  const known = preset.programs.flatMap((program) =>
    (program.instructions ?? []).filter((i) => i.dataset !== undefined),
  );
  for (const name of names) {
    if (known.some((instruction) => instruction.name === name)) continue;
    throw new Fatal("CONFIG_VALUE", `the preset has no instruction "${name}"`, {
      where: `${where}.instructions`,
      hint: `It has: ${known.map((instruction) => instruction.name).join(", ") || "none"}.`,
    });
  }
  return (name) => names.includes(name);
}

/** What the setting says of a program, as the IDL's reader takes it. */
export function idlOptions(setting: ProgramSetting): IdlOptions {
  const { name, id, prefix, mint, only, events = {} } = setting;
  const of = <T>(pick: (event: (typeof events)[string]) => T | undefined): Record<string, T> =>
    Object.fromEntries(
      Object.entries(events).flatMap(([event, said]) => {
        const value = pick(said);
        return value === undefined ? [] : [[event, value]];
      }),
    );
  const instructions = instructionsIn(setting.instructions);
  return {
    ...(name === undefined ? {} : { name }),
    ...(id === undefined ? {} : { programId: id }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(mint === undefined ? {} : { mintField: mint }),
    ...(only === undefined ? {} : { events: only }),
    ...(instructions === undefined ? {} : { instructions }),
    datasets: of((event) => event.dataset),
    mints: of((event) => event.mint),
    trades: of((event) => (event.trade === undefined ? undefined : tradeMapping(event.trade))),
  };
}

function instructionsIn(setting: ProgramSetting["instructions"]): IdlOptions["instructions"] {
  if (setting === undefined || setting === "all") return setting;
  const entries: [string, InstructionChoice][] = Array.isArray(setting)
    ? setting.map((name) => [name, {}])
    : Object.entries(setting);
  return Object.fromEntries(
    entries.map(([name, { mint, ...rest }]) => [
      snakeCase(name),
      mint === undefined ? rest : { ...rest, mint: snakeCase(mint) },
    ]),
  );
}

type TradeSetting = NonNullable<NonNullable<ProgramSetting["events"]>[string]["trade"]>;

function tradeMapping(setting: TradeSetting): TradeMapping {
  if ("input" in setting) return setting;
  const { base, quote, ...rest } = setting;
  return {
    ...rest,
    ...(base === undefined ? {} : { baseAmount: base }),
    ...(quote === undefined ? {} : { quoteAmount: quote }),
  };
}

/** Errors say where in the IDL or description they are; this says which setting brought it. */
export function within<T>(where: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof Fatal)) throw error;
    throw new Fatal(error.code, error.message, {
      where: error.where === undefined ? where : `${where}: ${error.where}`,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}
