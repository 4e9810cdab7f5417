/**
 * What neighbouring segments of history have each left over is merged across their borders: a segment ends where it was cut,
 * not where a file would be large enough. Only segments that are complete and follow each other without a gap are joined; the
 * live archive is none of them (decision 0015). Every merge is a lineage of its own: there is no position to go on from.
 */
import type { Run } from "./compaction.ts";
import { isComplete, type Lineage, lineageId, type ManifestEntry, nextRevision } from "./entry.ts";
import type { LakeFile } from "./reader.ts";

/** Complete segments of a source, one right after the other. */
interface Chain {
  readonly segments: { readonly lineage: Lineage; readonly entries: readonly ManifestEntry[] }[];
  readonly first: number;
  /** First slot after it. */
  stop: number;
}

/**
 * Runs of one file each, in the order of slots. `files`: those of the lake, as what was compacted before leaves them. A file
 * of half the target or more is large enough, so that what is merged is not merged again.
 */
export function joinsDue(entries: readonly ManifestEntry[], files: readonly LakeFile[], targetBytes: number): Run[] {
  const taken = new Set(entries.map(({ lineage }) => lineageId(lineage)));
  const runs: Run[] = [];
  for (const chain of chainsOf(entries)) {
    const { source } = chain.segments[0]!.lineage;
    const own = files.filter((f) => f.source === source && f.slot.min >= chain.first && f.slot.max < chain.stop);
    const byDataset = [...Map.groupBy(own, (file) => file.dataset)].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [dataset, all] of byDataset) {
      const inOrder = all.sort((a, b) => a.slot.min - b.slot.min);
      for (const group of smallNeighbours(inOrder, targetBytes)) runs.push(runOf(chain, dataset, group, taken));
    }
  }
  return runs;
}

function chainsOf(entries: readonly ManifestEntry[]): Chain[] {
  const adding = entries.filter(({ lineage }) => lineage.kind === "backfill");
  const segments = [...Map.groupBy(adding, ({ lineage }) => lineageId(lineage)).values()]
    .map((own) => ({ lineage: own[0]!.lineage, entries: own }))
    .filter(({ lineage, entries: own }) => isComplete(lineage, own.at(-1)!.to.slot))
    .sort((a, b) => a.lineage.start! - b.lineage.start!);
  const chains: Chain[] = [];
  for (const segment of segments) {
    const { source, start, stop } = segment.lineage;
    const before = chains.findLast(({ segments: [first] }) => first!.lineage.source === source);
    if (before?.stop === start) {
      before!.segments.push(segment);
      before!.stop = stop!;
    } else chains.push({ segments: [segment], first: start!, stop: stop! });
  }
  return chains;
}

/** Neighbours of one day with the same columns, each small, that make a file of about the target; two or more. */
function smallNeighbours(files: readonly LakeFile[], targetBytes: number): LakeFile[][] {
  const groups: LakeFile[][] = [[]];
  let bytes = 0;
  const end = () => {
    groups.push([]);
    bytes = 0;
  };
  for (const file of files) {
    const before = groups.at(-1)![0];
    const isLarge = file.bytes * 2 >= targetBytes;
    const goesOn = before === undefined || (before.date === file.date && Bun.deepEquals(before.schema, file.schema));
    if (isLarge || !goesOn) end();
    if (isLarge) continue;
    groups.at(-1)!.push(file);
    bytes += file.bytes;
    if (bytes >= targetBytes) end();
  }
  return groups.filter((group) => group.length > 1);
}

/** All that is known of the blocks between the first row and the last one is in the entries that brought them. */
function runOf(chain: Chain, dataset: string, files: readonly LakeFile[], taken: Set<string>): Run {
  const first = files[0]!.slot.min;
  const last = files.reduce((most, { slot }) => Math.max(most, slot.max), 0);
  const isTouched = (entry: ManifestEntry) => entry.blocks > 0 && entry.last.slot >= first && entry.first.slot <= last;
  const touched = chain.segments.filter((segment) => segment.entries.some(isTouched));
  const [from, to] = [touched[0]!.lineage, touched.at(-1)!.lineage];
  const range = { kind: "compaction" as const, source: from.source, dataset, start: from.start, stop: to.stop };
  return {
    dataset,
    lineage: nextRevision(range, taken),
    entries: touched.flatMap((segment) => segment.entries.filter(isTouched)),
    files,
  };
}
