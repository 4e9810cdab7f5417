/**
 * Generations of a source: a new version of its package beside the old one. Each has streams, units, hot stores and a lake of
 * its own; one of them is active, which is the one that is read. The first is what the settings say; later ones are
 * recorded in NATS KV with what they change.
 */
import { join } from "node:path";
import { type Config, hotFolder } from "./config.ts";
import { Fatal } from "./errors.ts";

export interface Generation {
  /** From 1. */
  readonly number: number;
  /** Settings that differ from those of the source, by name. Never a secret. */
  readonly settings: Readonly<Partial<Record<GenerationSetting, string | readonly string[]>>>;
  /** Hash of its module; empty for the first, whose package is known only where it runs. */
  readonly moduleHash: string;
  /** ms since the Unix epoch. */
  readonly createdAt: number;
}

export type GenerationSetting =
  | "source.package"
  | "source.module"
  | "source.params"
  | "source.network"
  | "source.startBlock";

export interface Generations {
  /** Number of the one that is read. */
  readonly active: number;
  /** The one that was active before; null: there is none to go back to. */
  readonly previous: number | null;
  /** When `active` became so, ms since the Unix epoch; absent: it always was. */
  readonly activeSince?: number;
  /** Ascending. All of them are run. */
  readonly list: readonly Generation[];
  /** Dropped: nobody runs them any more, and what they have may still be there. */
  readonly leaving?: readonly Generation[];
  /**
   * The number of the next one. Numbers are never used again: what is left anywhere of an old generation (a position, a lake
   * in a bucket) must not pass for that of a new one. Absent: one more than the highest.
   */
  readonly next?: number;
}

/** What holds while nobody has ever upgraded. */
export const ORIGINAL: Generations = {
  active: 1,
  previous: null,
  list: [{ number: 1, settings: {}, moduleHash: "", createdAt: 0 }],
};

/** Adds a generation, which is run from then on and not read. */
export function begin(from: Generations, next: Omit<Generation, "number">): { after: Generations; added: Generation } {
  const highest = Math.max(...[...from.list, ...(from.leaving ?? [])].map(({ number }) => number));
  const number = Math.max(from.next ?? 0, highest + 1);
  const added = { ...next, number };
  return { after: { ...from, list: [...from.list, added], next: number + 1 }, added };
}

/** Makes another one active, at `at`. Throws `Fatal` GENERATION_UNKNOWN. */
export function activate(from: Generations, number: number, at: number): Generations {
  generationOf(from, number);
  return number === from.active ? from : { ...from, active: number, previous: from.active, activeSince: at };
}

/** Takes one out that is not active, to be removed. Throws `Fatal` GENERATION_UNKNOWN, GENERATION_ACTIVE. */
export function drop(from: Generations, number: number): Generations {
  if (from.leaving?.some((generation) => generation.number === number) === true) return from;
  const left = generationOf(from, number);
  if (number === from.active) {
    throw new Fatal("GENERATION_ACTIVE", `generation ${number} is the one that is read`, {
      hint: "Make another one active first: sluice upgrade --back.",
    });
  }
  const list = from.list.filter((generation) => generation.number !== number);
  const next = begin(from, left).added.number;
  const leaving = [...(from.leaving ?? []), left];
  return { ...from, list, leaving, next, previous: from.previous === number ? null : from.previous };
}

/** Forgets one that was dropped: all that it had is gone. */
export function forget(from: Generations, number: number): Generations {
  return { ...from, leaving: (from.leaving ?? []).filter((generation) => generation.number !== number) };
}

/** `alsoLeaving`: one that was dropped counts as well. Throws `Fatal` GENERATION_UNKNOWN. */
export function generationOf({ list, leaving = [] }: Generations, number: number, alsoLeaving = false): Generation {
  const found = [...list, ...(alsoLeaving ? leaving : [])].find((generation) => generation.number === number);
  if (found !== undefined) return found;
  throw new Fatal("GENERATION_UNKNOWN", `there is no generation ${number}`, {
    hint: `There is: ${list.map((generation) => generation.number).join(", ")}. See sluice upgrade --status.`,
  });
}

/** The settings of a generation of the source that `config` is of. The first is the source as it is. */
export function generationConfig(config: Config, { number, settings }: Generation): Config {
  if (number === 1) return config;
  const name = `${config["source.name"]}-g${number}`;
  const lake = config["lake.dir"] === "" ? join(config["data.dir"], "lake") : config["lake.dir"];
  const url = config["lake.url"].replace(/\/+$/, "");
  return {
    ...config,
    ...settings,
    "source.name": name,
    "hot.dir": join(hotFolder(config), `g${number}`),
    // Never one that another source has a lineage in: it can be compared, and removed, as a whole.
    "lake.dir": `${lake.replace(/\/+$/, "")}-${name}`,
    "lake.url": url === "" ? "" : `${url}-${name}`,
  } as Config;
}
