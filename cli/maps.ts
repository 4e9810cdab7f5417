/** The setting `maps` as the decoder takes it: presets by name, and mappings on the descriptors of a package. */
import type { MessageType } from "@bufbuild/protobuf";
import { createRegistryFromDescriptors, FileDescriptorSet } from "@bufbuild/protobuf";
import { closest } from "../pipeline/closest.ts";
import type { Config } from "../pipeline/config.ts";
import type { MapSetting } from "../pipeline/config-maps.ts";
import type { ColumnType } from "../pipeline/datasets/dataset.ts";
import { Fatal } from "../pipeline/errors.ts";
import { selectModule } from "../pipeline/source/module.ts";
import { mapModules, parsePackage, type SubstreamsPackage } from "../pipeline/source/package.ts";
import { PACKAGE_LIMITS, readPackage } from "../pipeline/source/package-file.ts";
import type { MapDataset, MapSpec } from "../stages/decode/map/map-spec.ts";
import { dexSwaps } from "../stages/decode/programs/dex-swaps.ts";
import { keptBytes } from "./kept-download.ts";

interface MapPreset {
  readonly what: string;
  /** On the type as a package describes it; without one, as it was published first. */
  readonly on: (type?: MessageType) => MapSpec;
}

export const MAP_PRESETS: Readonly<Record<string, MapPreset>> = {
  dex_swaps: { what: "Pinax's dex_swaps package (dex.swaps.v1.Events): swaps of all DEXs", on: dexSwaps },
};

/** Reads the packages that the mappings name. Throws `Fatal` CONFIG_VALUE, MAP_*, MODULE_* or PACKAGE_*. */
export async function mapsFor(config: Config, kept: string): Promise<MapSpec[]> {
  const specs = new Map<string, { type: MessageType; datasets: MapDataset[] }>();
  const packages = new Map<string, SubstreamsPackage>();
  for (const [i, setting] of config.maps.entries()) {
    const where = `maps[${i}]`;
    const { type, datasets } =
      setting.preset === undefined
        ? await mappedBy(setting, config, kept, packages, where)
        : await presetBy(presetOf(setting, where), config, kept, packages);
    const spec = specs.get(type.typeName) ?? { type, datasets: [] };
    spec.datasets.push(...datasets);
    specs.set(type.typeName, spec);
  }
  return [...specs.values()];
}

async function mappedBy(
  setting: MapSetting,
  config: Config,
  kept: string,
  packages: Map<string, SubstreamsPackage>,
  where: string,
): Promise<MapSpec> {
  const location = setting.package ?? config["source.package"];
  if (location === "") {
    throw new Fatal("CONFIG_VALUE", `${where} needs a package for the types of its outputs`, {
      where: `${where}.package`,
      hint: "Name the .spkg file, here or as source.package.",
    });
  }
  const from = await packageOf(location, kept, packages);
  const type = outputType(from, setting.module ?? config["source.module"]);
  return { type, datasets: [mapDataset(setting, where)] };
}

/** Versions of a package may number their fields otherwise: where the source's own has the type, it counts as it is there. */
async function presetBy(preset: MapPreset, config: Config, kept: string, packages: Map<string, SubstreamsPackage>) {
  const { "source.package": location, "source.module": module } = config;
  const published = preset.on();
  if (location === "") return published;
  const from = await packageOf(location, kept, packages);
  const { typeName } = selectModule(from, { module });
  return typeName === published.type.typeName ? preset.on(outputType(from, module)) : published;
}

async function packageOf(location: string, kept: string, packages: Map<string, SubstreamsPackage>) {
  const from = packages.get(location) ?? (await openPackage(location, kept));
  packages.set(location, from);
  return from;
}

export async function openPackage(location: string, kept: string | null): Promise<SubstreamsPackage> {
  return parsePackage(await keptBytes(location, kept, (from) => readPackage(from, PACKAGE_LIMITS)), location);
}

/** The name of the map of a package that has one. Throws `Fatal` USAGE with what there is. */
export function onlyMap(from: SubstreamsPackage): string {
  const maps = mapModules(from.modules);
  if (maps.length === 1) return maps[0]!.name;
  const outputs = maps.map(({ name }) => `${name} (${selectModule(from, { module: name }).typeName})`);
  throw new Fatal("USAGE", `which module? The package has ${maps.length} maps`, {
    where: from.where,
    hint: `Give --module: ${outputs.join(", ") || "there is none"}.`,
  });
}

/** The type of a module's output, from the package's own descriptors. Throws `Fatal` MODULE_* or MAP_TYPE. */
export function outputType(from: SubstreamsPackage, module: string): MessageType {
  const { typeName } = selectModule(from, { module });
  let type: MessageType | undefined;
  try {
    type = createRegistryFromDescriptors(new FileDescriptorSet({ file: from.proto.protoFiles })).findMessage(typeName);
  } catch (cause) {
    throw untyped(typeName, from, (cause as Error).message, cause);
  }
  if (type === undefined) throw untyped(typeName, from, "there is none of that name");
  return type;
}

function untyped(typeName: string, from: SubstreamsPackage, why: string, cause?: unknown): Fatal {
  return new Fatal("MAP_TYPE", `the package does not describe the type ${typeName}: ${why}`, {
    where: from.where,
    hint: "Pack it again with its .proto files (`protobuf.files` in substreams.yaml).",
    ...(cause === undefined ? {} : { cause }),
  });
}

function presetOf(setting: MapSetting, where: string): MapPreset {
  const { preset: given = "", ...rest } = setting;
  const name = given.replaceAll("-", "_");
  const preset = Object.hasOwn(MAP_PRESETS, name) ? MAP_PRESETS[name] : undefined;
  if (preset === undefined) {
    const near = closest(name, Object.keys(MAP_PRESETS));
    throw new Fatal("CONFIG_VALUE", `${where} names "${given}", which is no preset`, {
      where: `${where}.preset`,
      hint: `${near === null ? "" : `Did you mean "${near}"? `}Presets: ${Object.keys(MAP_PRESETS).join(", ")}.`,
    });
  }
  const extra = Object.keys(rest);
  if (extra.length === 0) return preset;
  throw new Fatal("CONFIG_VALUE", `${where}.${extra[0]} does not go with a preset`, { where: `${where}.${extra[0]}` });
}

function mapDataset(setting: MapSetting, where: string): MapDataset {
  const { dataset, rows, table, columns, instruction, preset: _p, package: _k, module: _m, ...rest } = setting;
  if (dataset === undefined || rows === undefined) {
    throw new Fatal("CONFIG_VALUE", `${where}.${dataset === undefined ? "dataset" : "rows"} is missing`, {
      where,
      hint: "`sluice map --package P --module M` proposes a mapping.",
    });
  }
  if ((table === undefined) !== (columns === undefined)) {
    throw new Fatal("CONFIG_VALUE", `${where}: \`table\` and \`columns\` go together`, { where });
  }
  return {
    ...rest,
    dataset,
    rows,
    ...(instruction === undefined ? {} : { instructionPath: instruction }),
    ...(table === undefined ? {} : { table: { name: table, columns: columns as Record<string, ColumnType> } }),
  };
}
