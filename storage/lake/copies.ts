/**
 * The warm tier of a lake in a bucket: copies of its files on this host. Those whose rows are older than a number of days go,
 * once the bucket is seen to have them; so do copies of files that are no longer part of the lake. What somebody has used a
 * moment ago stays for the next time.
 */
import type { FileCache } from "./file-cache.ts";
import { type LakeFile, LakeReader } from "./reader.ts";
import type { ObjectStore } from "./store.ts";

export interface CopiesReport {
  /** Removed, or in a dry run: to be removed. */
  readonly removed: readonly { readonly key: string; readonly bytes: number; readonly why: "old" | "replaced" }[];
  readonly kept: { readonly files: number; readonly bytes: number };
}

export class LakeCopies {
  private readonly store: ObjectStore;
  private readonly cache: Pick<FileCache, "list" | "evict">;
  private readonly reader: LakeReader;

  constructor(store: ObjectStore, cache: Pick<FileCache, "list" | "evict">) {
    this.store = store;
    this.cache = cache;
    this.reader = new LakeReader(store);
  }

  /** `seconds` of block time, counted from the newest row of the lake. */
  async trim(seconds: number, dryRun: boolean): Promise<CopiesReport> {
    const { files } = await this.reader.read();
    const known = new Map([...files.values()].flat().map((file) => [file.key, file]));
    const newest = [...known.values()].reduce((time, file) => Math.max(time, file.blockTime.max), 0);
    const removed: CopiesReport["removed"][number][] = [];
    let kept = { files: 0, bytes: 0 };
    for (const { key, bytes } of await this.cache.list()) {
      const file = known.get(key);
      const why = file === undefined ? "replaced" : file.blockTime.max < newest - seconds ? "old" : null;
      const isDue = why !== null && (file === undefined || (await this.isInBucket(file)));
      if (isDue && (dryRun || (await this.cache.evict(key)))) removed.push({ key, bytes, why });
      else kept = { files: kept.files + 1, bytes: kept.bytes + bytes };
    }
    return { removed, kept };
  }

  /** The service has compared the checksum when it took the object, and objects do not change. */
  private async isInBucket({ key, bytes }: LakeFile): Promise<boolean> {
    return (await this.store.head(key))?.bytes === bytes;
  }
}
