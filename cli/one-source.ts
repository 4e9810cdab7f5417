/** Which of several sources a command is about. */
import { closest } from "../pipeline/closest.ts";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";

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
