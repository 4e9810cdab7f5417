/**
 * Whether the lake has what a hot store is about to forget: the slots are covered without a gap, and the files that hold
 * their rows are there with the bytes that the manifest names. A file is read once for it; it cannot change afterwards.
 */
import { coverageOf, type LakeFile, LakeReader, type LakeSnapshot } from "./reader.ts";
import type { ObjectStore } from "./store.ts";

export interface Proven {
  /** Everything below this slot, from the slots asked for on, is in the lake. */
  readonly before: number;
  /** Why not everything that was asked for; null when it is. */
  readonly lacking: string | null;
}

export class LakeProof {
  private readonly store: ObjectStore;
  private readonly source: string;
  private readonly reader: LakeReader;
  private readonly sound = new Set<string>();
  /** One file is read at a time, and none twice: several lanes may ask. */
  private reading: Promise<unknown> = Promise.resolve();

  /** `source`: the one whose rows count. */
  constructor(store: ObjectStore, source: string) {
    this.store = store;
    this.source = source;
    this.reader = new LakeReader(store);
  }

  /** `from`: the first slot that is asked for, by dataset; `before`: the first slot that is not. */
  prove(from: ReadonlyMap<string, number>, before: number): Promise<Proven> {
    const next = this.reading.then(() => this.proveNow(from, before));
    this.reading = next.catch(() => undefined);
    return next;
  }

  private async proveNow(from: ReadonlyMap<string, number>, before: number): Promise<Proven> {
    const lake = await this.reader.read();
    let proven: Proven = { before, lacking: null };
    for (const [dataset, first] of from) {
      const covered = coveredFrom(lake, this.source, dataset, first);
      if (covered < proven.before) {
        proven = { before: covered, lacking: `the lake does not cover slot ${covered} of ${dataset}` };
      }
    }
    const files = [...from].flatMap(([dataset, first]) =>
      (lake.files.get(dataset) ?? []).filter(({ slot }) => slot.max >= first && slot.min < proven.before),
    );
    for (const file of files.sort((a, b) => a.slot.min - b.slot.min)) {
      if (file.slot.min >= proven.before) break;
      if (await this.isSound(file)) continue;
      proven = { before: file.slot.min, lacking: `${file.key} is not what the manifest says` };
    }
    return proven;
  }

  private async isSound({ key, bytes, sha256 }: LakeFile): Promise<boolean> {
    if (this.sound.has(key)) return true;
    const head = await this.store.head(key);
    if (head?.bytes !== bytes || (await this.store.checksum(key)) !== sha256) return false;
    this.sound.add(key);
    return true;
  }
}

/** The first slot at or after `first` that the lake does not cover for a source. */
function coveredFrom(lake: LakeSnapshot, source: string, dataset: string, first: number): number {
  const ranges = coverageOf(lake, source, dataset);
  const range = ranges.find((r) => r.first <= first && first <= r.last);
  return range === undefined ? first : range.last + 1;
}
