/** Which of several sources a command is about. */
import { closest } from "../pipeline/closest.ts";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import { activeConfig, activeConfigs, keptGenerations } from "./generations.ts";

/** The settings of one source, for commands that act on one. Throws `Fatal` USAGE when it is not clear which. */
export function oneSource(config: Config, name: string | undefined): Config {
  const all = sourceConfigs(config);
  const known = all.map((own) => own["source.name"]);
  if (name === undefined) {
    if (all.length === 1) return all[0]!;
    throw new Fatal("USAGE", "there are several sources", { hint: `Name one with --source: ${known.join(", ")}.` });
  }
  const found = all.find((own) => own["source.name"] === name);
  if (found !== undefined) return found;
  const near = closest(name, known);
  throw new Fatal("USAGE", `there is no source ${JSON.stringify(name.slice(0, 60))}`, {
    hint: `${near === null ? "" : `Did you mean "${near}"? `}Sources: ${known.join(", ")}.`,
  });
}

/** The sources that a reader of the lake means, each in its active generation: the named one, or all, if they share a lake. Throws `Fatal` USAGE. */
export function sourcesOfLake(config: Config, name: string | undefined): readonly Config[] {
  if (name !== undefined) return [activeConfig(oneSource(config, name), keptGenerations(config))];
  const sources = activeConfigs(config);
  if (new Set(sources.map((own) => `${own["lake.dir"]} ${own["lake.url"]}`)).size === 1) return sources;
  throw new Fatal("USAGE", "the sources have lakes of their own", {
    hint: `Name one with --source: ${sources.map((own) => own["source.name"]).join(", ")}.`,
  });
}
