/** The questions of `sluice init` on a real terminal. */
import { isCancel, log, multiselect, select, text } from "@clack/prompts";
import type { Asker } from "./init-wizard.ts";

export function terminalAsker(): Asker {
  return {
    async choose(message, choices) {
      return answered(await select({ message, options: choices.map((choice) => ({ ...choice })) }));
    },
    async chooseSome(message, choices) {
      const options = choices.map((choice) => ({ ...choice }));
      return answered(await multiselect({ message, options, required: false }));
    },
    async text(message, suggestion, wrong) {
      const answer = await text({
        message,
        ...(suggestion === "" ? {} : { placeholder: suggestion, defaultValue: suggestion }),
        validate: (value) => wrong?.(value === undefined || value === "" ? suggestion : value),
      });
      const given = answered(answer);
      // An empty answer takes the suggestion; without one it is empty.
      return given === null ? null : (given ?? "").trim();
    },
    tell: (what) => log.info(what),
  };
}

function answered<T>(answer: T | symbol): Exclude<T, symbol> | null {
  return isCancel(answer) ? null : (answer as Exclude<T, symbol>);
}
