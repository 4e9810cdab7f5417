/** Rows that go and of whose events nothing comes: rarely what is meant, so it has to be said. */

import { Fatal } from "../../pipeline/errors.ts";
import type { Corrected } from "../../storage/lake/correction.ts";

/** Share of a dataset's rows, where it changes, that may be removed without being asked. */
const SMALL_SHARE = 0.01;

export interface Removal {
  readonly dataset: string;
  readonly rows: number;
  /** Rows that the lake has of what was read again, on days that change. */
  readonly of: number;
}

/** By dataset: those of which more than a small share is removed. */
export function removals(corrected: readonly Corrected[]): Removal[] {
  return [...Map.groupBy(corrected, ({ dataset }) => dataset)]
    .map(([dataset, all]) => {
      const sum = (of: "rowsRemoved" | "rowsCompared") => all.reduce((total, change) => total + change[of], 0);
      return { dataset, rows: sum("rowsRemoved"), of: sum("rowsCompared") };
    })
    .filter(({ rows, of }) => rows > of * SMALL_SHARE);
}

/** Throws `Fatal` REDECODE_REMOVES. */
export function mustNotRemove(corrected: readonly Corrected[]): void {
  const found = removals(corrected);
  if (found.length === 0) return;
  const what = found.map(({ dataset, rows, of }) => `${rows} of ${of} rows of ${dataset}`).join(", ");
  throw new Fatal("REDECODE_REMOVES", `${what} would go, and nothing would come of their events`, {
    hint: "Check the layouts and settings of decode: these events were understood before. The lake is as it was. If the rows are to go, say --allow-removal.",
  });
}
