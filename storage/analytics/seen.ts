/** What an answer was made from, in a size that does not grow with the lake: for those who are told with every answer. */
import type { Seen, SeenLineage } from "./analytics.ts";

/** Keys of files that are told of each list, of however many. */
export const SEEN_FILES = 20;

export interface BriefFiles {
  readonly dataset: string;
  /** The first of them, by key, and how many there are. */
  readonly opened: readonly string[];
  readonly openedCount: number;
  readonly ruledOut: readonly string[];
  readonly ruledOutCount: number;
}

export interface BriefSeen extends Pick<Seen, "lake" | "hot"> {
  /** One for each source, kind and dataset: the highest slot, and of how many lineages it is. */
  readonly lineages: readonly (SeenLineage & { readonly lineages: number })[];
  readonly files: readonly BriefFiles[];
}

export function briefSeen({ lake, lineages, hot, files }: Seen): BriefSeen {
  const alike = Map.groupBy(lineages, ({ source, kind, dataset }) => `${source} ${kind} ${dataset}`);
  return {
    ...{ lake, hot },
    lineages: [...alike.values()].map((own) => ({
      ...own[0]!,
      slot: own.reduce((most, { slot }) => Math.max(most, slot), 0),
      lineages: own.length,
    })),
    files: files.map(({ dataset, opened, ruledOut }) => ({
      dataset,
      opened: opened.slice(0, SEEN_FILES),
      openedCount: opened.length,
      ruledOut: ruledOut.slice(0, SEEN_FILES),
      ruledOutCount: ruledOut.length,
    })),
  };
}
