/** Names from an IDL become names of datasets and columns, in SQL and in file paths: nothing else may pass. */
import { Fatal } from "../../pipeline/errors.ts";

const IDENTIFIER = /^[a-z][a-z0-9_]*$/;
/** Datasets are folders and tables of other engines, too. A column's name is the path of its field, and real ones are long. */
const CHARACTERS_MAX = { dataset: 63, column: 127 } as const;

/** "orderPda" and "OrderPDA" become "order_pda"; what is snake_case already stays. */
export function snakeCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .toLowerCase();
}

/** The name that a field has as a column: in snake_case, without what it may begin with to say that it is private. */
export function columnNameOf(field: string): string {
  return snakeCase(field).replace(/^_+/, "");
}

export function requireIdentifier(name: string, what: keyof typeof CHARACTERS_MAX, where: string): string {
  const max = CHARACTERS_MAX[what];
  if (IDENTIFIER.test(name) && name.length <= max) return name;
  throw new Fatal("DATASET_NAME", `${JSON.stringify(name)} cannot be the name of a ${what}`, {
    where,
    hint: `Names are letters, digits and underscores, at most ${max}, and begin with a letter.`,
  });
}
