/** Which program is meant by a name of the settings, or an address. */
import bs58 from "bs58";
import { closest } from "../pipeline/closest.ts";
import { Fatal } from "../pipeline/errors.ts";

interface Named {
  readonly name: string;
  readonly programId: string;
}

/** One of the programs that are configured. Throws `Fatal` USAGE. */
export function programNamed<Program extends Named>(programs: readonly Program[], name: string): Program {
  const found = programs.find((program) => program.name === name || program.programId === name);
  if (found !== undefined) return found;
  const known = programs.map((program) => program.name);
  const near = closest(name, known);
  throw new Fatal("USAGE", `no program ${JSON.stringify(name.slice(0, 60))} is configured`, {
    hint: `${near === null ? "" : `Did you mean "${near}"? `}Programs: ${[...new Set(known)].join(", ") || "none"}.`,
  });
}

/** Its address; any address is one of a program, for what is kept may be of one that is not configured any more. */
export function programAddress(programs: readonly Named[], name: string): string {
  return bs58.decodeUnsafe(name)?.length === 32 ? name : programNamed(programs, name).programId;
}
