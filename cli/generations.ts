/**
 * The generations of every source, as this host knows them. NATS KV has the word; a copy in the data folder is there for
 * commands that need no NATS, and brings the word back when all of NATS was lost.
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import type { Control } from "../pipeline/control.ts";
import { Fatal } from "../pipeline/errors.ts";
import { type Generations, generationConfig, generationOf, ORIGINAL } from "../pipeline/generations.ts";

/** By name of the source. */
export type AllGenerations = Readonly<Record<string, Generations>>;

type Stored = Pick<Control, "generations" | "changeGenerations">;

/** What is recorded; where NATS has forgotten, what this host remembers is recorded anew. */
export async function readGenerations(config: Config, control: Stored): Promise<AllGenerations> {
  const kept = keptGenerations(config);
  const all: Record<string, Generations> = {};
  for (const own of sourceConfigs(config)) {
    const source = own["source.name"];
    const remembered = kept[source];
    let known = await control.generations(source);
    if (known === null && remembered !== undefined) {
      known = await control.changeGenerations(source, (now) => now ?? remembered);
    }
    if (known !== null) all[source] = known;
  }
  return all;
}

/**
 * What was read before the last swap stands still from then on, until somebody starts it: nothing is paid for twice. Done
 * wherever stages run, so that it is done whatever became of whoever swapped.
 */
export async function settleGenerations(
  config: Config,
  all: AllGenerations,
  control: Pick<Control, "desired" | "setDesired">,
): Promise<void> {
  for (const own of sourceConfigs(config)) {
    const generations = all[own["source.name"]] ?? ORIGINAL;
    const { previous, activeSince } = generations;
    if (previous === null || activeSince === undefined) continue;
    const name = generationConfig(own, generationOf(generations, previous))["source.name"];
    const wish = await control.desired(name);
    if (wish === null || wish.at < activeSince) await control.setDesired(name, { running: false, at: activeSince });
  }
}

/** What this host remembers. Throws `Fatal` GENERATIONS_FILE. */
export function keptGenerations(config: Config): AllGenerations {
  const path = generationsFile(config);
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, "utf8")) as AllGenerations;
  } catch (cause) {
    throw new Fatal("GENERATIONS_FILE", "the record of generations cannot be read", {
      where: path,
      hint: "Remove it while NATS runs: `sluice stages` writes it anew.",
      cause,
    });
  }
}

export async function keepGenerations(config: Config, all: AllGenerations): Promise<void> {
  const path = generationsFile(config);
  if (JSON.stringify(keptGenerations(config)) === JSON.stringify(all)) return;
  await mkdir(config["data.dir"], { recursive: true });
  // Other processes on this folder may write theirs at the same moment.
  const own = `${path}.${process.pid}.tmp`;
  await writeFile(own, JSON.stringify(all, null, 2));
  await rename(own, path);
}

/** Every generation of every source: what is run. */
export function runConfigs(config: Config, all: AllGenerations): readonly Config[] {
  return sourceConfigs(config).flatMap((own) => {
    const { list } = all[own["source.name"]] ?? ORIGINAL;
    return list.map((generation) => generationConfig(own, generation));
  });
}

/** The active generation of every source: what is read. In the order of the sources. */
export function activeConfigs(config: Config, all: AllGenerations = keptGenerations(config)): readonly Config[] {
  return sourceConfigs(config).map((own) => activeConfig(own, all));
}

export function activeConfig(own: Config, all: AllGenerations): Config {
  const generations = all[own["source.name"]] ?? ORIGINAL;
  return generationConfig(own, generationOf(generations, generations.active));
}

export function generationsFile(config: Config): string {
  return join(config["data.dir"], "generations.json");
}
