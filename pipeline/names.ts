/** Names of stages, streams, subjects and units, in one place; loading them loads nothing else. */

/** Stages in flow order; `janitor` trims behind them. */
export const STAGES = ["ingest", "decode", "shard", "lane", "archive", "janitor"] as const;
export type StageName = (typeof STAGES)[number];

/** Names of a source's streams, subjects and units. */
export function names(prefix: string, source: string) {
  const stream = (name: string) => `${prefix}_${source}_${name}`.toUpperCase().replaceAll(/[^A-Z0-9_]/g, "_");
  const subject = (name: string) => `${prefix}.${source}.${name}`;
  return {
    blocks: { stream: stream("blocks"), subject: subject("blocks") },
    events: { stream: stream("events"), subject: subject("events") },
    lanes: { stream: stream("lanes"), subject: (lane: number) => subject(`lanes.${lane}`) },
    live: { stream: stream("live"), subject: (lane: number) => subject(`live.${lane}`) },
    quarantine: { stream: stream("quarantine"), subject: subject("quarantine") },
    /** The archive of raw blocks, where it is asked for. */
    rawUnit: `raw.${source}`,
    unit: (stage: StageName, lane?: number) =>
      lane === undefined ? `${stage}.${source}` : `${stage}.${source}.${lane}`,
  };
}
