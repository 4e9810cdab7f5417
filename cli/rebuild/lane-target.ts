/** Where a lane's hot store has to stand so that the lane can go on as if it had never been away, as far as streams can tell. */
import type { Deployment } from "../../pipeline/deployment.ts";
import { Poison } from "../../pipeline/errors.ts";
import { names } from "../../pipeline/names.ts";
import type { BlockRef } from "../../pipeline/position.ts";
import type { BatchHeader } from "../../pipeline/wire/message.ts";

export interface LaneTarget {
  /**
   * Blocks that it must have come by: the one from which the lane's stream goes on, those up to which the lost store had
   * told the live feed and the others. Beyond them nothing is gained, and the live feed would have a gap.
   */
  readonly blocks: readonly BlockRef[];
  /** Slot before the oldest message of the lane's stream: -1 when that is the first of all, null when it is empty. */
  readonly streamFrom: number | null;
  /** Version of the hot store that the live feed heard of last. */
  readonly version: number;
}

export async function laneTarget(d: Deployment, lane: number): Promise<LaneTarget> {
  const n = names(d.config["nats.prefix"], d.source);
  const first = await headerOf(d.broker.firstHeader(n.lanes.stream, n.lanes.subject(lane), 1));
  const told = await headerOf(d.broker.header(n.live.stream, { lastOn: n.live.subject(lane) }));
  const stood = await d.control.standing(n.unit("lane", lane));
  const blocks = [first?.prev, told?.next, stood?.position].filter((block) => block !== null && block !== undefined);
  const streamFrom = first === null ? null : (first.prev?.slot ?? -1);
  return { blocks, streamFrom, version: told?.input ?? 0 };
}

/** A damaged message tells nothing. */
async function headerOf(answer: Promise<{ readonly header: BatchHeader } | null>): Promise<BatchHeader | null> {
  try {
    return (await answer)?.header ?? null;
  } catch (error) {
    if (error instanceof Poison) return null;
    throw error;
  }
}
