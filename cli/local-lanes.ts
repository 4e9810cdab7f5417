/** The hot stores of this host as SQL reads them: all lanes that have a file here. */
import { classify } from "../pipeline/errors.ts";
import type { Table } from "../pipeline/wire/table.ts";
import type { HotSource, HotStand, MissingLane } from "../storage/analytics/analytics.ts";
import { laneFile } from "../storage/hot/file.ts";
import { checkLaneFiles } from "../storage/hot/lane-files.ts";
import { HotReader } from "../storage/hot/reader.ts";

interface Lane {
  readonly name: string;
  readonly reader: HotReader;
}

export class LocalLanes implements HotSource {
  readonly source: string;
  private readonly lanes: Lane[] = [];
  private absent: readonly MissingLane[];

  /**
   * `lanes`: how many the deployment has; those without a file here belong to another host, are lost, or have yet to begin.
   * Throws `Fatal` LANES_CHANGED.
   */
  constructor(source: string, folder: string, lanes: number) {
    checkLaneFiles(folder, lanes);
    this.source = source;
    this.absent = Array.from({ length: lanes }, (_, lane) => ({ name: `lane ${lane}`, file: laneFile(folder, lane) }));
    this.openMore();
  }

  missing(): readonly MissingLane[] {
    return this.absent;
  }

  async stands(): Promise<HotStand[]> {
    this.openMore();
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

  /** A shell may have been opened before the lanes had begun. */
  private openMore(): void {
    this.absent = this.absent.filter(({ name, file }) => {
      const reader = unless("HOT_MISSING", () => new HotReader(file));
      if (reader !== null) this.lanes.push({ name, reader });
      return reader === null;
    });
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
