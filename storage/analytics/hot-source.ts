/** The hot stores of a source whose files are on this machine, for analytics: all lanes as one. */
import { SluiceError } from "../../pipeline/errors.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { HotReader } from "../hot/reader.ts";
import type { HotSource, HotStand } from "./analytics.ts";

/** `files` by the name a stand gets, for example "lane 3". A lane that has no file yet is empty. */
export function localHotSource(source: string, files: ReadonlyMap<string, string>): HotSource {
  return {
    source,
    async stands() {
      return [...files].map(([name, file]): HotStand => {
        const stand = withReader(file, (reader) => reader.stand());
        return { name, position: stand?.position ?? null, finalSlot: stand?.finalSlot ?? 0 };
      });
    },
    *rows(dataset, aboveSlot) {
      for (const file of files.values()) yield* rowsIn(file, dataset, aboveSlot);
    },
  };
}

function* rowsIn(file: string, dataset: string, aboveSlot: number): Generator<Table> {
  const reader = open(file);
  if (reader === null) return;
  try {
    yield* reader.tableRows(dataset, aboveSlot);
  } catch (error) {
    // A lane stores a dataset from its first row on.
    if (!hasCode(error, "HOT_DATASET")) throw error;
  } finally {
    reader.close();
  }
}

function withReader<Result>(file: string, action: (reader: HotReader) => Result): Result | null {
  const reader = open(file);
  if (reader === null) return null;
  try {
    return action(reader);
  } finally {
    reader.close();
  }
}

function open(file: string): HotReader | null {
  try {
    return new HotReader(file);
  } catch (error) {
    if (hasCode(error, "HOT_MISSING")) return null;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof SluiceError && error.code === code;
}
