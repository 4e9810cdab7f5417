/** Raw blocks that are still at hand, in the stream of blocks or in the lake's archive of them, decoded again. */

import type { Link } from "../../pipeline/chain.ts";
import { RAW_BLOCKS } from "../../pipeline/datasets/raw_blocks.ts";
import type { Deployment } from "../../pipeline/deployment.ts";
import { Poison, Shutdown } from "../../pipeline/errors.ts";
import { names } from "../../pipeline/names.ts";
import { type BlockMeta, type BlockRef, sameBlock } from "../../pipeline/position.ts";
import { type Incoming, StreamReader } from "../../pipeline/reader.ts";
import type { BlockBatch, RowBatch } from "../../pipeline/wire/batch.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import { blockCodec } from "../../pipeline/wire/message.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { DecodeStage } from "../../stages/decode/stage.ts";
import { readChainRows } from "../../storage/lake/chain-rows.ts";
import type { SlotRange } from "../../storage/lake/coverage.ts";
import { coverageOf, type LakeSnapshot } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";

/** Blocks decoded at once. */
const AT_ONCE = 32;

export interface HeldBlock {
  readonly block: BlockMeta;
  readonly payload: Uint8Array;
  readonly typeName: string;
}

/** Blocks, and the slots of which none was missing. */
export interface BlockSource {
  /** Hands over final blocks, in the order of the chain; resolves to the slots of which all were there, null: none. */
  read(
    range: SlotRange,
    take: (blocks: readonly HeldBlock[]) => Promise<void>,
    signal: AbortSignal,
  ): Promise<SlotRange[]>;
}

/** Decodes blocks with the decoders of today. */
export function blockDecoder(d: Deployment, take: (rows: RowBatch) => Promise<void>) {
  const stage = new DecodeStage({
    ...{ programs: d.programs, maps: d.maps, failedTransactions: d.config["decode.failedTransactions"] },
    keepLonger: d.config["decode.keepLonger"],
  });
  return async (blocks: readonly HeldBlock[]): Promise<void> => {
    for (let at = 0; at < blocks.length; at += AT_ONCE) {
      const part = blocks.slice(at, at + AT_ONCE);
      for (const [typeName, own] of Map.groupBy(part, (held) => held.typeName)) {
        await take(stage.apply({ blocks: own.map((h) => h.block), payloads: own.map((h) => h.payload), typeName }));
      }
    }
  };
}

/** The stream of blocks: what was taken back is left out. */
export function streamedBlocks(d: Deployment): BlockSource {
  return {
    async read(range, take, signal) {
      const n = names(d.config["nats.prefix"], d.source);
      const state = await d.broker.streamState(n.blocks.stream);
      if (state === null || state.messages === 0) return [];
      const canonical = new Canonical();
      const stop = new AbortController();
      const reader = new StreamReader(d.broker, n.blocks.stream, n.blocks.subject, blockCodec);
      for await (const incoming of reader.read(null, "oldest", AbortSignal.any([signal, stop.signal]))) {
        const { link } = incoming;
        const isWanted = link.kind === "data" && overlaps(link, range);
        const final = canonical.add(link, isWanted ? bodyOf(incoming) : null);
        await take(final.filter(({ block }) => block.slot >= range.first && block.slot <= range.last));
        if (incoming.seq >= state.lastSeq || canonical.finalSlot >= range.last) break;
      }
      stop.abort(new Shutdown());
      if (signal.aborted) throw new Shutdown();
      const whole = { first: Math.max(range.first, canonical.from), last: Math.min(range.last, canonical.finalSlot) };
      return whole.first > whole.last ? [] : [whole];
    },
  };
}

/** The lake's own archive of raw blocks. */
export function archivedBlocks(lake: LakeSnapshot, store: ObjectStore, source: string, workDir: string): BlockSource {
  return {
    async read(range, take, signal) {
      const covered = coverageOf(lake, source, RAW_BLOCKS.name)
        .map(({ first, last }) => ({ first: Math.max(first, range.first), last: Math.min(last, range.last) }))
        .filter(({ first, last }) => first <= last);
      const files = (lake.files.get(RAW_BLOCKS.name) ?? []).filter((file) => file.source === source);
      for (const { first, last } of covered) {
        const position = { slot: last, hash: "", cursor: "", moduleHash: "" };
        const history = { position, recent: [], time: 0, firstSlot: first, files: new Map([[RAW_BLOCKS.name, files]]) };
        const datasets = [RAW_BLOCKS];
        for await (const { tables } of readChainRows({ store, history, datasets, aboveSlot: first - 1, workDir })) {
          if (signal.aborted) throw new Shutdown();
          await take(blocksIn(tables.get(RAW_BLOCKS.name)!));
        }
      }
      return covered;
    },
  };
}

function blocksIn(table: Table): HeldBlock[] {
  const [slot, time, hash, type, payload] = ["slot", "block_time", "hash", "type", "payload"].map((name) =>
    table.column(name),
  ) as [Column, Column, Column, Column, Column];
  return Array.from({ length: table.length }, (_, i) => {
    const at = slot.number(i);
    const block = { slot: at, hash: hash.string(i), cursor: "", time: time.number(i), finalSlot: at };
    return { block, payload: payload.bytes(i), typeName: type.string(i) };
  });
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
