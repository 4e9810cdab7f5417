/**
 * `sluice completions SHELL`: a short script for the shell, which asks the program itself what may come next. The answers
 * come from the tree of commands, so a new option is completed without being named here. Words are handed over as they are:
 * nothing of what was typed is ever evaluated.
 */
import type { Command } from "commander";
import { KNOBS } from "../pipeline/config.ts";
import type { Knob } from "../pipeline/config-knob.ts";
import { STAGES } from "../pipeline/names.ts";
import { type CliContext, oneOf } from "./context.ts";
import { GROUPS } from "./doctor.ts";
import { errorCodes } from "./error-codes.ts";

/** The hidden command that the scripts call. */
const ASK = "__complete";

const SCRIPTS = {
  bash: `_sluice() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(sluice ${ASK} -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}
complete -o default -F _sluice sluice
`,
  zsh: `#compdef sluice
_sluice() {
  local -a candidates
  local line value
  while IFS= read -r line; do
    value="\${line%%$'\\t'*}"
    candidates+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
  done < <(sluice ${ASK} -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#candidates} )); then
    _describe 'sluice' candidates
  else
    _files
  fi
}
compdef _sluice sluice
`,
  fish: `function __sluice_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  sluice ${ASK} -- $words[2..-1] "$current" 2>/dev/null
end
complete -c sluice -a '(__sluice_complete)'
`,
} as const;
const SHELLS = Object.keys(SCRIPTS) as (keyof typeof SCRIPTS)[];

export function register(program: Command, context: CliContext): void {
  program
    .command("completions")
    .description("print a script that completes commands, options and settings in your shell")
    .argument("<shell>", SHELLS.join(", "))
    .addHelpText(
      "after",
      `
Examples:
  source <(sluice completions bash)              put it into ~/.bashrc; zsh alike, after compinit
  sluice completions fish > ~/.config/fish/completions/sluice.fish`,
    )
    .action((shell: string) => {
      context.stdout.write(SCRIPTS[oneOf("completions", shell, SHELLS)]);
    });
  program
    .command(ASK, { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      for (const { value, note } of await candidates(program, words)) context.stdout.write(`${value}\t${note}\n`);
    });
}

export interface Candidate {
  readonly value: string;
  readonly note: string;
}

const plain = (values: readonly string[]): Candidate[] => values.map((value) => ({ value, note: "" }));

/** What the arguments of a command may be, where that can be told. */
const ARGUMENTS: Readonly<Record<string, () => Candidate[]>> = {
  stages: () => plain(STAGES),
  doctor: () => plain(GROUPS),
  completions: () => plain(SHELLS),
  explain: () => [...errorCodes().values()].map(({ code, meaning }) => ({ value: code, note: meaning })),
};

/** What may follow an option. */
const VALUES: Readonly<Record<string, () => Candidate[] | Promise<Candidate[]>>> = {
  "--set": () =>
    Object.entries(KNOBS as Record<string, Knob>).map(([name, { why }]) => ({ value: `${name}=`, note: why })),
  "--preset": async () => plain(Object.keys((await import("./presets.ts")).PRESETS)),
};

/**
 * What the last word may become; `words` are those after the program's name, the last one as far as it was typed. Empty:
 * nothing is known, and the shell offers files.
 */
export async function candidates(program: Command, words: readonly string[]): Promise<Candidate[]> {
  const typed = words.at(-1) ?? "";
  const { command, option } = walk(program, words.slice(0, -1));
  const known = typed.startsWith("-") ? options(command) : next(command);
  const offered = option === null ? known : ((await VALUES[option]?.()) ?? []);
  return offered
    .filter(({ value }) => value.startsWith(typed))
    .map(({ value, note }) => ({ value, note: firstLine(note) }));
}

/** The command that the words lead to, and the option whose value comes next, if one does. */
function walk(program: Command, words: readonly string[]): { command: Command; option: string | null } {
  let command = program;
  let option: string | null = null;
  for (const word of words) {
    if (option !== null) {
      option = null;
    } else if (word.startsWith("-")) {
      const known = lineage(command)
        .flatMap((c) => [...c.options])
        .find((o) => o.long === word || o.short === word);
      option = known?.required === true ? (known.long ?? word) : null;
    } else {
      command = command.commands.find((c) => c.name() === word) ?? command;
    }
  }
  return { command, option };
}

function options(command: Command): Candidate[] {
  const found = lineage(command).flatMap((c) => c.createHelp().visibleOptions(c));
  const named = found.map(({ long, short, description }) => ({ value: long ?? short ?? "", note: description }));
  return named.filter(({ value }, i) => named.findIndex((other) => other.value === value) === i);
}

function next(command: Command): Candidate[] {
  const commands = command.createHelp().visibleCommands(command);
  if (commands.length > 0) return commands.map((c) => ({ value: c.name(), note: c.description() }));
  return ARGUMENTS[command.name()]?.() ?? [];
}

/** The command and those that it stands under: their options hold for it, too. */
function lineage(command: Command): Command[] {
  return command.parent === null ? [command] : [command, ...lineage(command.parent)];
}

function firstLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").slice(0, 100);
}
