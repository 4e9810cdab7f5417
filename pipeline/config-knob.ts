/** What a setting is: its kind, default, unit and range, and how a value of it is read. The settings are in `config.ts`. */
import { Fatal } from "./errors.ts";

type Kind = "text" | "integer" | "boolean" | "choice" | "list";

export interface Knob {
  readonly kind: Kind;
  readonly default: string | number | boolean | readonly string[];
  readonly why: string;
  readonly env?: readonly string[];
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly secret?: true;
  /** May carry credentials, which are never shown. */
  readonly address?: true;
  /** Says of a wrong text what it must be; null of a right one. */
  readonly check?: (value: string) => string | null;
}

export const text = (value: string, why: string, more: Partial<Knob> = {}) => ({
  kind: "text" as const,
  default: value,
  why,
  ...more,
});
export const integer = (value: number, unit: string, min: number, max: number, why: string, env?: string) => ({
  kind: "integer" as const,
  default: value,
  unit,
  min,
  max,
  why,
  ...(env === undefined ? {} : { env: [env] }),
});
export const flag = (value: boolean, why: string, env?: string) => ({
  kind: "boolean" as const,
  default: value,
  why,
  ...(env === undefined ? {} : { env: [env] }),
});
export const choice = <const T extends string>(value: T, choices: readonly T[], why: string, ...env: string[]) => ({
  kind: "choice" as const,
  default: value,
  choices,
  why,
  env,
});
export const list = (why: string, ...env: string[]) => ({
  kind: "list" as const,
  default: [] as readonly string[],
  why,
  env,
});

/** Reads a value as given in `where`: a file, a variable, the command line. Throws `Fatal` CONFIG_VALUE. */
export function parseValue(name: string, knob: Knob, raw: unknown, where: string): unknown {
  const bad = (expected: string) =>
    new Fatal(
      "CONFIG_VALUE",
      `${name} must be ${expected}, not ${knob.secret === true || knob.address === true ? "what was given" : JSON.stringify(raw)}`,
      {
        where,
        hint: knob.why,
      },
    );
  switch (knob.kind) {
    case "integer": {
      const value =
        typeof raw === "number"
          ? raw
          : typeof raw === "string" && /^-?\d+$/.test(raw.trim())
            ? Number(raw)
            : Number.NaN;
      if (!Number.isSafeInteger(value) || value < knob.min! || value > knob.max!) {
        throw bad(`a whole number of ${knob.unit} from ${knob.min} to ${knob.max}`);
      }
      return value;
    }
    case "boolean":
      if (raw === true || raw === "true" || raw === "1") return true;
      if (raw === false || raw === "false" || raw === "0") return false;
      throw bad("true or false");
    case "choice": {
      const value = String(raw);
      if (!knob.choices!.includes(value)) throw bad(`one of ${knob.choices!.join(", ")}`);
      return value;
    }
    case "list": {
      const items =
        typeof raw === "string"
          ? raw
              .split(",")
              .map((s) => s.trim())
              .filter((s) => s !== "")
          : raw;
      if (!Array.isArray(items) || !items.every((item) => typeof item === "string")) throw bad("a list of texts");
      return items;
    }
    case "text": {
      if (typeof raw !== "string" && typeof raw !== "number") throw bad("a text");
      const wrong = knob.check?.(String(raw)) ?? null;
      if (wrong !== null) throw bad(wrong);
      return String(raw);
    }
  }
}
