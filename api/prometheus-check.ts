/**
 * Reads Prometheus' text format strictly, for tests: every sample belongs to a metric with HELP and TYPE before it, names
 * and labels are well formed, no series comes twice. Source of the format: "Exposition formats" of the Prometheus docs.
 */
export interface Exposition {
  readonly help: ReadonlyMap<string, string>;
  readonly type: ReadonlyMap<string, string>;
  /** Value by series, the series as written: `name` or `name{a="b"}`. */
  readonly samples: ReadonlyMap<string, number>;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? (\S+)$/;
const LABELS = /^\{([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,(?!\}))?)*\}$/;

/** Throws an `Error` that names the first line that breaks a rule. */
export function parseExposition(text: string): Exposition {
  const help = new Map<string, string>();
  const type = new Map<string, string>();
  const samples = new Map<string, number>();
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const fail = (why: string) => new Error(`${why}: ${line}`);
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      const known = kind === "HELP" ? help : type;
      if (!NAME.test(name) || known.has(name)) throw fail("bad or repeated comment");
      if (kind === "TYPE" && !["counter", "gauge", "histogram", "summary"].includes(rest)) throw fail("unknown type");
      known.set(name, rest);
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null) throw fail("neither comment nor sample");
    const [, name, labels = "", value] = sample as unknown as [string, string, string | undefined, string];
    const base = name.replace(/_(bucket|sum|count)$/, "");
    const metric = type.get(base) === "histogram" ? base : name;
    if (!help.has(metric) || !type.has(metric)) throw fail("no HELP or TYPE before it");
    if (labels !== "" && !LABELS.test(labels)) throw fail("malformed labels");
    if (samples.has(name + labels)) throw fail("series comes twice");
    if (Number.isNaN(Number(value)) && value !== "NaN" && !/^[+-]Inf$/.test(value)) throw fail("not a number");
    samples.set(name + labels, Number(value));
  }
  return { help, type, samples };
}
