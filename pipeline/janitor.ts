/**
 * Trims streams behind their slowest consumer. BLOCKS is kept for re-decoding and trimmed only when it grows towards its
 * limit, or when ingest waits for room: a batch may be larger than what is left below that. Consumers report where they stand durably; a report that is late only delays trimming.
 */
import type { Broker } from "./broker.ts";
import type { Config } from "./config.ts";
import type { Control } from "./control.ts";
import { describe } from "./errors.ts";
import type { Log } from "./log.ts";
import { names } from "./names.ts";
import { consumersOfBlocks } from "./standing.ts";
import type { World } from "./world.ts";

/** What the janitor needs of a deployment. */
export interface Trimmed {
  readonly config: Pick<Config, "nats.prefix" | "lanes" | "archive.rawBlocks">;
  readonly source: string;
  readonly control: Pick<Control, "standing" | "nodes">;
  readonly broker: Pick<Broker, "header" | "streamState" | "trim">;
  readonly world: World;
}

const EVERY_MS = 2_000;
/** BLOCKS is trimmed above this share of its limit, down to the other. */
const BLOCKS_HIGH = 0.9;
const BLOCKS_LOW = 0.75;

export async function runJanitor(d: Trimmed, signal: AbortSignal, log: Log): Promise<void> {
  while (!signal.aborted) {
    try {
      await trimAll(d);
    } catch (error) {
      log("debug", "could not trim", { reason: describe(error) });
    }
    await d.world.sleep(EVERY_MS, signal).catch(() => undefined);
  }
}

export async function trimAll(d: Trimmed): Promise<void> {
  const n = names(d.config["nats.prefix"], d.source);
  const lanes = Array.from({ length: d.config.lanes }, (_, lane) => n.unit("lane", lane));
  const events = await doneWith(d, n.events.stream, [n.unit("shard"), n.unit("archive")]);
  const lanesSeq = await doneWith(d, n.lanes.stream, lanes);
  const blocks = await doneWith(d, n.blocks.stream, consumersOfBlocks(d.config, d.source));
  if (events > 0) await d.broker.trim(n.events.stream, events);
  if (lanesSeq > 0) await d.broker.trim(n.lanes.stream, lanesSeq);
  if (blocks > 0) await trimBySize(d, n.blocks.stream, blocks, await isBlocked(d, n.unit("ingest")));
}

/** As far as the process that runs it has said. */
async function isBlocked(d: Trimmed, unit: string): Promise<boolean> {
  const nodes = await d.control.nodes();
  return nodes.some(({ units }) => units.some((u) => u.unit === unit && u.blocked));
}

/** `isWaitedFor`: somebody does not get in. Below the usual limit half of what is there goes each time, until he does. */
async function trimBySize(d: Trimmed, stream: string, doneSeq: number, isWaitedFor: boolean): Promise<void> {
  const state = await d.broker.streamState(stream);
  if (state === null || state.messages === 0) return;
  const isHigh = state.bytes >= BLOCKS_HIGH * state.maxBytes;
  if (!isHigh && !isWaitedFor) return;
  const excess = isHigh ? 1 - (BLOCKS_LOW * state.maxBytes) / state.bytes : 0.5;
  const target = state.firstSeq + Math.ceil((state.lastSeq - state.firstSeq + 1) * excess);
  await d.broker.trim(stream, Math.min(target, doneSeq));
}

/** The sequence below which no consumer needs the stream; 0 while one of them has not said so believably. */
async function doneWith(d: Trimmed, stream: string, consumers: readonly string[]): Promise<number> {
  const seqs = await Promise.all(
    consumers.map(async (consumer) => {
      const standing = await d.control.standing(consumer);
      if (standing === null || standing.position === null || standing.inputSeq === 0) return 0;
      // A stream that was lost and made anew counts from 1 again: the message must be one that the consumer holds.
      const stored = await d.broker.header(stream, { seq: standing.inputSeq });
      return stored !== null && stored.header.next.slot <= standing.position.slot ? standing.inputSeq : 0;
    }),
  );
  return Math.min(...seqs);
}
