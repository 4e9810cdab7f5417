/** The hot stores of this host as SQL reads them: all lanes that have a file here. */
import { classify } from "../pipeline/errors.ts";
import type { Table } from "../pipeline/wire/table.ts";
import type { HotSource, HotStand } from "../storage/analytics/analytics.ts";
import { laneFile } from "../storage/hot/file.ts";
import { HotReader } from "../storage/hot/reader.ts";

interface Lane {
  readonly name: string;
  readonly reader: HotReader;
}

export class LocalLanes implements HotSource {
  readonly source: string;
  private readonly lanes: readonly Lane[];

  /** `lanes`: how many the deployment has; those without a file here belong to another host, or hold nothing yet. */
  constructor(source: string, folder: string, lanes: number) {
    this.source = source;
    this.lanes = Array.from({ length: lanes }, (_, lane) => {
      const reader = unless("HOT_MISSING", () => new HotReader(laneFile(folder, lane)));
      return reader === null ? null : { name: `lane ${lane}`, reader };
    }).filter((lane) => lane !== null);
  }

  async stands(): Promise<HotStand[]> {
    return this.lanes.map(({ name, reader }) => {
      const stand = reader.stand();
      return { name, position: stand?.position ?? null, finalSlot: stand?.finalSlot ?? 0 };
    });
  }

  *rows(dataset: string, aboveSlot: number): Generator<Table> {
    for (const { reader } of this.lanes) {
      const pieces = reader.tableRows(dataset, aboveSlot);
      // A lane that does not keep the dataset says so when its first piece is asked for.
      const first = unless("HOT_DATASET", () => pieces.next());
      if (first === null || first.done === true) continue;
      try {
        yield first.value;
        yield* pieces;
      } finally {
        pieces.return(undefined);
      }
    }
  }

  close(): void {
    for (const { reader } of this.lanes) reader.close();
  }
}

/** Null where `action` fails with this code. */
function unless<T>(code: string, action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    if (classify(error).code === code) return null;
    throw error;
  }
}
