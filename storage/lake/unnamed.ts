/**
 * Data files that no entry names: whether their rows are in the lake by other means. What one source covers says nothing of
 * another, whose entry may have been lost: a file says in its own metadata whose it is.
 */
import { classify } from "../../pipeline/errors.ts";
import { quoteText } from "./columns.ts";
import { covers, type SlotRange } from "./coverage.ts";
import { Duck } from "./duckdb.ts";
import { parseFileKey } from "./entry.ts";
import { sourcesOf } from "./reader.ts";
import type { ObjectStore } from "./store.ts";

export class UnnamedFiles {
  private readonly store: ObjectStore;
  /** By source and dataset, as of a reader. */
  private readonly coverage: ReadonlyMap<string, readonly SlotRange[]>;
  private duck: Duck | null = null;

  constructor(store: ObjectStore, coverageOfSources: ReadonlyMap<string, readonly SlotRange[]>) {
    this.store = store;
    this.coverage = coverageOfSources;
  }

  /**
   * Whether the source whose rows the data file `key` holds covers all of its slots. A file that does not say whose it is
   * (of an older version, or unreadable) is covered when every source with the dataset does.
   */
  async isCovered(key: string): Promise<boolean> {
    const file = parseFileKey(key);
    if (file === null) return false;
    const sources = sourcesOf(this.coverage, file.dataset);
    const covering = [...sources].filter(([, ranges]) => covers(ranges, file.slots)).map(([source]) => source);
    if (covering.length === 0) return false;
    const source = await this.sourceIn(key);
    return source === null ? covering.length === sources.size : covering.includes(source);
  }

  close(): void {
    this.duck?.close();
    this.duck = null;
  }

  private async sourceIn(key: string): Promise<string | null> {
    const path = await this.store.localPath(key);
    if (path === null) return null;
    this.duck ??= await Duck.open();
    try {
      const [row] = await this.duck.rows(
        `SELECT decode(value) FROM parquet_kv_metadata(${quoteText(path)}) WHERE decode(key) = 'source'`,
      );
      return row === undefined ? null : String(row[0]);
    } catch (error) {
      if (classify(error).code === "LAKE_DUCKDB") return null;
      throw error;
    } finally {
      this.store.release(key);
    }
  }
}
