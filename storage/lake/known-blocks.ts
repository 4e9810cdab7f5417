/** What the manifest says of single blocks of a source: by which module its slots were read, and the hashes of some. */
import { RAW_BLOCKS } from "../../pipeline/datasets/raw_blocks.ts";
import { cover, includes, type SlotRange } from "./coverage.ts";
import type { ManifestEntry } from "./entry.ts";
import { addsCoverage, slotsOf } from "./reader.ts";

type Modules = Map<string, readonly SlotRange[]>;

export class KnownBlocks {
  private readonly events: Modules = new Map();
  private readonly raw: Modules = new Map();
  private readonly hashes = new Map<number, string>();

  constructor(entries: Iterable<ManifestEntry>, source: string) {
    for (const entry of entries) if (entry.lineage.source === source) this.add(entry);
  }

  /** The hash of a block that the lake was made of, where the manifest names it. */
  hashAt(slot: number): string | undefined {
    return this.hashes.get(slot);
  }

  /** The first slot from here on of which `hashAt` tells; undefined when there is none. */
  nextKnown(slot: number): number | undefined {
    let next: number | undefined;
    for (const known of this.hashes.keys()) if (known >= slot && (next === undefined || known < next)) next = known;
    return next;
  }

  /** Whether rows of this slot were made of the output of a module with another hash. */
  isOfOtherModule(slot: number, moduleHash: string): boolean {
    return [...this.events].some(([hash, ranges]) => hash !== moduleHash && includes(ranges, slot));
  }

  /** The module whose output is archived as raw blocks; "" for a slot of which none is. */
  rawModuleAt(slot: number): string {
    return [...this.raw].find(([, ranges]) => includes(ranges, slot))?.[0] ?? "";
  }

  private add(entry: ManifestEntry): void {
    const { lineage, blocks, first, last, recent, to } = entry;
    if (blocks === 0 || !addsCoverage(lineage)) return;
    for (const { slot, hash } of [first, last, ...recent]) if (hash !== "") this.hashes.set(slot, hash);
    const modules = { all: this.events, [RAW_BLOCKS.name]: this.raw }[lineage.dataset];
    modules?.set(to.moduleHash, cover(modules.get(to.moduleHash) ?? [], slotsOf(entry)));
  }
}
