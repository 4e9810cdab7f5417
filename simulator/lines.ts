/**
 * Canonical lines: one line of text for each row of a dataset, and their digest. Whoever can select the same rows can
 * compute the same digest, in SQL or elsewhere.
 *
 * A line is the row's values joined with "|". Values: integers of any width in decimal; addresses and signatures in
 * base58; bytes in lower-case hex; text as it is; booleans as 1 or 0; a missing value (NULL) as nothing. The digest is
 * the SHA-256, in hex, of all lines in the dataset's order, each followed by "\n" (0x0a), in UTF-8. Columns and order of
 * each dataset: `truth.ts`.
 */
import { createHash } from "node:crypto";
import { Account } from "./accounts.ts";

export type Value = Account | Uint8Array | bigint | number | string | boolean | null | undefined;

const FLUSH_CHARACTERS = 64 * 1024;

function formatted(value: Value): string {
  if (typeof value === "string") return value;
  if (typeof value === "bigint" || typeof value === "number") return value.toString();
  if (typeof value === "boolean") return value ? "1" : "0";
  if (value instanceof Account) return value.text;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return "";
}

export function canonicalLine(values: readonly Value[]): string {
  let line = formatted(values[0]);
  for (let i = 1; i < values.length; i++) line += `|${formatted(values[i])}`;
  return line;
}

export interface DatasetDigest {
  readonly rows: number;
  /** SHA-256 of the canonical lines, hex. */
  readonly sha256: string;
}

/** Digests lines as they come, in bounded memory; keeps them only when asked to. */
export class LineDigest {
  readonly lines: string[] | null;
  readonly #hash = createHash("sha256");
  #pending = "";
  #rows = 0;

  constructor(keep: boolean) {
    this.lines = keep ? [] : null;
  }

  add(...values: readonly Value[]): void {
    const line = canonicalLine(values);
    this.lines?.push(line);
    this.#rows++;
    this.#pending += line;
    this.#pending += "\n";
    if (this.#pending.length >= FLUSH_CHARACTERS) this.#flush();
  }

  finish(): DatasetDigest {
    this.#flush();
    return { rows: this.#rows, sha256: this.#hash.copy().digest("hex") };
  }

  #flush(): void {
    this.#hash.update(this.#pending);
    this.#pending = "";
  }
}
