/** The datasets that a set of programs produces: what the composition root hands to storage and api. */
import { BLOCKS } from "../../pipeline/datasets/blocks.ts";
import { CANDLES } from "../../pipeline/datasets/candles.ts";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { MINTS } from "../../pipeline/datasets/mints.ts";
import { ORDERS } from "../../pipeline/datasets/orders.ts";
import { QUARANTINE } from "../../pipeline/datasets/quarantine.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { USER_EVENTS } from "../../pipeline/datasets/user_events.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { DatasetCatalog } from "../../pipeline/wire/batch.ts";
import { MapDecoder } from "./map/map-decoder.ts";
import type { MapSpec } from "./map/map-spec.ts";
import type { ProgramSpec } from "./program.ts";
import { ProgramDecoder } from "./program-decoder.ts";

/** Names that a program cannot take: `blocks` is the first section of every message, the others are state of the lanes. */
const RESERVED: ReadonlySet<string> = new Set([BLOCKS.name, MINTS.name, ORDERS.name, USER_EVENTS.name, CANDLES.name]);

/**
 * `trades`, `quarantine` and one dataset per event, by name. Two deployments of one program may share their datasets; two
 * programs with different events of one name may not (`Fatal`).
 */
export function datasetCatalog(programs: readonly ProgramSpec[], maps: readonly MapSpec[] = []): DatasetCatalog {
  requireDistinct(programs);
  return catalogOf(
    programs.map((spec) => new ProgramDecoder(spec)),
    maps.map((spec) => new MapDecoder(spec)),
  );
}

export function catalogOf(programs: readonly ProgramDecoder[], maps: readonly MapDecoder[]): DatasetCatalog {
  const catalog = new Map<string, DatasetSpec>([
    [TRADES.name, TRADES],
    [QUARANTINE.name, QUARANTINE],
  ]);
  for (const program of programs) {
    for (const { name, dataset } of [...program.events, ...program.instructions]) {
      if (dataset !== null) enter(catalog, dataset, `${program.name}.${name}`);
    }
  }
  for (const map of maps) {
    for (const { dataset } of map.datasets) enter(catalog, dataset, `maps ${map.typeName}`);
  }
  return catalog;
}

function enter(catalog: Map<string, DatasetSpec>, dataset: DatasetSpec, where: string): void {
  const known = catalog.get(dataset.name);
  if (RESERVED.has(dataset.name) || (known !== undefined && !Bun.deepEquals(known, dataset, true))) {
    throw new Fatal("DATASET_NAME", `the name ${dataset.name} is taken by another dataset`, {
      where,
      hint: "Give it another name (`dataset`), or the program a prefix (`prefix`).",
    });
  }
  catalog.set(dataset.name, known ?? dataset);
}

/** Counters go by name and payloads by address: neither may mean two programs. */
export function requireDistinct(programs: readonly ProgramSpec[]): void {
  for (const field of ["name", "programId"] as const) {
    const values = programs.map((program) => program[field]);
    const twice = values.find((value, i) => values.indexOf(value) !== i);
    if (twice === undefined) continue;
    throw new Fatal("PROGRAM_TWICE", `two programs have the ${field} ${twice}`, {
      where: "programs",
      hint: "Configure each program once, under a name of its own.",
    });
  }
}
