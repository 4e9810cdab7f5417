/**
 * Raw blocks that are still at hand, decoded again: the stream of blocks is read from its oldest message, what was taken back
 * is left out, and what is final is handed to the decoders of today.
 */

import type { Link } from "../../pipeline/chain.ts";
import type { Deployment } from "../../pipeline/deployment.ts";
import { Poison, Shutdown } from "../../pipeline/errors.ts";
import { names } from "../../pipeline/names.ts";
import { type BlockMeta, type BlockRef, sameBlock } from "../../pipeline/position.ts";
import { type Incoming, StreamReader } from "../../pipeline/reader.ts";
import type { BlockBatch, RowBatch } from "../../pipeline/wire/batch.ts";
import { blockCodec } from "../../pipeline/wire/message.ts";
import { DecodeStage } from "../../stages/decode/stage.ts";
import type { SlotRange } from "../../storage/lake/coverage.ts";

/** Blocks decoded at once. */
const AT_ONCE = 32;

interface HeldBlock {
  readonly block: BlockMeta;
  readonly payload: Uint8Array;
  readonly typeName: string;
}

/**
 * Hands the rows of final blocks in `range` to `take`, in the order of the chain. Resolves to the slots of which all blocks
 * were there; null when none were.
 */
export async function decodeBlocks(
  d: Deployment,
  range: SlotRange,
  take: (rows: RowBatch) => Promise<void>,
  signal: AbortSignal,
): Promise<SlotRange | null> {
  const n = names(d.config["nats.prefix"], d.source);
  const state = await d.broker.streamState(n.blocks.stream);
  if (state === null || state.messages === 0) return null;
  const stage = new DecodeStage({
    ...{ programs: d.programs, maps: d.maps, failedTransactions: d.config["decode.failedTransactions"] },
    keepLonger: d.config["decode.keepLonger"],
  });
  const canonical = new Canonical();
  const decode = async (blocks: readonly HeldBlock[]) => {
    const wanted = blocks.filter(({ block }) => block.slot >= range.first && block.slot <= range.last);
    for (let at = 0; at < wanted.length; at += AT_ONCE) {
      const part = wanted.slice(at, at + AT_ONCE);
      for (const [typeName, own] of Map.groupBy(part, (held) => held.typeName)) {
        const batch = { blocks: own.map((h) => h.block), payloads: own.map((h) => h.payload), typeName };
        await take(stage.apply(batch));
      }
    }
  };
  const stop = new AbortController();
  const reader = new StreamReader(d.broker, n.blocks.stream, n.blocks.subject, blockCodec);
  for await (const incoming of reader.read(null, "oldest", AbortSignal.any([signal, stop.signal]))) {
    const { link } = incoming;
    const isWanted = link.kind === "data" && overlaps(link, range);
    await decode(canonical.add(link, isWanted ? bodyOf(incoming) : null));
    if (incoming.seq >= state.lastSeq || canonical.finalSlot >= range.last) break;
  }
  stop.abort(new Shutdown());
  if (signal.aborted) throw new Shutdown();
  const whole = { first: Math.max(range.first, canonical.from), last: Math.min(range.last, canonical.finalSlot) };
  return whole.first > whole.last ? null : whole;
}

function overlaps({ blocks }: Link, range: SlotRange): boolean {
  const [first, last] = [blocks[0], blocks.at(-1)];
  return first !== undefined && last !== undefined && first.slot <= range.last && last.slot >= range.first;
}

/** A damaged message is told as such: its blocks are missing. */
function bodyOf(incoming: Incoming<BlockBatch>): BlockBatch | "damaged" | null {
  try {
    const signal = incoming.signal();
    return signal.kind === "data" ? signal.body : null;
  } catch (error) {
    if (error instanceof Poison) return "damaged";
    throw error;
  }
}

/** The chain as the messages tell it: blocks that are final, once each, and from where on none is missing. */
class Canonical {
  /** From this slot on all blocks were there. */
  from = Number.POSITIVE_INFINITY;
  /** Up to here what was there is final. */
  finalSlot = -1;
  private last: BlockRef | null | undefined = undefined;
  private unfinal: HeldBlock[] = [];

  /** `body`: its blocks; null: none is wanted. Returns those that have become final. */
  add(link: Link, body: BlockBatch | "damaged" | null): HeldBlock[] {
    // A message that does not follow the one before: what lies between is missing.
    if (this.last === undefined || !sameBlock(link.prev, this.last)) this.beginAfter(link.prev?.slot ?? -1);
    this.last = link.next;
    if (link.kind === "undo") {
      this.unfinal = this.unfinal.filter(({ block }) => block.slot < link.next.slot || sameBlock(block, link.next));
    }
    if (body === "damaged") this.beginAfter(link.next.slot);
    else if (body !== null) {
      body.blocks.forEach((block, i) => {
        this.unfinal.push({ block, payload: body.payloads[i]!, typeName: body.typeName });
      });
    }
    this.finalSlot = Math.min(Math.max(this.finalSlot, link.finalSlot), link.next.slot);
    const isFinal = ({ block }: HeldBlock) => block.slot <= this.finalSlot;
    const done = this.unfinal.filter(isFinal);
    this.unfinal = this.unfinal.filter((held) => !isFinal(held));
    return done;
  }

  private beginAfter(slot: number): void {
    this.from = slot + 1;
    this.unfinal = [];
  }
}
