/**
 * What is logged: a level for everything and, where wanted, others for single components, as text: `info`,
 * `info,decode=debug`, `warn,sluice::nats=trace,hyper=off`. The grammar is that of RUST_LOG (directives of env_logger,
 * without its regular expressions), so that what people have set elsewhere means the same here.
 */
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Lowest level that is logged; `off`: nothing is. */
export type Threshold = LogLevel | "off";

export interface LogLevels {
  readonly all: Threshold;
  /** By component: a stage (`decode`), or a part of the process (`nats`, `api`). */
  readonly components: ReadonlyMap<string, Threshold>;
}

const WORDS: Readonly<Record<string, Threshold>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warn: "warning",
  warning: "warning",
  error: "error",
  off: "off",
};

/** Null for a text that means nothing. A name without a level means all of that name, as in RUST_LOG. */
export function parseLogLevels(text: string): LogLevels | null {
  let all: Threshold = "info";
  const components = new Map<string, Threshold>();
  for (const directive of text.split(",")) {
    const [target, word, ...rest] = directive.trim().split("=");
    const alone = word === undefined ? WORDS[target!.toLowerCase()] : undefined;
    const level = alone ?? (word === undefined ? "debug" : WORDS[word.toLowerCase()]);
    const component = alone === undefined ? componentOf(target!) : "";
    if (level === undefined || component === null || rest.length > 0) return null;
    if (component === "") all = level;
    else components.set(component, level);
  }
  return { all, components };
}

export function isLogged({ all, components }: LogLevels, component: string, level: LogLevel): boolean {
  const threshold = components.get(component) ?? all;
  return threshold !== "off" && LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(threshold);
}

/** `sluice` is everything, `sluice::nats` and `nats` are the component; null for what is no name. */
function componentOf(target: string): string | null {
  const name = target
    .trim()
    .replaceAll("::", ".")
    .replace(/^sluice(\.|$)/, "");
  return name === "" || /^[\w.-]+$/.test(name) ? (target.trim() === "" ? null : name) : null;
}
