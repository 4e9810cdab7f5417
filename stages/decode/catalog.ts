/** The datasets that a set of programs produces: what the composition root hands to storage and api. */
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { QUARANTINE } from "../../pipeline/datasets/quarantine.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal } from "../../pipeline/errors.ts";
import type { DatasetCatalog } from "../../pipeline/wire/batch.ts";
import { ProgramDecoder } from "./event-decoder.ts";
import type { ProgramSpec } from "./program.ts";

/** Names that a program cannot take: `blocks` is the first section of every message. */
const RESERVED = ["blocks"];

/**
 * `trades`, `quarantine` and one dataset per event, by name. Two deployments of one program may share their datasets; two
 * programs with different events of one name may not (`Fatal`).
 */
export function datasetCatalog(programs: readonly ProgramSpec[]): DatasetCatalog {
  return catalogOf(programs.map((spec) => new ProgramDecoder(spec)));
}

export function catalogOf(programs: readonly ProgramDecoder[]): DatasetCatalog {
  const catalog = new Map<string, DatasetSpec>([
    [TRADES.name, TRADES],
    [QUARANTINE.name, QUARANTINE],
  ]);
  for (const program of programs) {
    for (const { name, dataset } of program.events) {
      const known = catalog.get(dataset.name);
      if (RESERVED.includes(dataset.name) || (known !== undefined && !Bun.deepEquals(known, dataset, true))) {
        throw new Fatal("DATASET_NAME", `the name ${dataset.name} is taken by another dataset`, {
          where: `${program.name}.${name}`,
          hint: "Give the event's dataset another name, or the program a prefix.",
        });
      }
      catalog.set(dataset.name, known ?? dataset);
    }
  }
  return catalog;
}
